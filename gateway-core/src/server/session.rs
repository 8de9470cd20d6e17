//! [`Session`]: what every connection of a listener shares.

use std::sync::Arc;

use super::drain::Drain;
use super::settings::{Limits, Timeouts};
use crate::clock::Clock;
use crate::context::ListenerInfo;
use crate::observe::Observers;

/// What every connection of a listener shares.
pub(crate) struct Session<M> {
    pub(crate) module: M,
    pub(crate) listener: Arc<ListenerInfo>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) drain: Drain,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Observers,
}
