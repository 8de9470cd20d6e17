//! What those have in common who ask a server about each new token:
//! [`introspection`](super::introspection) and [`delegated`](super::delegated) verification.
//!
//! A server is asked once about a token, however many requests carry it at the same time, and its
//! answer is kept for a while: what it knows until the token ends or the time to live is over, what
//! it does not know for a shorter time and in a place of its own, so that a flood of bad tokens
//! pushes out no good one. Tokens are kept as their SHA-256 only.
//!
//! Nobody is let in because a server does not answer:
//!
//! | what | answer |
//! | --- | --- |
//! | no token | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated) |
//! | a token that the server does not know, or that is for somebody else | 401 [`TokenInvalid`](gateway_core::Reason::TokenInvalid), with a [`TokenRejection`] |
//! | a server that is late, away, or answers something else | 503 [`IdentityUnavailable`](gateway_core::Reason::IdentityUnavailable) |
//!
//! Tokens that are kept go on until their time is over. A server that is away does not cost each
//! request the whole deadline: after [`FAILURES`] in a row it is left alone for a cool-down, which
//! doubles up to [`MAX_COOLDOWN`], and then asked by one request before all others.

mod authenticator;
mod cache;
mod flight;
mod health;
mod rules;
mod server;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod verifier;

pub use self::authenticator::RemoteAuthenticator;
pub use self::health::{FAILURES, MAX_COOLDOWN};
pub use self::server::{MAX_ANSWER, RemoteServer};
pub use self::settings::{
    CacheConfig, DEFAULT_CACHED_TOKENS, DEFAULT_CONCURRENCY, DEFAULT_COOLDOWN,
    DEFAULT_REFUSED_TOKENS, DEFAULT_REFUSED_TTL, DEFAULT_TIMEOUT, DEFAULT_TOKEN_LIMIT, DEFAULT_TTL,
    RemoteConfig, RemoteError,
};
pub use self::status::RemoteStatus;
pub use super::fault::TokenRejection;

pub(in crate::auth) use self::authenticator::{Settings, common_setters};
pub(in crate::auth) use self::rules::Active;
pub(in crate::auth) use self::server::{Presentation, Unsendable};
