//! [`FileWatch`]: what is in files takes effect when they change.
//!
//! Files are looked at again and again, by where their links lead, number, size and times. Asking
//! the system to tell of changes would be quicker, and would miss what it cannot see: network file
//! systems, mounts that are replaced, links that change further up.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::ServerTls;
use super::files::{FileProblem, FilesState, Fingerprint, LoadedTls, TlsFiles};
use crate::clock::{Clock, SystemClock};
use crate::observe::{Observer, Observers, StateChanged};

/// How often the files are looked at. Default of [`FileWatch::every`].
const EVERY: Duration = Duration::from_secs(2);

/// A look that takes longer than this is reported.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// A certificate that expires within this time is warned about.
pub const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// It is warned about again after this time.
const REMIND_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Lets the TLS of a listener go by its files as they change. Cheap to clone; clones are the same.
///
/// Changed files are loaded once they have stood still from one look to the next, as a whole or
/// not at all: when one of them is not good, everything stays as it was, which is logged and
/// reported to observers (`certificate`, from `current` to `kept`), until they change again. Files
/// that could not be used from the start ([`TlsFiles::load_usable`]) do not keep the others from
/// being loaded; they are reported once (`certificate`, from `current` to `unusable`).
#[derive(Clone)]
pub struct FileWatch {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    tls: ServerTls,
    observers: Observers,
    clock: Arc<dyn Clock>,
    every: Duration,
    state: Mutex<State>,
}

struct State {
    files: TlsFiles,
    /// As they were when they were last loaded.
    used: FilesState,
    /// As they were when they were last loaded, or tried.
    tried: FilesState,
    /// As they were at the last look.
    seen: FilesState,
    /// What is wrong with files that are not used; the others are.
    problems: Vec<FileProblem>,
    /// Why the files as they are now are not used.
    failure: Option<String>,
    reminded: Option<SystemTime>,
}

impl FileWatch {
    /// Watches `files`, of which `loaded` came, for the listener `name` with `tls`.
    pub fn new(
        name: impl Into<String>,
        tls: ServerTls,
        files: TlsFiles,
        loaded: &LoadedTls,
        observers: Observers,
    ) -> Self {
        let tried = loaded.state.clone();
        let problems = loaded.problems().to_vec();
        let (used, seen, failure) = (tried.clone(), tried.clone(), None);
        let state = State { files, used, seen, tried, problems, failure, reminded: None };
        Self {
            shared: Arc::new(Shared {
                name: name.into(),
                tls,
                observers,
                clock: Arc::new(SystemClock),
                every: EVERY,
                state: Mutex::new(state),
            }),
        }
    }

