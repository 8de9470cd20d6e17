//! [`SignLayer`].

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use gateway_core::{Clock, Error, HostPolicy, Reason, Request, SystemClock};
use http::header::{HOST, HeaderMap, HeaderValue};
use tower_layer::Layer;

use super::super::component::Component;
use super::super::input::{SIGNATURE, SIGNATURE_INPUT};
use super::super::message::{Message, field};
use super::super::structured;
use super::service::Sign;
use super::settings::{SignConfig, SignError};

/// Random bytes of a nonce: as many as make it certain that none comes twice.
const NONCE_BYTES: usize = 16;

/// Signs requests on their way to an upstream (RFC 9421); see the [module](super::super).
#[derive(Clone, Debug)]
#[must_use]
pub struct SignLayer {
    signer: Arc<Signer>,
}

impl SignLayer {
    /// Signs as `settings` say.
    ///
    /// # Errors
    ///
    /// What cannot be meant, or cannot be signed here: see [`SignError`].
    pub fn new(settings: SignConfig) -> Result<Self, SignError> {
        Self::with_clock(settings, SystemClock)
    }

    /// The same, with another clock.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_clock(settings: SignConfig, clock: impl Clock) -> Result<Self, SignError> {
        let covered = settings.check()?;
        let signer = Signer { settings, covered, clock: Arc::new(clock) };
        Ok(Self { signer: Arc::new(signer) })
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign::new(inner, Arc::clone(&self.signer))
    }
}

pub(super) struct Signer {
    pub(super) settings: SignConfig,
    covered: Vec<Component>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Signer {
    /// Whether bodies are to be hashed.
    pub(super) fn wants_digest(&self) -> bool {
        let digest = Component::CONTENT_DIGEST;
        self.covered.iter().any(|own| own.field_name() == digest.field_name())
    }

    /// Signs the head of `request`, the body's digest with it where `digested`.
    pub(super) fn sign(&self, request: &mut Request, digested: bool) -> Result<(), Error> {
        let host = match &self.settings.host {
            HostPolicy::Fixed(host) => Some(host),
            _ => request.headers().get(HOST),
        };
        let message = Message {
            method: request.method(),
            scheme: self.settings.scheme.unwrap_or_default().as_str(),
            host,
            target: request.uri(),
            headers: request.headers(),
            status: None,
        };
        let covered = self.covered_of(&message, digested);
        let params = self.params(&covered)?;
        let base = message.base(&covered, &params).map_err(|fault| {
            Error::new(Reason::RequestMalformed)
                .with_detail("the request cannot be signed for the upstream")
                .with_source(fault)
        })?;
        let signature = self.settings.key.sign(base.as_bytes()).ok_or_else(failed)?;
        let mut encoded = String::new();
        structured::write_bytes(&signature, &mut encoded);
        self.write(request.headers_mut(), &params, &encoded)
    }

    /// What of the covered components there is.
    fn covered_of(&self, message: &Message<'_>, digested: bool) -> Vec<Component> {
        let digest = Component::CONTENT_DIGEST;
        let there = |component: &&Component| match component.field_name() {
            name @ Some(_) if name == digest.field_name() => digested,
            Some(_) => message.has(component),
            None => !component.is_query_param() || message.has(component),
        };
        self.covered.iter().filter(there).cloned().collect()
    }

    /// What the signature says of itself.
    fn params(&self, covered: &[Component]) -> Result<String, Error> {
        let settings = &self.settings;
        let mut text = "(".to_owned();
        for (index, component) in covered.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            component.write(&mut text);
        }
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let created = now.as_secs();
        text.push_str(&format!(");created={created}"));
        if let Some(expires) = settings.expires {
            text.push_str(&format!(";expires={}", created.saturating_add(expires.as_secs())));
        }
        text.push_str(";nonce=\"");
        let mut nonce = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| failed())?;
        for byte in nonce {
            text.push_str(&format!("{byte:02x}"));
        }
        text.push_str("\";keyid=");
        structured::write_string(&settings.id, &mut text);
        text.push_str(";alg=");
        structured::write_string(settings.key.algorithm().as_str(), &mut text);
        if let Some(tag) = &settings.tag {
            text.push_str(";tag=");
            structured::write_string(tag, &mut text);
        }
        Ok(text)
    }

    fn write(&self, headers: &mut HeaderMap, params: &str, encoded: &str) -> Result<(), Error> {
        let label = &self.settings.label;
        let own =
            |value: &str| HeaderValue::from_str(&format!("{label}={value}")).map_err(|_| failed());
        let (input, signature) = (own(params)?, own(encoded)?);
        if !self.settings.keep || !is_free(headers, label) {
            headers.remove(SIGNATURE_INPUT);
            headers.remove(SIGNATURE);
        }
        headers.append(SIGNATURE_INPUT, input);
        headers.append(SIGNATURE, signature);
        Ok(())
    }
}

/// True when the client's signatures can stay beside one called `label`.
fn is_free(headers: &HeaderMap, label: &str) -> bool {
    [SIGNATURE_INPUT, SIGNATURE].iter().all(|name| {
        if !headers.contains_key(name) {
            return true;
        }
        let text = field(headers, name);
        let members = text.as_deref().and_then(structured::dictionary);
        members.is_some_and(|members| members.iter().all(|(own, _)| *own != label))
    })
}

fn failed() -> Error {
    Error::new(Reason::ModuleFailed).with_detail("the request could not be signed")
}
