//! Whether a file has changed, and what it has then.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::table::Table;
use super::format;

/// The largest file: 32 MiB. A hundred thousand keys with what is usually said of them.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    /// Where the links lead.
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// What was seen at the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    file: Option<Fingerprint>,
    /// It may have been written to within one tick of the file system's clock: one more look.
    fresh: bool,
}

pub(super) struct Looked {
    pub(super) seen: Seen,
    /// `None`: nothing has changed.
    pub(super) found: Option<Result<Table, String>>,
}

/// Reads the file if it is another one than before. Blocks.
pub(super) fn look(path: &Path, before: &Seen) -> Looked {
    let looked = open(path).and_then(|(file, fingerprint)| {
        let changed = before.file.as_ref() != Some(&fingerprint);
        let text = if changed || before.fresh { Some(read(file)?) } else { None };
        Ok((Seen { file: Some(fingerprint), fresh: changed }, text))
    });
    match looked {
        Ok((seen, text)) => Looked { seen, found: text.map(|text| format::read(path, &text)) },
        Err(error) => Looked { seen: Seen::default(), found: Some(Err(error.to_string())) },
    }
}

fn open(path: &Path) -> io::Result<(File, Fingerprint)> {
    let real = fs::canonicalize(path)?;
    // Not opened to see what it is: opening a pipe waits for its other end.
    if !fs::metadata(&real)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(&real)?;
    let metadata = file.metadata()?;
    let fingerprint = Fingerprint {
        path: real,
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok((file, fingerprint))
}

fn read(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("more than {MAX_FILE} bytes")));
    }
    Ok(text)
}
