//! [`Keys`]: what is known below the prefix.

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway_core::upstream::{EndpointSpec, Transport};

use super::wire::{Event, Kind, Pair};
use crate::discovery::MAX_ENDPOINTS;
use crate::discovery::entry;
use crate::discovery::failure::Failure;
use crate::discovery::feed::Found;

/// Every key with its endpoint, or with why it has none.
#[derive(Default)]
pub(super) struct Keys {
    known: BTreeMap<Bytes, Result<EndpointSpec, String>>,
}

impl Keys {
    pub(super) fn new(pairs: Vec<Pair>) -> Result<Self, Failure> {
        let mut keys = Self::default();
        for pair in pairs {
            keys.put(pair)?;
        }
        Ok(keys)
    }

    pub(super) fn apply(&mut self, event: Event) -> Result<(), Failure> {
        match event.kind {
            Kind::Put => self.put(event.kv)?,
            Kind::Delete => {
                self.known.remove(&event.kv.key);
            }
        }
        Ok(())
    }

    fn put(&mut self, pair: Pair) -> Result<(), Failure> {
        self.known.insert(pair.key, endpoint(&pair.value));
        if self.known.len() > MAX_ENDPOINTS {
            return Err(Failure::TooMany(self.known.len()));
        }
        Ok(())
    }

    /// The endpoints, and what is wrong with the first key that has none.
    pub(super) fn found(&self) -> Found {
        let mut found = Found::default();
        for (key, endpoint) in &self.known {
            match endpoint {
                Ok(endpoint) => found.endpoints.push(endpoint.clone()),
                Err(problem) if found.left_out.is_none() => {
                    let key = key.escape_ascii();
                    found.left_out = Some(format!("key `{key}` is left out: {problem}"));
                }
                Err(_) => {}
            }
        }
        found
    }
}

/// The endpoint that a value says. Whoever may write to etcd is not to reach this machine's
/// sockets by it.
fn endpoint(value: &[u8]) -> Result<EndpointSpec, String> {
    let endpoint = entry::one(value)?;
    if endpoint.address.transport() == Transport::Unix {
        return Err("Unix sockets are not taken from a registry".to_owned());
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn event(kind: Kind, key: u8, host: u8) -> Event {
        let value = Bytes::from(format!("http://a{host}:80"));
        Event { kind, kv: Pair { key: vec![key].into(), value } }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_put_last(
            events in proptest::collection::vec((any::<bool>(), 0_u8..8, 0_u8..8), 0..60),
        ) {
            let mut keys = Keys::default();
            let mut model = BTreeMap::new();
            for (put, key, host) in events {
                if put {
                    model.insert(key, format!("http://a{host}:80"));
                } else {
                    model.remove(&key);
                }
                let kind = if put { Kind::Put } else { Kind::Delete };
                keys.apply(event(kind, key, host)).unwrap();
            }
            let found = keys.found().endpoints.into_iter().map(|one| one.address.to_string());
            prop_assert_eq!(
                found.collect::<BTreeSet<_>>(),
                model.into_values().collect::<BTreeSet<_>>()
            );
        }
    }

    #[test]
    fn sockets_of_this_machine_are_left_out() {
        assert!(endpoint(b"unix:/run/docker.sock").is_err());
        assert!(endpoint(br#"{"url": "unix:/run/docker.sock"}"#).is_err());
    }

    #[test]
    fn more_keys_than_the_limit_are_not_remembered() {
        let pair = |index: usize| {
            let value = Bytes::from_static(b"http://a");
            Pair { key: index.to_string().into(), value }
        };
        assert!(Keys::new((0..MAX_ENDPOINTS).map(pair).collect()).is_ok());
        assert!(Keys::new((0..=MAX_ENDPOINTS).map(pair).collect()).is_err());
    }
}
