//! What of WebSocket's opening handshake a gateway between two protocols has to know (RFC 6455,
//! section 4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Joined to a key before it is hashed.
const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers `key`.
pub(crate) fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(SALT);
    HeaderValue::from_str(&STANDARD.encode(hash.digest().bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
