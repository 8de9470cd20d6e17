//! A configuration document in, a running gateway out.
//!
//! ```text
//! file + environment -> Document -> Assembled -> Bound -> serving, one runtime per worker
//!                       [config]    [assemble]   [workers]
//! ```
//!
//! Everything that is wrong with a document is said at once, and nothing binds, spawns or connects
//! before all of it is good. The order in which a request passes layers is written down in three
//! short files, `rings/edge.rs`, `rings/route.rs` and `rings/cluster.rs`.
//!
//! A program with modules of its own needs this much:
//!
//! ```no_run
//! use gateway_core::{Error, Request, Response, module_fn};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let users = module_fn(|_request: Request| async {
//!         Ok::<_, Error>(Response::new("[]".into()))
//!     });
//!     // Routes of the document reach it as `target = { module = "users" }`.
//!     gateway::load("gateway.toml").module("users", users).assemble()?.run()?;
//!     Ok(())
//! }
//! ```
//!
//! One that has a runtime of its own binds first and decides itself when to stop:
//! [`Assembled::bind`] and [`Bound::serve`]. One that has a server of its own takes only the
//! [`Assembled::gateway`], which is a module and a tower service.

mod admin;
mod assemble;
pub mod config;
mod descriptors;
pub mod keys;
mod rings;
mod signals;
mod workers;

use std::path::Path;

pub use self::assemble::{Assembled, Assembly, Reloaded, Reloader};
pub use self::signals::Signals;
pub use self::workers::{Bound, ServeError};

/// Begins with the document in the file at `path`, with the environment of this process over it.
///
/// What is wrong with the file is said by [`Assembly::assemble`].
pub fn load(path: impl AsRef<Path>) -> Assembly {
    Assembly::from(config::Source::file(path))
}

/// What the pages show compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/guides/embedding.md")]
    struct Embedding;

    #[doc = include_str!("../README.md")]
    struct Crate;
}
