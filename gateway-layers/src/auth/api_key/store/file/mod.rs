//! [`FileKeyStore`]: keys in a file.

mod format;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::{Swap, Tasks};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::super::record::KeyRecord;
use super::table::Table;
use super::{KeyChange, KeyChanges, KeyStore, StoreError};
use crate::auth::SecretDigest;
use crate::watched_file::{self, Looked, Seen};

/// The file is looked at so often: a key that is taken out of it is rejected within a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The largest file: 32 MiB. A hundred thousand keys with what is usually said of them.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// A file system that takes longer than this is reported.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Another process that writes the file is waited for, so many times this long.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const LOCK_TRIES: u32 = 100;

/// Keys in a file, TOML or, where its name ends with `.json`, JSON:
///
/// ```toml
/// [[keys]]
/// id = "4XkQ9aZr0BnW"
/// sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
/// owner = "acme"
/// tier = "gold"
/// expires = "2026-12-31T23:59:59Z"
/// ```
///
/// It is looked at twice a second, by its path and through every link on the way, and taken as a
/// whole or not at all: what was there before holds while there is something wrong with it. What
/// is written here replaces the file as a whole, and its comments are lost; other processes wait
/// for each other by a lock on `FILE.lock` beside it.
pub struct FileKeyStore {
    shared: Arc<Shared>,
    running: AtomicBool,
    tasks: Tasks,
}

struct Shared {
    path: PathBuf,
    table: Swap<Table>,
    seen: Mutex<Seen>,
    /// One looks at a time: what was seen later must not come first.
    looking: tokio::sync::Mutex<()>,
    trouble: Mutex<Option<String>>,
    changes: KeyChanges,
}

impl FileKeyStore {
    /// Keys in the file at `path`, read now. Blocks. It is looked at again once somebody
    /// [starts](KeyStore::start) it, or first asks.
    ///
    /// # Errors
    ///
    /// When it cannot be read or understood.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let looked = watched_file::look(&path, &Seen::default(), MAX_FILE);
        let seen = looked.seen.clone();
        let table = understood(&path, looked).unwrap_or_else(|| Ok(Table::default()));
        let table = table.map_err(StoreError::Unreadable)?;
        let shared = Shared {
            path,
            table: Swap::new(table),
            seen: Mutex::new(seen),
            looking: tokio::sync::Mutex::new(()),
            trouble: Mutex::new(None),
            changes: KeyChanges::new(),
        };
        Ok(Self { shared: Arc::new(shared), running: AtomicBool::new(false), tasks: Tasks::new() })
    }

    /// The same, of a file that is made with no keys if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made, read or understood.
    pub fn open_or_create(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let text = format::write(&path, &Table::default())?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| rejected(&error))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(rejected(&error)),
        }
        Self::open(path)
    }

    /// Looks at the file now, as it is done twice a second.
    ///
    /// # Errors
    ///
    /// When it cannot be read or understood. What was there before holds.
    pub async fn reload(&self) -> Result<(), StoreError> {
        look_again(&self.shared).await;
        match lock(&self.shared.trouble).clone() {
            Some(trouble) => Err(StoreError::Unreadable(trouble)),
            None => Ok(()),
        }
    }

    /// Does `change` to the file as it is now.
    async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Table) -> Result<(Table, T), StoreError> + Send + 'static,
    {
        let path = self.shared.path.clone();
        let written = spawn_blocking(move || rewrite(&path, change)).await;
        let done = written.unwrap_or_else(|error| Err(StoreError::Rejected(error.to_string())))?;
        look_again(&self.shared).await;
        Ok(done)
    }
}

/// What a look has found.
fn understood(path: &Path, looked: Looked) -> Option<Result<Table, String>> {
    let text = looked.text()?.map_err(|error| error.to_string());
    Some(text.and_then(|text| format::read(path, &text)))
}

