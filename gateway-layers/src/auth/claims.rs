//! What is known of a principal, by name.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gateway_core::context::Claim;

/// The claim under `name`, which may be a path with dots where no claim has this name itself.
pub(super) fn find<'a>(claims: &'a BTreeMap<String, Claim>, name: &str) -> Option<&'a Claim> {
    if let Some(claim) = claims.get(name) {
        return Some(claim);
    }
    let (first, rest) = name.split_once('.')?;
    match claims.get(first)? {
        Claim::Map(inner) => find(inner, rest),
        _ => None,
    }
}

/// Whether two claims say the same. A whole number is any other number of the same value.
pub(super) fn same(one: &Claim, other: &Claim) -> bool {
    match (one, other) {
        (Claim::Integer(whole), Claim::Number(number))
        | (Claim::Number(number), Claim::Integer(whole)) => {
            order(*whole, *number) == Some(Ordering::Equal)
        }
        (Claim::List(one), Claim::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Claim::Map(one), Claim::Map(other)) => {
            let alike = |((name, one), (other_name, other)): ((&String, _), (&String, _))| {
                name == other_name && same(one, other)
            };
            one.len() == other.len() && one.iter().zip(other).all(alike)
        }
        (one, other) => one == other,
    }
}

/// How a whole number stands to any other, without rounding it first; `None`: that is none.
#[allow(clippy::cast_possible_truncation, reason = "looked at first")]
pub(super) fn order(whole: i64, number: f64) -> Option<Ordering> {
    /// The first number that is none of 64 bits, with a sign.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() {
        None
    } else if number >= BEYOND {
        Some(Ordering::Less)
    } else if number < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let fraction = number.fract();
        let by_fraction = 0.0_f64.partial_cmp(&fraction)?;
        Some(whole.cmp(&(number.trunc() as i64)).then(by_fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_name_and_by_a_path() {
        let inner = BTreeMap::from([("roles".to_owned(), Claim::Integer(1))]);
        let claims = BTreeMap::from([
            ("realm_access".to_owned(), Claim::Map(inner.clone())),
            ("https://a.example/roles".to_owned(), Claim::Integer(2)),
            ("b.roles".to_owned(), Claim::Integer(3)),
            ("b".to_owned(), Claim::Map(inner)),
            ("text".to_owned(), Claim::Text("t".into())),
        ]);
        let found = |name: &str| find(&claims, name);
        assert_eq!(found("realm_access.roles"), Some(&Claim::Integer(1)));
        assert_eq!(found("https://a.example/roles"), Some(&Claim::Integer(2)));
        assert_eq!(found("b.roles"), Some(&Claim::Integer(3)), "the name itself comes first");
        for missing in ["", ".", "realm_access.", "realm_access.x", "text.roles", "roles"] {
            assert_eq!(found(missing), None, "{missing}");
        }
    }

    #[test]
    fn numbers_are_compared_without_rounding() {
        let large = 9_007_199_254_740_993; // 2^53 + 1, which no f64 is
        for (whole, number, expected) in [
            (1, 1.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (-1, -1.5, Some(Ordering::Greater)),
            (0, -0.5, Some(Ordering::Greater)),
            (large, 9_007_199_254_740_992.0, Some(Ordering::Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Ordering::Equal)),
            (i64::MIN, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(order(whole, number), expected, "{whole} {number}");
        }
        assert!(same(&Claim::Integer(2), &Claim::Number(2.0)));
        assert!(!same(&Claim::Integer(large), &Claim::Number(9_007_199_254_740_992.0)));
        assert!(!same(&Claim::Text("1".into()), &Claim::Integer(1)));
        let list = |one: Claim| Claim::List(vec![one]);
        assert!(same(&list(Claim::Integer(2)), &list(Claim::Number(2.0))));
        assert!(!same(&list(Claim::Null), &Claim::List(Vec::new())));
    }
}
