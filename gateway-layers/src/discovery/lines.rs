//! [`Lines`]: a stream of JSON documents, one in a line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_core::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::client::MAX_ANSWER;
use super::failure::Failure;
use crate::http_client::next_data;

/// Lines that come this soon after another one belong to it: a service that is rolled out changes
/// many times, and one new set is enough.
const TOGETHER: Duration = Duration::from_millis(50);

/// And not more of them than this.
const MOST_TOGETHER: usize = 1_000;

/// The lines of a body, as they come.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So much of the buffer has no end of a line.
    searched: usize,
    ended: bool,
    /// What went wrong, to be said after the lines before it.
    failed: Option<Failure>,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, ended: false, failed: None }
    }

    /// The next line without its end, and not an empty one; `None` after the last. What comes
    /// after the last end of a line counts as one.
    pub(super) async fn next(&mut self, silence: Duration) -> Result<Option<Bytes>, Failure> {
        loop {
            while let Some(line) = self.take_line() {
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.ended {
                return Ok(None);
            }
            let data = timeout(silence, next_data(&mut self.body)).await;
            match data.map_err(|_| Failure::Late(silence))?? {
                Some(data) if self.buffer.len() + data.len() > MAX_ANSWER => {
                    return Err(Failure::TooLarge(MAX_ANSWER));
                }
                Some(data) => self.buffer.extend_from_slice(&data),
                None => {
                    self.ended = true;
                    self.buffer.extend_from_slice(b"\n");
                }
            }
        }
    }

    /// The next line and those that come together with it; none after the last.
    pub(super) async fn batch(&mut self, silence: Duration) -> Result<Vec<Bytes>, Failure> {
        if let Some(failure) = self.failed.take() {
            return Err(failure);
        }
        let Some(first) = self.next(silence).await? else {
            return Ok(Vec::new());
        };
        let mut size = first.len();
        let mut lines = vec![first];
        let until = Instant::now() + TOGETHER;
        while lines.len() < MOST_TOGETHER && size < MAX_ANSWER {
            match timeout_at(until, self.next(silence)).await {
                Ok(Ok(Some(line))) => {
                    size += line.len();
                    lines.push(line);
                }
                Ok(Err(failure)) => {
                    self.failed = Some(failure);
                    break;
                }
                Ok(Ok(None)) | Err(_) => break,
            }
        }
        Ok(lines)
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let rest = self.buffer.get(self.searched..)?;
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end + 1);
        self.searched = 0;
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use gateway_core::{Error, Reason};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(1);

    fn streamed(pieces: Vec<Bytes>) -> Lines {
        let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(Frame::data(piece)));
        Lines::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    }

    async fn all(mut lines: Lines) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = lines.next(SILENCE).await.unwrap() {
            found.push(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        }
        found
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come_in_pieces(
            text in "[a-c\r\n]{0,40}",
            cuts in proptest::collection::vec(0_usize..40, 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| {
                Bytes::copy_from_slice(&text.as_bytes()[cut[0]..cut[1]])
            });
            let lines = streamed(pieces.collect());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let found = runtime.unwrap().block_on(all(lines));
            let expected: Vec<_> =
                text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_together_is_taken_together() {
        let piece = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        let frames = futures_util::stream::iter(["a\nb", "\nc\n"]).map(piece);
        let later = futures_util::stream::once(async {
            tokio::time::sleep(TOGETHER * 2).await;
            Ok(Frame::data(Bytes::from_static(b"d\n")))
        });
        let broken = futures_util::stream::iter([Err(Error::new(Reason::UpstreamIncomplete))]);
        let frames = Box::pin(frames.chain(later).chain(broken));
        let mut lines = Lines::new(Body::new(StreamBody::new(frames)));
        assert_eq!(lines.batch(SILENCE).await.unwrap().len(), 3);
        assert_eq!(lines.batch(SILENCE).await.unwrap(), ["d\n"]);
        assert!(lines.batch(SILENCE).await.is_err());
    }

    #[tokio::test]
    async fn a_line_without_end_is_rejected() {
        let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
        let mut lines = streamed(vec![piece; 40]);
        let failed = lines.next(SILENCE).await.unwrap_err();
        assert!(matches!(failed, Failure::TooLarge(_)), "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_an_end() {
        let never = futures_util::stream::pending::<Result<Frame<Bytes>, Error>>();
        let mut lines = Lines::new(Body::new(StreamBody::new(never)));
        let failed = lines.next(SILENCE).await.unwrap_err();
        assert!(matches!(failed, Failure::Late(_)), "{failed}");
    }
}
