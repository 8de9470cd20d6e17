//! [`JsonPath`]: places in a JSON document.

use std::fmt;
use std::slice;
use std::str::FromStr;

use serde_json::Value;

/// Places in a JSON document, written as a JSON pointer (`/items/*/id`, RFC 6901) or with dots
/// (`items.*.id`), where `*` stands for every element of an array.
///
/// In a pointer `~1` is a slash in a name and `~0` a tilde; a name with a dot in it needs the
/// pointer form. A number names an element of an array, or a member of an object that is called so.
/// The empty text is the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member of an object, or the element of an array with this number.
    Name(String),
    /// Every element of an array.
    Every,
}

/// The text names no place in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPath {
    text: String,
}

impl FromStr for JsonPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let steps: Option<Vec<_>> = if text.is_empty() {
            Some(Vec::new())
        } else if let Some(pointer) = text.strip_prefix('/') {
            pointer.split('/').map(unescaped).map(|name| name.map(Step::of)).collect()
        } else {
            let named = |name: &str| (!name.is_empty()).then(|| Step::of(name.to_owned()));
            text.split('.').map(named).collect()
        };
        steps.map(|steps| Self { steps }).ok_or_else(|| InvalidPath { text: text.to_owned() })
    }
}

/// A name of a pointer; `None` where a tilde begins nothing.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix('0').map(|rest| ('~', rest));
        let (letter, rest) = rest.or_else(|| part.strip_prefix('1').map(|rest| ('/', rest)))?;
        plain.push(letter);
        plain.push_str(rest);
    }
    Some(plain)
}

/// `name` as it stands in a pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Step {
    fn of(name: String) -> Self {
        if name == "*" { Self::Every } else { Self::Name(name) }
    }

    /// The element of an array of this length that the step names.
    fn index(&self, length: usize) -> Option<usize> {
        let Self::Name(name) = self else { return None };
        // RFC 6901, section 4: digits, without a leading zero.
        let plain = name == "0" || (!name.starts_with('0') && !name.starts_with('+'));
        name.parse().ok().filter(|index| plain && *index < length)
    }
}

impl JsonPath {
    /// Calls `visit` with every place in `value` that this path names.
    pub(super) fn each(&self, value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
        walk(&self.steps, value, visit);
    }

    /// How many steps lead to the places.
    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// Takes every place that this path names out of `value`. Elements of arrays become null, so
    /// that the others keep their number.
    pub(super) fn remove(&self, value: &mut Value) {
        let Some((last, parents)) = self.steps.split_last() else {
            *value = Value::Null;
            return;
        };
        walk(parents, value, &mut |parent| match parent {
            Value::Object(members) => {
                if let Step::Name(name) = last {
                    members.remove(name);
                }
            }
            array => walk(slice::from_ref(last), array, &mut |element| *element = Value::Null),
        });
    }
}

fn walk(steps: &[Step], value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else {
        return visit(value);
    };
    match (value, step) {
        (Value::Object(members), Step::Name(name)) => {
            if let Some(member) = members.get_mut(name) {
                walk(rest, member, visit);
            }
        }
        (Value::Array(elements), Step::Every) => {
            for element in elements {
                walk(rest, element, visit);
            }
        }
        (Value::Array(elements), step) => {
            let index = step.index(elements.len());
            if let Some(element) = index.and_then(|index| elements.get_mut(index)) {
                walk(rest, element, visit);
            }
        }
        _ => {}
    }
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` names no place; expected a form like `/items/*/id`", self.text)
    }
}

impl std::error::Error for InvalidPath {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn removed(path: &str, mut value: Value) -> Value {
        path.parse::<JsonPath>().unwrap().remove(&mut value);
        value
    }

    #[test]
    fn both_forms_name_the_same_places() {
        for (pointer, dotted) in [("/id", "id"), ("/a/*/b", "a.*.b"), ("/0", "0"), ("/*", "*")] {
            assert_eq!(pointer.parse::<JsonPath>(), dotted.parse::<JsonPath>());
        }
    }

    #[test]
    fn what_is_named_goes_and_nothing_else() {
        let value = || json!({"id": 1, "a": [{"b": 1, "c": 2}, {"c": 3}, 4], "x/y": {"~": 5}});
        for (path, expected) in [
            ("/id", json!({"a": [{"b": 1, "c": 2}, {"c": 3}, 4], "x/y": {"~": 5}})),
            ("/a/*/c", json!({"id": 1, "a": [{"b": 1}, {}, 4], "x/y": {"~": 5}})),
            ("/a/*", json!({"id": 1, "a": [null, null, null], "x/y": {"~": 5}})),
            ("/a/1", json!({"id": 1, "a": [{"b": 1, "c": 2}, null, 4], "x/y": {"~": 5}})),
            ("/x~1y/~0", json!({"id": 1, "a": [{"b": 1, "c": 2}, {"c": 3}, 4], "x/y": {}})),
            ("", json!(null)),
        ] {
            assert_eq!(removed(path, value()), expected, "{path}");
        }
        for path in ["/none", "/id/deeper", "/a/3", "/a/01", "/a/+1", "/*", "/", "/a/-", "id.*"] {
            assert_eq!(removed(path, value()), value(), "{path}");
        }
    }

    #[test]
    fn what_names_no_place_is_rejected() {
        for text in ["a..b", ".a", "a.", ".", "/a~", "/a~2b"] {
            assert!(text.parse::<JsonPath>().is_err(), "{text}");
        }
    }
}
