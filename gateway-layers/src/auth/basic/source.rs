//! [`UserSource`]: users that are given, or stand in a file.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::{Swap, Tasks};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::users::{BasicUsers, UsersError};
use crate::watched_file::{Looked, Seen, look};

/// The file is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The largest file: 32 MiB, with a hundred thousand users.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// Users, as they are now.
pub(super) struct UserSource {
    shared: Arc<Shared>,
    running: AtomicBool,
    tasks: Tasks,
}

struct Shared {
    file: Option<PathBuf>,
    users: Swap<BasicUsers>,
    /// Counts their changes.
    generation: AtomicU64,
    seen: Mutex<Seen>,
    trouble: Mutex<Option<String>>,
}

impl UserSource {
    pub(super) fn fixed(users: BasicUsers) -> Self {
        Self::new(None, users, Seen::default())
    }

    /// Blocks.
    pub(super) fn file(path: PathBuf) -> Result<Self, UsersError> {
        let looked = look(&path, &Seen::default(), MAX_FILE);
        let seen = looked.seen.clone();
        // Never seen before, so there is something.
        let users = understood(looked).unwrap_or(Err(UsersError::None))?;
        Ok(Self::new(Some(path), users, seen))
    }

    fn new(file: Option<PathBuf>, users: BasicUsers, seen: Seen) -> Self {
        let shared = Shared {
            file,
            users: Swap::new(users),
            generation: AtomicU64::new(0),
            seen: Mutex::new(seen),
            trouble: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), running: AtomicBool::new(false), tasks: Tasks::new() }
    }

    /// Looks at the file from now on. Needs a runtime.
    pub(super) fn start(&self) {
        let fixed = self.shared.file.is_none();
        if fixed || Handle::try_current().is_err() || self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn("basic_users", async move {
            loop {
                sleep(LOOK_EVERY).await;
                let own = Arc::clone(&shared);
                // One after the other, however long it takes.
                let _ = spawn_blocking(move || own.look_again()).await;
            }
        });
    }

    /// The users, and which they are.
    pub(super) fn users(&self) -> (Arc<BasicUsers>, u64) {
        // Who reads in between verifies with newer users than he says, and does it again.
        let generation = self.generation();
        (self.shared.users.load(), generation)
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }
}

impl Shared {
    /// Blocks.
    fn look_again(&self) {
        let Some(path) = &self.file else { return };
        let before = lock(&self.seen).clone();
        let looked = look(path, &before, MAX_FILE);
        *lock(&self.seen) = looked.seen.clone();
        let trouble = match understood(looked) {
            None => return,
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(users)) => {
                if *self.users.peek().as_ref() != users {
                    self.users.replace(users);
                    self.generation.fetch_add(1, Ordering::AcqRel);
                }
                None
            }
        };
        let before = std::mem::replace(&mut *lock(&self.trouble), trouble.clone());
        match (&before, &trouble) {
            (None, Some(problem)) => {
                tracing::warn!(file = %path.display(), problem, "the file of users is not taken");
            }
            (Some(_), None) => tracing::info!(file = %path.display(), "the file of users is taken"),
            _ => {}
        }
    }
}

fn understood(looked: Looked) -> Option<Result<BasicUsers, UsersError>> {
    let text = looked.text()?.map_err(|error| UsersError::Unreadable(error.to_string()));
    Some(text.and_then(|text| BasicUsers::from_htpasswd(&text)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for UserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSource")
            .field("file", &self.shared.file)
            .field("users", &self.shared.users)
            .finish_non_exhaustive()
    }
}
