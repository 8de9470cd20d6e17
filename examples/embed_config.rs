//! A document, and a module of one's own: the library `gateway`.
//!
//! The document is `examples/config/embed.toml`; its route `users` leads to the module.

use gateway::Assembly;
use gateway_core::{Error, Request, Response, module_fn};

fn main() -> gateway_examples::Result {
    assembly("examples/config/embed.toml").assemble()?.run()?;
    Ok(())
}

/// The gateway that the document at `path` and the module `users` make together.
pub fn assembly(path: &str) -> Assembly {
    let users = module_fn(async |_: Request| Ok::<_, Error>(Response::new("[]\n".into())));
    gateway::load(path).module("users", users)
}
