//! [`Audit`]: an event for each time that somebody was not let in, asked too much, or sent what is
//! no request.
//!
//! ```text
//! requests, connections, state --> Audit --> one Queue for each sink --> its task --> AuditSink
//!                                  kinds     bounded, newest dropped     batches      log, file,
//!                                                                        retries      HTTP, yours
//! ```
//!
//! Audit is an observer: it sees how requests ended and changes nothing. It never waits: where a
//! sink is slower than its events, its queue fills up, and what comes then is dropped, counted, and
//! told as an event of its own ([`AuditKind::Audit`], with `dropped`) once the sink takes events
//! again.
//!
//! Every event is one JSON object in a line of ASCII, whatever clients say:
//!
//! | field | is |
//! | --- | --- |
//! | `time` | RFC 3339, in UTC, with milliseconds |
//! | `id` | the process and a number: the same event has the same id wherever and how often it comes |
//! | `kind` | an [`AuditKind`] |
//! | `reason` | the code of the [`Reason`](gateway_core::Reason); of a connection `handshake_failed`, of what changed its subject, such as `snapshot` |
//! | `detail` | what happened in this case, as far as the client was told, or why something changed |
//! | `status` | of the answer |
//! | `method`, `path` | what was asked for; never the query |
//! | `route`, `listener` | who took the request, and where it came in |
//! | `client`, `peer` | the client's address as trusted proxies tell it, and that of the connection |
//! | `principal`, `principal_method`, `tenant` | who it was, how that was found out, and for whom; see [`AuditPrincipal`] |
//! | `name`, `from`, `to` | what changed, and how |
//! | `dropped` | so many events of this sink were lost before |
//! | `generation` | of the snapshot that decided |
//!
//! What is not known is left out, and text from outside is cut ([`MAX_PATH`], [`MAX_DETAIL`],
//! [`MAX_NAME`]). Where an error comes from (its source) is never in an event: nobody has looked at
//! what it may say.
//!
//! ```
//! use gateway_core::{FixedResponse, Gateway, Module, Route, RouteMatch};
//! use gateway_layers::audit::{Audit, AuditKind, LogSink};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let audit = Audit::builder()
//!     .events([AuditKind::Authentication, AuditKind::Limit])
//!     .sink(LogSink::new())
//!     .build()?;
//! let answer = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let gateway = Gateway::builder()
//!     .route(Route::new("all", answer).matching(RouteMatch::any()))
//!     .observer(audit.clone())
//!     .build()?;
//! // Inside of a runtime: `audit.start()`, and `audit.drain(deadline).await` at the end.
//! # Ok(())
//! # }
//! ```

mod builder;
mod event;
mod json;
mod kind;
mod observer;
mod outlet;
mod principal;
mod queue;
mod sink;
mod stamp;
mod status;

#[cfg(test)]
mod tests;

pub use self::builder::{AuditBuilder, AuditError};
pub use self::event::{AuditChange, AuditEvent, AuditedPrincipal, MAX_DETAIL, MAX_NAME, MAX_PATH};
pub use self::kind::AuditKind;
pub use self::observer::Audit;
pub use self::principal::AuditPrincipal;
pub use self::sink::{
    AuditSink, FileSink, HttpSink, HttpSinkBuilder, HttpSinkError, LogSink, SinkConfig, TARGET,
    Undelivered,
};
pub use self::status::SinkStatus;
