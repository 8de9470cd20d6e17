//! A bounded table of keys.

use super::super::rule::State;

/// With each new key so many places are looked at, and keys that are over are removed.
const TIDIED: usize = 4;

/// Of a full table so many keys are looked at, and the one that is worth least makes room.
const CANDIDATES: usize = 32;

/// Places of a table that holds anything. A power of two.
const LEAST_PLACES: usize = 8;

/// Keys and what is known of them, never more than a number.
///
/// A key is at the place that it says, or at the next free one behind (open addressing with linear
/// probing): mostly one line of the processor's cache is all that a decision touches.
///
/// What is over goes first. Of keys that are all in use the one goes, among some that are looked
/// at in turn, that has used the least of its limit: least is lost with it. So nobody gets rid of
/// what he has used up by filling the table with fresh keys: they go before it.
pub(super) struct Table {
    /// None, or a power of two of which at least a quarter is free.
    places: Vec<Option<Slot>>,
    count: usize,
    hand: usize,
    most: usize,
    evicted: u64,
}

#[repr(align(64))]
pub(super) struct Slot {
    key: u128,
    pub(super) state: State,
    pub(super) worth: Worth,
}

/// What it costs to forget a key, in the numbers of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Worth {
    /// All of the limit, as [`State::used`] counts.
    pub(super) whole: u64,
    /// When nothing will be known any more, in the store's nanoseconds.
    pub(super) forgotten_at: u64,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self { places: Vec::new(), count: 0, hand: 0, most: most.max(1), evicted: 0 }
    }

    pub(super) fn find(&mut self, key: u128) -> Option<&mut Slot> {
        let mask = self.mask();
        let mut place = key as usize & mask;
        while self.places.get(place)?.as_ref()?.key != key {
            place = (place + 1) & mask;
        }
        self.places.get_mut(place)?.as_mut()
    }

    /// Takes in `key`, which is not there.
    pub(super) fn insert(&mut self, key: u128, state: State, worth: Worth, now: u64) {
        self.make_room(now);
        if (self.count + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        self.count += 1;
        self.put(Slot { key, state, worth });
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Keys that had to go while they were in use.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Where a key belongs are its lowest bits. Of no places none is found.
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.mask();
        let mut place = slot.key as usize & mask;
        while let Some(to) = self.places.get_mut(place) {
            if to.is_none() {
                *to = Some(slot);
                return;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let more = (self.places.len() * 2).max(LEAST_PLACES);
        let places = std::iter::repeat_with(|| None).take(more).collect();
        let before = std::mem::replace(&mut self.places, places);
        before.into_iter().flatten().for_each(|slot| self.put(slot));
    }

    fn make_room(&mut self, now: u64) {
        for _ in 0..TIDIED {
            let place = self.next_place();
            if self.at(place).is_some_and(|slot| slot.worth.forgotten_at <= now) {
                self.remove(place);
            }
        }
        while self.count >= self.most {
            let (mut seen, mut least) = (0, None);
            for _ in 0..self.places.len() {
                let place = self.next_place();
                let Some(slot) = self.at(place) else { continue };
                let worth = slot.lost_with_it(now);
                if least.is_none_or(|(other, _)| worth < other) {
                    least = Some((worth, place));
                }
                seen += 1;
                if seen == CANDIDATES {
                    break;
                }
            }
            // There is one: `most` is not 0.
            let Some((worth, place)) = least else { return };
            self.evicted += u64::from(worth != Lost::default());
            self.remove(place);
        }
    }

    fn at(&self, place: usize) -> Option<&Slot> {
        self.places.get(place)?.as_ref()
    }

    fn next_place(&mut self) -> usize {
        self.hand = (self.hand + 1) & self.mask();
        self.hand
    }

    /// Empties a place, and moves up what stands behind it only because the place was taken.
    fn remove(&mut self, place: usize) {
        let mask = self.mask();
        let mut free = place;
        if self.places.get_mut(free).and_then(Option::take).is_none() {
            return;
        }
        self.count -= 1;
        let mut place = (free + 1) & mask;
        while let Some(slot) = self.at(place) {
            let from_home = place.wrapping_sub(slot.key as usize) & mask;
            let from_free = place.wrapping_sub(free) & mask;
            if from_home >= from_free {
                self.places.swap(place, free);
                free = place;
            }
            place = (place + 1) & mask;
        }
    }
}

/// What is lost with a key: first how much of its limit, in parts of `u32::MAX`, then for how long
/// it would be known.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Lost(u32, u64);

impl Slot {
    fn lost_with_it(&self, now: u64) -> Lost {
        let Worth { whole, forgotten_at } = self.worth;
        if forgotten_at <= now {
            return Lost::default();
        }
        let share = self.state.used(now) as f64 / whole as f64;
        Lost((share * f64::from(u32::MAX)) as u32, forgotten_at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const WHOLE: u64 = 1_000_000;

    fn until(forgotten_at: u64) -> Worth {
        Worth { whole: WHOLE, forgotten_at }
    }

    /// A bucket that is full again at this time.
    fn bucket(table: &mut Table, key: u128, full_at: u64, now: u64) {
        table.insert(key, State::Bucket(full_at), until(full_at), now);
    }

    fn filled(count: u128, full_at: u64) -> Table {
        let mut table = Table::new(100);
        for key in 0..count {
            bucket(&mut table, key, full_at, 0);
        }
        table
    }

    #[test]
    fn a_table_never_holds_more_than_it_may() {
        let mut table = filled(1000, 10);
        assert_eq!((table.len(), table.evicted()), (100, 900));
        let keys: Vec<_> = table.places.iter().flatten().map(|slot| slot.key).collect();
        assert_eq!(keys.len(), 100);
        for key in keys {
            assert_eq!(table.find(key).unwrap().key, key);
        }
    }

    #[test]
    fn what_is_over_goes_first_and_nothing_is_lost_with_it() {
        let mut table = filled(100, 5);
        for key in 2000..2100 {
            bucket(&mut table, key, 20, 10);
        }
        assert_eq!(table.evicted(), 0);
        assert!((2000..2100).all(|key| table.find(key).is_some()));
    }

    #[test]
    fn fresh_keys_do_not_drive_out_one_that_is_used_up() {
        let mut table = Table::new(100);
        bucket(&mut table, 7, WHOLE, 0);
        for key in 1000..100_000 {
            bucket(&mut table, key, 1000 + key as u64, 0);
        }
        assert!(table.find(7).is_some());
        assert_eq!(table.len(), 100);
    }

    #[test]
    fn idle_tables_shrink_as_new_keys_come() {
        let mut table = filled(90, 5);
        for key in 2000..2090 {
            bucket(&mut table, key, 20, 10);
        }
        assert!(table.len() <= 91, "{}", table.len());
    }

    #[test]
    fn a_table_of_one_holds_the_last() {
        let mut table = Table::new(1);
        for key in 0..5 {
            bucket(&mut table, key, 10, 0);
            assert!(table.find(key).is_some() && table.len() == 1);
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert!(Table::new(10).find(0).is_none());
        assert!(Table::new(10).find(u128::MAX).is_none());
    }

    #[test]
    fn a_slot_is_a_line_of_the_cache() {
        assert_eq!(size_of::<Option<Slot>>(), 64);
    }

    /// Keys that all belong to a few places, at the end of the table, so that runs of them go over
    /// the end and back to the beginning.
    fn crowded(key: u128) -> u128 {
        (key << 16) | (0xfffe + key % 3)
    }

    proptest::proptest! {
        #[test]
        fn a_table_knows_what_a_set_knows(
            steps in proptest::collection::vec((0_u128..40, proptest::bool::ANY), 1..400),
        ) {
            let mut table = Table::new(1000);
            let mut set = HashSet::new();
            for (key, insert) in steps {
                let key = crowded(key);
                if !insert {
                    let place = table.places.iter().position(|slot| {
                        slot.as_ref().is_some_and(|slot| slot.key == key)
                    });
                    proptest::prop_assert_eq!(place.is_some(), set.remove(&key));
                    place.into_iter().for_each(|place| table.remove(place));
                } else if set.insert(key) {
                    bucket(&mut table, key, 10, 0);
                }
                proptest::prop_assert_eq!(table.len(), set.len());
                for key in (0..40).map(crowded) {
                    proptest::prop_assert_eq!(table.find(key).is_some(), set.contains(&key));
                }
            }
        }
    }
}
