//! [`Available`]: the endpoints that may be picked now. Made in one place, from everything that is
//! known, whenever any of it changes; never edited.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::shared::{Member, Settings};
use crate::error::{Error, Reason};
use crate::module::Health;
use crate::upstream::balance::{Candidate, Pick, PickContext};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::sticky::{Sticky, Token};

/// From which endpoints of a cluster is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PickMode {
    /// From those that are well.
    Healthy,
    /// None is known to be well: from those nobody has asked yet.
    Unknown,
    /// None but ejected ones is left: from those.
    Ejected,
    /// Hardly any is left: from all.
    Panic,
    /// From none.
    Nobody,
}

impl PickMode {
    /// What status and logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Ejected => "ejected",
            Self::Panic => "panic",
            Self::Nobody => "nobody",
        }
    }
}

/// The endpoints that may be picked now.
pub(in crate::upstream) struct Available {
    pub(super) mode: PickMode,
    levels: Vec<Level>,
    /// Those that take nothing now, the best first: for what failed at all of the others.
    spare: Vec<Arc<Endpoint>>,
    /// Whose endpoint is called how in sticky cookies. Hashed with a key: clients choose tokens.
    sessions: HashMap<Token, Arc<Endpoint>>,
    /// Where the search for another endpoint begins.
    turn: AtomicUsize,
}

/// Endpoints of one priority and distance.
struct Level {
    /// Requests whose draw is below it go here, if not to a level before.
    below: u32,
    pick: Box<dyn Pick>,
    candidates: Arc<[Candidate]>,
}

/// A level takes all of its share as long as this many of its endpoints times 1.4 would be all.
const OVERPROVISIONING: f64 = 1.4;

/// Weights are carried in hundredths, so that slow start can take a part of 1.
const WEIGHT_UNIT: f64 = 100.0;

/// What an endpoint takes of its share when its slow start begins.
const SLOW_START_FROM: f64 = 0.1;

impl Available {
    /// What may be picked of `members`. `checked`: there are health checks, whose silence counts.
    pub(super) fn new(
        members: &[Member],
        settings: &Settings,
        checked: bool,
        now: Instant,
    ) -> Self {
        let usable = || members.iter().filter(|member| member.spec.weight > 0);
        let standing = |member: &Member| standing(member, checked);
        let healthy = usable().filter(|member| standing(member) == Some(Health::Healthy)).count();
        let unknown = || usable().any(|member| standing(member) == Some(Health::Unknown));
        let total = usable().count();
        let panics = settings
            .panic_threshold
            .is_some_and(|share| total > 0 && healthy as f64 <= share * total as f64);
        let mode = match healthy {
            0 if unknown() => PickMode::Unknown,
            _ if panics => PickMode::Panic,
            0 if usable().any(|member| is_only_ejected(member, checked)) => PickMode::Ejected,
            0 => PickMode::Nobody,
            _ => PickMode::Healthy,
        };
        let picked = |member: &Member| match mode {
            PickMode::Healthy => standing(member) == Some(Health::Healthy),
            PickMode::Unknown => standing(member) == Some(Health::Unknown),
            PickMode::Ejected => is_only_ejected(member, checked),
            PickMode::Panic => true,
            PickMode::Nobody => false,
        };
        let mut groups: BTreeMap<(u32, bool), Group> = BTreeMap::new();
        for member in usable() {
            let far = settings.zone.is_some() && member.spec.zone != settings.zone;
            let group = groups.entry((member.spec.priority, far)).or_default();
            group.total += 1;
            if picked(member) {
                let weight = weight(member, settings, now);
                group.candidates.push(Candidate::new(Arc::clone(&member.endpoint), weight));
            }
        }
        let (levels, mut spare) = levels(groups.into_values().collect(), settings);
        spare.extend(excluded(usable().filter(|member| !picked(member)), settings, checked));
        let sessions = settings.sticky.as_ref().map(|sticky| sessions(&levels, sticky));
        Self {
            mode,
            levels,
            spare,
            sessions: sessions.unwrap_or_default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// How many endpoints may be picked.
    pub(in crate::upstream) fn count(&self) -> usize {
        self.levels.iter().map(|level| level.candidates.len()).sum()
    }

    /// True when there is an endpoint that is not `failed`, and that `wanted` does not avoid.
    pub(in crate::upstream) fn has_other_than(
        &self,
        failed: &Arc<Endpoint>,
        wanted: &PickContext<'_>,
    ) -> bool {
        let candidates = self.candidates().map(|candidate| &candidate.endpoint);
        let mut all = candidates.chain(&self.spare);
        all.any(|endpoint| !Arc::ptr_eq(endpoint, failed) && !wanted.avoids(endpoint))
    }

    /// The candidate that `endpoint` is, if it is one.
    pub(in crate::upstream) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.levels.iter().flat_map(|level| level.candidates.iter())
    }

    /// The endpoint for a request, none with more than `limit` requests.
    pub(in crate::upstream) fn pick(
        &self,
        wanted: &PickContext<'_>,
        limit: usize,
    ) -> Result<&Arc<Endpoint>, Error> {
        let level = self.level(wanted).ok_or(Reason::NoEndpoint)?;
        match level.pick.pick(wanted) {
            Some(endpoint) if endpoint.in_flight() < limit && !wanted.avoids(endpoint) => {
                Ok(endpoint)
            }
            picked => self.other(wanted, limit, picked),
        }
    }

    /// The endpoint that a sticky cookie names, if it may be picked.
    pub(in crate::upstream) fn session(&self, token: &Token) -> Option<&Arc<Endpoint>> {
        self.sessions.get(token)
    }

    /// The level that takes the request.
    fn level(&self, wanted: &PickContext<'_>) -> Option<&Level> {
        if let [only] = &*self.levels {
            return Some(only);
        }
        let draw =
            wanted.hash.unwrap_or_else(|| scatter(self.turn.fetch_add(1, Ordering::Relaxed)));
        let draw = (draw >> 32) as u32;
        self.levels.iter().find(|level| draw < level.below).or(self.levels.last())
    }

    /// Not the one that was picked: one that was not tried and has room, for a request that was
    /// tried also one that takes nothing now, else one that has room.
    fn other(
        &self,
        wanted: &PickContext<'_>,
        limit: usize,
        picked: Option<&Arc<Endpoint>>,
    ) -> Result<&Arc<Endpoint>, Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut has_room = None;
        for level in &self.levels {
            let count = level.candidates.len();
            for at in 0..count {
                let Some(candidate) = level.candidates.get((turn + at) % count) else {
                    continue;
                };
                if candidate.endpoint.in_flight() >= limit {
                    continue;
                }
                if !wanted.avoids(&candidate.endpoint) {
                    return Ok(&candidate.endpoint);
                }
                let again = picked.is_some_and(|picked| Arc::ptr_eq(picked, &candidate.endpoint));
                if has_room.is_none() || again {
                    has_room = Some(&candidate.endpoint);
                }
            }
        }
        let spare = picked.filter(|picked| wanted.avoids(picked)).and_then(|_| {
            let mut spare = self.spare.iter();
            spare.find(|one| one.in_flight() < limit && !wanted.avoids(one))
        });
        spare.or(has_room).ok_or_else(|| Reason::EndpointsBusy.into())
    }
}

