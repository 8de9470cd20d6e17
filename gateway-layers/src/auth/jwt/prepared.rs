//! [`PreparedRsa`]: an RSA key as the backend has read it, once instead of for each token.

use std::sync::OnceLock;

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters,
};

use super::algorithm::Algorithm;

/// An RSA key that is ready for the algorithm that it is first used with: a key is used with one
/// (RFC 8725, section 3.1), as long as all who share it allow the same.
pub(super) struct PreparedRsa {
    der: Vec<u8>,
    ready: OnceLock<(Algorithm, Option<ParsedPublicKey>)>,
}

impl PreparedRsa {
    /// The key of these unsigned numbers, their first byte not zero.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Self {
        Self { der: public_key(modulus, exponent), ready: OnceLock::new() }
    }

    /// Whether `signature` is its signature of `message`; `None` where it is ready for something
    /// else.
    pub(super) fn verifies(
        &self,
        message: &[u8],
        signature: &[u8],
        algorithm: Algorithm,
    ) -> Option<bool> {
        let (ready, key) = self.ready.get_or_init(|| {
            let parameters = parameters(algorithm);
            let key = parameters.and_then(|one| ParsedPublicKey::new(one, &self.der).ok());
            (algorithm, key)
        });
        let key = key.as_ref().filter(|_| *ready == algorithm)?;
        Some(key.verify_sig(message, signature).is_ok())
    }
}

fn parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// `RSAPublicKey` in DER (RFC 8017, appendix A.1.1).
fn public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    element(SEQUENCE, &[integer(modulus), integer(exponent)].concat())
}

/// An unsigned number: one whose first bit is set needs a byte in front of it.
fn integer(number: &[u8]) -> Vec<u8> {
    const INTEGER: u8 = 0x02;
    let signed = number.first().is_none_or(|first| first & 0x80 != 0);
    let zero: &[u8] = if signed { &[0] } else { &[] };
    element(INTEGER, &[zero, number].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let digits: Vec<u8> =
                length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | digits.len() as u8);
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_der_has_them() {
        assert_eq!(integer(&[1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(element(4, &[7; 127])[..3], [4, 127, 7]);
        assert_eq!(element(4, &[7; 128])[..4], [4, 0x81, 128, 7]);
        assert_eq!(element(4, &[7; 300])[..5], [4, 0x82, 1, 44, 7]);
    }
}
