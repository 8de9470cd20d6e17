//! [`FileSink`]: events as lines of a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::{AuditSink, SinkConfig, Undelivered};
use crate::audit::event::AuditEvent;

/// A file that is made here is its owner's alone.
const MODE: u32 = 0o600;

/// Adds every event as a line to a file. It is made with the first event where it is not there, for
/// its owner alone, and opened anew once it was moved away or removed (as `logrotate` does).
///
/// Lines are handed to the system before an event counts as sent, and not forced to the disk: they
/// outlive the process, and the last ones perhaps not the machine.
#[derive(Clone, Debug)]
pub struct FileSink {
    path: PathBuf,
    opened: Arc<Mutex<Option<Opened>>>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// The device and the number of the file.
    identity: (u64, u64),
    /// The last line has no end.
    torn: bool,
}

impl FileSink {
    /// The file at `path`. Whether it can be written is looked at now: a file that is there is
    /// opened; where there is none, another one is made in its folder and removed again. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or is no regular file.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        match fs::metadata(&path) {
            Ok(_) => drop(Opened::at(&path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => try_folder(&path)?,
            Err(error) => return Err(error),
        }
        Ok(Self { path, opened: Arc::default() })
    }
}

impl AuditSink for FileSink {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    async fn deliver(&self, events: &[Arc<AuditEvent>]) -> Result<(), Undelivered> {
        let mut lines = String::new();
        for event in events {
            lines.push_str(event.json());
            lines.push('\n');
        }
        let (path, opened) = (self.path.clone(), Arc::clone(&self.opened));
        let written = spawn_blocking(move || write(&path, &opened, lines.as_bytes())).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| Undelivered::again(format!("cannot be written: {error}")))
    }

    fn settings(&self) -> SinkConfig {
        SinkConfig::at_once()
    }
}

/// Adds `lines`, to another file if there is another one now.
fn write(path: &Path, opened: &Mutex<Option<Opened>>, lines: &[u8]) -> io::Result<()> {
    let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
    let there = fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    if opened.as_ref().is_some_and(|before| Some(before.identity) != there) {
        *opened = None;
    }
    let into = match &mut *opened {
        Some(opened) => opened,
        none => none.insert(Opened::at(path)?),
    };
    if into.torn {
        into.file.write_all(b"\n")?;
    }
    // Whatever of it comes to be there is not a whole line, until all of it is.
    into.torn = true;
    into.file.write_all(lines)?;
    into.torn = false;
    Ok(())
}

impl Opened {
    fn at(path: &Path) -> io::Result<Self> {
        // Not opened to see what it is: opening a pipe waits for its other end.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("not a regular file"));
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(MODE).open(path)?;
        let found = file.metadata()?;
        let torn = found.len() > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        Ok(Self { file, identity: (found.dev(), found.ino()), torn })
    }
}

/// Whether a file can be made beside `path`. The file itself is not made: who only checks a document
/// leaves nothing behind, and takes nothing from a gateway that runs.
fn try_folder(path: &Path) -> io::Result<()> {
    // Several may look at the same time.
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    let look = LOOKS.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    let mut probe = std::ffi::OsString::from(".");
    probe.push(name);
    probe.push(format!(".{}-{look}", std::process::id()));
    let probe = path.with_file_name(probe);
    drop(OpenOptions::new().write(true).create_new(true).mode(MODE).open(&probe)?);
    fs::remove_file(&probe)
}
