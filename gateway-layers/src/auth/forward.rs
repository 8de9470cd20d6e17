//! [`Forward`]: what upstreams are told about who is calling.

use std::fmt::Write as _;
use std::sync::Arc;

use gateway_core::context::{Claim, Principal};
use gateway_core::forwarded::is_reserved;
use http::header::{HeaderName, HeaderValue};

use super::claims::find;

/// Fields with a meaning of their own: framing, routing, credentials, the connection.
const RESERVED: [&str; 19] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What upstreams are told about who is calling: header fields, each with an attribute of the
/// principal.
///
/// An attribute is the name of a claim, or a path with dots into claims that hold others
/// (`realm_access.roles`); where there is no such claim, `subject` (or `sub`), `issuer` (`iss`),
/// `method`, `tier`, `tenant`, `roles` or `scopes` (`scope`). What a principal does not have makes
/// no field.
///
/// Lists are joined by commas. In what a list holds, and in a text that is a role or a scope, a
/// comma is written `%2C` and a percent sign `%25`, so that one element is not read as two. What
/// cannot stand in a header as what it is, because of control characters or blanks at its ends, is
/// [`Unsafe`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Forward {
    fields: Vec<(HeaderName, String)>,
    names: Vec<HeaderName>,
}

/// An attribute of a principal cannot be told as a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is known cannot be told in a header field")]
pub struct Unsafe;

impl Forward {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells `attribute` as the field `name`.
    pub fn field(mut self, name: HeaderName, attribute: impl Into<String>) -> Self {
        self.names.push(name.clone());
        self.fields.push((name, attribute.into()));
        self
    }

    /// The names of the fields: nobody else may say them.
    #[must_use]
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// The first of its fields that means something else already: framing, credentials, what
    /// proxies say.
    #[must_use]
    pub fn reserved(&self) -> Option<&HeaderName> {
        self.names.iter().find(|name| !is_free(name))
    }

    /// What is told of `principal`.
    ///
    /// # Errors
    ///
    /// When an attribute cannot stand in a field as what it is.
    pub fn of(&self, principal: &Principal) -> Result<Vec<(HeaderName, HeaderValue)>, Unsafe> {
        let mut told = Vec::with_capacity(self.fields.len());
        for (name, attribute) in &self.fields {
            if let Some(text) = told_of(principal, attribute)? {
                let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Unsafe)?;
                told.push((name.clone(), value));
            }
        }
        Ok(told)
    }
}

/// Whether something may be told as the field `name`.
fn is_free(name: &HeaderName) -> bool {
    let own = is_reserved(name.as_str()) && !name.as_str().starts_with("x-gateway-");
    !own && !RESERVED.contains(&name.as_str())
}

fn told_of(principal: &Principal, attribute: &str) -> Result<Option<String>, Unsafe> {
    if let Some(claim) = find(&principal.claims, attribute) {
        return match claim {
            // Its reader takes it for a list, of which it is the only element.
            Claim::Text(text) if is_element(principal, text) => {
                value(&Claim::List(vec![claim.clone()]))
            }
            claim => value(claim),
        };
    }
    let text = |text: &Option<Arc<str>>| text.as_ref().map(|text| Claim::Text(text.clone()));
    let list = |list: &[Arc<str>]| {
        Some(Claim::List(list.iter().map(|one| Claim::Text(one.clone())).collect()))
    };
    let known = match attribute {
        "subject" | "sub" => {
            text(&Some(principal.subject.clone()).filter(|known| !known.is_empty()))
        }
        "issuer" | "iss" => text(&principal.issuer),
        "method" => Some(Claim::Text(principal.method.into())),
        "tier" => text(&principal.tier),
        "tenant" => text(&principal.tenant),
        "roles" => list(&principal.roles),
        "scopes" | "scope" => list(&principal.scopes),
        _ => None,
    };
    known.as_ref().map_or(Ok(None), value)
}

/// True for a role or a scope that holds what separates elements.
fn is_element(principal: &Principal, text: &str) -> bool {
    let mut elements = principal.roles.iter().chain(&principal.scopes);
    text.contains(SEPARATES) && elements.any(|element| **element == *text)
}

/// What elements of a list are not written with: the comma that separates them, and what begins an
/// encoded character.
const SEPARATES: [char; 2] = [',', '%'];

fn value(claim: &Claim) -> Result<Option<String>, Unsafe> {
    let mut text = String::new();
    match claim {
        Claim::Null => return Ok(None),
        Claim::List(list) => {
            for (place, one) in list.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_element(&mut text, one)?;
            }
            if list.is_empty() {
                return Ok(None);
            }
        }
        one => write_one(&mut text, one)?,
    }
    Ok(Some(text))
}

/// Writes an element of a list so that it stays one.
fn write_element(text: &mut String, claim: &Claim) -> Result<(), Unsafe> {
    match claim {
        Claim::Text(value) if value.contains(SEPARATES) => {
            let encoded = value.replace('%', "%25").replace(',', "%2C");
            write_one(text, &Claim::Text(encoded.into()))
        }
        one => write_one(text, one),
    }
}

fn write_one(text: &mut String, claim: &Claim) -> Result<(), Unsafe> {
    match claim {
        Claim::Text(value) => {
            // Blanks at the ends do not arrive, so that " admin" would become "admin".
            let bare = value.trim().len() == value.len() && !value.is_empty();
            if !bare || value.chars().any(char::is_control) {
                return Err(Unsafe);
            }
            text.push_str(value);
        }
        // Writing to a string does not fail.
        Claim::Boolean(value) => drop(write!(text, "{value}")),
        Claim::Integer(value) => drop(write!(text, "{value}")),
        Claim::Number(value) => drop(write!(text, "{value}")),
        _ => return Err(Unsafe),
    }
    Ok(())
}
