//! [`AuditBuilder`].

use std::sync::Arc;

use gateway_core::{Clock, SystemClock};

use super::kind::{AuditKind, Kinds};
use super::observer::Audit;
use super::outlet::Outlet;
use super::principal::{AuditPrincipal, Shown};
use super::sink::{AuditSink, Erased, SinkConfig};
use super::stamp::Stamp;

/// Builds an [`Audit`].
#[must_use]
pub struct AuditBuilder {
    events: Kinds,
    principal: AuditPrincipal,
    sinks: Vec<(Box<dyn Erased>, SinkConfig)>,
    clock: Arc<dyn Clock>,
}

/// Why there is no audit as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Nobody takes the events.
    #[error("no sink takes the events")]
    NoSink,
    /// A number or time that cannot be meant.
    #[error("{0}")]
    Setting(&'static str),
}

impl AuditBuilder {
    pub(super) fn new() -> Self {
        Self {
            events: AuditKind::ALL.iter().copied().collect(),
            principal: AuditPrincipal::default(),
            sinks: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The kinds of events there are. That events were lost is told whatever is said here. Default:
    /// all.
    pub fn events(mut self, kinds: impl IntoIterator<Item = AuditKind>) -> Self {
        self.events = kinds.into_iter().collect();
        self
    }

    /// What events say of who was calling. Default: [`AuditPrincipal::Plain`].
    pub fn principal(mut self, principal: AuditPrincipal) -> Self {
        self.principal = principal;
        self
    }

    /// Adds who takes events, with its own [settings](AuditSink::settings). At least one is
    /// required; each has a queue of its own.
    pub fn sink(self, sink: impl AuditSink) -> Self {
        let settings = sink.settings();
        self.sink_with(sink, settings)
    }

    /// As [`sink`](Self::sink), with other settings.
    pub fn sink_with(mut self, sink: impl AuditSink, settings: SinkConfig) -> Self {
        self.sinks.push((Box::new(sink), settings));
        self
    }

    /// Where the time of events comes from. Default: the system's clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the audit. Nothing is written or sent before it is [started](Audit::start); events
    /// wait until then.
    ///
    /// # Errors
    ///
    /// Without a sink, and for settings that cannot be meant.
    pub fn build(self) -> Result<Audit, AuditError> {
        if self.sinks.is_empty() {
            return Err(AuditError::NoSink);
        }
        for (_, settings) in &self.sinks {
            settings.check().map_err(AuditError::Setting)?;
        }
        let outlets = self.sinks.into_iter();
        let outlets = outlets.map(|(sink, settings)| Arc::new(Outlet::new(sink, settings)));
        let principal = Shown::new(&self.principal);
        Ok(Audit::new(self.events, principal, outlets.collect(), Stamp::new(self.clock)))
    }
}

impl std::fmt::Debug for AuditBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditBuilder")
            .field("events", &self.events)
            .field("principal", &self.principal)
            .field("sinks", &self.sinks.len())
            .finish_non_exhaustive()
    }
}
