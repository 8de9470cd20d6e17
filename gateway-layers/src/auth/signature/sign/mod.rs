//! Signing what goes to an upstream.

mod body;
mod layer;
mod service;
mod settings;

pub use self::layer::SignLayer;
pub use self::service::{ResponseFuture, Sign};
pub use self::settings::{
    DEFAULT_BODY_LIMIT, DEFAULT_BODY_TIMEOUT, DEFAULT_EXPIRES, LargeBodies, SignConfig, SignError,
};
