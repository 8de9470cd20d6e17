//! [`RateLimiter`]: the limits as their owner and their operators hold them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_core::{Error, Reason, Request, RequestContext, RequestExt};
use http::HeaderValue;

use super::config::{Limit, MOST_LIMITS, RateLimitConfig, RateLimitConfigError};
use super::headers::{self, RATE_LIMIT, RATE_LIMIT_POLICY};
use super::key::{KeyPart, Seed, Subject};
use super::rule::{Level, Rule};
use super::status::{LimitOutlook, LimitStatus, Outlook, RateLimitStatus};
use super::store::{Admission, Ask, Charge, Decided, MemoryStore, Store};
use crate::guard::{Checked, Guard};

/// Limits that requests are counted by. Cheap to clone; clones are the same limits. See the
/// [module](super).
#[derive(Clone)]
pub struct RateLimiter {
    pub(super) shared: Arc<Shared>,
}

type CostOf = Box<dyn Fn(&Request) -> u64 + Send + Sync>;

pub(super) struct Shared {
    name: String,
    pub(super) limits: Box<[Counted]>,
    store: Box<dyn Store>,
    cost_of: Option<CostOf>,
    /// The policy for callers of no tier; `None` when answers say nothing.
    policy: Option<HeaderValue>,
    /// Where all limits have one key, so have their groups.
    group: Option<Seed>,
    group_by: Box<[KeyPart]>,
    admitted: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

/// A limit at work.
pub(super) struct Counted {
    name: Arc<str>,
    pub(super) key: Box<[KeyPart]>,
    /// Everybody's first, then those of the tiers.
    rules: Box<[(Rule, Seed)]>,
    tiers: BTreeMap<Box<str>, u16>,
    cost: u64,
    binding: bool,
    /// Counts by what a request is before its caller is known: neither key nor tiers need one.
    pub(super) early: bool,
    rejected: AtomicU64,
}

/// Which rule of each limit holds for a request.
#[derive(Clone, Copy)]
pub(super) struct Chosen([u16; MOST_LIMITS]);

/// Makes a [`RateLimiter`].
#[must_use]
pub struct RateLimiterBuilder {
    settings: RateLimitConfig,
    store: Option<Box<dyn Store>>,
    cost_of: Option<CostOf>,
}

impl RateLimiterBuilder {
    /// Counts in `store`. Default: a [`MemoryStore`] of its own.
    pub fn with_store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// `function` says what a request takes of each limit. Default: what the limit says.
    pub fn cost_of<F>(mut self, function: F) -> Self
    where
        F: Fn(&Request) -> u64 + Send + Sync + 'static,
    {
        self.cost_of = Some(Box::new(function));
        self
    }

    /// The limits.
    ///
    /// # Errors
    ///
    /// When they cannot work, with everything that is wrong.
    pub fn build(self) -> Result<RateLimiter, RateLimitConfigError> {
        let rules = self.settings.rules()?;
        let RateLimitConfig { name, limits, headers } = self.settings;
        let limits = limits.into_iter().zip(rules);
        let limits: Box<[_]> =
            limits.map(|(limit, (own, rules))| Counted::new(&name, own, limit, rules)).collect();
        let store = self.store.unwrap_or_else(|| Box::new(MemoryStore::new()));
        let group_by = limits.first().map(|limit| limit.key.clone()).unwrap_or_default();
        let alike = limits.iter().all(|limit| limit.key == group_by);
        let group = store.is_shared().then(|| Seed::of(&["group", &name]));
        let shared = Shared {
            policy: None,
            group,
            group_by: if alike { group_by } else { Box::default() },
            name,
            limits,
            store,
            cost_of: self.cost_of,
            admitted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        let policy = if headers { shared.policy_of(&Chosen([0; MOST_LIMITS])) } else { None };
        Ok(RateLimiter { shared: Arc::new(Shared { policy, ..shared }) })
    }
}

impl fmt::Debug for RateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// Limits in a memory of their own.
    ///
    /// # Errors
    ///
    /// When they cannot work, with everything that is wrong.
    pub fn new(settings: impl Into<RateLimitConfig>) -> Result<Self, RateLimitConfigError> {
        Self::builder(settings).build()
    }

    /// The same with a store or a cost of its own.
    pub fn builder(settings: impl Into<RateLimitConfig>) -> RateLimiterBuilder {
        RateLimiterBuilder { settings: settings.into(), store: None, cost_of: None }
    }

    /// The name under which they count.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many passed and how many did not, and how the store is.
    pub fn status(&self) -> RateLimitStatus {
        let shared = &*self.shared;
        let limits = shared.limits.iter().map(|limit| LimitStatus {
            name: Arc::clone(&limit.name),
            over: limit.rejected.load(Ordering::Relaxed),
            shadow: !limit.binding,
        });
        RateLimitStatus {
            name: shared.name.clone(),
            store: shared.store.name(),
            store_status: shared.store.status(),
            admitted: shared.admitted.load(Ordering::Relaxed),
            rejected: shared.rejected.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            limits: limits.collect(),
        }
    }