async fn look_again(shared: &Arc<Shared>) {
    let _one = shared.looking.lock().await;
    let before = lock(&shared.trouble).clone();
    let own = Arc::clone(shared);
    let mut looking = spawn_blocking(move || {
        let before = lock(&own.seen).clone();
        let looked = watched_file::look(&own.path, &before, MAX_FILE);
        *lock(&own.seen) = looked.seen.clone();
        (understood(&own.path, looked), own)
    });
    let looked = match timeout(READ_WITHIN, &mut looking).await {
        Ok(looked) => looked,
        Err(_) => {
            report(shared, Some("it cannot be read in time".to_owned()));
            // A second look would hang as the first does.
            looking.await
        }
    };
    let Ok((found, own)) = looked else { return };
    match found {
        // As it was, whether it took long or not.
        None => report(&own, before),
        Some(Err(problem)) => report(&own, Some(problem)),
        Some(Ok(table)) => {
            report(&own, None);
            if *own.table.peek().as_ref() != table {
                own.table.replace(table);
                own.changes.tell(KeyChange::Any);
            }
        }
    }
}

fn report(shared: &Shared, trouble: Option<String>) {
    let now = trouble.clone();
    let before = std::mem::replace(&mut *lock(&shared.trouble), trouble);
    let file = shared.path.display();
    match (before, now) {
        (None, Some(problem)) => {
            tracing::warn!(%file, problem, "the file of keys is not taken");
        }
        (Some(_), None) => tracing::info!(%file, "the file of keys is taken"),
        _ => {}
    }
}

/// Replaces the file as a whole. Blocks.
fn rewrite<T>(
    path: &Path,
    change: impl FnOnce(&Table) -> Result<(Table, T), StoreError>,
) -> Result<T, StoreError> {
    let real = fs::canonicalize(path).map_err(|error| rejected(&error))?;
    let beside = |end: &str| {
        let mut name = real.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let _lock = locked(&beside(".lock"))?;
    let found = understood(path, watched_file::look(path, &Seen::default(), MAX_FILE));
    let table = found.unwrap_or_else(|| Ok(Table::default())).map_err(StoreError::Unreadable)?;
    let (table, done) = change(&table)?;
    let text = format::write(&real, &table)?;
    let new = beside(".new");
    let write = || -> io::Result<()> {
        let before = fs::metadata(&real)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        // Who may read the file may read it still. Root is the only one who can give it away.
        file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777))?;
        let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        file.sync_all()?;
        fs::rename(&new, &real)
    };
    write().map_err(|error| rejected(&error))?;
    Ok(done)
}

/// The lock that who writes the file has.
fn locked(path: &Path) -> Result<File, StoreError> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(|error| rejected(&error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => pause(),
            Err(fs::TryLockError::Error(error)) => return Err(rejected(&error)),
        }
    }
    Err(StoreError::Rejected("somebody else writes the file".to_owned()))
}

#[allow(clippy::disallowed_methods, reason = "on a thread that may block")]
fn pause() {
    std::thread::sleep(LOCK_PAUSE);
}

fn rejected(error: &io::Error) -> StoreError {
    StoreError::Rejected(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeyStore for FileKeyStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn find(&self, digest: &SecretDigest) -> Result<Option<KeyRecord>, StoreError> {
        self.start();
        Ok(self.shared.table.peek().find(digest).cloned())
    }

    async fn load(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.shared.table.peek().load(id).cloned())
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(self.shared.table.peek().list().cloned().collect())
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let records = records.to_vec();
        self.write(move |table| Ok((table.with(&records)?, ()))).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        let forget = move |table: &Table| match table.without(&id) {
            Some((rest, _)) => Ok((rest, true)),
            None => Ok((table.clone(), false)),
        };
        self.write(forget).await
    }

    fn changes(&self) -> &KeyChanges {
        &self.shared.changes
    }

    fn start(&self) {
        if Handle::try_current().is_err() || self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn("api_keys_file", async move {
            loop {
                sleep(LOOK_EVERY).await;
                look_again(&shared).await;
            }
        });
    }

    fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }
}

impl fmt::Debug for FileKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeyStore")
            .field("path", &self.shared.path)
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
