//! [`Monitored`]: a module that is asked how it is, and left alone while it is not well.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Health, Module, ModuleService, Streak};
use crate::context::Metadata;
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request};
use crate::observe::{Observer, Observers, StateChanged};
use crate::task::Tasks;

/// How often a module is asked how it is, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorConfig {
    /// From one question to the next; every second, if that is more often, while the module is
    /// not well. Default: 10 s.
    pub interval: Duration,
    /// How long the module may take to answer it. Default: 2 s.
    pub timeout: Duration,
    /// So many good answers in a row make it healthy. Default: 2.
    pub rise: u32,
    /// So many bad answers in a row make it unhealthy. Default: 3.
    pub fall: u32,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        }
    }
}

/// A module that is not well is asked this often: nobody else answers in its place.
const UNWELL_INTERVAL: Duration = Duration::from_secs(1);

/// No module is asked more often, however short what is configured.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Nor more seldom.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// A module that is asked how it is, and left alone while it is not well: requests are then
/// answered with [`Reason::ModuleUnhealthy`].
///
/// It is well when its own [`health`](ModuleService::health) says [`Health::Healthy`] in time.
/// Unknown is not healthy: requests that come before the first answer wait for it, at most as long
/// as it may take. Cheap to clone; clones are the same module. What it does in the background ends
/// with the last of them.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_core::module::{Monitored, MonitorConfig};
/// use gateway_core::{FixedResponse, Module};
///
/// let mut settings = MonitorConfig::default();
/// settings.interval = Duration::from_secs(5);
/// let users = Module::new(FixedResponse::new(http::StatusCode::OK));
/// let users = Module::new(Monitored::new("users", users).settings(settings));
/// ```
#[derive(Clone)]
pub struct Monitored {
    name: Arc<str>,
    module: Module,
    settings: MonitorConfig,
    observers: Observers,
    watched: Arc<Watched>,
    tasks: Tasks,
}

/// What is known about the module.
struct Watched {
    health: watch::Sender<Health>,
    started: AtomicBool,
}

impl Monitored {
    /// `module`, which logs and observers call `name`.
    pub fn new(name: impl Into<Arc<str>>, module: Module) -> Self {
        let health = watch::Sender::new(Health::Unknown);
        Self {
            name: name.into(),
            module,
            settings: MonitorConfig::default(),
            observers: Observers::default(),
            watched: Arc::new(Watched { health, started: AtomicBool::new(false) }),
            tasks: Tasks::new(),
        }
    }

    /// How often it is asked, and what follows. Without effect once it has started.
    #[must_use]
    pub fn settings(mut self, settings: MonitorConfig) -> Self {
        self.settings = settings;
        self
    }

    /// Who is told what became of it. Without effect once it has started.
    #[must_use]
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Begins to ask. The first request does it otherwise.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(&self) {
        let started = &self.watched.started;
        if started.load(Ordering::Relaxed) || started.swap(true, Ordering::Relaxed) {
            return;
        }
        let monitor = Monitor {
            name: Arc::clone(&self.name),
            module: self.module.clone(),
            settings: self.settings,
            observers: self.observers.clone(),
            watched: Arc::downgrade(&self.watched),
        };
        self.tasks.spawn("monitor module", monitor.run());
    }

    /// Waits until it has been asked once. Needs [`start`](Self::start) first.
    pub async fn ready(&self) {
        let mut health = self.watched.health.subscribe();
        // The sender lives as long as `self`.
        let _ = health.wait_for(|health| *health != Health::Unknown).await;
    }

    async fn known(&self) -> Health {
        let health = *self.watched.health.borrow();
        if health != Health::Unknown {
            return health;
        }
        // Boxed: this is for the first requests only.
        let _ = Box::pin(timeout(self.settings.timeout, self.ready())).await;
        *self.watched.health.borrow()
    }
}

impl ModuleService for Monitored {
    async fn call(&self, request: Request) -> Outcome {
        self.start();
        match self.known().await {
            Health::Healthy => self.module.call(request).await,
            Health::Unhealthy | Health::Unknown => Err(Error::new(Reason::ModuleUnhealthy)),
        }
    }

    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        self.module.accepts(head, metadata)
    }

    /// What is known; nobody is asked for it.
    fn health(&self) -> impl Future<Output = Health> + Send {
        std::future::ready(*self.watched.health.borrow())
    }
}

impl fmt::Debug for Monitored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitored")
            .field("name", &self.name)
            .field("health", &*self.watched.health.borrow())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Who asks.
struct Monitor {
    name: Arc<str>,
    module: Module,
    settings: MonitorConfig,
    observers: Observers,
    watched: Weak<Watched>,
}

impl Monitor {
    async fn run(self) {
        let mut streak = Streak::default();
        loop {
            let begun = Instant::now();
            let problem = self.ask().await.err();
            let Some(watched) = self.watched.upgrade() else {
                return;
            };
            let MonitorConfig { rise, fall, .. } = self.settings;
            if let Some((from, to)) = streak.take(problem.is_none(), rise, fall) {
                watched.health.send_replace(to);
                self.report(from, to, problem.as_deref().unwrap_or("it says that it is well"));
            }
            drop(watched);
            sleep_until(begun + self.pause(streak.health())).await;
        }
    }

