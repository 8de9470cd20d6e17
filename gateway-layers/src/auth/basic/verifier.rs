//! [`BasicVerifier`]: whether a name and a password belong together.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use gateway_core::context::Principal;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::fault::BasicAuthRejection;
use super::places::Places;
use super::source::UserSource;
use super::users::{BasicUser, BasicUsers, UsersError};
use crate::auth::flights::Flights;
use crate::auth::{Forward, Identity};

/// How its user was known, in [`Principal::method`].
const METHOD: &str = "basic";

/// So many passwords that were right are remembered.
pub const DEFAULT_CACHED: usize = 1024;

/// One is right for so long without being verified again.
pub const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// One that was wrong is wrong for so long: a client that has an old one and tries again and again
/// costs one verification in this time.
pub const DEFAULT_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// So many may wait to be verified, beside those that are.
pub const DEFAULT_QUEUE: usize = 64;

/// One client address takes at most this part (a quarter) of the jobs and the queue, so that
/// guesses from one address leave room for the others.
const SHARE: usize = 4;

/// A request waits for its verification at most so long.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Names and passwords, and what was found out about them. Cheap to clone; clones are the same.
///
/// A verification takes a thread of the runtime's blocking pool, a few at a time; others wait in a
/// queue with a limit, of which one client address takes a quarter at most, and more are rejected
/// ([`BasicAuthRejection::Busy`]). What came of it is remembered
/// under a hash with a key of this process, so that it is paid once.
///
/// A name that nobody has is verified against the hash of one of the users, which costs the same,
/// and is wrong whatever comes of it.
#[derive(Clone)]
pub struct BasicVerifier {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    users: UserSource,
    forward: Forward,
    key: hmac::Key,
    timeout: Duration,
    ttl: Duration,
    negative_ttl: Duration,
    right: Option<quick_cache::sync::Cache<Seal, Arc<Right>>>,
    wrong: Option<quick_cache::sync::Cache<Seal, Wrong>>,
    jobs: Arc<Semaphore>,
    flights: Flights<Seal, Verified>,
    places: Places,
    verified: AtomicU64,
    rejected: AtomicU64,
}

/// What a name and a password are remembered under.
type Seal = [u8; 32];

type Verified = Result<Identity, BasicAuthRejection>;

struct Right {
    identity: Identity,
    until: Instant,
    generation: u64,
}

#[derive(Clone, Copy)]
struct Wrong {
    until: Instant,
    generation: u64,
}

/// Makes a [`BasicVerifier`].
#[derive(Debug)]
#[must_use]
pub struct BasicVerifierBuilder {
    name: Arc<str>,
    users: UserSource,
    forward: Forward,
    cached: usize,
    ttl: Duration,
    negative_ttl: Duration,
    jobs: usize,
    queue: usize,
    timeout: Duration,
}

impl BasicVerifierBuilder {
    /// What upstreams are told of users. Default: nothing.
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forward = forward;
        self
    }

    /// So many that were right are remembered, and as many that were wrong; 0: each request is
    /// verified. Default: 1,024.
    pub fn cached(mut self, cached: usize) -> Self {
        self.cached = cached;
        self
    }

    /// Who was right is right for so long. Default: 5 min.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Who was wrong is wrong for so long. Default: 5 s.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = ttl;
        self
    }

    /// So many are verified at a time, at least 1. Default: one for each second processor.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// So many may wait beside them; of both together one client address takes a quarter at most,
    /// and at least one. Default: 64.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// A request waits for its verification at most so long. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The verifier. `None` when the system has no randomness to give.
    pub fn build(self) -> Option<BasicVerifier> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let cache = |ttl: Duration| self.cached > 0 && !ttl.is_zero();
        let shared = Shared {
            name: self.name,
            users: self.users,
            forward: self.forward,
            key,
            timeout: self.timeout,
            right: cache(self.ttl).then(|| quick_cache::sync::Cache::new(self.cached)),
            wrong: cache(self.negative_ttl).then(|| quick_cache::sync::Cache::new(self.cached)),
            ttl: self.ttl,
            negative_ttl: self.negative_ttl,
            jobs: Arc::new(Semaphore::new(self.jobs)),
            flights: Flights::new(self.jobs + self.queue),
            places: Places::new((self.jobs + self.queue).div_ceil(SHARE)),
            verified: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        };
        Some(BasicVerifier { shared: Arc::new(shared) })
    }
}

