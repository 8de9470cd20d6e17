//! Connections that belong to one client connection.
//!
//! NTLM and Negotiate authenticate a connection, not a request (RFC 4559, section 6): a pooled
//! connection would carry the next client's requests in the name of the first client.

use std::sync::Arc;

use super::http1::Connection;
use crate::context::ConnectionInfo;
use crate::upstream::endpoint::Endpoint;

/// The client connection that an upstream connection belongs to.
#[derive(Debug)]
pub(crate) struct Binding {
    /// `None` where the client's connection may carry the requests of several clients: then the
    /// upstream connection is closed after the response.
    pub(crate) owner: Option<Arc<ConnectionInfo>>,
    pub(crate) cluster: Arc<str>,
}

impl Binding {
    /// Keeps `connection` for the next request of the client connection.
    pub(super) fn keep(self, connection: BoundConnection) {
        if let Some(owner) = &self.owner {
            owner.owned.put(&self.cluster, connection);
        }
    }
}

/// An idle connection that belongs to a client connection. Counted as open until it is dropped.
#[derive(Debug)]
pub(crate) struct BoundConnection {
    endpoint: Arc<Endpoint>,
    connection: Option<Box<Connection>>,
}

impl BoundConnection {
    pub(super) fn new(endpoint: Arc<Endpoint>, connection: Box<Connection>) -> Self {
        Self { endpoint, connection: Some(connection) }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The connection, which is still counted as open.
    pub(super) fn into_connection(mut self) -> Option<Box<Connection>> {
        self.connection.take()
    }
}

impl Drop for BoundConnection {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.endpoint.http1.closed();
        }
    }
}
