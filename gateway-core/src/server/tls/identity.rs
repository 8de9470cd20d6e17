//! Who a client is, read from its certificate.
//!
//! Only certificates that were verified come here. All the same nothing in them is taken as it is:
//! a name with a NUL or a line break in it reads differently further down (a log, a header, a
//! program in C), so that such a certificate is rejected as a whole.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::context::ClientIdentity;

/// A certificate with more names than this is rejected.
const MOST_NAMES: usize = 256;

/// A name longer than this is rejected: the most that a SPIFFE ID may have.
const LONGEST_NAME: usize = 2048;

const SPIFFE: &str = "spiffe://";

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("the certificate is not X.509")]
    NotX509,
    #[error("its alternative names cannot be read")]
    Unreadable,
    #[error("it has too many names")]
    TooMany,
    #[error("a name is empty, too long or has control characters")]
    Name,
    #[error("its SPIFFE ID is malformed or not its only URI")]
    Spiffe,
}

/// Reads who the certificate `der` names; `fingerprint` is its SHA-256.
pub(super) fn identity(der: &[u8], fingerprint: [u8; 32]) -> Result<ClientIdentity, IdentityError> {
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| IdentityError::NotX509)?;
    if !rest.is_empty() {
        return Err(IdentityError::NotX509);
    }
    let serial = parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut identity = ClientIdentity::new(serial, fingerprint, time(parsed.validity().not_after));
    let alternative = parsed.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
    let names = alternative.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    if names.len() > MOST_NAMES {
        return Err(IdentityError::TooMany);
    }
    for name in names {
        match name {
            GeneralName::DNSName(name) => identity.dns_names.push(checked(name)?),
            GeneralName::URI(uri) => identity.uris.push(checked(uri)?),
            GeneralName::RFC822Name(email) => identity.emails.push(checked(email)?),
            GeneralName::Invalid(..) => return Err(IdentityError::Name),
            _ => {}
        }
    }
    for name in parsed.subject().iter_common_name() {
        let name = name.as_str().map_err(|_| IdentityError::Name)?;
        identity.common_name = Some(checked(name)?);
    }
    identity.spiffe_id = spiffe_id(&identity.uris)?;
    Ok(identity)
}

fn checked(name: &str) -> Result<Arc<str>, IdentityError> {
    let long = name.is_empty() || name.len() > LONGEST_NAME;
    if long || name.chars().any(char::is_control) {
        return Err(IdentityError::Name);
    }
    Ok(name.into())
}

/// The SPIFFE ID of an X.509-SVID, which has exactly one URI (SPIFFE X.509-SVID, section 2).
fn spiffe_id(uris: &[Arc<str>]) -> Result<Option<Arc<str>>, IdentityError> {
    let is_spiffe = |uri: &str| {
        uri.get(..SPIFFE.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SPIFFE))
    };
    let Some(id) = uris.iter().find(|uri| is_spiffe(uri)) else {
        return Ok(None);
    };
    if uris.len() != 1 || !is_spiffe_id(id) {
        return Err(IdentityError::Spiffe);
    }
    Ok(Some(Arc::clone(id)))
}

/// SPIFFE-ID, section 2: a trust domain and a path of plain segments.
fn is_spiffe_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix(SPIFFE) else {
        return false;
    };
    let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let domain_is_plain = !domain.is_empty()
        && domain.len() <= 255
        && domain.bytes().all(|byte| plain(byte) && !byte.is_ascii_uppercase());
    let mut segments = path.split('/').skip(1);
    domain_is_plain
        && segments.all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain))
}

/// The moment that a certificate means.
pub(super) fn time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_ids() {
        for id in ["spiffe://example.org", "spiffe://a-b_c.1/ns/Default/sa/x.y"] {
            assert!(is_spiffe_id(id), "{id}");
        }
        for id in [
            "spiffe://",
            "spiffe:///a",
            "spiffe://A.org/a",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://a:80/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b%20c",
            "SPIFFE://a/b",
        ] {
            assert!(!is_spiffe_id(id), "{id}");
        }
    }

    #[test]
    fn an_svid_has_one_uri() {
        let uris = |list: &[&str]| list.iter().map(|uri| Arc::from(*uri)).collect::<Vec<_>>();
        assert_eq!(spiffe_id(&uris(&["https://a/b"])), Ok(None));
        assert_eq!(spiffe_id(&uris(&["spiffe://a/b"])), Ok(Some("spiffe://a/b".into())));
        let wrong = [&["spiffe://a/b", "https://a"][..], &["SPIFFE://a/b"], &["spiffe://a//b"]];
        for list in wrong {
            assert_eq!(spiffe_id(&uris(list)), Err(IdentityError::Spiffe), "{list:?}");
        }
    }

    #[test]
    fn names_that_read_differently_elsewhere_are_rejected() {
        for name in ["", "a\0.example", "a\nb", "a\u{7f}", "a\u{85}", &"a".repeat(2049)] {
            assert_eq!(checked(name), Err(IdentityError::Name), "{name:?}");
        }
        assert_eq!(checked("Jörg").as_deref(), Ok("Jörg"));
    }
}
