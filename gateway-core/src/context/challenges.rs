//! [`HttpChallenges`]: what proves in plain text that names are ours.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::swap::Swap;

/// Where authorities ask (RFC 8555, section 8.3).
pub(crate) const BELOW: &str = "/.well-known/acme-challenge/";

/// What listeners answer to authorities that check who owns a name (RFC 8555, section 8.3). Cheap
/// to clone; clones are the same.
///
/// A `GET` of a token that is in it is answered by a listener that has it, before any redirect or
/// route. Every other request goes on as ever.
///
/// ```
/// use gateway_core::context::HttpChallenges;
///
/// let challenges = HttpChallenges::new();
/// challenges.set("token", "token.thumbprint");
/// assert!(challenges.find("/.well-known/acme-challenge/token").is_some());
/// challenges.remove("token");
/// assert!(challenges.find("/.well-known/acme-challenge/token").is_none());
/// ```
#[derive(Clone)]
pub struct HttpChallenges {
    shared: Arc<Shared>,
}

struct Shared {
    pending: Swap<HashMap<String, Bytes>>,
    /// Held while somebody changes something.
    writing: Mutex<()>,
}

impl HttpChallenges {
    /// No challenge.
    pub fn new() -> Self {
        let shared = Shared { pending: Swap::new(HashMap::new()), writing: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Answers `token` with `key_authorization`. Whoever sets one removes it.
    pub fn set(&self, token: impl Into<String>, key_authorization: impl Into<String>) {
        let (token, answer) = (token.into(), Bytes::from(key_authorization.into()));
        self.edit(|pending| drop(pending.insert(token, answer)));
    }

    /// Forgets `token`.
    pub fn remove(&self, token: &str) {
        self.edit(|pending| drop(pending.remove(token)));
    }

    /// The answer to a request for `path`; `None`: it asks for no token of ours.
    pub fn find(&self, path: &str) -> Option<Bytes> {
        let token = path.strip_prefix(BELOW)?;
        self.shared.pending.peek().get(token).cloned()
    }

    fn edit(&self, edit: impl FnOnce(&mut HashMap<String, Bytes>)) {
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending = (*self.shared.pending.load()).clone();
        edit(&mut pending);
        self.shared.pending.replace(pending);
    }
}

impl Default for HttpChallenges {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpChallenges").field(&self.shared.pending.peek().len()).finish()
    }
}
