//! The token that goes with a question.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::KubernetesConfig;
use crate::discovery::failure::Failure;
use crate::http_client::hidden;

/// The largest token: 64 KiB, as large as a whole head.
const MAX_TOKEN: u64 = 64 * 1024;

/// A file system that takes longer than this to read the token is a failure.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// The value of `Authorization`, as of now.
pub(super) async fn authorization(
    config: &KubernetesConfig,
) -> Result<Option<HeaderValue>, Failure> {
    let token = match (&config.token_file, &config.token) {
        (Some(path), _) => read(path.clone()).await?,
        (None, Some(token)) => token.reveal().to_owned(),
        (None, None) => return Ok(None),
    };
    let value = hidden(&format!("Bearer {}", token.trim()));
    value.map(Some).ok_or_else(|| Failure::Other("a token that cannot be sent".to_owned()))
}

async fn read(path: PathBuf) -> Result<String, Failure> {
    let shown = path.display().to_string();
    let read = spawn_blocking(move || -> io::Result<String> {
        let mut token = String::new();
        File::open(path)?.take(MAX_TOKEN).read_to_string(&mut token)?;
        Ok(token)
    });
    let failed = |problem: String| Failure::Other(format!("token file {shown}: {problem}"));
    let read = timeout(READ_DEADLINE, read).await.map_err(|_| Failure::Late(READ_DEADLINE))?;
    let read = read.map_err(|problem| failed(problem.to_string()))?;
    read.map_err(|problem| failed(problem.to_string()))
}
