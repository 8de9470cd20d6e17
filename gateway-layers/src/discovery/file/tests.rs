use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_core::Cluster;

use super::{FileConfig, FileDiscovery};
use crate::discovery::testing::{names, until, until_failure, until_names, until_well, watched};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-discovery-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// As a careful writer replaces a file.
    fn replace(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.at("new"), self.at(name)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn discovered(path: &Path) -> Cluster {
    let mut config = FileConfig::new(path);
    config.interval = Duration::from_millis(10);
    watched(FileDiscovery::from(config))
}

#[tokio::test]
async fn a_file_is_read_with_all_that_it_says() {
    let directory = Directory::new();
    directory.write(
        "a.json",
        r#"[{"url": "http://10.0.0.1:9000", "weight": 3, "zone": "z", "priority": 1}, "http://b"]"#,
    );
    let cluster = discovered(&directory.at("a.json"));
    until_names(&cluster, &["http://10.0.0.1:9000", "http://b:80"]).await;
    let status = cluster.status();
    let endpoint = &status.endpoints[0];
    assert_eq!((endpoint.weight, endpoint.priority), (3, 1));
    assert_eq!(endpoint.zone.as_deref(), Some("z"));
    assert!(status.discovery.unwrap().source.starts_with("file /"));
}

#[tokio::test]
async fn a_file_that_is_replaced_is_read_again() {
    let directory = Directory::new();
    directory.write("a.json", r#"["http://a"]"#);
    let cluster = discovered(&directory.at("a.json"));
    until_names(&cluster, &["http://a:80"]).await;
    directory.replace("a.json", r#"["http://b"]"#);
    until_names(&cluster, &["http://b:80"]).await;
    // In place, and of the same size.
    directory.write("a.json", r#"["http://c"]"#);
    until_names(&cluster, &["http://c:80"]).await;
}

#[tokio::test]
async fn a_link_that_is_turned_is_followed() {
    // As ConfigMaps are mounted: endpoints.json -> ..data/endpoints.json, ..data -> a directory.
    let directory = Directory::new();
    for (version, text) in [("one", r#"["http://a"]"#), ("two", r#"["http://b"]"#)] {
        fs::create_dir(directory.at(version)).unwrap();
        directory.write(&format!("{version}/endpoints.json"), text);
    }
    symlink("one", directory.at("..data")).unwrap();
    symlink("..data/endpoints.json", directory.at("endpoints.json")).unwrap();
    let cluster = discovered(&directory.at("endpoints.json"));
    until_names(&cluster, &["http://a:80"]).await;
    symlink("two", directory.at("..data_tmp")).unwrap();
    fs::rename(directory.at("..data_tmp"), directory.at("..data")).unwrap();
    fs::remove_dir_all(directory.at("one")).unwrap();
    until_names(&cluster, &["http://b:80"]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn a_file_that_is_gone_changes_nothing_and_is_said() {
    let directory = Directory::new();
    directory.write("a.json", r#"["http://a"]"#);
    let cluster = discovered(&directory.at("a.json"));
    until_names(&cluster, &["http://a:80"]).await;
    fs::remove_file(directory.at("a.json")).unwrap();
    until_failure(&cluster, "No such file").await;
    assert_eq!(names(&cluster), ["http://a:80"]);
    // The same file again: nothing has changed, and it is well.
    directory.write("a.json", r#"["http://a"]"#);
    until_well(&cluster).await;
    assert_eq!(names(&cluster), ["http://a:80"]);
}

#[tokio::test]
async fn half_a_file_changes_nothing_and_is_said() {
    let directory = Directory::new();
    let text = r#"["http://a", {"url": "http://b", "weight": 2}]"#;
    directory.write("a.json", text);
    let cluster = discovered(&directory.at("a.json"));
    until_names(&cluster, &["http://a:80", "http://b:80"]).await;
    for garbage in [&text[..20], "", "\u{0}\u{0}", r#"[{"url": "http://c", "wait": 1}]"#] {
        directory.write("a.json", garbage);
        until_failure(&cluster, "cannot be read").await;
        assert_eq!(names(&cluster), ["http://a:80", "http://b:80"], "{garbage}");
        directory.write("a.json", text);
        until_well(&cluster).await;
    }
    directory.write("a.json", r#"["http://c"]"#);
    until_names(&cluster, &["http://c:80"]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn an_empty_list_is_a_set() {
    let directory = Directory::new();
    directory.write("a.json", r#"["http://a"]"#);
    let cluster = discovered(&directory.at("a.json"));
    until_names(&cluster, &["http://a:80"]).await;
    directory.replace("a.json", "[]");
    until_names(&cluster, &[]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let directory = Directory::new();
    let cluster = discovered(&directory.0);
    until_failure(&cluster, "not a regular file").await;
    let path = directory.at("large.json");
    fs::write(&path, vec![b' '; 5 * 1024 * 1024]).unwrap();
    let cluster = discovered(&path);
    until_failure(&cluster, "more than 4194304 bytes").await;
    until(&cluster, |status| status.endpoints.is_empty()).await;
}
