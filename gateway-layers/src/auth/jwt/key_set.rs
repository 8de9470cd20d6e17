//! [`KeySet`]: the keys that somebody signs with.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::Algorithm;
use super::key::{Key, Origin};

/// Keys of a document, and how many of it were of no use.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
    skipped: usize,
}

/// Why a document is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("is no JSON Web Key Set")]
    Malformed,
    #[error("has {found} keys, and {most} are read")]
    TooMany { found: usize, most: usize },
    #[error("has no key that can be used, of {found}")]
    Empty { found: usize },
}

/// A JWK set as far as it is one thing (RFC 7517, section 5). Its keys are read one by one: what
/// one of them is, says nothing about the others.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// The keys in a document. Without one that can be used it is no set: somebody has written
    /// something else.
    pub(super) fn parse(bytes: &[u8], origin: Origin, most: usize) -> Result<Self, KeySetError> {
        let document: Document<'_> =
            serde_json::from_slice(bytes).map_err(|_| KeySetError::Malformed)?;
        let found = document.keys.len();
        if found > most {
            return Err(KeySetError::TooMany { found, most });
        }
        let one = |text: &RawValue| Key::from_jwk(text.get().as_bytes(), origin).map(Arc::new);
        let keys: Vec<_> = document.keys.into_iter().filter_map(one).collect();
        if keys.is_empty() {
            return Err(KeySetError::Empty { found });
        }
        let skipped = found - keys.len();
        Ok(Self { keys, skipped })
    }

    pub(super) fn of(key: Key) -> Self {
        Self { keys: vec![Arc::new(key)], skipped: 0 }
    }

    /// The same set, with the keys of `before` where they are the same, so that what was verified
    /// with them stays verified; and those of `before` that are gone retired.
    pub(super) fn following(mut self, before: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(known) = before.keys.iter().find(|known| known.is_same(key)) {
                *key = Arc::clone(known);
            }
        }
        for known in &before.keys {
            if !self.keys.iter().any(|key| Arc::ptr_eq(key, known)) {
                known.retire();
            }
        }
        self
    }

    /// True when both have the same keys.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.keys.iter().zip(&other.keys);
        self.keys.len() == other.keys.len() && pairs.all(|(one, two)| Arc::ptr_eq(one, two))
    }

    /// Nothing that was verified with these is verified any more.
    pub(super) fn retire(&self) {
        self.keys.iter().for_each(|key| key.retire());
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// The keys that may have signed with `algorithm` under this name. Keys without a name stand
    /// for those that are not found by name.
    pub(super) fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
        allowed: &'a [Algorithm],
    ) -> impl Iterator<Item = &'a Arc<Key>> {
        let named = id.is_some() && self.keys.iter().any(|key| key.id() == id);
        self.keys.iter().filter(move |key| {
            let may = match (id, named) {
                (None, _) => true,
                (Some(_), true) => key.id() == id,
                (Some(_), false) => key.id().is_none(),
            };
            may && key.algorithm_of(allowed) == Some(algorithm)
        })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys).field("skipped", &self.skipped).finish()
    }
}