/// A verifier at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BasicStatus {
    /// Its name.
    pub name: Arc<str>,
    /// How many users there are.
    pub users: usize,
    /// What is wrong with their file; `None` when it is well.
    pub trouble: Option<String>,
    /// Those who were right and are remembered.
    pub cached: usize,
    /// How often a password was verified.
    pub verified: u64,
    /// How often one was not, because too many were.
    pub rejected: u64,
}

/// What is known of a name and a password.
pub(super) enum Checked {
    Right(Identity),
    Rejected(BasicAuthRejection),
    /// They have to be verified.
    Waits(Pin<Box<dyn Future<Output = Verified> + Send>>),
}

impl BasicVerifier {
    /// `users`, whose principals have `name` as their issuer.
    pub fn builder(name: impl Into<Arc<str>>, users: BasicUsers) -> BasicVerifierBuilder {
        Self::of(name.into(), UserSource::fixed(users))
    }

    /// The users in the file at `path`, as [`BasicUsers::from_htpasswd`] has them, read now
    /// (blocks) and looked at twice a second once this has [started](Self::start). It is taken as
    /// a whole or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be read or understood.
    pub fn from_file(
        name: impl Into<Arc<str>>,
        path: impl Into<PathBuf>,
    ) -> Result<BasicVerifierBuilder, UsersError> {
        Ok(Self::of(name.into(), UserSource::file(path.into())?))
    }

    fn of(name: Arc<str>, users: UserSource) -> BasicVerifierBuilder {
        BasicVerifierBuilder {
            name,
            users,
            forward: Forward::new(),
            cached: DEFAULT_CACHED,
            ttl: DEFAULT_TTL,
            negative_ttl: DEFAULT_NEGATIVE_TTL,
            jobs: available_parallelism().map_or(1, |threads| (threads.get() / 2).max(1)),
            queue: DEFAULT_QUEUE,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Begins to look at the file. Needs a runtime; without, it begins with the first request.
    pub fn start(&self) {
        self.shared.users.start();
    }

    /// How it is.
    pub fn status(&self) -> BasicStatus {
        let shared = &*self.shared;
        BasicStatus {
            name: Arc::clone(&shared.name),
            users: shared.users.users().0.len(),
            trouble: shared.users.trouble(),
            cached: shared.right.as_ref().map_or(0, quick_cache::sync::Cache::len),
            verified: shared.verified.load(Ordering::Relaxed),
            rejected: shared.rejected.load(Ordering::Relaxed),
        }
    }

    /// Who `name` with this password is.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    pub async fn verify(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Arc<Principal>, BasicAuthRejection> {
        let identity = match self.check(name, password, None) {
            Checked::Right(identity) => identity,
            Checked::Rejected(fault) => return Err(fault),
            Checked::Waits(verified) => verified.await?,
        };
        Ok(identity.principal)
    }

    pub(super) fn forward(&self) -> &Forward {
        &self.shared.forward
    }

    /// Decides about a name and a password that `client` sent.
    pub(super) fn check(&self, name: &str, password: &str, client: Option<IpAddr>) -> Checked {
        let shared = &self.shared;
        shared.users.start();
        let seal = shared.seal(name, password);
        if let Some(known) = shared.known(&seal) {
            return known.map_or_else(Checked::Rejected, Checked::Right);
        }
        if let Some(flight) = shared.flights.find(&seal) {
            return Checked::Waits(Box::pin(flight));
        }
        let flight = shared.places.take(client).and_then(|place| {
            shared.flights.join(&seal, || {
                let (shared, seal) = (Arc::clone(shared), seal);
                let (name, password) = (name.to_owned(), password.to_owned());
                async move {
                    let _place = place;
                    shared.verify(seal, name, password).await
                }
            })
        });
        match flight {
            Some(flight) => Checked::Waits(Box::pin(flight)),
            None => {
                shared.rejected.fetch_add(1, Ordering::Relaxed);
                Checked::Rejected(BasicAuthRejection::Busy)
            }
        }
    }
}

impl Shared {
    fn seal(&self, name: &str, password: &str) -> Seal {
        let mut signed = hmac::Context::with_key(&self.key);
        // With its length, so that no two run into one another.
        signed.update(&(name.len() as u64).to_le_bytes());
        signed.update(name.as_bytes());
        signed.update(password.as_bytes());
        let mut seal = [0; 32];
        seal.copy_from_slice(signed.sign().as_ref());
        seal
    }

