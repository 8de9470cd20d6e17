//! [`DiscoveryError`]: why a source cannot be made.

use gateway_core::ClusterError;
use gateway_core::upstream::EndpointError;

/// Why a source cannot be made of what is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A name that cannot be asked for.
    #[error("`{found}` is no {expected}")]
    Name {
        /// What was given.
        found: String,
        /// What should have been.
        expected: &'static str,
    },
    /// Endpoints cannot be spoken to in the way that was said.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The client towards the source cannot be built.
    #[error(transparent)]
    Client(#[from] ClusterError),
    /// A token, user or password that cannot be sent. It is not shown.
    #[error("the {0} has characters that a header field cannot carry")]
    Secret(&'static str),
    /// The service account of the pod cannot be read.
    #[error("the service account cannot be read: {path}: {problem}")]
    ServiceAccount {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}
