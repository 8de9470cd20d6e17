//! The file and the log.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("audit-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Delivers so many events to `sink`.
async fn deliver(sink: &FileSink, count: usize) -> Result<(), Undelivered> {
    let hand = Hand::default();
    let audit = started(&hand, |_| {});
    reject(&audit, count);
    audit.drain(Duration::from_secs(5)).await;
    let events = hand.took.lock().unwrap().concat();
    sink.deliver(&events).await
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(read).collect()
}

#[tokio::test]
async fn events_are_lines_of_a_file_that_is_its_owners_alone() {
    let folder = Folder::new("lines");
    let sink = FileSink::new(folder.file()).unwrap();
    assert!(folder.names().is_empty(), "nothing is left behind");
    deliver(&sink, 2).await.unwrap();
    deliver(&sink, 1).await.unwrap();
    assert_eq!(lines(&fs::read_to_string(folder.file()).unwrap()).len(), 3);
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn many_may_look_at_the_same_time_whether_a_file_can_be_written() {
    let folder = Folder::new("looks");
    std::thread::scope(|scope| {
        let looks: Vec<_> =
            (0..16).map(|_| scope.spawn(|| FileSink::new(folder.file()).is_ok())).collect();
        assert!(looks.into_iter().all(|look| look.join().unwrap()));
    });
    assert!(folder.names().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn a_file_that_was_moved_away_or_removed_is_made_anew() {
    let folder = Folder::new("moved");
    let sink = FileSink::new(folder.file()).unwrap();
    deliver(&sink, 1).await.unwrap();
    let old = folder.0.join("audit.jsonl.1");
    fs::rename(folder.file(), &old).unwrap();
    deliver(&sink, 2).await.unwrap();
    assert_eq!(lines(&fs::read_to_string(&old).unwrap()).len(), 1);
    assert_eq!(lines(&fs::read_to_string(folder.file()).unwrap()).len(), 2);
    fs::remove_file(folder.file()).unwrap();
    deliver(&sink, 3).await.unwrap();
    assert_eq!(lines(&fs::read_to_string(folder.file()).unwrap()).len(), 3);
}

#[tokio::test]
async fn a_line_that_somebody_left_without_its_end_swallows_no_event() {
    let folder = Folder::new("torn");
    fs::write(folder.file(), "{\"time\":\"2026").unwrap();
    let sink = FileSink::new(folder.file()).unwrap();
    deliver(&sink, 1).await.unwrap();
    let text = fs::read_to_string(folder.file()).unwrap();
    assert_eq!(lines(text.split_once('\n').unwrap().1).len(), 1);
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error_at_once_and_later() {
    let folder = Folder::new("cannot");
    assert!(FileSink::new(folder.0.join("none/audit.jsonl")).is_err());
    assert!(FileSink::new(&folder.0).is_err());
    assert!(FileSink::new("/dev/null").is_err(), "no regular file");
    assert!(FileSink::new("/").is_err());
    let sink = FileSink::new(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    let failure = deliver(&sink, 1).await.unwrap_err();
    assert!(failure.is_worth_another_try(), "{failure}");
    fs::remove_dir(folder.file()).unwrap();
    deliver(&sink, 1).await.unwrap();
    // Root may write anywhere.
    fs::set_permissions(folder.file(), Permissions::from_mode(0o400)).unwrap();
    let allowed = fs::OpenOptions::new().append(true).open(folder.file()).is_ok();
    assert_eq!(FileSink::new(folder.file()).is_ok(), allowed);
}

#[tokio::test]
async fn the_log_gets_lines_of_json() {
    let written = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&written);
    let sink = LogSink::lines(move |line| into.lock().unwrap().push_str(line));
    let audit = Audit::builder().sink(sink).build().unwrap();
    reject(&audit, 3);
    audit.drain(Duration::from_secs(1)).await;
    assert_eq!(lines(&written.lock().unwrap()).len(), 3);
    assert_eq!(
        audit.status()[0].to_string(),
        "log: taken 3, sent 3, queued 0, dropped 0, failed 0"
    );
}