    /// How often the files are looked at. Default: 2 s. Only before the first clone.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.every = every;
        }
        self
    }

    /// Tells expiry by `clock`. Only before the first clone.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.clock = clock;
        }
        self
    }

    /// The TLS that goes by the files.
    pub fn tls(&self) -> &ServerTls {
        &self.shared.tls
    }

    /// Why the files as they are now are not used; `None`: they are, apart from the
    /// [problems](Self::problems).
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// What is wrong with files that could not be used from the start.
    pub fn problems(&self) -> Vec<FileProblem> {
        self.lock().problems.clone()
    }

    /// True when `loaded` has no problem but with files that could not be used before, or that have
    /// not changed since they were loaded: certificates that have expired. Blocks.
    pub fn tolerates(&self, loaded: &LoadedTls) -> bool {
        let state = self.lock();
        loaded.problems().iter().all(|problem| {
            let now = Fingerprint::of(&problem.path);
            let unchanged = now.is_some() && state.used.contains(&now);
            unchanged || state.problems.iter().any(|known| known.path == problem.path)
        })
    }

    /// Goes by `files` from now on, of which `loaded` came.
    ///
    /// # Errors
    ///
    /// When clients could not be verified; nothing has changed then.
    pub fn replace(
        &self,
        files: TlsFiles,
        loaded: &LoadedTls,
    ) -> Result<(), super::ServerTlsError> {
        let mut state = self.lock();
        loaded.apply(&self.shared.tls)?;
        let changed = state.tried != loaded.state;
        state.files = files;
        state.tried.clone_from(&loaded.state);
        state.seen.clone_from(&loaded.state);
        state.used.clone_from(&loaded.state);
        state.problems = loaded.problems().to_vec();
        state.failure = None;
        drop(state);
        if changed {
            self.tell_replaced(loaded);
        }
        Ok(())
    }

    /// Watches for as long as it is polled.
    pub async fn run(&self) {
        self.report_problems();
        loop {
            let watch = self.clone();
            let mut look = spawn_blocking(move || watch.look());
            if timeout(LOOK_DEADLINE, &mut look).await.is_err() {
                let name = &self.shared.name;
                tracing::warn!(listener = name, "looking at certificate files takes long");
                // A second look would hang as the first does.
                let _ = look.await;
            }
            sleep(self.shared.every).await;
        }
    }

    /// Looks once at what is there, and takes over what has changed and stood still since the last
    /// look. Blocks.
    pub fn look(&self) {
        self.remind();
        let files = self.lock().files.clone();
        let now = files.state();
        {
            let mut state = self.lock();
            let settled = state.seen == now;
            state.seen.clone_from(&now);
            if state.tried == now || !settled || state.files != files {
                return;
            }
            state.tried.clone_from(&now);
        }
        let shared = &self.shared;
        let loaded = files.load_usable(shared.tls.provider(), shared.clock.now());
        let loaded =
            if self.tolerates(&loaded) { Ok(loaded) } else { Err(join(loaded.problems())) };
        let mut state = self.lock();
        if state.files != files {
            // Replaced meanwhile.
            return;
        }
        let outcome = loaded.and_then(|loaded| {
            loaded.apply(&shared.tls).map_err(|error| error.to_string()).map(|()| loaded)
        });
        state.failure = outcome.as_ref().err().cloned();
        if let Ok(loaded) = &outcome {
            state.problems = loaded.problems().to_vec();
            state.used.clone_from(&loaded.state);
        }
        drop(state);
        match outcome {
            Ok(loaded) => self.tell_replaced(&loaded),
            Err(cause) => {
                let listener = &shared.name;
                tracing::error!(listener, cause, "certificate files rejected; nothing has changed");
                self.tell("kept", &cause);
            }
        }
    }

    fn report_problems(&self) {
        let problems = self.problems();
        for problem in &problems {
            let listener = &self.shared.name;
            tracing::error!(listener, %problem, "a certificate file cannot be used");
        }
        if !problems.is_empty() {
            self.tell("unusable", &join(&problems));
        }
    }

    fn tell_replaced(&self, loaded: &LoadedTls) {
        let names: Vec<_> = loaded
            .certificates()
            .iter()
            .flat_map(super::Certificate::names)
            .map(String::as_str)
            .collect();
        let names = names.join(", ");
        tracing::info!(listener = self.shared.name, names, "certificate files loaded");
        self.tell("replaced", &names);
    }

    fn tell(&self, to: &'static str, cause: &str) {
        let event = StateChanged::new("certificate", &self.shared.name, "current", to, cause);
        self.shared.observers.state_changed(&event);
    }

    /// Warns of certificates that expire soon, once a day.
    fn remind(&self) {
        let now = self.shared.clock.now();
        {
            let mut state = self.lock();
            let next = state.reminded.and_then(|reminded| reminded.checked_add(REMIND_AFTER));
            if next.is_some_and(|next| now < next) {
                return;
            }
            state.reminded = Some(now);
        }
        for certificate in self.shared.tls.certificates().certificates() {
            if certificate.expires_within(EXPIRES_SOON, now) {
                let names = certificate.names().join(", ");
                let expires = certificate.expires();
                let listener = &self.shared.name;
                tracing::warn!(listener, names, expires, "a certificate expires soon");
                self.tell("expires_soon", &format!("{names}: {expires}"));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(problems: &[FileProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch")
            .field("name", &self.shared.name)
            .field("tls", &self.shared.tls)
            .finish_non_exhaustive()
    }
}
