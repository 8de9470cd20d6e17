//! What can be set.

use std::time::Duration;

use http::Method;

use super::json_path::JsonPath;

/// What a [`MirrorLayer`](super::MirrorLayer) sends to its mirror.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MirrorConfig {
    /// Of the requests that may be mirrored, so many in a hundred are: 0 to 100, in steps of a
    /// hundredth. Default: 100.
    pub percent: f64,
    /// The methods of requests that may be mirrored. Default: the safe ones, because a copy does
    /// again what its request does.
    pub methods: Methods,
    /// The largest body that is kept for the mirror, in bytes. Default: 64 KiB.
    pub body_limit: usize,
    /// Copies under way at the same time. Default: 64.
    pub in_flight: usize,
    /// The time that a copy has from when it is sent until its answer has been read and compared.
    /// Default: 10 s.
    pub timeout: Duration,
    /// The answers are compared. Default: they are not.
    pub compare: Option<CompareConfig>,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            percent: 100.0,
            methods: Methods::Safe,
            body_limit: 64 * 1024,
            in_flight: 64,
            timeout: Duration::from_secs(10),
            compare: None,
        }
    }
}

/// Methods of requests that may be mirrored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Methods {
    /// Those that ask for no change (RFC 9110, section 9.2.1): GET, HEAD, OPTIONS and TRACE.
    #[default]
    Safe,
    /// Every method but CONNECT. The mirror then has side effects of its own.
    All,
    /// These.
    Only(Vec<Method>),
}

impl Methods {
    pub(super) fn contain(&self, method: &Method) -> bool {
        match self {
            Self::Safe => method.is_safe(),
            Self::All => true,
            Self::Only(list) => list.contains(method),
        }
    }
}

/// How the mirror's answers are compared with those that clients got.
///
/// The statuses are compared, and the bodies: as JSON where both are, else byte by byte. Header
/// fields are not.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CompareConfig {
    /// What differs here is no difference.
    pub ignore: Vec<JsonPath>,
    /// The order of the elements of these arrays is no difference.
    pub unordered: Vec<JsonPath>,
    /// The largest body that is compared, in bytes, on either side. Default: 256 KiB.
    pub compare_limit: usize,
    /// So many differences are kept, the first ones. Default: 32.
    pub differences: usize,
    /// Differences show the values themselves, the first 256 bytes of each. Default: they show
    /// what kind of value there is, its length and a hash, because a value may be a secret.
    pub show_values: bool,
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            ignore: Vec::new(),
            unordered: Vec::new(),
            compare_limit: 256 * 1024,
            differences: 32,
            show_values: false,
        }
    }
}