    /// What would become of `request`. Nothing is charged.
    ///
    /// # Errors
    ///
    /// When the store is away and nobody is let in uncounted: [`Reason::LimiterUnavailable`]. When
    /// the client's address is needed and unknown: [`Reason::ClientAddressUnknown`].
    pub fn peek(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Outlook, Error>> + Send + use<> {
        let ask = self.asking(request, false);
        let unknown = ask.lacks_address();
        let charges: Vec<_> =
            (0..self.shared.limits.len()).map(|index| ask.charge(index)).collect();
        let mut levels = vec![Level::default(); charges.len()];
        let decided = ask.run(&charges, &mut levels);
        let (limiter, chosen) = (self.clone(), ask.chosen);
        async move {
            if unknown {
                return Err(Reason::ClientAddressUnknown.into());
            }
            let admission = match decided {
                Decided::Now(admission) => admission?,
                Decided::Later(deciding) => {
                    let decision = deciding.await?;
                    levels = decision.levels;
                    decision.admission
                }
            };
            if admission == Admission::Uncounted {
                levels.clear();
            }
            let limits = limiter.shared.with_levels(&chosen, &levels);
            let limits = limits.map(|(limit, rule, level)| LimitOutlook {
                name: Arc::clone(&limit.name),
                rule: *rule,
                level: *level,
                shadow: !limit.binding,
            });
            let admitted = admission != Admission::Rejected;
            Ok(Outlook { admitted, limits: limits.collect() })
        }
    }

    /// Who is asked about, and by which rules.
    pub(super) fn asking<'a>(&'a self, request: &'a Request, spends: bool) -> Asking<'a> {
        let shared = &*self.shared;
        let subject = Subject::of(request);
        let cost = shared.cost_of.as_ref().map(|function| function(request));
        let chosen = shared.choose(subject.tier());
        Asking { shared, subject, cost, chosen, spends }
    }

    /// Decides about a request by `N` limits, as many as there are.
    fn decide<const N: usize>(&self, request: &Request) -> Checked {
        let ask = self.asking(request, true);
        if ask.lacks_address() {
            count(&self.shared.failed);
            return Checked::Reject(Reason::ClientAddressUnknown.into());
        }
        let charges: [_; N] = std::array::from_fn(|index| ask.charge(index));
        let mut levels = [Level::default(); N];
        let decided = ask.run(&charges, &mut levels);
        let chosen = ask.chosen;
        match decided {
            Decided::Now(admission) => {
                self.settle(&chosen, admission, &levels, ask.subject.context()).into()
            }
            Decided::Later(deciding) => {
                let limiter = self.clone();
                Checked::wait(async move {
                    let (admission, levels) = match deciding.await {
                        Ok(decision) => (Ok(decision.admission), decision.levels),
                        Err(error) => (Err(error), Vec::new()),
                    };
                    move |request: &mut Request| {
                        limiter.settle(&chosen, admission, &levels, request.context()).into()
                    }
                })
            }
        }
    }

    /// What comes of a decision: the answer's fields, the counts, and why it is rejected.
    pub(super) fn settle(
        &self,
        chosen: &Chosen,
        admission: Result<Admission, Error>,
        levels: &[Level],
        context: Option<&RequestContext>,
    ) -> Result<(), Error> {
        let shared = &*self.shared;
        let admission = admission.inspect_err(|_| count(&shared.failed))?;
        let levels = if admission == Admission::Uncounted { &[] } else { levels };
        for (limit, _, level) in shared.with_levels(chosen, levels) {
            if !level.fits {
                count(&limit.rejected);
                if !limit.binding {
                    tracing::debug!(limit = &*limit.name, "over a limit that is in shadow");
                }
            }
        }
        // Where nobody keeps them for the answer, a rejection says them itself.
        let unsaid = match (shared.fields(chosen, levels), context) {
            (Some((state, policy)), Some(context)) => {
                context.append_response_header(RATE_LIMIT, state);
                context.append_response_header(RATE_LIMIT_POLICY, policy);
                None
            }
            (fields, _) => fields,
        };
        if admission != Admission::Rejected {
            count(&shared.admitted);
            return Ok(());
        }
        count(&shared.rejected);
        let error = shared.rejection(chosen, levels);
        Err(match unsaid {
            Some((state, policy)) => {
                error.with_field(RATE_LIMIT, state).with_field(RATE_LIMIT_POLICY, policy)
            }
            None => error,
        })
    }
}

impl Guard for RateLimiter {
    fn check(&self, request: &mut Request) -> Checked {
        // Each count with arrays of its own size: no list is allocated, and none is too long.
        match self.shared.limits.len() {
            0 | 1 => self.decide::<1>(request),
            2 => self.decide::<2>(request),
            3 => self.decide::<3>(request),
            4 => self.decide::<4>(request),
            5 => self.decide::<5>(request),
            6 => self.decide::<6>(request),
            7 => self.decide::<7>(request),
            _ => self.decide::<MOST_LIMITS>(request),
        }
    }