#[derive(Default)]
struct Group {
    total: usize,
    candidates: Vec<Candidate>,
}

/// What a member's health comes to; `None`: it must not be picked.
fn standing(member: &Member, checked: bool) -> Option<Health> {
    let vitals = &member.endpoint.vitals;
    if vitals.is_ejected() {
        return None;
    }
    match vitals.health() {
        _ if !checked => Some(Health::Healthy),
        Health::Unhealthy => None,
        health => Some(health),
    }
}

/// True when nothing but its ejection speaks against `member`.
fn is_only_ejected(member: &Member, checked: bool) -> bool {
    let vitals = &member.endpoint.vitals;
    vitals.is_ejected() && !(checked && vitals.health() == Health::Unhealthy)
}

/// Endpoints that are excluded, but better than a failure: the ejected ones, which may have
/// recovered meanwhile, and, where panic is allowed, those that checks find unhealthy.
fn excluded<'m>(
    members: impl Iterator<Item = &'m Member>,
    settings: &Settings,
    checked: bool,
) -> impl Iterator<Item = Arc<Endpoint>> {
    let (ejected, unhealthy): (Vec<_>, Vec<_>) =
        members.partition(|member| is_only_ejected(member, checked));
    let unhealthy = unhealthy.into_iter().filter(|_| settings.panic_threshold.is_some());
    ejected.into_iter().chain(unhealthy).map(|member| Arc::clone(&member.endpoint))
}

/// True when `member` is picked as long as there are such.
pub(super) fn is_healthy(member: &Member, checked: bool) -> bool {
    member.spec.weight > 0 && standing(member, checked) == Some(Health::Healthy)
}

fn weight(member: &Member, settings: &Settings, now: Instant) -> u32 {
    let full = f64::from(member.spec.weight) * WEIGHT_UNIT;
    let window = settings.slow_start.as_secs_f64();
    let age = member.endpoint.vitals.age(now).as_secs_f64();
    if age >= window {
        return full as u32;
    }
    (full * (age / window).max(SLOW_START_FROM)) as u32
}

/// The first group takes everything as long as enough of it is well; the next ones take what it
/// cannot. Beside them, who is in the groups that are left with nothing.
fn levels(groups: Vec<Group>, settings: &Settings) -> (Vec<Level>, Vec<Arc<Endpoint>>) {
    let groups = groups.into_iter().filter(|group| !group.candidates.is_empty());
    let able = |group: &Group| {
        let share = group.candidates.len() as f64 / group.total as f64;
        (share * OVERPROVISIONING).min(1.0)
    };
    let mut left = 1.0;
    let mut taken: Vec<(f64, Group)> = Vec::new();
    let mut spare = Vec::new();
    for group in groups {
        let share = able(&group).min(left);
        left -= share;
        if share > 0.0 {
            taken.push((share, group));
        } else {
            spare.extend(group.candidates.into_iter().map(|candidate| candidate.endpoint));
        }
    }
    let all: f64 = taken.iter().map(|(share, _)| share).sum();
    let mut below = 0.0;
    let levels = taken
        .into_iter()
        .map(|(share, group)| {
            below += share / all;
            let candidates: Arc<[Candidate]> = group.candidates.into();
            Level {
                below: (below * f64::from(u32::MAX)) as u32,
                pick: settings.balance.over(Arc::clone(&candidates)),
                candidates,
            }
        })
        .collect();
    (levels, spare)
}

fn sessions(levels: &[Level], sticky: &Sticky) -> HashMap<Token, Arc<Endpoint>> {
    let candidates = levels.iter().flat_map(|level| level.candidates.iter());
    let endpoints = candidates.map(|candidate| &candidate.endpoint);
    endpoints.map(|endpoint| (sticky.token(endpoint.name()), Arc::clone(endpoint))).collect()
}

/// Spreads consecutive numbers over the whole range.
fn scatter(number: usize) -> u64 {
    (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
