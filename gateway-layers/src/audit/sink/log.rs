//! [`LogSink`]: events as lines of the log.

use std::fmt;
use std::sync::Arc;

use super::{AuditSink, SinkConfig, Undelivered};
use crate::audit::event::AuditEvent;

/// The target of the lines, for filters of log output.
pub const TARGET: &str = "gateway::audit";

/// Writes every event as a line of the log.
#[derive(Clone, Default)]
pub struct LogSink {
    /// `None`: events of `tracing`.
    lines: Option<Arc<WriteLine>>,
}

type WriteLine = dyn Fn(&str) + Send + Sync;

impl LogSink {
    /// As events of `tracing`, at level info with the target [`TARGET`]; the message is the JSON.
    pub fn new() -> Self {
        Self::default()
    }

    /// As lines of JSON, each with its newline, which `write` gets whatever filters there are.
    ///
    /// `write` is called on a task of the audit: it must not block for long.
    pub fn lines(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { lines: Some(Arc::new(write)) }
    }
}

impl AuditSink for LogSink {
    fn name(&self) -> String {
        "log".to_owned()
    }

    async fn deliver(&self, events: &[Arc<AuditEvent>]) -> Result<(), Undelivered> {
        for event in events {
            match &self.lines {
                Some(write) => write(&format!("{}\n", event.json())),
                None => tracing::info!(target: TARGET, "{}", event.json()),
            }
        }
        Ok(())
    }

    fn settings(&self) -> SinkConfig {
        SinkConfig::at_once()
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("lines", &self.lines.is_some()).finish()
    }
}
