//! [`MemoryStore`]: limits counted in the memory of this process.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use gateway_core::{Clock, SystemClock};
use tokio::time::Instant;

use super::super::config::MOST_LIMITS;
use super::super::rule::{Fit, Level, Moment, State};
use super::table::{Slot, Table, Worth};
use super::{Admission, Ask, Charge, Decided, Store, StoreStatus};

/// Keys that are known at the same time, unless said otherwise: about 17 MB of token buckets, and
/// 150 MB of sliding windows that are all busy.
pub const DEFAULT_KEYS: usize = 100_000;

/// Parts with a lock each, so that workers seldom meet at one. A power of two.
const SHARDS: usize = 64;

/// With fewer keys than this for a part there is one part: parts fill up unevenly.
const LEAST_OF_SHARD: usize = 64;

/// Limits in the memory of this process. Cheap to clone; clones are the same store, for layers
/// that share the room for keys.
///
/// What is counted is gone with the process, quotas too. There are never more keys than said; what
/// happens when there are is described in the [module](super::super).
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    shards: Box<[Mutex<Table>]>,
    began: Instant,
    clock: Arc<dyn Clock>,
    /// It has been said that there are too many keys.
    crowded: AtomicBool,
}

impl MemoryStore {
    /// A store of [`DEFAULT_KEYS`] keys.
    pub fn new() -> Self {
        Self::with_keys(DEFAULT_KEYS)
    }

    /// A store of `keys` keys at most, and at least 1.
    pub fn with_keys(keys: usize) -> Self {
        Self::with(keys, Arc::new(SystemClock))
    }

    /// A store of `keys` keys, whose days and months are those of `clock`.
    pub fn with_clock(keys: usize, clock: impl Clock) -> Self {
        Self::with(keys, Arc::new(clock))
    }

