//! [`Capabilities`]: what a service takes.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::context::Metadata;

/// Any value, or any further name.
pub(super) const ANY: &str = "*";

/// What a service takes: names, each with the values that are taken.
///
/// The value `*` takes any value. The name `*`, with the value `*`, takes any further name.
///
/// Something is asked for by names and values as well, and the rule is strict: **every** name
/// that is asked for must be declared and its value be taken. A service that says nothing about a
/// name does not take it, so one that declares nothing is found by nothing but an empty question.
/// Names and values are compared byte for byte.
///
/// ```
/// use gateway_core::context::Metadata;
/// use gateway_layers::registry::Capabilities;
///
/// let users =
///     Capabilities::new().with("resource_type", ["users", "groups"]).with("region", ["*"]);
/// let asked = |pairs: &[(&str, &str)]| users.take(&pairs.iter().copied().collect::<Metadata>());
/// assert!(asked(&[("resource_type", "users")]));
/// assert!(asked(&[("resource_type", "users"), ("region", "eu")]));
/// assert!(!asked(&[("resource_type", "products")]));
/// assert!(!asked(&[("resource_type", "users"), ("tier", "gold")]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    by_name: BTreeMap<String, BTreeSet<String>>,
}

impl Capabilities {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `values` of `name` as well.
    #[must_use]
    pub fn with<V: Into<String>>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into);
        self.by_name.entry(name.into()).or_default().extend(values);
        self
    }

    /// True when everything that is asked for is taken.
    pub fn take(&self, asked: &Metadata) -> bool {
        asked.iter().all(|(name, value)| self.takes(name, value))
    }

    fn takes(&self, name: &str, value: &str) -> bool {
        match self.by_name.get(name) {
            Some(values) => values.contains(value) || values.contains(ANY),
            None => self.by_name.contains_key(ANY),
        }
    }

    /// Names and their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.by_name.iter().map(|(name, values)| (name.as_str(), values.iter().map(String::as_str)))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many values `name` has.
    pub(super) fn count(&self, name: &str) -> usize {
        self.by_name.get(name).map_or(0, BTreeSet::len)
    }

    /// The bytes of all names and values.
    pub(super) fn bytes(&self) -> usize {
        let values = |values: &BTreeSet<String>| values.iter().map(String::len).sum::<usize>();
        self.by_name.iter().map(|(name, all)| name.len() + values(all)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(declared: &[(&str, &[&str])], asked: &[(&str, &str)]) -> bool {
        let capabilities = declared.iter().fold(Capabilities::new(), |all, (name, values)| {
            all.with(*name, values.iter().copied())
        });
        capabilities.take(&asked.iter().copied().collect())
    }

    #[test]
    fn every_name_that_is_asked_for_must_be_declared() {
        let declared: &[(&str, &[&str])] = &[("kind", &["users", "groups"]), ("region", &["eu"])];
        for (asked, expected) in [
            (&[("kind", "users")][..], true),
            (&[("kind", "groups"), ("region", "eu")], true),
            (&[("kind", "users"), ("region", "us")], false),
            (&[("kind", "Users")], false),
            (&[("kind", "users"), ("owner", "ada")], false),
            (&[("owner", "ada")], false),
            (&[], true),
        ] {
            assert_eq!(take(declared, asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn stars_take_any_value_and_any_further_name() {
        assert!(take(&[("kind", &["*"])], &[("kind", "whatever")]));
        assert!(!take(&[("kind", &["*"])], &[("owner", "ada")]));
        let further: &[(&str, &[&str])] = &[("kind", &["users"]), ("*", &["*"])];
        assert!(take(further, &[("kind", "users"), ("owner", "ada")]));
        // A declared name is not a further one.
        assert!(!take(further, &[("kind", "products"), ("owner", "ada")]));
        assert!(!take(&[("kind", &[])], &[("kind", "users")]));
        assert!(!take(&[], &[("kind", "users")]));
    }
}
