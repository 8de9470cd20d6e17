//! [`NonceStore`]: which nonces were used before.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_core::Error;

pub use self::memory::{DEFAULT_NONCES, MemoryNonces};
#[cfg(feature = "redis")]
pub use self::redis::{RedisNonces, RedisNoncesConfig, RedisNoncesError};

/// Remembers which nonces were used. Whether one was, and that it is from now on, is one step: of
/// ten copies of a request at the same time one passes.
pub trait NonceStore: Send + Sync + 'static {
    /// What it is called in status and logs.
    fn name(&self) -> &'static str;

    /// Whether `nonce` is new, and remembers it.
    fn remember(&self, nonce: &Nonce) -> Remembered;
}

/// A nonce that is used now.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nonce {
    /// Whose: a hash of the key's id, whatever the verifier is called. There are no more of them
    /// than keys.
    pub owner: [u8; 32],
    /// Which: a hash of the owner and the nonce.
    pub fingerprint: [u8; 32],
    /// What time it is, since 1970.
    pub now: Duration,
    /// It must be remembered at least this long.
    pub remember: Duration,
}

impl Nonce {
    pub(super) fn new(key: &str, nonce: &str, now: Duration, remember: Duration) -> Self {
        let owner = hash(&[key.as_bytes()]);
        let fingerprint = hash(&[&owner, nonce.as_bytes()]);
        Self { owner, fingerprint, now, remember }
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonce").field("remember", &self.remember).finish_non_exhaustive()
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // So that no two lists of parts are one text.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// What a store says, or that it will: true for a nonce that is new. An error where that cannot be
/// told, or there is no room to remember it: nobody passes then.
#[non_exhaustive]
pub enum Remembered {
    /// At once.
    Now(Result<bool, Error>),
    /// Later; it has a deadline of its own.
    Later(Remembering),
}

/// A store at work.
pub type Remembering = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send>>;

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(new) => f.debug_tuple("Now").field(new).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
