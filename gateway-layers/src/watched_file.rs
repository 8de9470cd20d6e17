//! [`look`]: whether a file has changed, and what it says then.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
pub(crate) struct Seen {
    file: Option<Fingerprint>,
    /// It may have been written to within one tick of the file system's clock: one more look.
    fresh: bool,
}

/// What a look has shown.
pub(crate) struct Looked {
    pub(crate) seen: Seen,
    /// `None`: nothing has changed.
    pub(crate) found: Option<io::Result<Vec<u8>>>,
}

/// Reads the file of at most `most` bytes if it is another one than before. Blocks.
pub(crate) fn look(path: &Path, before: &Seen, most: u64) -> Looked {
    let looked = open(path).and_then(|(file, fingerprint)| {
        let changed = before.file.as_ref() != Some(&fingerprint);
        let text = if changed || before.fresh { Some(read(file, most)?) } else { None };
        Ok((Seen { file: Some(fingerprint), fresh: changed }, text))
    });
    match looked {
        Ok((seen, text)) => Looked { seen, found: text.map(Ok) },
        Err(error) => Looked { seen: Seen::default(), found: Some(Err(error)) },
    }
}

impl Looked {
    /// What it says, as text; `None`: nothing has changed.
    pub(crate) fn text(self) -> Option<io::Result<String>> {
        let text = |bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"));
        Some(self.found?.and_then(text))
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

/// Editors put it before the text (U+FEFF), where it would be a part of the first name.
fn strip_byte_order_mark(text: &mut Vec<u8>) {
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
}

fn read(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    strip_byte_order_mark(&mut text);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_looked_at_twice_and_no_more() {
        // The second write may fall into the same tick of the clock, and have the same size.
        let path = std::env::temp_dir().join(format!("gateway-auth-look-{}", std::process::id()));
        fs::write(&path, "one").unwrap();
        let first = look(&path, &Seen::default(), 8);
        assert_eq!(first.found.unwrap().unwrap(), b"one");
        let second = look(&path, &first.seen, 8);
        assert!(second.found.is_some());
        let third = look(&path, &second.seen, 8);
        assert!(third.found.is_none());
        fs::write(&path, "too long by one").unwrap();
        assert!(look(&path, &third.seen, 14).found.unwrap().is_err());
        fs::write(&path, "\u{feff}one").unwrap();
        assert_eq!(look(&path, &third.seen, 8).found.unwrap().unwrap(), b"one");
        fs::remove_file(&path).unwrap();
        assert!(look(&path, &third.seen, 8).found.unwrap().is_err());
    }
}
