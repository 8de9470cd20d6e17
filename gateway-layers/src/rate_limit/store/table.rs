//! A bounded table of keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::rule::State;

/// With each new key so many others are looked at, and those that are over are removed.
const TIDIED: usize = 2;

/// Of a full table so many keys are looked at, and the one that is soonest over makes room.
const CANDIDATES: usize = 32;

/// Keys and what is known of them, never more than a number.
///
/// What is over goes first. Of keys that are all in use the one goes, among some that are looked
/// at in turn, whose bucket is full again soonest: least is lost with it. So nobody gets rid of
/// what he has used up by filling the table with fresh keys: they go before it.
pub(super) struct Table {
    index: HashMap<u128, usize, BuildHasherDefault<Straight>>,
    slots: Vec<Slot>,
    hand: usize,
    most: usize,
    evicted: u64,
}

pub(super) struct Slot {
    key: u128,
    pub(super) state: State,
    pub(super) forgotten_at: u64,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { index: HashMap::default(), slots: Vec::new(), hand: 0, most, evicted: 0 }
    }

    pub(super) fn find(&mut self, key: u128) -> Option<&mut Slot> {
        let place = *self.index.get(&key)?;
        self.slots.get_mut(place)
    }

    /// Takes in `key`, which is not there.
    pub(super) fn insert(&mut self, key: u128, state: State, forgotten_at: u64, now: u64) {
        self.make_room(now);
        self.index.insert(key, self.slots.len());
        self.slots.push(Slot { key, state, forgotten_at });
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Keys that had to go while they were in use.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn make_room(&mut self, now: u64) {
        for _ in 0..TIDIED {
            let place = self.next_place();
            if self.slots.get(place).is_some_and(|slot| slot.forgotten_at <= now) {
                self.remove(place);
            }
        }
        while self.slots.len() >= self.most {
            let candidates = (0..CANDIDATES.min(self.slots.len())).map(|_| self.next_place());
            let candidates: [usize; CANDIDATES] = {
                let mut places = [0; CANDIDATES];
                places.iter_mut().zip(candidates).for_each(|(to, place)| *to = place);
                places
            };
            let over = |place: usize| self.slots.get(place).map_or(u64::MAX, |s| s.forgotten_at);
            let soonest = candidates.into_iter().min_by_key(|place| over(*place)).unwrap_or(0);
            self.evicted += u64::from(over(soonest) > now);
            self.remove(soonest);
        }
    }

    fn next_place(&mut self) -> usize {
        self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
        self.hand
    }

    fn remove(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.index.remove(&slot.key);
        if let Some(moved) = self.slots.get(place) {
            self.index.insert(moved.key, place);
        }
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
pub(super) struct Straight(u64);

impl Hasher for Straight {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u128, forgotten_at: u64) -> Table {
        let mut table = Table::new(100);
        for key in 0..count {
            table.insert(key, State::Bucket(0), forgotten_at, 0);
        }
        table
    }

    #[test]
    fn a_table_never_holds_more_than_it_may() {
        let mut table = filled(1000, 10);
        assert_eq!((table.len(), table.evicted()), (100, 900));
        assert_eq!(table.index.len(), 100);
        let keys: Vec<_> = table.slots.iter().map(|slot| slot.key).collect();
        for key in keys {
            assert_eq!(table.find(key).unwrap().key, key);
        }
    }

    #[test]
    fn what_is_over_goes_first_and_nothing_is_lost_with_it() {
        let mut table = filled(99, 5);
        table.insert(1_000_000, State::Bucket(0), 1, 0);
        for key in 2000..2600 {
            table.insert(key, State::Bucket(0), 20, 10);
        }
        assert_eq!(table.len(), 100);
        let mut table = filled(100, 5);
        for key in 2000..2100 {
            table.insert(key, State::Bucket(0), 20, 10);
        }
        assert_eq!(table.evicted(), 0);
    }

    #[test]
    fn fresh_keys_do_not_drive_out_one_that_is_used_up() {
        let mut table = Table::new(100);
        table.insert(7, State::Bucket(0), 1_000_000, 0);
        for key in 1000..100_000 {
            table.insert(key, State::Bucket(0), 100_000 + key as u64, 0);
        }
        assert!(table.find(7).is_some());
        assert_eq!(table.len(), 100);
    }

    #[test]
    fn idle_tables_shrink_as_new_keys_come() {
        let mut table = filled(90, 5);
        for key in 2000..2090 {
            table.insert(key, State::Bucket(0), 20, 10);
        }
        assert!(table.len() <= 91, "{}", table.len());
    }
}
