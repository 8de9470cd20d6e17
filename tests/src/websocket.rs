//! WebSocket frames and handshakes (RFC 6455) on a raw socket.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use crate::framing::RawAnswer;
use crate::raw::Raw;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PATIENCE: Duration = Duration::from_secs(5);

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Its data, without a mask.
    pub data: Vec<u8>,
}

impl Frame {
    /// A text frame.
    pub fn text(text: &str) -> Self {
        Self { opcode: 1, data: text.as_bytes().to_vec() }
    }

    /// A binary frame.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self { opcode: 2, data: data.into() }
    }

    /// A close frame with a status code.
    pub fn close(code: u16) -> Self {
        Self { opcode: 8, data: code.to_be_bytes().to_vec() }
    }

    /// The bytes of this frame; clients mask, servers do not.
    pub(crate) fn encode(&self, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut wire = vec![0x80 | self.opcode];
        match self.data.len() {
            length @ 0..=125 => wire.push(mask_bit | length as u8),
            length @ 126..=0xFFFF => {
                wire.push(mask_bit | 126);
                wire.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                wire.push(mask_bit | 127);
                wire.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let mask = if masked { [0x37, 0xFA, 0x21, 0x3D] } else { [0; 4] };
        if masked {
            wire.extend_from_slice(&mask);
        }
        wire.extend(self.data.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        wire
    }

    /// Takes one whole frame off the front of `buffer`.
    pub(crate) fn take(buffer: &mut BytesMut) -> Option<Self> {
        let second = *buffer.get(1)?;
        let (length, mut start) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            mask.copy_from_slice(buffer.get(start..start + 4)?);
            start += 4;
        }
        let end = start + usize::try_from(length).ok()?;
        let data = buffer.get(start..end)?;
        let data = data.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        let opcode = buffer[0] & 0x0F;
        buffer.advance(end);
        Some(Self { opcode, data })
    }
}

/// The client's end of a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    raw: Raw,
}

impl WebSocket {
    /// Asks for a WebSocket; gives the answer when it was rejected.
    pub async fn open(addr: SocketAddr, path: &str) -> Result<Self, RawAnswer> {
        let mut raw = Raw::connect(addr).await;
        raw.send(Self::request(path)).await;
        let answer = raw.answer_within(PATIENCE, "GET").await.expect("an answer to the upgrade");
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(answer.header("sec-websocket-accept"), Some(accept(KEY).as_str()));
        assert_eq!(answer.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
        Ok(Self { raw })
    }

    /// The head that asks for a WebSocket.
    pub fn request(path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        )
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Frame) -> bool {
        self.raw.send(frame.encode(true)).await
    }

    /// The next frame; nothing when the connection ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(frame) = Frame::take(self.raw.buffer()) {
                return Some(frame);
            }
            if !self.raw.fill(deadline).await {
                assert!(Instant::now() < deadline, "no frame within {PATIENCE:?}");
                return None;
            }
        }
    }

    /// The connection below.
    pub fn into_raw(self) -> Raw {
        self.raw
    }
}

/// The value of `Sec-WebSocket-Accept` that belongs to a key.
pub(crate) fn accept(key: &str) -> String {
    base64(&sha1(format!("{key}{GUID}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

/// SHA-1 (FIPS 180-4), which the handshake asks for.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if message.len() % 64 >= 56 {
        padded.resize(padded.len() + 64, 0);
    }
    let at = padded.len() - 8;
    padded[at..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (function, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5A82_7999),
                20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6),
            };
            let next = [function, e, constant, *word].into_iter();
            let next = next.fold(a.rotate_left(5), u32::wrapping_add);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (whole, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *whole = whole.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_of_every_length_form_survive() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let frame = Frame::binary(vec![7; length]);
            for masked in [false, true] {
                let wire = frame.encode(masked);
                let mut cut = BytesMut::from(&wire[..wire.len() - 1]);
                assert_eq!(Frame::take(&mut cut), None);
                let mut buffer = BytesMut::from(&wire[..]);
                assert_eq!(Frame::take(&mut buffer), Some(frame.clone()));
                assert!(buffer.is_empty());
            }
        }
    }
}
