//! [`FileDiscovery`] and its loop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_core::upstream::{Discover, EndpointSpec, Publisher};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::discovery::Backoff;
use crate::discovery::entry;
use crate::discovery::failure::Failure;
use crate::discovery::feed::Feed;
use crate::watched_file;

/// The largest file: 4 MiB. Ten thousand endpoints with all that can be said of them need two.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// It is not looked at more often than this, whatever is configured.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// A file system that takes longer than this to read the file is reported.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// What a [`FileDiscovery`] reads, and how often it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileConfig {
    /// The file.
    pub path: PathBuf,
    /// How often it is looked at. Default: 1 s.
    pub interval: Duration,
}

impl FileConfig {
    /// Looks at the file at `path` every second.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), interval: Duration::from_secs(1) }
    }
}

/// Endpoints from a JSON file; see the [module](super).
#[derive(Debug)]
pub struct FileDiscovery {
    config: FileConfig,
    name: String,
}

impl FileDiscovery {
    /// Looks at the file at `path` every second.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileConfig::new(path).into()
    }
}

impl From<FileConfig> for FileDiscovery {
    fn from(config: FileConfig) -> Self {
        Self { name: format!("file {}", config.path.display()), config }
    }
}

impl Discover for FileDiscovery {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let mut feed = Feed::new(publisher, Backoff::default());
        let mut seen = Seen::default();
        loop {
            let path = self.config.path.clone();
            let mut look = spawn_blocking(move || look(&path, &seen));
            let looked = match timeout(READ_DEADLINE, &mut look).await {
                Ok(looked) => looked,
                Err(_) => {
                    feed.failed(&Failure::Late(READ_DEADLINE));
                    // A second look would hang as the first does.
                    look.await
                }
            };
            seen = report(looked, &mut feed);
            sleep(self.config.interval.max(MIN_INTERVAL)).await;
        }
    }
}

/// Publishes what was found; returns what was seen.
fn report(looked: Result<Looked, JoinError>, feed: &mut Feed) -> Seen {
    match looked {
        Ok(Looked { seen, found: None }) => seen,
        Ok(Looked { seen, found: Some(found) }) => {
            if let Err(failure) = found.and_then(|endpoints| feed.publish(endpoints)) {
                feed.failed(&failure);
            }
            seen
        }
        Err(error) => {
            feed.failed(&Failure::Other(error.to_string()));
            Seen::default()
        }
    }
}

/// What was seen at the last look.
#[derive(Debug, Default)]
struct Seen {
    file: watched_file::Seen,
    /// Why it could not be looked at.
    gone: Option<String>,
}

struct Looked {
    seen: Seen,
    /// `None`: nothing has changed.
    found: Option<Result<Vec<EndpointSpec>, Failure>>,
}

/// Reads the file if it is another one than before. Blocks.
fn look(path: &Path, before: &Seen) -> Looked {
    let looked = watched_file::look(path, &before.file, MAX_FILE as u64);
    let file = looked.seen;
    match looked.found {
        None => Looked { seen: Seen { file, gone: None }, found: None },
        Some(Ok(text)) => {
            Looked { seen: Seen { file, gone: None }, found: Some(understand(&text)) }
        }
        Some(Err(error)) => {
            let problem = error.to_string();
            let said = before.gone.as_ref() == Some(&problem);
            let seen = Seen { file, gone: Some(problem.clone()) };
            Looked { seen, found: (!said).then_some(Err(Failure::Other(problem))) }
        }
    }
}

fn understand(text: &[u8]) -> Result<Vec<EndpointSpec>, Failure> {
    entry::list(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_is_looked_at_twice_and_no_more() {
        // The second write may fall into the same tick of the clock, and have the same size.
        let path = std::env::temp_dir().join(format!("gateway-looked-at-{}", std::process::id()));
        fs::write(&path, "[]").unwrap();
        let first = look(&path, &Seen::default());
        assert!(matches!(first.found, Some(Ok(_))));
        let second = look(&path, &first.seen);
        assert!(matches!(second.found, Some(Ok(_))));
        let third = look(&path, &second.seen);
        assert!(third.found.is_none());
        assert!(look(&path, &third.seen).found.is_none());
        fs::remove_file(&path).unwrap();
        let gone = look(&path, &third.seen);
        assert!(matches!(gone.found, Some(Err(_))));
        assert!(look(&path, &gone.seen).found.is_none());
    }
}
