//! [`Message`]: what a signature is made of (RFC 9421, section 2).

use std::borrow::Cow;
use std::fmt::Write as _;

use gateway_core::context::Scheme;
use gateway_core::{Request, RequestContext, RequestExt};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::component::{Component, Form, Name};
use super::fault::SignatureRejection;
use super::structured;

/// Most bytes of what is signed. Heads are 64 KiB in all; some of it may be covered twice, whole
/// and in part.
const MAX_BASE: usize = 128 * 1024;

/// The parts of a message that can be covered.
pub(super) struct Message<'a> {
    pub(super) method: &'a Method,
    pub(super) scheme: &'a str,
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) target: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    /// Of an answer: then the rest is of no meaning but the fields.
    pub(super) status: Option<StatusCode>,
}

impl<'a> Message<'a> {
    /// What a client has sent: its target in its normal form, before the route rewrote anything,
    /// and scheme and host as they were before trusted proxies in front of the gateway.
    pub(super) fn received(request: &'a Request) -> Self {
        let context = request.context();
        let scheme = context.map_or(Scheme::Http, RequestContext::scheme);
        let target = context.and_then(RequestContext::target);
        let host = context.and_then(RequestContext::requested_host);
        Self {
            method: request.method(),
            scheme: scheme.as_str(),
            host: host.or_else(|| request.headers().get(HOST)),
            target: target.unwrap_or(request.uri()),
            headers: request.headers(),
            status: None,
        }
    }

    /// The text that is signed: `params` is what the signature says of itself (RFC 9421, section
    /// 2.5).
    pub(super) fn base(
        &self,
        covered: &[Component],
        params: &str,
    ) -> Result<String, SignatureRejection> {
        let mut out = String::with_capacity(64 * (covered.len() + 1) + params.len());
        for component in covered {
            component.write(&mut out);
            out.push_str(": ");
            self.write_value(component, &mut out).ok_or(SignatureRejection::ComponentMissing)?;
            out.push('\n');
            if out.len() > MAX_BASE {
                return Err(SignatureRejection::TooLarge);
            }
        }
        out.push_str("\"@signature-params\": ");
        out.push_str(params);
        Ok(out)
    }

    /// True when it has the component, in one form.
    pub(super) fn has(&self, component: &Component) -> bool {
        self.write_value(component, &mut String::new()).is_some()
    }

    fn write_value(&self, component: &Component, out: &mut String) -> Option<()> {
        if let Name::Field(name) = &component.name {
            return self.write_field(name, &component.form, out);
        }
        if self.status.is_some() != (component.name == Name::Status) {
            return None;
        }
        match &component.name {
            Name::Method => out.push_str(self.method.as_str()),
            Name::Authority => self.write_authority(out)?,
            Name::Scheme => out.push_str(self.scheme),
            Name::Path => out.push_str(self.path()),
            Name::Query => {
                out.push('?');
                out.push_str(self.target.query().unwrap_or_default());
            }
            Name::RequestTarget => {
                out.push_str(self.target.path_and_query().map_or("/", PathAndQuery::as_str));
            }
            Name::TargetUri => {
                out.push_str(self.scheme);
                out.push_str("://");
                self.write_authority(out)?;
                out.push_str(self.path());
                if let Some(query) = self.target.query() {
                    out.push('?');
                    out.push_str(query);
                }
            }
            Name::QueryParam => {
                let Form::Parameter(name) = &component.form else {
                    return None;
                };
                out.push_str(&self.query_param(name)?);
            }
            Name::Status => out.push_str(self.status?.as_str()),
            Name::Field(_) => return None,
        }
        Some(())
    }

    fn path(&self) -> &str {
        match self.target.path() {
            "" => "/",
            path => path,
        }
    }

    /// RFC 9421, section 2.2.3: in lower case, without the scheme's own port.
    fn write_authority(&self, out: &mut String) -> Option<()> {
        let host = self.host?.to_str().ok()?;
        let port = if self.scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(port).unwrap_or(host);
        out.extend(host.chars().map(|letter| letter.to_ascii_lowercase()));
        Some(())
    }

    /// The value of the only parameter called `name`, which is encoded, in its encoded form (RFC
    /// 9421, section 2.2.8).
    fn query_param(&self, name: &str) -> Option<String> {
        let mut found = None;
        let mut own = String::new();
        for pair in self.target.query()?.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            own.clear();
            encode(&decode(key), &mut own);
            if own != name {
                continue;
            }
            // Of two nobody can say which is meant.
            if found.replace(value).is_some() {
                return None;
            }
        }
        let value = decode(found?);
        std::str::from_utf8(&value).ok()?;
        let mut out = String::new();
        encode(&value, &mut out);
        Some(out)
    }

    fn write_field(&self, name: &HeaderName, form: &Form, out: &mut String) -> Option<()> {
        match form {
            Form::Plain => self.write_lines(name, out),
            Form::Bytes => {
                let mut any = false;
                for line in self.headers.get_all(name) {
                    if any {
                        out.push_str(", ");
                    }
                    any = true;
                    structured::write_bytes(trim(line.as_bytes()), out);
                }
                any.then_some(())
            }
            Form::Structured => {
                let mut text = String::new();
                self.write_lines(name, &mut text)?;
                match Structure::of(name)? {
                    Structure::Dictionary => {
                        structured::write_dictionary(&structured::dictionary(&text)?, out);
                    }
                    Structure::List => structured::write_list(&structured::list(&text)?, out),
                    Structure::Item => structured::item(&text)?.write(out),
                }
                Some(())
            }
            Form::Member(key) => {
                let mut text = String::new();
                self.write_lines(name, &mut text)?;
                let members = structured::dictionary(&text)?;
                let (_, member) = members.iter().find(|(own, _)| own == key)?;
                member.write(out);
                Some(())
            }
            Form::Parameter(_) => None,
        }
    }

    /// RFC 9421, section 2.1. Lines are not folded any more when they come here.
    fn write_lines(&self, name: &HeaderName, out: &mut String) -> Option<()> {
        combined(self.headers, name, out)
    }
}

/// All lines of a field as one text. `None` where there is none, or one is not ASCII.
pub(super) fn combined(headers: &HeaderMap, name: &HeaderName, out: &mut String) -> Option<()> {
    let mut any = false;
    for line in headers.get_all(name) {
        if any {
            out.push_str(", ");
        }
        any = true;
        out.push_str(line.to_str().ok()?.trim_matches([' ', '\t']));
    }
    any.then_some(())
}

/// All lines of a field, borrowed where there is one.
pub(super) fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    if lines.next().is_none() {
        return first.to_str().ok().map(Cow::Borrowed);
    }
    let mut out = String::new();
    combined(headers, name, &mut out)?;
    Some(Cow::Owned(out))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// How a field is built whose specification says so: only these have a form of their structure.
enum Structure {
    Dictionary,
    List,
    Item,
}

impl Structure {
    fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            "accept-signature"
            | "cdn-cache-control"
            | "content-digest"
            | "priority"
            | "repr-digest"
            | "signature"
            | "signature-input"
            | "want-content-digest"
            | "want-repr-digest" => Some(Self::Dictionary),
            "accept-ch" | "cache-status" | "client-cert-chain" | "proxy-status" => Some(Self::List),
            "client-cert" => Some(Self::Item),
            _ => None,
        }
    }
}

/// What a form sends for these bytes, a blank as `%20`.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(byte) {
            out.push(char::from(*byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// What a form means by this text. An escape that is none stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                behind.get(2..).unwrap_or_default()
            }
            None => {
                out.push(if *first == b'+' { b' ' } else { *first });
                behind
            }
        };
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
