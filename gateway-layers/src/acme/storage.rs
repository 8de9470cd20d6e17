//! [`Storage`]: accounts and certificates in a directory.
//!
//! ```text
//! accounts/HOST-HASH.json           an account: its address at the authority, and its key
//! certificates/NAME-HASH.pem        a private key and its chain, in one file
//! certificates/NAME-HASH.lock       held by the process that orders
//! ```
//!
//! A file is written beside its place and renamed into it, so that there is the old one or the new
//! one and never half of one. Key and chain are one file for the same reason.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A file with more bytes than this is none of ours.
const MOST_BYTES: u64 = 1024 * 1024;

/// A storage that takes longer than this is away.
const DEADLINE: Duration = Duration::from_secs(30);

/// Hex digits of a hash in a name: enough that no two are the same.
const HASH_DIGITS: usize = 16;

/// Letters of a host name in a file's name, whose length has a limit.
const NAME_LETTERS: usize = 100;

/// Which kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Certificate,
}

impl Kind {
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Account => ("accounts", "json"),
            Self::Certificate => ("certificates", "pem"),
        }
    }
}

/// Accounts and certificates in a directory. Everything here blocks.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    root: PathBuf,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Held by who orders; released when it is dropped, or when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Storage {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Says whether it could be written to. Leaves nothing behind, not even the directory.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut place = self.root.as_path();
        let there = loop {
            match fs::metadata(place) {
                Ok(metadata) => break metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    place = place.parent().ok_or(error)?;
                    if place.as_os_str().is_empty() {
                        place = Path::new(".");
                    }
                }
                Err(error) => return Err(error),
            }
        };
        if !there.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let probe = place.join(unique("probe"));
        drop(create(&probe)?);
        fs::remove_file(probe)
    }

    /// True when others than the owner can look into it.
    pub(super) fn is_open(&self) -> bool {
        fs::metadata(&self.root).is_ok_and(|there| there.permissions().mode() & 0o077 != 0)
    }

    /// Makes the directories that are not there yet, each for nobody but the owner.
    fn prepare(&self, kind: Kind) -> io::Result<PathBuf> {
        let folder = self.root.join(kind.place().0);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }

    fn path(&self, kind: Kind, name: &str) -> PathBuf {
        let (folder, extension) = kind.place();
        self.root.join(folder).join(format!("{name}.{extension}"))
    }

    /// What is there; `None`: nothing.
    pub(super) fn read(
        &self,
        kind: Kind,
        name: &str,
    ) -> io::Result<Option<(Vec<u8>, Fingerprint)>> {
        let path = self.path(kind, name);
        let there = match fs::metadata(&path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Not opened to see what it is: opening a pipe waits for its other end.
        if !there.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let file = File::open(&path)?;
        let fingerprint = Fingerprint::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other(format!("more than {MOST_BYTES} bytes")));
        }
        Ok(Some((bytes, fingerprint)))
    }

    /// What tells what is there from what was there before.
    pub(super) fn fingerprint(&self, kind: Kind, name: &str) -> Option<Fingerprint> {
        fs::metadata(self.path(kind, name)).ok().map(|there| Fingerprint::of(&there))
    }

    /// Puts `bytes` into the place of what is there.
    pub(super) fn write(&self, kind: Kind, name: &str, bytes: &[u8]) -> io::Result<Fingerprint> {
        let folder = self.prepare(kind)?;
        let beside = folder.join(unique(name));
        let written = (|| {
            let mut file = create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            let fingerprint = Fingerprint::of(&file.metadata()?);
            fs::rename(&beside, self.path(kind, name))?;
            // The name is on the disk only when its directory is.
            File::open(&folder)?.sync_all()?;
            Ok(fingerprint)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// Forgets what is there.
    pub(super) fn remove(&self, kind: Kind, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(kind, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the lock of `name`; `None`: somebody else has it. It keeps out other processes and
    /// other owners in this one.
    pub(super) fn lock(&self, kind: Kind, name: &str) -> io::Result<Option<Lock>> {
        let path = self.prepare(kind)?.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Fingerprint {
    /// When it was written.
    pub(super) fn written(&self) -> SystemTime {
        let seconds = u64::try_from(self.modified.0).unwrap_or_default();
        let written = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        written.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    fn of(there: &fs::Metadata) -> Self {
        Self {
            device: there.dev(),
            inode: there.ino(),
            size: there.size(),
            modified: (there.mtime(), there.mtime_nsec()),
        }
    }
}

/// A new file for nobody but the owner.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}

/// A name that nobody else uses.
fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Processes of other machines may have the same number.
    let share = super::schedule::random_share().to_bits();
    format!(".{name}.{}.{count}.{share:x}.new", std::process::id())
}

/// A file's name for `shown` and everything else that makes it another.
pub(super) fn name_of<'a>(shown: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for part in parts {
        all.push_str(part);
        all.push('\n');
    }
    let hash = digest(&SHA256, all.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    let shown: String = shown.chars().filter(|&letter| plain(letter)).take(NAME_LETTERS).collect();
    format!("{shown}-{}", hex.get(..HASH_DIGITS).unwrap_or_default())
}

/// Does `work` where it may block, and waits for it for so long.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match timeout(DEADLINE, spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::Error::other("does not answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(unique(name));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_for_the_owner_alone_and_nothing_lies_beside_it() {
        let folder = Folder::new("modes");
        let storage = Storage::new(folder.0.join("a/b"));
        assert!(storage.read(Kind::Certificate, "n").unwrap().is_none());
        let first = storage.write(Kind::Certificate, "n", b"one").unwrap();
        let (bytes, fingerprint) = storage.read(Kind::Certificate, "n").unwrap().unwrap();
        assert_eq!((bytes.as_slice(), fingerprint), (&b"one"[..], first));
        let second = storage.write(Kind::Certificate, "n", b"two").unwrap();
        assert_ne!(first, second);
        assert_eq!(storage.fingerprint(Kind::Certificate, "n"), Some(second));
        let certificates = folder.0.join("a/b/certificates");
        assert_eq!((mode(&folder.0.join("a/b")), mode(&certificates)), (0o700, 0o700));
        assert_eq!(mode(&certificates.join("n.pem")), 0o600);
        assert_eq!(fs::read_dir(&certificates).unwrap().count(), 1);
        assert!(!storage.is_open());
        storage.remove(Kind::Certificate, "n").unwrap();
        storage.remove(Kind::Certificate, "n").unwrap();
        assert!(storage.read(Kind::Certificate, "n").unwrap().is_none());
    }

    #[test]
    fn the_lock_keeps_out_everybody_until_it_is_dropped() {
        let folder = Folder::new("lock");
        let storage = Storage::new(folder.0.clone());
        let lock = storage.lock(Kind::Certificate, "n").unwrap();
        assert!(lock.is_some());
        assert!(storage.lock(Kind::Certificate, "n").unwrap().is_none());
        assert!(storage.lock(Kind::Certificate, "m").unwrap().is_some());
        drop(lock);
        assert!(storage.lock(Kind::Certificate, "n").unwrap().is_some());
    }

    #[test]
    fn a_check_leaves_nothing_behind() {
        let folder = Folder::new("check");
        Storage::new(folder.0.join("not/there/yet")).check().unwrap();
        Storage::new(folder.0.clone()).check().unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
        fs::write(folder.0.join("file"), "").unwrap();
        assert!(Storage::new(folder.0.join("file")).check().is_err());
        assert!(Storage::new(folder.0.join("file/below")).check().is_err());
    }

    #[test]
    fn names_of_files_stay_in_their_folder_and_differ() {
        let name = name_of("../../etc/passwd", ["a"]);
        assert!(!name.contains('/'), "{name}");
        assert_ne!(name_of("a", ["b", "c"]), name_of("a", ["bc"]));
        assert!(name_of(&"a".repeat(250), ["a"]).len() < 130);
    }

    #[test]
    fn half_a_file_is_never_seen() {
        let folder = Folder::new("halves");
        let storage = Storage::new(folder.0.clone());
        storage.write(Kind::Certificate, "n", &[b'0'; 4096]).unwrap();
        std::thread::scope(|scope| {
            for digit in b'1'..=b'3' {
                let storage = storage.clone();
                scope.spawn(move || {
                    for _ in 0..50 {
                        storage.write(Kind::Certificate, "n", &[digit; 4096]).unwrap();
                    }
                });
            }
            for _ in 0..200 {
                let (bytes, _) = storage.read(Kind::Certificate, "n").unwrap().unwrap();
                assert_eq!(bytes.len(), 4096);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            }
        });
        assert_eq!(fs::read_dir(folder.0.join("certificates")).unwrap().count(), 1);
    }
}
