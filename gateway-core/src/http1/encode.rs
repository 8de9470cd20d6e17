//! Heads and chunks as they are written (RFC 9112).

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};

use super::output::Output;

/// How a body's length is told to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body, and nothing is said about it.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection ends the body: towards HTTP/1.0 clients.
    UntilClose,
}

/// Writes a status line.
pub(crate) fn status_line(out: &mut BytesMut, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a request line for `target`.
pub(crate) fn request_line(out: &mut BytesMut, method: &Method, target: &str) {
    out.reserve(method.as_str().len() + target.len() + 128);
    out.extend_from_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes one field.
pub(crate) fn field(out: &mut BytesMut, name: &str, value: &[u8]) {
    let mut line = [0_u8; 256];
    let size = name.len() + value.len() + 4;
    if let Some(line) = line.get_mut(..size) {
        // One append instead of four: this is the inner loop of every head.
        let (start, rest) = line.split_at_mut(name.len());
        start.copy_from_slice(name.as_bytes());
        let (colon, rest) = rest.split_at_mut(2);
        colon.copy_from_slice(b": ");
        let (middle, end) = rest.split_at_mut(value.len());
        middle.copy_from_slice(value);
        end.copy_from_slice(b"\r\n");
        out.extend_from_slice(line);
    } else {
        out.reserve(size);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes every field but those that frame the message, which [`framing`] writes.
pub(crate) fn fields(out: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            field(out, name.as_str(), value.as_bytes());
        }
    }
}

/// Writes the field that frames the message.
pub(crate) fn framing(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => {
            field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
        }
    }
}

/// Adds `data` to `out`, as a chunk when the body is chunked.
pub(crate) fn data(out: &mut Output, framing: Framing, data: Bytes) {
    if framing != Framing::Chunked {
        out.push(data);
        return;
    }
    if data.is_empty() {
        return;
    }
    let mut line = [0_u8; 18];
    let mut at = line.len() - 2;
    line[at..].copy_from_slice(b"\r\n");
    let mut size = data.len();
    while size > 0 {
        at -= 1;
        line[at] = b"0123456789abcdef"[size & 15];
        size >>= 4;
    }
    out.buffer().extend_from_slice(&line[at..]);
    out.push(data);
    out.buffer().extend_from_slice(b"\r\n");
}

/// Ends a chunked body, with trailers if there are any. Without effect on other framings.
pub(crate) fn end(out: &mut Output, framing: Framing, trailers: Option<&HeaderMap>) {
    if framing != Framing::Chunked {
        return;
    }
    let buffer = out.buffer();
    buffer.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        fields(buffer, trailers);
    }
    buffer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_carry_their_size_in_hex() {
        let mut out = Output::default();
        data(&mut out, Framing::Chunked, Bytes::from(vec![b'x'; 26]));
        end(&mut out, Framing::Chunked, None);
        let expected = format!("1a\r\n{}\r\n0\r\n\r\n", "x".repeat(26));
        assert_eq!(*out.buffer(), expected.as_bytes());
    }

    #[tokio::test]
    async fn large_pieces_keep_their_place() {
        let mut out = Output::default();
        let large = Bytes::from(vec![b'x'; COPY]);
        data(&mut out, Framing::Chunked, large.clone());
        assert!(out.is_full());
        let mut wire = Vec::new();
        out.write_all(&mut wire).await.unwrap();
        data(&mut out, Framing::Chunked, Bytes::from("yz"));
        end(&mut out, Framing::Chunked, None);
        out.write_all(&mut wire).await.unwrap();
        let expected = format!("2000\r\n{}\r\n2\r\nyz\r\n0\r\n\r\n", "x".repeat(COPY));
        assert_eq!(wire, expected.as_bytes());
    }

    const COPY: usize = 8192;
}
