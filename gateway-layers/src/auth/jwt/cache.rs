//! [`Cache`]: tokens that have been verified.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use gateway_core::context::Principal;

use super::key::Key;
use crate::auth::Identity;

/// A token that has been verified: who it is, and what the upstream is told.
pub struct VerifiedToken {
    pub(super) identity: Identity,
    pub(super) key: Arc<Key>,
    /// In seconds since 1970.
    pub(super) dies: Option<i64>,
}

impl VerifiedToken {
    /// Who it is.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.identity.principal
    }
}

impl fmt::Debug for VerifiedToken {
    /// Without what its claims say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("principal", &self.identity.principal)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 of a whole token. Two tokens with one hash cannot be made, so that the token itself
/// need not be kept, where somebody might find it; a shorter hash with a key would be faster only
/// where tokens are long, and has to be argued for.
pub(super) type TokenHash = [u8; 32];

/// Tokens that have been verified, in shards, the least used given up first. Only what was
/// verified comes in, so that strangers cannot push out what is in use.
pub(super) struct Cache {
    tokens: Option<quick_cache::sync::Cache<TokenHash, Arc<VerifiedToken>>>,
}

impl Cache {
    pub(super) fn new(tokens: usize) -> Self {
        Self { tokens: (tokens > 0).then(|| quick_cache::sync::Cache::new(tokens)) }
    }

    /// What `token` is kept under; `None` where nothing is kept.
    pub(super) fn hash(&self, token: &str) -> Option<TokenHash> {
        self.tokens.as_ref()?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Some(hash)
    }

    /// The token, unless it has expired or its key is in no set any more.
    pub(super) fn find(&self, hash: &TokenHash, now: i64) -> Option<Arc<VerifiedToken>> {
        let tokens = self.tokens.as_ref()?;
        let token = tokens.get(hash)?;
        if token.key.is_retired() || token.dies.is_none_or(|dies| now >= dies) {
            tokens.remove(hash);
            return None;
        }
        Some(token)
    }

    /// Keeps a token that will die; others are verified each time.
    pub(super) fn keep(&self, hash: TokenHash, token: &Arc<VerifiedToken>) {
        if let Some(tokens) = self.tokens.as_ref().filter(|_| token.dies.is_some()) {
            tokens.insert(hash, Arc::clone(token));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.as_ref().map_or(0, quick_cache::sync::Cache::len)
    }
}
