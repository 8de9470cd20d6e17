//! Bodies as they are read from a connection (RFC 9112, sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::head::{self, HeadError, HeadScanner};

/// A chunk's size line, its extensions included, is at most this long.
const MAX_SIZE_LINE: usize = 1024;

/// All chunk extensions of a body together are at most this long: they carry nothing for us.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// A trailer section is at most this long.
const MAX_TRAILERS: usize = 16 * 1024;

/// A trailer section has at most this many fields.
const MAX_TRAILER_FIELDS: usize = 64;

/// What a decoder makes of the bytes it has.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// Some of the body.
    Data(Bytes),
    /// The trailer section. The body is complete.
    Trailers(HeaderMap),
    /// The body is complete.
    End,
    /// Nothing without more bytes.
    NeedMore,
}

/// Reads one body. Knows at every moment whether the body is complete.
#[derive(Debug, Default)]
pub(crate) enum Decoder {
    /// The body is complete.
    #[default]
    Done,
    /// This many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// Until the connection ends. Only for answers.
    UntilClose,
}

/// Where in a chunked body the reader stands.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: ChunkState,
    extensions: usize,
    trailers: HeadScanner,
}

#[derive(Debug, Default)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

impl Decoder {
    /// The decoder of a body of `length` bytes.
    pub(crate) fn length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    /// The decoder of a chunked body.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunked::default())
    }

    /// True when every byte of the body has been handed out.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes the next piece of the body from the front of `buffer`.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, HeadError> {
        match self {
            Self::Done => Ok(Decoded::End),
            Self::Length(left) => {
                if buffer.is_empty() {
                    return Ok(Decoded::NeedMore);
                }
                let data = take(buffer, left);
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(Decoded::Data(data))
            }
            Self::UntilClose if buffer.is_empty() => Ok(Decoded::NeedMore),
            Self::UntilClose => Ok(Decoded::Data(buffer.split().freeze())),
            Self::Chunked(chunked) => {
                let decoded = chunked.decode(buffer)?;
                if matches!(decoded, Decoded::End | Decoded::Trailers(_)) {
                    *self = Self::Done;
                }
                Ok(decoded)
            }
        }
    }

    /// The connection ended: is the body complete by that?
    pub(crate) fn end_of_stream(&mut self) -> bool {
        if matches!(self, Self::UntilClose) {
            *self = Self::Done;
        }
        self.is_done()
    }
}

fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= size as u64;
    buffer.split_to(size).freeze()
}

impl Chunked {
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, HeadError> {
        loop {
            match &mut self.state {
                ChunkState::Size => match self.size_line(buffer)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(0) => self.state = ChunkState::Trailers,
                    Some(size) => self.state = ChunkState::Data(size),
                },
                ChunkState::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::NeedMore);
                    }
                    let data = take(buffer, left);
                    if *left == 0 {
                        self.state = ChunkState::DataEnd;
                    }
                    return Ok(Decoded::Data(data));
                }
                ChunkState::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = ChunkState::Size;
                    }
                    None if buffer.is_empty() || buffer.starts_with(b"\r") => {
                        return Ok(Decoded::NeedMore);
                    }
                    _ => return Err(HeadError::Malformed("a chunk longer than its size")),
                },
                ChunkState::Trailers => return self.trailers(buffer),
            }
        }
    }

    /// The size that the line at the front of `buffer` states, once the line is all there.
    fn size_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, HeadError> {
        let window = buffer.get(..MAX_SIZE_LINE.min(buffer.len())).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', window) else {
            if window.len() == MAX_SIZE_LINE {
                return Err(HeadError::Malformed("a chunk size line without end"));
            }
            // What is there already may be wrong already.
            let line = window.strip_suffix(b"\r").unwrap_or(window);
            if !line.is_empty() {
                size(line)?;
            }
            return Ok(None);
        };
        let Some(line) = window.get(..end).and_then(|line| line.strip_suffix(b"\r")) else {
            return Err(HeadError::Malformed("a chunk size line that ends without CR LF"));
        };
        let (size, digits) = size(line)?;
        self.extensions += line.len() - digits;
        if self.extensions > MAX_EXTENSIONS {
            return Err(HeadError::Malformed("too many chunk extensions"));
        }
        buffer.advance(end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Decoded, HeadError> {
        let Some(length) = self.trailers.scan(buffer)? else {
            if buffer.len() > MAX_TRAILERS {
                return Err(HeadError::TooLarge);
            }
            return Ok(Decoded::NeedMore);
        };
        if length > MAX_TRAILERS {
            return Err(HeadError::TooLarge);
        }
        let section = buffer.split_to(length);
        if length == 2 {
            return Ok(Decoded::End);
        }
        head::parse_trailers(section, MAX_TRAILER_FIELDS).map(Decoded::Trailers)
    }
}

