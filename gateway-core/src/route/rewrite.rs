//! The path and host that the target sees instead of the client's.

use std::borrow::Cow;

use http::uri::Authority;

use super::error::{Place, RouteError};
use super::matcher::{is_parameter_name, literal_text};
use super::{PathParams, RouteHit};
use crate::path::{EncodedSlashes, PathError, PathOptions, normalize};

/// How the head of a request is rewritten for the target. The query is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rewrite {
    /// What becomes of the path. `None`: it stays.
    pub path: Option<PathRewrite>,
    /// The host that the target is told. `None`: as the cluster says.
    pub host: Option<Authority>,
}

/// What becomes of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathRewrite {
    /// The matched prefix is replaced by this text; needs a prefix match.
    Prefix(String),
    /// The whole path is replaced.
    Template(RewriteTemplate),
}

impl Rewrite {
    /// A rewrite that changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the matched prefix by `prefix`; instead of an earlier `path`.
    ///
    /// With `/xyz` for the prefix `/foo`: `/foo` becomes `/xyz`, `/foo/` `/xyz/` and `/foo/bar`
    /// `/xyz/bar`. Trailing slashes of either side change nothing. `""` and `"/"` take the prefix
    /// away: `/bar`, and `/` where nothing is left.
    ///
    /// # Errors
    ///
    /// When `prefix` is neither empty nor a path.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, RouteError> {
        self.path = Some(PathRewrite::Prefix(prefix_text(Place::RewritePrefix, prefix)?));
        Ok(self)
    }

    /// Replaces the path by `template`, such as `/v2/{rest}`; instead of an earlier `prefix`.
    ///
    /// # Errors
    ///
    /// When `template` is no path or its parameters are not written `{name}`.
    pub fn path(mut self, template: &str) -> Result<Self, RouteError> {
        self.path = Some(PathRewrite::Template(RewriteTemplate::parse(template)?));
        Ok(self)
    }

    /// Sets the host that the target is told, with a port where that is not the default.
    ///
    /// # Errors
    ///
    /// When `host` is not a host with an optional port (RFC 9110, section 7.2).
    pub fn host(mut self, host: &str) -> Result<Self, RouteError> {
        self.host = Some(authority(Place::RewriteHost, host)?);
        Ok(self)
    }

    /// The path that the target sees for `path`, which `hit` took.
    ///
    /// Parameters stand for the raw escaped text. The result is never empty and never begins with
    /// `//`.
    ///
    /// # Errors
    ///
    /// When text around a parameter makes a dot segment of it, as `/.{a}` does of `.`: such a path
    /// would mean one thing here and another behind.
    pub fn apply<'p, T>(
        &self,
        path: &'p str,
        hit: &RouteHit<'_, T>,
    ) -> Result<Cow<'p, str>, PathError> {
        match &self.path {
            Some(PathRewrite::Prefix(_)) => {
                let matching = hit.route.matches.get(hit.matched);
                let rest = matching.and_then(|matching| matching.path.after_prefix(path));
                self.apply_matched(path, &hit.params, rest)
            }
            _ => self.apply_matched(path, &hit.params, None),
        }
    }

    /// As [`apply`](Self::apply), for a match that is known by its parameters and by the text
    /// behind its prefix.
    pub(crate) fn apply_matched<'p>(
        &self,
        path: &'p str,
        params: &PathParams,
        after_prefix: Option<&'p str>,
    ) -> Result<Cow<'p, str>, PathError> {
        match &self.path {
            None => Ok(Cow::Borrowed(path)),
            // The table lets `prefix` stand only with prefix matches.
            Some(PathRewrite::Prefix(prefix)) => {
                Ok(after_prefix.map_or(Cow::Borrowed(path), |rest| replace_prefix(prefix, rest)))
            }
            Some(PathRewrite::Template(template)) => {
                template.expand(|name| params.value(path, name)).map(Cow::Owned)
            }
        }
    }
}

/// `replacement` before `rest`, which is empty or begins with `/`.
pub(super) fn replace_prefix<'p>(replacement: &str, rest: &'p str) -> Cow<'p, str> {
    // Where slashes are not merged, `rest` may begin with several.
    let extra = rest.bytes().take_while(|byte| *byte == b'/').count().saturating_sub(1);
    let rest = rest.get(extra..).unwrap_or(rest);
    match replacement.trim_end_matches('/') {
        "" if rest.is_empty() => Cow::Borrowed("/"),
        "" => Cow::Borrowed(rest),
        replacement => Cow::Owned(format!("{replacement}{rest}")),
    }
}

/// A replacement of a prefix in the form that requests have; empty stays empty.
pub(super) fn prefix_text(place: Place, prefix: &str) -> Result<String, RouteError> {
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if prefix.contains(['{', '}']) {
        return Err(RouteError::new(place, prefix, "a prefix without parameters"));
    }
    let text = literal_text(place, prefix)?;
    if text.starts_with("//") {
        return Err(RouteError::new(place, prefix, "one slash at the beginning"));
    }
    Ok(text)
}

pub(super) fn authority(place: Place, host: &str) -> Result<Authority, RouteError> {
    let reject = || RouteError::new(place, host, "a host, with a port if need be");
    let authority: Authority = host.parse().map_err(|_| reject())?;
    if host.contains('@') || authority.host().is_empty() {
        return Err(reject());
    }
    Ok(authority)
}

/// A path with `{name}` where a parameter of the match is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewriteTemplate {
    source: Box<str>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Parameter(Box<str>),
}

impl RewriteTemplate {
    /// Reads a template such as `/v2/{rest}`.
    ///
    /// # Errors
    ///
    /// When `template` is no path or its parameters are not written `{name}`.
    pub fn parse(template: &str) -> Result<Self, RouteError> {
        let reject =
            |expected: &'static str| Err(RouteError::new(Place::RewritePath, template, expected));
        let text = literal_text(Place::RewritePath, template)?;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, inside)) = rest.split_once('{') {
            let Some((name, after)) = inside.split_once('}') else {
                return reject("a `}` after every `{`");
            };
            if name.starts_with('*') {
                return reject("`{rest}` for the text of `{*rest}`");
            }
            if before.contains('}') || !is_parameter_name(name) {
                return reject("parameters written `{name}`");
            }
            parts.push(Part::Text(before.into()));
            parts.push(Part::Parameter(name.into()));
            rest = after;
        }
        if rest.contains('}') {
            return reject("a `{` before every `}`");
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self { source: template.into(), parts })
    }

    /// The names it asks for, from the left.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// The path with the value of each parameter; an unknown one is empty.
    fn expand<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, PathError> {
        let mut path = String::with_capacity(self.source.len() + 32);
        for part in &self.parts {
            path.push_str(match part {
                Part::Text(text) => text,
                Part::Parameter(name) => value(name).unwrap_or_default(),
            });
        }
        let doubled = path.bytes().take_while(|byte| *byte == b'/').count().saturating_sub(1);
        path.drain(..doubled);
        let options = PathOptions::new().encoded_slashes(EncodedSlashes::Keep).merge_slashes(false);
        // Text and values are normal each; together they can still make dot segments.
        match normalize(&path, &options)? {
            Cow::Borrowed(_) => Ok(path),
            Cow::Owned(_) => Err(PathError::DotSegment),
        }
    }
}

impl std::fmt::Display for RewriteTemplate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.source)
    }
}