    fn check_early(&self, request: &mut Request) -> Checked {
        if self.shared.limits.iter().any(|limit| limit.early) {
            self.decide_early(request)
        } else {
            Checked::Pass
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counted {
    fn new(scope: &str, name: String, limit: Limit, rules: Vec<Rule>) -> Self {
        let tiers = std::iter::once("").chain(limit.tiers.keys().map(String::as_str));
        let algorithm = limit.algorithm.name();
        let rules = rules.into_iter().zip(tiers);
        let rules = rules.map(|(rule, tier)| (rule, Seed::of(&[scope, &name, algorithm, tier])));
        let rules = rules.collect();
        let early = limit.tiers.is_empty() && !limit.key.iter().any(KeyPart::needs_identity);
        let places = limit.tiers.into_keys().map(String::into_boxed_str).zip(1..);
        Self {
            early: early && !limit.shadow,
            name: name.into(),
            key: limit.key.into(),
            rules,
            tiers: places.collect(),
            cost: limit.cost,
            binding: !limit.shadow,
            rejected: AtomicU64::new(0),
        }
    }

    fn rule(&self, place: u16) -> &(Rule, Seed) {
        &self.rules[usize::from(place)]
    }
}

pub(super) struct Asking<'a> {
    shared: &'a Shared,
    pub(super) subject: Subject<'a>,
    cost: Option<u64>,
    pub(super) chosen: Chosen,
    spends: bool,
}

impl<'a> Asking<'a> {
    /// True when a limit counts by the client's address, and it is unknown. All such requests would
    /// share one count otherwise.
    fn lacks_address(&self) -> bool {
        let binding = self.shared.limits.iter().filter(|limit| limit.binding);
        binding.into_iter().any(|limit| self.subject.lacks_address(&limit.key))
    }

    pub(super) fn run(&self, charges: &[Charge<'_>], levels: &mut [Level]) -> Decided {
        let group = self.shared.group.as_ref();
        let group =
            group.map_or(0, |seed| self.subject.fingerprint(seed, &self.shared.group_by, true));
        self.shared.store.decide(&Ask::new(charges, group, self.spends), levels)
    }

    pub(super) fn charge(&self, index: usize) -> Charge<'a> {
        let limit = &self.shared.limits[index];
        let (rule, seed) = limit.rule(self.chosen.0[index]);
        let shared = self.shared.group.is_some();
        let key = self.subject.fingerprint(seed, &limit.key, shared);
        Charge::new(key, rule, self.cost.unwrap_or(limit.cost), limit.binding)
    }
}

impl Shared {
    fn choose(&self, tier: Option<&str>) -> Chosen {
        let mut chosen = Chosen([0; MOST_LIMITS]);
        let Some(tier) = tier else { return chosen };
        for (limit, place) in self.limits.iter().zip(&mut chosen.0) {
            *place = limit.tiers.get(tier).copied().unwrap_or(0);
        }
        chosen
    }

    fn with_levels<'a>(
        &'a self,
        chosen: &'a Chosen,
        levels: &'a [Level],
    ) -> impl Iterator<Item = (&'a Counted, &'a Rule, &'a Level)> {
        let limits = self.limits.iter().zip(chosen.0).zip(levels);
        limits.map(|((limit, place), level)| (limit, &limit.rule(place).0, level))
    }

    /// What clients are told; not about limits that are in shadow.
    fn fields(&self, chosen: &Chosen, levels: &[Level]) -> Option<(HeaderValue, HeaderValue)> {
        let policy = self.policy.as_ref()?;
        let told = self.with_levels(chosen, levels).filter(|(limit, ..)| limit.binding);
        let told = told.map(|(limit, _, level)| (&*limit.name, level));
        let state = headers::state(told)?;
        let everybody = chosen.0 == [0; MOST_LIMITS];
        let policy = if everybody { policy.clone() } else { self.policy_of(chosen)? };
        Some((state, policy))
    }

    fn policy_of(&self, chosen: &Chosen) -> Option<HeaderValue> {
        let limits = self.limits.iter().zip(chosen.0).filter(|(limit, _)| limit.binding);
        let told = limits.map(|(limit, place)| (&*limit.name, &limit.rule(place).0));
        headers::policy(told)
    }

    /// Of several limits that are reached the one that lasts longest is told.
    fn rejection(&self, chosen: &Chosen, levels: &[Level]) -> Error {
        let reached = self.with_levels(chosen, levels);
        let reached = reached.filter(|(limit, _, level)| limit.binding && !level.fits);
        let longest = reached.max_by_key(|(.., level)| level.retry_after.unwrap_or(Duration::MAX));
        let Some((limit, rule, level)) = longest else { return Reason::RateLimited.into() };
        let quota = rule.algorithm.is_quota();
        let reason = if quota { Reason::QuotaExceeded } else { Reason::RateLimited };
        let error = Error::new(reason);
        match level.retry_after {
            Some(wait) => error
                .with_detail(format!("the limit `{}` is reached", limit.name))
                .with_retry_after(wait),
            None => {
                error.with_detail(format!("it costs more than the limit `{}` ever has", limit.name))
            }
        }
    }
}