/// The size that `line` states, and how many bytes of the line state it.
fn size(line: &[u8]) -> Result<(u64, usize), HeadError> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (number, rest) = line.split_at(digits);
    if digits == 0 || digits > 16 {
        return Err(HeadError::Malformed("an invalid chunk size"));
    }
    match rest.first() {
        None | Some(b';') => {}
        Some(_) => return Err(HeadError::Malformed("an invalid chunk size")),
    }
    if rest.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(HeadError::Malformed("a control character in a chunk extension"));
    }
    let mut size = 0_u64;
    for &digit in number {
        let value = char::from(digit).to_digit(16).unwrap_or_default();
        size = size << 4 | u64::from(value);
    }
    Ok((size, digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything a chunked body holds, or why it is rejected; the rest stays in the buffer.
    fn read(decoder: &mut Decoder, buffer: &mut BytesMut) -> Result<(Vec<u8>, bool), HeadError> {
        let mut data = Vec::new();
        loop {
            match decoder.decode(buffer)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(_) | Decoded::End => return Ok((data, true)),
                Decoded::NeedMore => return Ok((data, false)),
            }
        }
    }

    fn chunked(text: &str) -> Result<(Vec<u8>, bool), HeadError> {
        read(&mut Decoder::chunked(), &mut BytesMut::from(text))
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(chunked("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), Ok((b"abcde".to_vec(), true)));
        assert_eq!(chunked("3\r\nabc\r\n"), Ok((b"abc".to_vec(), false)));
    }

    #[test]
    fn the_next_message_stays_in_the_buffer() {
        let mut buffer = BytesMut::from("1\r\na\r\n0\r\n\r\nGET /");
        read(&mut Decoder::chunked(), &mut buffer).unwrap();
        assert_eq!(buffer, "GET /");
    }

    #[test]
    fn trailers_are_handed_out() {
        let mut buffer = BytesMut::from("0\r\nchecksum: 1\r\n\r\n");
        let decoded = Decoder::chunked().decode(&mut buffer).unwrap();
        assert!(matches!(decoded, Decoded::Trailers(map) if map["checksum"] == "1"));
    }

    #[test]
    fn doubtful_chunks_are_rejected() {
        for text in [
            "\r\n",
            "x\r\n",
            "0x3\r\nabc\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "-3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            "3\nabc\r\n",
            "11111111111111111\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3;a\x01\r\nabc\r\n",
            "3\rabc",
            "0\r\na: b\n\n",
            "0\r\na\r\n\r\n",
            "0\r\n a: b\r\n\r\n",
            "3 ;a\r\nabc\r\n",
            "3,\r\nabc",
        ] {
            assert!(chunked(text).is_err(), "{text:?}");
        }
        assert!(chunked(&format!("1;{}\r\na\r\n", "x".repeat(2000))).is_err());
    }

    #[test]
    fn a_length_is_counted_down() {
        let mut decoder = Decoder::length(3);
        let mut buffer = BytesMut::from("ab");
        assert_eq!(read(&mut decoder, &mut buffer), Ok((b"ab".to_vec(), false)));
        assert!(!decoder.end_of_stream());
        buffer.extend_from_slice(b"cd");
        assert_eq!(read(&mut decoder, &mut buffer), Ok((b"c".to_vec(), true)));
        assert_eq!(buffer, "d");
    }

    proptest! {
        #[test]
        fn never_panics_and_splits_do_not_matter(bytes: Vec<u8>, at: prop::sample::Index) {
            let whole = read(&mut Decoder::chunked(), &mut BytesMut::from(&bytes[..]));
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let (mut decoder, mut buffer) = (Decoder::chunked(), BytesMut::from(&bytes[..at]));
            let split = read(&mut decoder, &mut buffer).and_then(|(mut data, done)| {
                if done {
                    return Ok((data, true));
                }
                buffer.extend_from_slice(&bytes[at..]);
                read(&mut decoder, &mut buffer).map(|(more, done)| {
                    data.extend(more);
                    (data, done)
                })
            });
            prop_assert_eq!(whole.is_ok(), split.is_ok());
            if let (Ok(whole), Ok(split)) = (whole, split) {
                prop_assert_eq!(whole, split);
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(chunks in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..50), 0..10)) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let read = read(&mut Decoder::chunked(), &mut BytesMut::from(&wire[..])).unwrap();
            prop_assert_eq!(read, (chunks.concat(), true));
        }
    }
}
