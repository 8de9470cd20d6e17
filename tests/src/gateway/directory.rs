//! Where a child finds its document and leaves its words.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory for one child, removed with it.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-tests-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("create a directory");
        Self(path)
    }

    pub(super) fn document(&self) -> PathBuf {
        self.0.join("gateway.toml")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
