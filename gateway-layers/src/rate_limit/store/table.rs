//! A bounded table of keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::rule::State;

/// With each new key so many others are looked at, and those that are over are removed.
const TIDIED: usize = 2;

/// Of a full table so many keys are looked at, and the one that is worth least makes room.
const CANDIDATES: usize = 32;

/// Keys and what is known of them, never more than a number.
///
/// What is over goes first. Of keys that are all in use the one goes, among some that are looked
/// at in turn, that had used the least of its limit: least is lost with it. So nobody gets rid of
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
    pub(super) worth: Worth,
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
    pub(super) fn insert(&mut self, key: u128, state: State, worth: Worth, now: u64) {
        self.make_room(now);
        self.index.insert(key, self.slots.len());
        self.slots.push(Slot { key, state, worth });
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
            if self.slots.get(place).is_some_and(|slot| slot.worth.forgotten_at <= now) {
                self.remove(place);
            }
        }
        while self.slots.len() >= self.most {
            let mut least = (Worth::MOST, 0);
            for _ in 0..CANDIDATES {
                let place = self.next_place();
                if let Some(slot) = self.slots.get(place) {
                    least = least.min((slot.worth.at(now), place));
                }
            }
            self.evicted += u64::from(least.0 != Worth::default());
            self.remove(least.1);
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

/// What it would cost to forget a key: first how much of its limit was used, then for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// The share of the limit that was used when it was charged last: all is `u32::MAX`.
    pub(super) used: u32,
    /// When nothing will be known any more, in the store's nanoseconds.
    pub(super) forgotten_at: u64,
}

impl Worth {
    const MOST: Self = Self { used: u32::MAX, forgotten_at: u64::MAX };

    /// Nothing once it is over.
    fn at(self, now: u64) -> Self {
        if self.forgotten_at <= now { Self::default() } else { self }
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

    fn until(forgotten_at: u64) -> Worth {
        Worth { used: 1, forgotten_at }
    }

    fn filled(count: u128, forgotten_at: u64) -> Table {
        let mut table = Table::new(100);
        for key in 0..count {
            table.insert(key, State::Bucket(0), until(forgotten_at), 0);
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
        let mut table = filled(100, 5);
        for key in 2000..2100 {
            table.insert(key, State::Bucket(0), until(20), 10);
        }
        assert_eq!(table.evicted(), 0);
        assert!((2000..2100).all(|key| table.find(key).is_some()));
    }

    #[test]
    fn fresh_keys_do_not_drive_out_one_that_is_used_up() {
        let mut table = Table::new(100);
        table.insert(7, State::Bucket(0), Worth { used: 1000, forgotten_at: 500 }, 0);
        for key in 1000..100_000 {
            table.insert(key, State::Bucket(0), until(1000 + key as u64), 0);
        }
        assert!(table.find(7).is_some());
        assert_eq!(table.len(), 100);
    }

    #[test]
    fn idle_tables_shrink_as_new_keys_come() {
        let mut table = filled(90, 5);
        for key in 2000..2090 {
            table.insert(key, State::Bucket(0), until(20), 10);
        }
        assert!(table.len() <= 91, "{}", table.len());
    }

    #[test]
    fn a_table_of_one_holds_the_last() {
        let mut table = Table::new(1);
        for key in 0..5 {
            table.insert(key, State::Bucket(0), until(10), 0);
            assert!(table.find(key).is_some() && table.len() == 1);
        }
    }
}
