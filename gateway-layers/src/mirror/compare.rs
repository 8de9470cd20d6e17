//! What differs between two JSON documents.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::config::CompareConfig;
use super::json_path::escaped;

/// Of one pair of answers, so many differences are told apart.
const MOST: usize = 8;

/// Beyond this, not every whole number has a float of its own.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A place at which two documents differ.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// A JSON pointer; below an array without order, the numbers are those of its sorted elements.
    pub(super) place: String,
    /// `None` where there is nothing.
    pub(super) primary: Option<Value>,
    pub(super) mirror: Option<Value>,
}

/// Where two documents differ, as far as that is of interest: the first eight places at most.
pub(super) fn differences(
    mut primary: Value,
    mut mirror: Value,
    settings: &CompareConfig,
) -> Vec<Found> {
    normalize(&mut primary, settings);
    normalize(&mut mirror, settings);
    let mut found = Vec::new();
    compare(&mut String::new(), Some(&primary), Some(&mirror), &mut found);
    found
}

/// Takes out what is of no interest.
fn normalize(document: &mut Value, settings: &CompareConfig) {
    for path in &settings.ignore {
        path.remove(document);
    }
    // Inner arrays first: they are part of what the outer ones are sorted by.
    let mut unordered: Vec<_> = settings.unordered.iter().collect();
    unordered.sort_by_key(|path| std::cmp::Reverse(path.depth()));
    for path in unordered {
        path.each(document, &mut |value| {
            if let Value::Array(elements) = value {
                elements.sort_by_cached_key(canonical);
            }
        });
    }
}

fn compare(
    place: &mut String,
    primary: Option<&Value>,
    mirror: Option<&Value>,
    found: &mut Vec<Found>,
) {
    if found.len() == MOST {
        return;
    }
    match (primary, mirror) {
        (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
            let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                below(place, &escaped(name), ours.get(name), theirs.get(name), found);
            }
        }
        (Some(Value::Array(ours)), Some(Value::Array(theirs))) => {
            for index in 0..ours.len().max(theirs.len()) {
                let (ours, theirs) = (ours.get(index), theirs.get(index));
                below(place, &index.to_string(), ours, theirs, found);
            }
        }
        (Some(Value::Number(ours)), Some(Value::Number(theirs)))
            if plain(ours) == plain(theirs) => {}
        _ if primary == mirror => {}
        _ => found.push(Found {
            place: place.clone(),
            primary: primary.cloned(),
            mirror: mirror.cloned(),
        }),
    }
}

fn below(
    place: &mut String,
    name: &str,
    primary: Option<&Value>,
    mirror: Option<&Value>,
    found: &mut Vec<Found>,
) {
    let length = place.len();
    place.push('/');
    place.push_str(name);
    compare(place, primary, mirror, found);
    place.truncate(length);
}

/// The number in one form: `1.0` is `1`.
fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < MOST_EXACT => {
            (float as i64).to_string()
        }
        _ => number.to_string(),
    }
}

