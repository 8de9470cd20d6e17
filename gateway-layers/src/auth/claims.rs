//! What is known of a principal, by name.

use std::collections::BTreeMap;

use gateway_core::context::Claim;

/// The claim under `name`, which may be a path with dots where no claim has this name itself.
pub(crate) fn find<'a>(claims: &'a BTreeMap<String, Claim>, name: &str) -> Option<&'a Claim> {
    if let Some(claim) = claims.get(name) {
        return Some(claim);
    }
    let (first, rest) = name.split_once('.')?;
    match claims.get(first)? {
        Claim::Map(inner) => find(inner, rest),
        _ => None,
    }
}
