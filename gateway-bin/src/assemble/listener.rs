//! A listener of a document into one that can be bound.

use gateway_core::{Address, Limits, Listener, ListenerInfo};

use crate::config;

/// The listener as one worker binds it: on `address`, taking `connections` at most.
pub(crate) fn build(listener: &config::Listener, address: Address, connections: usize) -> Listener {
    let limits = {
        let mut limits: Limits = listener.limits;
        limits.connections = connections;
        limits
    };
    Listener::new(address)
        .protocol(listener.protocol)
        .proxy_protocol(listener.proxy_protocol.clone())
        .limits(limits)
        .timeouts(listener.timeouts)
        .info(|to| *to = info(listener))
}

/// What requests learn about the listener.
pub(super) fn info(listener: &config::Listener) -> ListenerInfo {
    let mut info = ListenerInfo::default();
    info.name.clone_from(&listener.name);
    info.path = listener.path;
    info.trusted = listener.trusted.clone();
    info.forwarded = listener.forwarded;
    info
}