    /// What came of it when it was verified last.
    fn known(&self, seal: &Seal) -> Option<Verified> {
        let (now, generation) = (Instant::now(), self.users.generation());
        let right = self.right.as_ref().and_then(|right| right.get(seal));
        if let Some(right) = right.filter(|one| now < one.until && one.generation == generation) {
            return Some(Ok(right.identity.clone()));
        }
        let wrong = self.wrong.as_ref().and_then(|wrong| wrong.get(seal));
        let wrong = wrong.filter(|one| now < one.until && one.generation == generation);
        wrong.map(|_| Err(BasicAuthRejection::Wrong))
    }

    async fn verify(self: Arc<Self>, seal: Seal, name: String, password: String) -> Verified {
        let until = Instant::now() + self.timeout;
        let permit = timeout(self.timeout, Arc::clone(&self.jobs).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(BasicAuthRejection::Busy) };
        self.verified.fetch_add(1, Ordering::Relaxed);
        let (users, generation) = self.users.users();
        let number = u64::from_le_bytes(seal_of_name(&self.key, &name));
        let job = spawn_blocking(move || {
            // Kept here: who gives up does not make room for another one.
            let _permit = permit;
            let (user, there) = users.user(&name, number)?;
            let same = user.hash.is_of(&password);
            (same && there).then(|| user.clone())
        });
        let left = until.saturating_duration_since(Instant::now());
        let Ok(Ok(user)) = timeout(left, job).await else { return Err(BasicAuthRejection::Busy) };
        let now = Instant::now();
        let Some(user) = user else {
            if let Some(wrong) = &self.wrong {
                wrong.insert(seal, Wrong { until: now + self.negative_ttl, generation });
            }
            return Err(BasicAuthRejection::Wrong);
        };
        let principal = principal(&user, &self.name);
        let fields = self.forward.of(&principal).map_err(|_| BasicAuthRejection::Untold)?;
        let identity = Identity::new(principal).with_fields(fields);
        if let Some(right) = &self.right {
            let known = Right { identity: identity.clone(), until: now + self.ttl, generation };
            right.insert(seal, Arc::new(known));
        }
        Ok(identity)
    }
}

/// The same for a name whenever it comes, and nothing that others can foresee.
fn seal_of_name(key: &hmac::Key, name: &str) -> [u8; 8] {
    let signed = hmac::sign(key, name.as_bytes());
    let mut number = [0; 8];
    number.iter_mut().zip(signed.as_ref()).for_each(|(to, from)| *to = *from);
    number
}

fn principal(user: &BasicUser, name: &Arc<str>) -> Principal {
    let mut principal = Principal::new(user.name.as_str(), METHOD);
    principal.issuer = Some(Arc::clone(name));
    principal.tier = user.tier.as_deref().map(Into::into);
    principal.tenant = user.tenant.as_deref().map(Into::into);
    principal.roles = user.roles.iter().map(|role| role.as_str().into()).collect();
    principal
}

impl fmt::Debug for BasicVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicVerifier").field("status", &self.status()).finish_non_exhaustive()
    }
}