    fn with(keys: usize, clock: Arc<dyn Clock>) -> Self {
        let shards = if keys / SHARDS >= LEAST_OF_SHARD { SHARDS } else { 1 };
        let shards = (0..shards).map(|_| Mutex::new(Table::new(keys / shards))).collect();
        let began = Instant::now();
        let shared = Shared { shards, began, clock, crowded: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Decides at once, and says whether the request passes.
    pub(super) fn decide_now(&self, ask: &Ask<'_>, levels: &mut [Level]) -> bool {
        let now = self.shared.now(ask.charges);
        let (admitted, evicted) = match (ask.charges, &mut *levels) {
            ([charge], [level]) => {
                let mut table = lock(self.shared.shard(charge.key));
                let evicted = table.evicted();
                let admitted = decide_one(&mut table, charge, ask.spends, &now, level);
                (admitted, table.evicted() > evicted)
            }
            (charges, levels) => {
                let mut locked = self.shared.lock_all(charges);
                let evicted = locked.evicted();
                let tables: &mut Tables<'_> = &mut |index, then| locked.with(index, then);
                (decide(ask, &now, levels, tables), locked.evicted() > evicted)
            }
        };
        if evicted {
            self.shared.say_crowded();
        }
        admitted
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn decide(&self, ask: &Ask<'_>, levels: &mut [Level]) -> Decided {
        Decided::Now(Ok(Admission::counted(self.decide_now(ask, levels))))
    }

    fn status(&self) -> StoreStatus {
        let mut status = StoreStatus::default();
        for shard in &self.shared.shards {
            let table = lock(shard);
            status.keys += table.len();
            status.evicted += table.evicted();
        }
        status
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("status", &self.status()).finish()
    }
}

impl Shared {
    fn now(&self, charges: &[Charge<'_>]) -> Moment {
        let nanos = self.began.elapsed().as_nanos() as u64;
        let dated = charges.iter().any(|charge| charge.rule.algorithm.is_quota());
        Moment { nanos, wall: if dated { self.clock.now() } else { UNIX_EPOCH } }
    }

    fn place(&self, key: u128) -> usize {
        // There are as many parts as some power of two.
        (key >> 64) as usize & (self.shards.len() - 1)
    }

    fn shard(&self, key: u128) -> &Mutex<Table> {
        &self.shards[self.place(key)]
    }

    /// Locks what belongs to `charges`, in the same order everywhere.
    fn lock_all(&self, charges: &[Charge<'_>]) -> Locked<'_> {
        let mut places = [usize::MAX; MOST_LIMITS];
        let found = charges.iter().map(|charge| self.place(charge.key));
        places.iter_mut().zip(found).for_each(|(to, place)| *to = place);
        let mut sorted = places;
        sorted.sort_unstable();
        let mut before = usize::MAX;
        let tables = sorted.map(|place| {
            let again = place == before;
            before = place;
            if again { None } else { Some((place, lock(self.shards.get(place)?))) }
        });
        Locked { places, tables }
    }

    fn say_crowded(&self) {
        if !self.crowded.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "more keys of rate limits are in use than there is room for: \
                 those used least make room (said once)"
            );
        }
    }
}

/// The tables of several keys, locked at the same time.
struct Locked<'a> {
    places: [usize; MOST_LIMITS],
    tables: [Option<(usize, MutexGuard<'a, Table>)>; MOST_LIMITS],
}

impl Locked<'_> {
    fn with(&mut self, index: usize, then: &mut dyn FnMut(&mut Table)) {
        let place = self.places.get(index).copied();
        let mut tables = self.tables.iter_mut().flatten();
        if let Some((_, table)) = tables.find(|(own, _)| Some(*own) == place) {
            then(table);
        }
    }

    fn evicted(&self) -> u64 {
        self.tables.iter().flatten().map(|(_, table)| table.evicted()).sum()
    }
}

fn lock(shard: &Mutex<Table>) -> MutexGuard<'_, Table> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the table of a charge to a function.
type Tables<'a> = dyn FnMut(usize, &mut dyn FnMut(&mut Table)) + 'a;

/// Looks at one limit and charges it, with one look into the table.
fn decide_one(
    table: &mut Table,
    charge: &Charge<'_>,
    spends: bool,
    now: &Moment,
    level: &mut Level,
) -> bool {
    let mut fresh = State::new(charge.rule);
    let (state, known) = match table.find(charge.key) {
        Some(Slot { state, worth, .. }) => (state, Some(worth)),
        None => (&mut fresh, None),
    };
    state.look(charge, now, level);
    let admitted = level.fits || !charge.binding;
    if !(spends && level.fits && charge.cost > 0) {
        (level.remaining, level.more_after) = state.left(charge.rule, now);
        return admitted;
    }
    let worth = state.charge(charge, now, level);
    match known {
        Some(known) => *known = worth,
        None => table.insert(charge.key, fresh, worth, now.nanos),
    }
    admitted
}

/// Looks at all limits, and charges all or none.
fn decide(ask: &Ask<'_>, now: &Moment, levels: &mut [Level], tables: &mut Tables<'_>) -> bool {
    let mut admitted = true;
    for (index, (charge, level)) in ask.charges.iter().zip(levels.iter_mut()).enumerate() {
        tables(index, &mut |table| look(table, charge, now, level));
        admitted &= level.fits || !charge.binding;
    }
    for (index, (charge, level)) in ask.charges.iter().zip(levels.iter_mut()).enumerate() {
        let charged = admitted && ask.spends && level.fits && charge.cost > 0;
        let settle = if charged { take } else { tell };
        tables(index, &mut |table| settle(table, charge, now, level));
    }
    admitted
}

/// Whether a request fits.
fn look(table: &mut Table, charge: &Charge<'_>, now: &Moment, level: &mut Level) {
    let mut fresh = None;
    known(table, charge, &mut fresh).look(charge, now, level);
}

/// What is left for who was not charged.
fn tell(table: &mut Table, charge: &Charge<'_>, now: &Moment, level: &mut Level) {
    let mut fresh = None;
    let state = known(table, charge, &mut fresh);
    state.pass_time(charge.rule, now);
    (level.remaining, level.more_after) = state.left(charge.rule, now);
}

fn take(table: &mut Table, charge: &Charge<'_>, now: &Moment, level: &mut Level) {
    if let Some(slot) = table.find(charge.key) {
        slot.worth = slot.state.charge(charge, now, level);
    } else {
        let mut state = State::new(charge.rule);
        let worth = state.charge(charge, now, level);
        table.insert(charge.key, state, worth, now.nanos);
    }
}

/// The state of a key, or a fresh one.
fn known<'a>(
    table: &'a mut Table,
    charge: &Charge<'_>,
    fresh: &'a mut Option<State>,
) -> &'a mut State {
    match table.find(charge.key) {
        Some(slot) => &mut slot.state,
        None => fresh.insert(State::new(charge.rule)),
    }
}

impl State {
    /// Whether a request fits, as it is now.
    fn look(&mut self, charge: &Charge<'_>, now: &Moment, level: &mut Level) {
        self.pass_time(charge.rule, now);
        let fit = self.fit(charge.rule, now, charge.cost);
        level.fits = fit == Fit::Now;
        level.retry_after = if let Fit::After(wait) = fit { Some(wait) } else { None };
    }

    /// Charges what fits, and says what is left.
    fn charge(&mut self, charge: &Charge<'_>, now: &Moment, level: &mut Level) -> Worth {
        let rule = charge.rule;
        self.pass_time(rule, now);
        self.take(rule, now, charge.cost);
        (level.remaining, level.more_after) = self.left(rule, now);
        Worth { whole: rule.whole(), forgotten_at: self.forgotten_at(rule, now) }
    }
}
