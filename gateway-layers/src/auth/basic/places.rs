//! [`Places`]: verifications in flight, counted by client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the verifications of each client address. Holds an entry only for addresses that wait,
/// so it is no larger than the queue.
#[derive(Clone)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<u128, usize>>>,
    most: usize,
}

/// A verification of one address, counted until it is dropped.
pub(super) struct Place {
    places: Places,
    address: Option<u128>,
}

impl Places {
    /// At most `most` at a time for each address.
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most: most.max(1) }
    }

    /// A place for `client`; without an address it is not counted. `None` when the address has as
    /// many as it may have.
    pub(super) fn take(&self, client: Option<IpAddr>) -> Option<Place> {
        let address = client.map(network);
        if let Some(address) = address {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(address).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

/// The part of an address that one client has: IPv6 by its first 64 bits.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX) | 1 << 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let places = Places::new(2);
        let take = |ip: &str| places.take(Some(ip.parse().unwrap()));
        let own = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(own.iter().all(Option::is_some) && take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::1").is_some() && take("192.0.2.1").is_some());
        assert!(places.take(None).is_some());
        drop(own);
        assert!(take("2001:db8::3").is_some());
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
