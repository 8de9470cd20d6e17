//! [`BasicAuthenticator`].

use crate::auth::credentials::CredentialHandling;
use std::borrow::Cow;
use std::slice;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_core::{Error, Reason, Request, RequestContext, RequestExt};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};

use super::fault::BasicAuthRejection;
use super::users::MAX_NAME;
use super::verifier::{BasicVerifier, Checked};
use crate::auth::credentials::remove_credentials;
use crate::auth::{
    Authentication, Authenticator, Challenge, CredentialRejection, CredentialSource, Identity,
};

const SCHEME: &str = "Basic";

/// Longest password, in bytes.
const MAX_PASSWORD: usize = 1024;

/// Longest credentials: name, colon and password in base64.
const MAX_CREDENTIALS: usize = (MAX_NAME + 1 + MAX_PASSWORD).div_ceil(3) * 4;

/// Knows callers by name and password (RFC 7617); see the [module](super). Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct BasicAuthenticator {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    verifier: BasicVerifier,
    source: CredentialSource,
    credentials: CredentialHandling,
    realm: String,
}

impl BasicAuthenticator {
    /// Users that `verifier` knows.
    pub fn new(verifier: BasicVerifier) -> Self {
        let settings = Settings {
            verifier,
            source: CredentialSource::Authorization(Cow::Borrowed(SCHEME)),
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        };
        Self { settings: Arc::new(settings) }
    }

    /// Whether the upstream gets name and password. Default: it does not.
    pub fn credentials(mut self, credentials: CredentialHandling) -> Self {
        self.own().credentials = credentials;
        self
    }

    /// What `WWW-Authenticate` calls what is protected; browsers show it to people. Default:
    /// `gateway`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.own().realm = realm.into();
        self
    }

    /// The verifier, to look at it or to share it.
    pub fn verifier(&self) -> &BasicVerifier {
        &self.settings.verifier
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Settings {
    /// RFC 7617, sections 2 and 2.1.
    fn challenge(&self) -> HeaderValue {
        Challenge::new(SCHEME, &self.realm).parameter("charset", "UTF-8").value()
    }

    fn rejected(&self, fault: BasicAuthRejection) -> Error {
        let error = Error::from(fault);
        match error.reason() {
            Reason::CredentialsInvalid => error.with_field(WWW_AUTHENTICATE, self.challenge()),
            _ => error,
        }
    }
}

/// Name and password of `credentials` (RFC 7617, section 2): UTF-8 without control characters, the
/// name up to the first colon.
fn decode(credentials: &str) -> Result<(String, usize), BasicAuthRejection> {
    if credentials.len() > MAX_CREDENTIALS {
        return Err(BasicAuthRejection::Malformed);
    }
    let bytes = STANDARD.decode(credentials).map_err(|_| BasicAuthRejection::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| BasicAuthRejection::Malformed)?;
    let colon = text.find(':').ok_or(BasicAuthRejection::Malformed)?;
    let good = (1..=MAX_NAME).contains(&colon)
        && text.len() - colon - 1 <= MAX_PASSWORD
        && !text.chars().any(char::is_control);
    if good { Ok((text, colon)) } else { Err(BasicAuthRejection::Malformed) }
}

impl Authenticator for BasicAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let settings = &self.settings;
        let rejected = |fault| Authentication::Rejected(settings.rejected(fault));
        let (text, colon) = match settings.source.find(request) {
            Ok(None) => return Authentication::Missing,
            Ok(Some(credentials)) => match decode(credentials) {
                Ok(decoded) => decoded,
                Err(fault) => return rejected(fault),
            },
            Err(fault) => return rejected(fault.into()),
        };
        let (name, password) = (&text[..colon], &text[colon + 1..]);
        let client = request.context().and_then(RequestContext::client_ip);
        match settings.verifier.check(name, password, client) {
            Checked::Right(identity) => Authentication::Known(identity),
            Checked::Rejected(fault) => rejected(fault),
            Checked::Waits(verified) => {
                let settings = Arc::clone(settings);
                Authentication::Pending(Box::pin(async move {
                    verified.await.map_err(|fault| settings.rejected(fault)).into()
                }))
            }
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        if self.settings.credentials == CredentialHandling::Drop {
            remove_credentials(slice::from_ref(&self.settings.source), request);
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(self.settings.challenge())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        slice::from_ref(&self.settings.source)
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.settings.verifier.forward().names()
    }
}

impl From<CredentialRejection> for BasicAuthRejection {
    fn from(fault: CredentialRejection) -> Self {
        match fault {
            CredentialRejection::Several => Self::Several,
            CredentialRejection::Malformed => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(credentials: &str) -> Result<(String, String), BasicAuthRejection> {
        let (text, colon) = decode(credentials)?;
        Ok((text[..colon].to_owned(), text[colon + 1..].to_owned()))
    }

    #[test]
    fn credentials_are_read_as_rfc_7617_has_them() {
        let pair = |name: &str, password: &str| Ok((name.to_owned(), password.to_owned()));
        // Sections 2 and 2.1.
        assert_eq!(parts("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(parts("dGVzdDoxMjPCow=="), pair("test", "123£"));
        assert_eq!(parts(&STANDARD.encode("a:b:c")), pair("a", "b:c"));
        assert_eq!(parts(&STANDARD.encode("a:")), pair("a", ""));
        let long = format!("a:{}", "x".repeat(MAX_PASSWORD));
        assert!(parts(&STANDARD.encode(&long)).is_ok());
        for wrong in ["a", ":b", "a:b\0", "a\u{7f}:b", "a:b\r\nx: y", &format!("{long}x")] {
            assert_eq!(
                parts(&STANDARD.encode(wrong)),
                Err(BasicAuthRejection::Malformed),
                "{wrong:?}"
            );
        }
        let name = format!("{}:b", "n".repeat(MAX_NAME + 1));
        assert_eq!(parts(&STANDARD.encode(name)), Err(BasicAuthRejection::Malformed));
        // No padding, stray bits, another alphabet, no UTF-8.
        for wrong in ["QWxhZGRpbjpvcGVuIHNlc2FtZQ", "YTpi=", "YTpj_w==", "YTr/", "!", ""] {
            assert_eq!(parts(wrong), Err(BasicAuthRejection::Malformed), "{wrong}");
        }
    }
}
