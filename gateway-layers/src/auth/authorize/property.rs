//! Whoever asks for whatever: the filter agrees with sets.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::context::{Claim, Principal};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(&NAMES), 0..3)
}

fn claim() -> impl Strategy<Value = Claim> {
    let one = || {
        prop_oneof![
            Just(Claim::Null),
            any::<bool>().prop_map(Claim::from),
            (0_i64..3).prop_map(Claim::from),
            (0_i32..6).prop_map(|half| Claim::from(f64::from(half) / 2.0)),
            select(&NAMES).prop_map(Claim::from),
        ]
    };
    prop_oneof![one(), vec(one(), 0..3).prop_map(Claim::List)]
}

fn test() -> impl Strategy<Value = ClaimTest> {
    prop_oneof![
        vec(claim(), 0..3).prop_map(ClaimTest::OneOf),
        vec(claim(), 0..3).prop_map(ClaimTest::Contains),
        any::<bool>().prop_map(ClaimTest::Present),
    ]
}

fn claims() -> impl Strategy<Value = BTreeMap<String, Claim>> {
    let inner = prop::collection::btree_map(select(&NAMES).prop_map(str::to_owned), claim(), 0..3);
    let value = prop_oneof![3 => claim(), 1 => inner.prop_map(Claim::Map)];
    prop::collection::btree_map(select(&NAMES).prop_map(str::to_owned), value, 0..3)
}

/// The claim at a path of names, none of which has dots in it.
fn at<'c>(claims: &'c BTreeMap<String, Claim>, path: &[&str]) -> Option<&'c Claim> {
    match path {
        [name] => claims.get(*name),
        [name, rest @ ..] => match claims.get(*name)? {
            Claim::Map(inner) => at(inner, rest),
            _ => None,
        },
        [] => None,
    }
}

/// As texts, in which 1 and 1.0 are written the same.
fn written(claim: &Claim) -> String {
    match claim {
        Claim::Integer(value) => format!("number {value}"),
        Claim::Number(value) => format!("number {value}"),
        Claim::List(list) => format!("{:?}", list.iter().map(written).collect::<Vec<_>>()),
        Claim::Map(map) => {
            format!("{:?}", map.iter().map(|(name, of)| (name, written(of))).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

fn claim_holds(found: Option<&Claim>, test: &ClaimTest) -> bool {
    let set = |list: &[Claim]| list.iter().map(written).collect::<BTreeSet<_>>();
    match (test, found) {
        (ClaimTest::Present(wanted), found) => {
            *wanted == found.is_some_and(|found| *found != Claim::Null)
        }
        (_, None) => false,
        (ClaimTest::OneOf(wanted), Some(found)) => set(wanted).contains(&written(found)),
        (ClaimTest::Contains(wanted), Some(Claim::List(list))) => {
            !set(wanted).is_disjoint(&set(list))
        }
        (ClaimTest::Contains(wanted), Some(found)) => set(wanted).contains(&written(found)),
    }
}

proptest! {
    #[test]
    fn who_may_is_who_sets_say_may(
        (roles, scopes) in (names(), names()),
        known in claims(),
        (roles_any, roles_all) in (option::of(names()), names()),
        (scopes_any, scopes_all) in (option::of(names()), names()),
        tests in vec((vec(select(&NAMES), 1..3), test()), 0..2),
    ) {
        let mut principal = Principal::new("x", "jwt");
        principal.roles = roles.iter().map(|name| (*name).into()).collect();
        principal.scopes = scopes.iter().map(|name| (*name).into()).collect();
        principal.claims = known.clone();
        let mut requirements = Requirements::new()
            .roles_any(roles_any.clone().unwrap_or_default())
            .roles_all(roles_all.clone())
            .scopes_any(scopes_any.clone().unwrap_or_default())
            .scopes_all(scopes_all.clone());
        for (path, test) in &tests {
            requirements = requirements.claim(path.join("."), test.clone());
        }
        let (head, ()) = http::Request::new(()).into_parts();
        let may = requirements.unmet(&principal, &head, None).is_none();

        let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let any = |wanted: &Option<Vec<&'static str>>, has: &[&'static str]| {
            let wanted = set(wanted.as_deref().unwrap_or_default());
            wanted.is_empty() || !wanted.is_disjoint(&set(has))
        };
        let naive = any(&roles_any, &roles)
            && set(&roles_all).is_subset(&set(&roles))
            && any(&scopes_any, &scopes)
            && set(&scopes_all).is_subset(&set(&scopes))
            && tests.iter().all(|(path, test)| claim_holds(at(&known, path), test));
        prop_assert_eq!(may, naive);
    }
}
