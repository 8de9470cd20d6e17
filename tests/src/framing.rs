//! HTTP/1 as bytes: just enough to know where a head and a body end, and to say so when they
//! do not.

use bytes::{Buf, Bytes, BytesMut};

/// Header lines in the order they came, names in lower case.
pub type Headers = Vec<(String, String)>;

/// The first value of `name`.
pub fn get<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Every value of `name`, one for each line.
pub fn get_all<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
}

/// Where `needle` starts in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Takes a whole head off the front of `buffer`, with its empty line.
pub(crate) fn take_head(buffer: &mut BytesMut, searched: &mut usize) -> Option<Bytes> {
    let start = searched.saturating_sub(3);
    match find(&buffer[start..], b"\r\n\r\n") {
        Some(at) => {
            *searched = 0;
            Some(buffer.split_to(start + at + 4).freeze())
        }
        None => {
            *searched = buffer.len();
            None
        }
    }
}

/// The start line and the header lines of a head.
pub(crate) fn parse_head(head: &[u8]) -> (String, Headers) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    (start, parse_lines(lines))
}

fn parse_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Headers {
    lines
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(':') {
            Some((name, value)) => (name.to_ascii_lowercase(), value.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        .collect()
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads one body off a stream of bytes.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: State,
    trailer_lines: String,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailer_lines: String::new() }
    }

    /// What a request's head says about its body.
    pub(crate) fn for_request(headers: &[(String, String)]) -> Self {
        let chunked = get(headers, "transfer-encoding").is_some_and(|v| v.ends_with("chunked"));
        let length = get(headers, "content-length").and_then(|value| value.parse().ok());
        Self::new(if chunked { Framing::Chunked } else { Framing::Length(length.unwrap_or(0)) })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn trailers(&self) -> Headers {
        parse_lines(self.trailer_lines.split("\r\n"))
    }

    /// Takes what belongs to the body off the front of `buffer`.
    pub(crate) fn feed(
        &mut self,
        buffer: &mut BytesMut,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        while self.step(buffer, &mut sink)? {}
        Ok(())
    }

    fn step(
        &mut self,
        buffer: &mut BytesMut,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<bool, String> {
        match self.state {
            State::Done => return Ok(false),
            State::UntilClose => {
                sink(&buffer.split());
                return Ok(false);
            }
            State::Length(left) | State::Chunk(left) => {
                if buffer.is_empty() {
                    return Ok(false);
                }
                let take = left.min(buffer.len() as u64);
                sink(&buffer[..take as usize]);
                buffer.advance(take as usize);
                self.state = match (&self.state, left - take) {
                    (State::Length(_), 0) => State::Done,
                    (State::Length(_), left) => State::Length(left),
                    (_, 0) => State::ChunkEnd,
                    (_, left) => State::Chunk(left),
                };
            }
            State::ChunkSize | State::ChunkEnd | State::Trailers => {
                let Some(line) = take_line(buffer) else {
                    return Ok(false);
                };
                self.line(&line)?;
            }
        }
        Ok(true)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkSize => {
                let digits = line.split(';').next().unwrap_or_default().trim();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => State::Trailers,
                    Ok(size) => State::Chunk(size),
                    Err(_) => return Err(format!("chunk size {line:?}")),
                }
            }
            State::Trailers if line.is_empty() => State::Done,
            State::Trailers => {
                self.trailer_lines.push_str(line);
                self.trailer_lines.push_str("\r\n");
                State::Trailers
            }
            _ => return Err(format!("no line end after a chunk but {line:?}")),
        };
        Ok(())
    }
}

fn take_line(buffer: &mut BytesMut) -> Option<String> {
    let end = find(buffer, b"\r\n")?;
    let line = buffer.split_to(end + 2);
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

/// One HTTP/1 answer as it stood on the wire.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status of the status line.
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Header lines, names in lower case.
    pub headers: Headers,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Trailer lines, names in lower case.
    pub trailers: Headers,
    /// Whether the end of the body was seen by its own framing (or by a clean end of the
    /// connection where nothing else frames it).
    pub complete: bool,
}

impl RawAnswer {
    /// Takes one answer off the front of `buffer`; nothing when there is no whole head.
    /// `closed` says that no more bytes will come.
    pub fn parse(buffer: &mut BytesMut, method: &str, closed: bool) -> Option<Self> {
        let head = take_head(buffer, &mut 0)?;
        let (start, headers) = parse_head(&head);
        let mut words = start.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let framing = answer_framing(method, status, &headers);
        let mut reader = BodyReader::new(framing);
        let mut body = Vec::new();
        let fed = reader.feed(buffer, |piece| body.extend_from_slice(piece));
        let ended = reader.is_done() || (framing == Framing::UntilClose && closed);
        Some(Self {
            status,
            version,
            trailers: reader.trailers(),
            headers,
            body,
            complete: fed.is_ok() && ended,
        })
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        get(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn answer_framing(method: &str, status: u16, headers: &[(String, String)]) -> Framing {
    if method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status) {
        return Framing::Length(0);
    }
    if get(headers, "transfer-encoding").is_some_and(|value| value.ends_with("chunked")) {
        return Framing::Chunked;
    }
    match get(headers, "content-length").and_then(|value| value.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], method: &str, closed: bool) -> Option<RawAnswer> {
        RawAnswer::parse(&mut BytesMut::from(bytes), method, closed)
    }

    #[test]
    fn a_chunked_body_needs_its_last_chunk() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
        let answer = parse(whole, "GET", false).unwrap();
        assert_eq!((answer.body.as_slice(), answer.complete), (&b"abc"[..], true));
        assert_eq!(get(&answer.trailers, "x-t"), Some("1"));
        let head = find(whole, b"\r\n\r\n").unwrap() + 4;
        for cut in head..whole.len() {
            assert!(!parse(&whole[..cut], "GET", true).unwrap().complete, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert!(!parse(bytes, "GET", false).unwrap().complete);
        assert!(parse(bytes, "GET", true).unwrap().complete);
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"[..]);
        assert!(RawAnswer::parse(&mut buffer, "HEAD", false).unwrap().complete);
        assert_eq!(&buffer[..], b"abc");
    }
}
