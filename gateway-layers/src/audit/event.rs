//! [`AuditEvent`]: what happened, to whom, and where.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use gateway_core::{
    ConnectionInfo, HandshakeFailed, Reason, RequestFinished, RequestRejected, StateChanged,
};
use http::{Method, StatusCode};

use super::json::Line;
use super::kind::AuditKind;
use super::principal::Shown;
use super::stamp::{Id, Stamp};

/// Of a path, at most this many bytes are kept.
pub const MAX_PATH: usize = 1024;

/// Of the particulars of an event, at most this many bytes are kept.
pub const MAX_DETAIL: usize = 1024;

/// Of a name (a method, a subject, a tenant, what changed), at most this many bytes are kept.
pub const MAX_NAME: usize = 256;

/// What an event takes in memory beside its texts, in bytes, about.
const FIXED: usize = size_of::<AuditEvent>() + 64;

/// Something that whoever watches over the gateway may have to know.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it happened.
    pub time: SystemTime,
    /// What it is about.
    pub kind: AuditKind,
    /// The code of the [`Reason`]; `handshake_failed` of a connection, the subject of what changed,
    /// `events_dropped` of the audit itself.
    pub reason: &'static str,
    /// What happened in this case, for people; may be empty.
    pub detail: String,
    /// The status of the answer.
    pub status: Option<StatusCode>,
    /// The request's method; `None` before there was a request.
    pub method: Option<Method>,
    /// The request's normalised path, without its query.
    pub path: Option<String>,
    /// The id of the route that took the request.
    pub route: Option<Arc<str>>,
    /// The name of the listener.
    pub listener: Option<String>,
    /// The client's address, as trusted proxies tell it; `None` where it has none.
    pub client: Option<IpAddr>,
    /// The address of the connection's other end; `None` where it has none.
    pub peer: Option<IpAddr>,
    /// Who it was, where that was found out and is to be said.
    pub principal: Option<AuditedPrincipal>,
    /// The generation of the snapshot that decided; 0 before one did.
    pub generation: u64,
    /// What changed, in an event about that.
    pub change: Option<AuditChange>,
    /// So many events were lost before this one, in an event about that.
    pub dropped: Option<u64>,
    id: Id,
    line: OnceLock<String>,
}

/// Who was calling, as far as events say it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedPrincipal {
    /// The subject, or its hash.
    pub subject: String,
    /// How it was found out.
    pub method: &'static str,
    /// The tenant, or its hash.
    pub tenant: Option<String>,
}

/// What changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditChange {
    /// Its name.
    pub name: String,
    /// The state it left.
    pub from: &'static str,
    /// The state it is in.
    pub to: &'static str,
}

impl AuditEvent {
    fn new(stamp: &Stamp, kind: AuditKind, reason: &'static str) -> Self {
        let (time, id) = stamp.next();
        Self {
            time,
            kind,
            reason,
            detail: String::new(),
            status: None,
            method: None,
            path: None,
            route: None,
            listener: None,
            client: None,
            peer: None,
            principal: None,
            generation: 0,
            change: None,
            dropped: None,
            id,
            line: OnceLock::new(),
        }
    }

    fn on(mut self, connection: &ConnectionInfo) -> Self {
        self.peer = connection.peer_ip();
        self.client = self.peer;
        self.listener = Some(cut(&connection.listener.name, MAX_NAME));
        self
    }

    pub(super) fn finished(
        stamp: &Stamp,
        kind: AuditKind,
        reason: Reason,
        event: &RequestFinished<'_>,
        shown: &Shown,
    ) -> Self {
        let context = event.context;
        let mut made = Self::new(stamp, kind, reason.code()).on(context.connection());
        made.detail = event.error.map_or_else(String::new, |error| cut(error.detail(), MAX_DETAIL));
        made.status = Some(event.status);
        made.method = Some(event.method.clone());
        made.path = Some(cut(event.path, MAX_PATH));
        made.route = context.route().map(|route| Arc::clone(&route.id));
        made.client = context.client_ip();
        made.principal = context.principal().and_then(|principal| shown.of(principal));
        made.generation = context.generation();
        made
    }

