//! Modules made of functions.

use std::fmt;
use std::future::Future;

use super::ModuleService;
use crate::error::Error;
use crate::message::{Outcome, Request, Response};

/// A module that answers by calling `function`.
///
/// ```
/// use gateway_core::{Error, Module, Request, Response, module_fn};
///
/// let hello = Module::new(module_fn(|_request: Request| async {
///     Ok::<_, Error>(Response::new("hello".into()))
/// }));
/// ```
pub fn module_fn<F, R>(function: F) -> ModuleFn<F>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response, Error>> + Send,
{
    ModuleFn { function }
}

/// A module made of a function; see [`module_fn`].
#[derive(Clone, Copy)]
pub struct ModuleFn<F> {
    function: F,
}

impl<F, R> ModuleService for ModuleFn<F>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response, Error>> + Send,
{
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        (self.function)(request)
    }
}

impl<F> fmt::Debug for ModuleFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModuleFn")
    }
}
