//! [`Explanation`]: what would become of a request, and why.

use std::fmt;

use http::request;

use super::{Snapshot, admit, decide};
use crate::context::ConnectionInfo;
use crate::error::Error;
use crate::route::{Considered, preflight_method};

/// What would become of a request, and why. `Display` is for people.
#[derive(Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The method and the normalised target; of a CORS preflight the method that it asks for.
    pub request: String,
    /// The generation of the snapshot that decided.
    pub generation: u64,
    /// The route that takes it, or why none does.
    pub decision: Result<String, Error>,
    /// True when the listener sends it to `https`, whatever the routes would do.
    pub redirected: bool,
    /// Every route, with what failed first on it.
    pub considered: Vec<Considered>,
}

pub(super) fn explain(
    snapshot: &Snapshot,
    head: &request::Parts,
    connection: &ConnectionInfo,
) -> Explanation {
    let mut request = http::Request::from_parts(head.clone(), ());
    let admitted = admit::understand(&mut request, &connection.listener.path);
    let asked = preflight_method(request.method(), request.headers());
    let lookup = admit::lookup(&request, connection, asked.as_ref());
    let decision = admitted.and_then(|()| match decide(snapshot, &lookup)? {
        Some(hit) => Ok(hit.route.id.clone()),
        None => Ok("fallback".to_owned()),
    });
    Explanation {
        request: match &asked {
            None => format!("{} {}", request.method(), request.uri()),
            Some(asked) => format!("preflight for {asked} {}", request.uri()),
        },
        generation: snapshot.generation,
        redirected: admit::is_redirected(request.uri().path(), connection),
        considered: snapshot.table.explain(&lookup),
        decision,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        match &self.decision {
            _ if self.redirected => writeln!(f, "  is sent to https by its listener")?,
            Ok(route) => writeln!(f, "  goes to route `{route}` (generation {})", self.generation)?,
            Err(error) => {
                let status = error.reason().status();
                writeln!(f, "  is answered {status}: {error} (generation {})", self.generation)?;
            }
        }
        for considered in &self.considered {
            writeln!(f, "    {considered}")?;
        }
        Ok(())
    }
}
