//! [`Allowed`]: what a service says beside its leave.

use std::sync::Arc;

use gateway_core::context::Principal;
use gateway_core::{Request, RequestExt};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::builder::copied;
use super::guard::Settings;

/// The fields of an answer that say who is calling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrincipalFields {
    /// Who it is, in one line. Without it nobody is known.
    pub subject: Option<HeaderName>,
    /// The roles, with commas between, in any number of lines.
    pub roles: Option<HeaderName>,
    /// The scopes, with blanks or commas between, in any number of lines.
    pub scopes: Option<HeaderName>,
    /// The tier, in one line.
    pub tier: Option<HeaderName>,
    /// The tenant, in one line.
    pub tenant: Option<HeaderName>,
}

/// What a service says beside its leave.
#[derive(Debug)]
pub(super) struct Allowed {
    upstream: Vec<(HeaderName, HeaderValue)>,
    pub(super) answer: Vec<(HeaderName, HeaderValue)>,
    principal: Option<Arc<Principal>>,
}

/// What is said of the caller can be read in two ways, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Allowed {
    pub(super) fn read(headers: &HeaderMap, settings: &Settings) -> Result<Self, Ambiguous> {
        Ok(Self {
            upstream: copied(headers, &settings.upstream_headers),
            answer: copied(headers, &settings.response_headers),
            principal: settings.principal.read(headers)?.map(Arc::new),
        })
    }

    /// Makes `request` what the service allows.
    pub(super) fn apply(&self, request: &mut Request, settings: &Settings) {
        let owned = &settings.upstream_headers;
        if !owned.is_empty() {
            remove(request.headers_mut(), owned);
            request.body_mut().strip_trailers(owned);
        }
        let headers = request.headers_mut();
        for (name, value) in &self.upstream {
            headers.append(name.clone(), value.clone());
        }
        let Some(context) = request.context() else { return };
        for (name, value) in &self.answer {
            context.append_response_header(name.clone(), value.clone());
        }
        if let Some(principal) = &self.principal {
            context.set_principal(Arc::clone(principal));
        }
    }
}

impl PrincipalFields {
    fn read(&self, headers: &HeaderMap) -> Result<Option<Principal>, Ambiguous> {
        let Some(subject) = one(headers, self.subject.as_ref())? else { return Ok(None) };
        let mut principal = Principal::new(subject, "external");
        principal.roles = all(headers, self.roles.as_ref(), &[','])?;
        principal.scopes = all(headers, self.scopes.as_ref(), &[',', ' '])?;
        principal.tier = one(headers, self.tier.as_ref())?;
        principal.tenant = one(headers, self.tenant.as_ref())?;
        Ok(Some(principal))
    }
}

fn one(headers: &HeaderMap, name: Option<&HeaderName>) -> Result<Option<Arc<str>>, Ambiguous> {
    let Some(name) = name else { return Ok(None) };
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => match text(line)? {
            "" => Err(Ambiguous),
            text => Ok(Some(text.into())),
        },
        _ => Err(Ambiguous),
    }
}

fn all(
    headers: &HeaderMap,
    name: Option<&HeaderName>,
    between: &[char],
) -> Result<Vec<Arc<str>>, Ambiguous> {
    let Some(name) = name else { return Ok(Vec::new()) };
    let mut all: Vec<Arc<str>> = Vec::new();
    for line in headers.get_all(name) {
        for one in text(line)?.split(between).map(str::trim).filter(|one| !one.is_empty()) {
            if !all.iter().any(|other| **other == *one) {
                all.push(one.into());
            }
        }
    }
    Ok(all)
}

fn text(line: &HeaderValue) -> Result<&str, Ambiguous> {
    std::str::from_utf8(line.as_bytes()).map(str::trim).map_err(|_| Ambiguous)
}

/// Removes the fields `names` in every spelling: servers that turn fields into variables cannot
/// tell `x_user_id` from the real one.
fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    let folded = |name: &HeaderName| name.as_str().replace('_', "-");
    let owned: Vec<String> = names.iter().map(folded).collect();
    let found: Vec<HeaderName> =
        headers.keys().filter(|name| owned.contains(&folded(name))).cloned().collect();
    found.iter().for_each(|name| drop(headers.remove(name)));
}
