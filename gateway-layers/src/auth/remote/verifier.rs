//! [`Verifier`]: says whose a token is, by asking a server once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use gateway_core::{Clock, Tasks};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::cache::{self, Cache, Key};
use super::flight::{Flight, Flights, Outcome, Rejection, landed};
use super::health::Health;
use super::rules::{Judged, Rules};
use super::server::{Answer, Asker, Fault, Question};
use super::settings::{RemoteConfig, RemoteError};
use super::status::RemoteStatus;
use crate::auth::authenticator::Identity;
use crate::auth::fault::TokenRejection;

/// Questions that wait for their turn, at most. More are rejected at once: they would be too late.
const MAX_WAITING: usize = 1024;

/// Says whose tokens are. Clones share all of it.
#[derive(Clone)]
pub(super) struct Verifier {
    inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    name: String,
    asker: Asker,
    rules: Rules,
    settings: RemoteConfig,
    clock: Arc<dyn Clock>,
    cache: Cache,
    flights: Arc<Flights>,
    permits: Semaphore,
    health: Mutex<Health>,
}

/// What is known of a token now.
pub(super) enum Checked {
    Known(Identity),
    Rejected(Rejection),
    Asked(std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

impl Verifier {
    pub(super) fn new(
        question: Question,
        rules: Rules,
        settings: RemoteConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RemoteError> {
        settings.check(rules.skew)?;
        if let Some(name) = rules.forward.reserved() {
            return Err(RemoteError::Forward(name.clone()));
        }
        let inner = Inner {
            name: question.server.name(),
            asker: Asker::new(question, &settings)?,
            rules,
            clock,
            cache: Cache::new(&settings.cache),
            flights: Arc::default(),
            permits: Semaphore::new(settings.concurrency),
            health: Mutex::new(Health::new(settings.cooldown)),
            settings,
        };
        Ok(Self { inner: Arc::new(inner), tasks: Tasks::new() })
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    pub(super) fn status(&self) -> RemoteStatus {
        let health = self.inner.health();
        let (known, rejected) = self.inner.cache.len();
        RemoteStatus {
            server: self.inner.name.clone(),
            well: health.is_healthy(),
            failure: health.fault().map(str::to_owned),
            asked: health.asked,
            failed: health.failed,
            known,
            rejected,
        }
    }

    /// What can be said of `token` at once, or who is asked.
    pub(super) fn check(&self, token: &str) -> Checked {
        self.find(token).unwrap_or_else(|| self.ask(cache::key(token), token))
    }

    /// What can be said of `token` without a query.
    pub(super) fn find(&self, token: &str) -> Option<Checked> {
        if token.len() > self.inner.settings.token_limit {
            return Some(Checked::Rejected(Rejection::Token(TokenRejection::TooLarge)));
        }
        // RFC 6750, section 2.1, allows less; sessions in cookies have more.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(Checked::Rejected(Rejection::Token(TokenRejection::Malformed)));
        }
        self.inner.find(&cache::key(token))
    }

    /// Asks about `token`, unless that is done already.
    fn ask(&self, key: Key, token: &str) -> Checked {
        let inner = &self.inner;
        let mut flights = inner.flights.lock();
        let (landing, asking) = if let Some(landing) = flights.get(&key) {
            (landing.clone(), None)
        } else {
            // It may have landed since it was looked for.
            if let Some(checked) = inner.find(&key) {
                return checked;
            }
            if flights.len() >= inner.settings.concurrency + MAX_WAITING
                || Handle::try_current().is_err()
            {
                return Checked::Rejected(Rejection::Unavailable(inner.settings.cooldown));
            }
            let asked = Instant::now();
            if let Err(after) = inner.health().enter(asked) {
                return Checked::Rejected(Rejection::Unavailable(after));
            }
            let (flight, landing) = Flight::begin(&inner.flights, &mut flights, key);
            (landing, Some(Asking { inner: Arc::clone(inner), flight: Some(flight), asked }))
        };
        // A task may end where it is begun, and its flight with it.
        drop(flights);
        if let Some(asking) = asking {
            self.tasks.spawn("identity", asking.run(key, token.to_owned()));
        }
        // The tasks go on while somebody waits for one.
        let tasks = self.tasks.clone();
        Checked::Asked(Box::pin(async move {
            let outcome = landed(landing).await;
            drop(tasks);
            outcome
        }))
    }
}

impl Inner {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key) -> Option<Checked> {
        let found = self.cache.find(key, Instant::now(), self.wall())?;
        Some(match found {
            Ok(identity) => Checked::Known(identity),
            Err(fault) => Checked::Rejected(Rejection::Token(fault)),
        })
    }

    /// In seconds since 1970.
    fn wall(&self) -> i64 {
        // A clock that shows nothing sensible makes every token an old one.
        let since = self.clock.now().duration_since(UNIX_EPOCH);
        since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(i64::MAX)
    }

    async fn exchange(&self, token: &str) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.settings.timeout;
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Fault::Busy) };
        timeout_at(deadline, self.asker.ask(token)).await.map_err(|_| Fault::Late)?
    }

    /// Notes what was answered about a token, and says what it means.
    fn conclude(&self, key: Key, answer: Result<Answer, Fault>, asked: Instant) -> Outcome {
        let now = Instant::now();
        let judged = answer.and_then(|answer| match answer {
            Answer::Rejects => Ok(Err(TokenRejection::Inactive)),
            Answer::Says(text) => match self.rules.judge(&text, self.wall()) {
                Ok(known) => Ok(Ok(known)),
                Err(Judged::Rejected(fault)) => Ok(Err(fault)),
                Err(Judged::Unusable(what)) => Err(Fault::Unusable(what)),
            },
        });
        let mut health = self.health();
        match judged {
            Ok(Ok(known)) => {
                health.answered(&self.name, now);
                self.cache.keep(key, &known, now);
                Ok(known.identity)
            }
            Ok(Err(fault)) => {
                health.answered(&self.name, now);
                self.cache.keep_rejected(key, fault, now);
                Err(Rejection::Token(fault))
            }
            Err(fault) => {
                health.failed(&self.name, &fault, asked, now);
                Err(Rejection::Unavailable(self.settings.cooldown))
            }
        }
    }
}

/// Somebody asks; whatever becomes of it, nobody waits for ever.
struct Asking {
    inner: Arc<Inner>,
    flight: Option<Flight>,
    asked: Instant,
}

impl Asking {
    async fn run(mut self, key: Key, token: String) {
        let answer = self.inner.exchange(&token).await;
        let outcome = self.inner.conclude(key, answer, self.asked);
        if let Some(flight) = self.flight.take() {
            flight.land(outcome);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.inner.health().abandoned(self.asked);
        }
    }
}
