//! [`FallbackLayer`].

use std::sync::Arc;

use gateway_core::{FixedResponse, Module};
use http::HeaderValue;
use tower_layer::Layer;

use super::config::FallbackConfig;
use super::service::{Fallback, Shared};

/// What a fallback is called unless it is given a name.
const NAME: &str = "fallback";

/// Asks somebody else when a service fails; see the [module](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct FallbackLayer {
    module: Module,
    fixed: bool,
    name: Arc<str>,
    config: FallbackConfig,
}

impl FallbackLayer {
    /// Asks `module`, with the same request.
    pub fn new(module: Module) -> Self {
        Self { module, fixed: false, name: NAME.into(), config: FallbackConfig::default() }
    }

    /// Gives a fixed answer. The request is not kept for it, so that this costs nothing until
    /// something fails.
    pub fn respond(response: FixedResponse) -> Self {
        Self { fixed: true, ..Self::new(Module::new(response)) }
    }

    /// The name in the log and in the answer's `x-gateway-fallback`. Default: `fallback`, which
    /// also stands in the answer for a name that cannot be a field's value.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Which failures are fallen back from. Default: [`FallbackConfig::default`].
    pub fn config(mut self, config: FallbackConfig) -> Self {
        self.config = config;
        self
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        let mark = HeaderValue::from_str(&self.name);
        let shared = Shared {
            module: self.module.clone(),
            fixed: self.fixed,
            name: Arc::clone(&self.name),
            mark: mark.unwrap_or_else(|_| HeaderValue::from_static(NAME)),
            config: self.config.clone(),
        };
        Fallback::new(inner, shared)
    }
}