    pub(super) fn rejected(stamp: &Stamp, kind: AuditKind, event: &RequestRejected<'_>) -> Self {
        let reason = event.error.reason();
        let mut made = Self::new(stamp, kind, reason.code()).on(event.connection);
        made.detail = cut(event.error.detail(), MAX_DETAIL);
        made.status = Some(reason.status());
        made
    }

    pub(super) fn handshake(stamp: &Stamp, event: &HandshakeFailed<'_>) -> Self {
        let made = Self::new(stamp, AuditKind::Connection, "handshake_failed");
        let mut made = made.on(event.connection);
        made.detail = cut(event.cause, MAX_DETAIL);
        made
    }

    pub(super) fn changed(stamp: &Stamp, event: &StateChanged<'_>) -> Self {
        let mut made = Self::new(stamp, AuditKind::Configuration, event.subject);
        made.detail = cut(event.cause, MAX_DETAIL);
        let name = cut(event.name, MAX_NAME);
        made.change = Some(AuditChange { name, from: event.from, to: event.to });
        made
    }

    pub(super) fn lost(stamp: &Stamp, count: u64) -> Self {
        let mut made = Self::new(stamp, AuditKind::Audit, "events_dropped");
        made.dropped = Some(count);
        made
    }

    /// What it is called: the process and a number. An event that comes twice, because nobody knew
    /// whether it had arrived, has the same id.
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// The event as a JSON object, in one line without an end. Made once.
    pub fn json(&self) -> &str {
        self.line.get_or_init(|| self.write())
    }

    fn write(&self) -> String {
        let mut line = Line::begin();
        line.time("time", self.time);
        line.plain("id", self.id);
        line.text("kind", self.kind.name());
        line.text("reason", self.reason);
        line.text_of("detail", Some(&*self.detail).filter(|detail| !detail.is_empty()));
        if let Some(status) = self.status {
            line.number("status", status.as_u16());
        }
        let method = self.method.as_ref().map(|method| cut(method.as_str(), MAX_NAME));
        line.text_of("method", method.as_deref());
        line.text_of("path", self.path.as_deref());
        line.text_of("route", self.route.as_deref());
        line.text_of("listener", self.listener.as_deref());
        line.address("client", self.client);
        line.address("peer", self.peer);
        if let Some(principal) = &self.principal {
            line.text("principal", &principal.subject);
            line.text("principal_method", principal.method);
            line.text_of("tenant", principal.tenant.as_deref());
        }
        if let Some(change) = &self.change {
            line.text("name", &change.name);
            line.text("from", change.from);
            line.text("to", change.to);
        }
        if let Some(dropped) = self.dropped {
            line.number("dropped", dropped);
        }
        if self.generation > 0 {
            line.number("generation", self.generation);
        }
        line.end()
    }

    /// What it takes in memory, in bytes, about; its line comes and goes with its delivery.
    pub(super) fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let principal = self.principal.as_ref();
        let principal = principal.map_or(0, |one| one.subject.len() + text(&one.tenant));
        let change = self.change.as_ref().map_or(0, |change| change.name.len());
        let method = self.method.as_ref().map_or(0, |method| method.as_str().len());
        FIXED
            + self.detail.len()
            + text(&self.path)
            + text(&self.listener)
            + principal
            + change
            + method
    }
}

/// At most the first `most` bytes of `text`; what was cut says so.
pub(super) fn cut(text: &str, most: usize) -> String {
    const MORE: &str = "...";
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut cut = text.get(..end).unwrap_or_default().to_owned();
    cut.push_str(MORE);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_letters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc...");
        assert_eq!(cut("ab\u{fc}\u{fc}\u{fc}", 7), "ab\u{fc}...");
        assert_eq!(cut("\u{1f512}\u{1f512}", 5), "...");
    }
}