/// The document in one form: equal documents have equal ones.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&plain(number)),
        Value::Array(elements) => {
            text.push('[');
            for element in elements {
                write_canonical(element, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            // Sorted here: whether the map is depends on the features of the whole program.
            let names: BTreeSet<_> = members.keys().collect();
            for name in names {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(&members[name], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn settings(ignore: &[&str], unordered: &[&str]) -> CompareConfig {
        let parsed = |list: &[&str]| list.iter().map(|path| path.parse().unwrap()).collect();
        CompareConfig {
            ignore: parsed(ignore),
            unordered: parsed(unordered),
            ..CompareConfig::default()
        }
    }

    fn places(primary: Value, mirror: Value, settings: &CompareConfig) -> Vec<String> {
        differences(primary, mirror, settings).into_iter().map(|found| found.place).collect()
    }

    #[test]
    fn places_are_pointers() {
        let ours = json!({"a": [1, {"b/c": 2}], "d": null, "same": "s"});
        let theirs = json!({"a": [1, {"b/c": 3}, 4], "e": null, "same": "s"});
        let expected = ["/a/1/b~1c", "/a/2", "/d", "/e"];
        assert_eq!(places(ours, theirs, &settings(&[], &[])), expected);
        assert_eq!(places(json!(1), json!("1"), &settings(&[], &[])), [""]);
    }

    #[test]
    fn only_what_is_named_is_ignored() {
        let ours = json!({"id": 1, "items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]});
        let theirs = json!({"id": 2, "items": [{"id": 3, "name": "a"}, {"name": "c"}]});
        let both = settings(&["/id", "items.*.id"], &[]);
        assert_eq!(places(ours.clone(), theirs.clone(), &both), ["/items/1/name"]);
        assert_eq!(places(ours, theirs, &settings(&["/items"], &[])), ["/id"]);
        let longer = settings(&["/*"], &[]);
        assert_eq!(places(json!([1]), json!([2, 3]), &longer), ["/1"], "lengths still count");
    }

    #[test]
    fn the_order_of_named_arrays_is_no_difference() {
        let ours = json!({"items": [{"tags": ["a", "b"]}, {"tags": []}], "list": [1, 2]});
        let theirs = json!({"items": [{"tags": []}, {"tags": ["b", "a"]}], "list": [2, 1]});
        let both = settings(&[], &["/items", "/items/*/tags", "/list"]);
        assert_eq!(places(ours.clone(), theirs.clone(), &both), [""; 0]);
        let outer = settings(&[], &["/items", "/list"]);
        assert!(!places(ours.clone(), theirs.clone(), &outer).is_empty());
        let others = settings(&[], &["/items", "/items/*/tags"]);
        assert_eq!(places(ours, theirs, &others), ["/list/0", "/list/1"]);
        let counts = settings(&[], &["/list"]);
        let found = places(json!({"list": [1, 1, 2]}), json!({"list": [1, 2, 2]}), &counts);
        assert_eq!(found, ["/list/1"], "as often as it is there");
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let none = settings(&[], &[]);
        assert_eq!(places(json!([1, 0, 100]), json!([1.0, -0.0, 1e2]), &none), [""; 0]);
        assert_eq!(places(json!([1, 2.5]), json!([1.1, 2.6]), &none), ["/0", "/1"]);
        let unordered = settings(&[], &[""]);
        assert_eq!(places(json!([10.0, 9]), json!([9.0, 10]), &unordered), [""; 0]);
    }

    #[test]
    fn a_few_differences_are_enough() {
        let found = places(json!(vec![1; 100]), json!(vec![2; 100]), &settings(&[], &[]));
        assert_eq!(found.len(), MOST);
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..3_i64).prop_map(Value::from),
            (-9..9_i32).prop_map(|half| Value::from(f64::from(half) / 2.0)),
            "[ab/~]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc*01]", 0..4)
            .prop_map(|steps| steps.iter().map(|step| format!("/{step}")).collect())
    }

    fn any_settings() -> impl Strategy<Value = CompareConfig> {
        let paths = || prop::collection::vec(path(), 0..4);
        (paths(), paths()).prop_map(|(ignore, unordered)| {
            let parsed =
                |list: Vec<String>| list.iter().map(|path| path.parse().unwrap()).collect();
            CompareConfig {
                ignore: parsed(ignore),
                unordered: parsed(unordered),
                ..CompareConfig::default()
            }
        })
    }

    proptest! {
        #[test]
        fn a_document_does_not_differ_from_itself(one in document(), how in any_settings()) {
            prop_assert_eq!(differences(one.clone(), one, &how), []);
        }

        #[test]
        fn who_is_first_does_not_matter(
            one in document(),
            other in document(),
            how in any_settings(),
        ) {
            let forth = places(one.clone(), other.clone(), &how);
            prop_assert_eq!(forth, places(other, one, &how));
        }

        #[test]
        fn without_exceptions_equal_means_equal(one in document(), other in document()) {
            let same = canonical(&one) == canonical(&other);
            prop_assert_eq!(differences(one, other, &settings(&[], &[])).is_empty(), same);
        }

        #[test]
        fn what_is_ignored_is_all_that_is_ignored(
            one in document(),
            other in document(),
            ignored in path(),
        ) {
            let how = settings(&[&ignored], &[]);
            let steps: Vec<_> = ignored.split('/').skip(1).collect();
            // Differences that lie neither above, at nor below an ignored place remain.
            let apart = |place: &String| {
                place.split('/').skip(1).zip(&steps).any(|(have, step)| {
                    have != *step && *step != "*"
                })
            };
            let all = places(one.clone(), other.clone(), &settings(&[], &[]));
            let left = places(one, other, &how);
            if all.len() < MOST {
                for place in all.iter().filter(|place| apart(place)) {
                    prop_assert!(left.contains(place), "{} is not ignored by {}", place, ignored);
                }
            }
        }

        #[test]
        fn shuffled_elements_do_not_differ_where_order_does_not_count(
            (one, other) in prop::collection::vec(document(), 0..6)
                .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
        ) {
            prop_assert_eq!(differences(one.into(), other.into(), &settings(&[], &[""])), []);
        }
    }
}
