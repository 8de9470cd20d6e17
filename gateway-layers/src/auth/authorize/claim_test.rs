//! [`ClaimTest`]: what a claim must be.

use gateway_core::context::Claim;

use crate::auth::claims::same;

/// What a claim must be.
///
/// Values are compared as what they are: the text `"1"` is not the number 1, and 1 is 1.0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClaimTest {
    /// It is one of these values.
    OneOf(Vec<Claim>),
    /// It is a list in which one of these values stands. A value that is no list is its only
    /// element, as issuers write lists of one.
    Contains(Vec<Claim>),
    /// True: it is there and not null. False: it is not there, or null.
    Present(bool),
}

impl ClaimTest {
    /// The claim is one of `values`.
    pub fn one_of<V: Into<Claim>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::OneOf(values.into_iter().map(Into::into).collect())
    }

    /// The claim is a list in which one of `values` stands.
    pub fn contains<V: Into<Claim>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::Contains(values.into_iter().map(Into::into).collect())
    }

    /// Whether `claim`, which may be missing, is that.
    pub(super) fn holds(&self, claim: Option<&Claim>) -> bool {
        let among = |wanted: &[Claim], found: &Claim| wanted.iter().any(|one| same(one, found));
        match (self, claim) {
            (Self::Present(wanted), found) => *wanted == !matches!(found, None | Some(Claim::Null)),
            (_, None) => false,
            (Self::OneOf(wanted), Some(found)) => among(wanted, found),
            (Self::Contains(wanted), Some(Claim::List(list))) => {
                list.iter().any(|found| among(wanted, found))
            }
            (Self::Contains(wanted), Some(found)) => among(wanted, found),
        }
    }
}
