//! A listener of a document into one that can be bound.

use gateway_core::context::Scheme;
use gateway_core::{Address, Limits, Listener, ListenerInfo};

use super::parts::Parts;
use crate::config;

/// The listener as one worker binds it: on `address`, taking `connections` at most.
pub(crate) fn build(
    listener: &config::Listener,
    address: Address,
    connections: usize,
    parts: &Parts,
) -> Listener {
    let limits = {
        let mut limits: Limits = listener.limits;
        limits.connections = connections;
        limits
    };
    let mut built = Listener::new(address)
        .protocol(listener.protocol)
        .proxy_protocol(listener.proxy_protocol.clone())
        .limits(limits)
        .timeouts(listener.timeouts)
        .info(|to| *to = info(listener, parts));
    if let Some(mode) = listener.unix_mode {
        built = built.unix_mode(mode);
    }
    #[cfg(feature = "tls")]
    if let Some(secure) = parts.listeners.iter().find(|one| one.name == listener.name) {
        return built.tls(secure.tls().clone());
    }
    built
}

/// What requests learn about the listener.
pub(super) fn info(listener: &config::Listener, parts: &Parts) -> ListenerInfo {
    let mut info = ListenerInfo::default();
    info.name.clone_from(&listener.name);
    info.path = listener.path;
    info.trusted = listener.trusted.clone();
    info.forwarded = listener.forwarded;
    info.via = listener.via.clone();
    info.origin = listener.origin.clone();
    info.redirect = listener.redirect;
    if listener.tls.is_some() {
        info.scheme = Scheme::Https;
    } else {
        info.challenges = Some(parts.challenges.clone());
    }
    info
}