    /// Otherwise says what is wrong.
    async fn ask(&self) -> Result<(), String> {
        let asked = AssertUnwindSafe(self.module.health()).catch_unwind();
        match timeout(self.settings.timeout, asked).await {
            Ok(Ok(Health::Healthy)) => Ok(()),
            Ok(Ok(Health::Unhealthy)) => Err("it says that it is not well".to_owned()),
            Ok(Ok(Health::Unknown)) => Err("it does not know how it is".to_owned()),
            Ok(Err(_)) => Err("its health check panicked".to_owned()),
            Err(_) => Err(format!("no answer within {:?}", self.settings.timeout)),
        }
    }

    fn pause(&self, health: Health) -> Duration {
        let interval = self.settings.interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        if health == Health::Healthy { interval } else { interval.min(UNWELL_INTERVAL) }
    }

    fn report(&self, from: Health, to: Health, cause: &str) {
        let (name, from, to) = (&*self.name, from.name(), to.name());
        tracing::info!(subject = "module", name, from, to, cause, "state changed");
        self.observers.state_changed(&StateChanged::new("module", name, from, to, cause));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use tokio::time::advance;

    use super::*;
    use crate::body::Body;
    use crate::message::Response;

    /// Says what it is told to say; `None`: nothing, for ever.
    #[derive(Default)]
    struct Told {
        says: Mutex<Option<Health>>,
        asked: AtomicUsize,
        panics: AtomicBool,
    }

    struct Patient(Arc<Told>);

    impl ModuleService for Patient {
        async fn call(&self, _: Request) -> Outcome {
            Ok(Response::new(Body::empty()))
        }

        async fn health(&self) -> Health {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            assert!(!self.0.panics.load(Ordering::Relaxed), "told to panic");
            let says = *self.0.says.lock().unwrap();
            match says {
                Some(health) => health,
                None => pending().await,
            }
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Observer for Seen {
        fn state_changed(&self, event: &StateChanged<'_>) {
            let StateChanged { subject, name, from, to, .. } = event;
            self.0.lock().unwrap().push(format!("{subject} {name} {from} {to}"));
        }
    }

    impl Told {
        fn say(&self, health: impl Into<Option<Health>>) {
            *self.says.lock().unwrap() = health.into();
        }
    }

    fn monitored(says: impl Into<Option<Health>>) -> (Monitored, Arc<Told>, Arc<Seen>) {
        let (told, seen) = (Arc::new(Told::default()), Arc::new(Seen::default()));
        told.say(says);
        let module = Module::new(Patient(Arc::clone(&told)));
        let observers = Observers::new(vec![Arc::clone(&seen) as Arc<dyn Observer>]);
        (Monitored::new("users", module).observers(observers), told, seen)
    }

    async fn answers(module: &Monitored) -> bool {
        match module.call(Request::new(Body::empty())).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.reason(), Reason::ModuleUnhealthy);
                false
            }
        }
    }

    /// Lets `count` more questions be asked and answered.
    async fn ask(told: &Told, count: usize) {
        let until = told.asked.load(Ordering::Relaxed) + count;
        while told.asked.load(Ordering::Relaxed) < until {
            advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_waits_for_the_first_answer() {
        let (module, _, seen) = monitored(Health::Healthy);
        assert_eq!(module.health().await, Health::Unknown);
        assert!(answers(&module).await);
        assert_eq!(module.health().await, Health::Healthy);
        assert_eq!(*seen.0.lock().unwrap(), ["module users unknown healthy"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_module_that_does_not_know_or_does_not_say_gets_no_request() {
        for says in [Some(Health::Unknown), Some(Health::Unhealthy), None] {
            let (module, ..) = monitored(says);
            let before = Instant::now();
            assert!(!answers(&module).await, "{says:?}");
            assert!(before.elapsed() <= MonitorConfig::default().timeout);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_falls_and_rises_after_a_row_of_answers() {
        let (module, told, seen) = monitored(Health::Healthy);
        assert!(answers(&module).await);
        told.say(Health::Unhealthy);
        for well in [true, true, false] {
            ask(&told, 1).await;
            assert_eq!(answers(&module).await, well);
        }
        told.say(Health::Healthy);
        let down = Instant::now();
        for well in [false, true] {
            ask(&told, 1).await;
            assert_eq!(answers(&module).await, well);
        }
        assert!(down.elapsed() < Duration::from_secs(3), "it is asked every second then");
        let expected = [
            "module users unknown healthy",
            "module users healthy unhealthy",
            "module users unhealthy healthy",
        ];
        assert_eq!(*seen.0.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_bad_answer_and_not_the_last_one() {
        let (module, told, _) = monitored(Health::Healthy);
        told.panics.store(true, Ordering::Relaxed);
        assert!(!answers(&module).await);
        told.panics.store(false, Ordering::Relaxed);
        ask(&told, 2).await;
        assert!(answers(&module).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_once_the_last_clone_is_gone() {
        let (module, told, _) = monitored(Health::Healthy);
        module.start();
        module.ready().await;
        let tasks = module.tasks.clone();
        let clone = module.clone();
        drop(module);
        ask(&told, 1).await;
        assert_eq!(tasks.names(), ["monitor module"]);
        drop(clone);
        advance(Duration::from_secs(60)).await;
        tokio::task::yield_now().await;
        assert!(tasks.names().is_empty());
    }
}
