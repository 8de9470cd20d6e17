//! Paths: exact, prefix, template, regular expression.

use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "regex")]
use super::RegexMatch;
use crate::context::PathParams;
use crate::path::{EncodedSlashes, PathOptions, normalize};
use crate::route::error::{Place, RouteError};

/// Segments that one pattern may have.
const SEGMENT_LIMIT: usize = 128;

/// The paths that a route takes. Compared with the normalised path of the request.
///
/// Literal text is brought into the same form when the pattern is made: `/caf%c3%a9` and `/café`
/// are the pattern `/caf%C3%A9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMatch {
    source: Box<str>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Exact(Box<str>),
    #[cfg(feature = "regex")]
    Regex(RegexMatch),
    /// A template or prefix. `names` in the order in which they stand.
    Segments {
        segments: Vec<Segment>,
        tail: Tail,
        names: Arc<[Arc<str>]>,
    },
}

/// What one segment of a pattern takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Segment {
    Literal(Box<str>),
    /// A parameter with literal text before or after it, or both.
    Affixed {
        before: Box<str>,
        after: Box<str>,
    },
    Parameter,
}

/// What a pattern takes after its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tail {
    /// Nothing.
    End,
    /// At least one character: `{*rest}`.
    Rest,
    /// Nothing, or anything after a slash.
    Prefix,
}

impl PathMatch {
    /// Takes every path: the prefix `/`.
    #[must_use]
    pub fn any() -> Self {
        let names = Arc::from([]);
        let shape = Shape::Segments { segments: Vec::new(), tail: Tail::Prefix, names };
        Self { source: "/".into(), shape }
    }

    /// Takes exactly `path`, or what fits it where it is a template.
    ///
    /// `{name}` takes a non-empty run inside one segment and may have literal text around it, one a
    /// segment. `{*rest}` stands last, as a segment of its own, and takes at least one character.
    /// A trailing slash counts. A literal brace is written `%7B` or `%7D`.
    ///
    /// # Errors
    ///
    /// When `path` is not a path that can be asked for, or its parameters are not as above.
    pub fn path(path: &str) -> Result<Self, RouteError> {
        let text = literal_text(Place::Path, path)?;
        let shape = if path.contains(['{', '}']) {
            parse_template(path, &text)?
        } else {
            Shape::Exact(text.into())
        };
        Ok(Self { source: path.into(), shape })
    }

    /// Takes the path `prefix` and all below it, by whole segments.
    ///
    /// A trailing slash of `prefix` is ignored: `/a` and `/a/` both take `/a`, `/a/` and `/a/b`,
    /// never `/ab`.
    ///
    /// # Errors
    ///
    /// When `prefix` is not a path that can be asked for, or has parameters.
    pub fn prefix(prefix: &str) -> Result<Self, RouteError> {
        if prefix.contains(['{', '}']) {
            let expected = "a prefix without parameters (`path = \"/a/{id}/{*rest}\"` has them)";
            return Err(RouteError::new(Place::Prefix, prefix, expected));
        }
        let text = literal_text(Place::Prefix, prefix)?;
        let segments = text
            .trim_end_matches('/')
            .split('/')
            .skip(1)
            .map(|segment| Segment::Literal(segment.into()))
            .collect::<Vec<_>>();
        check_count(Place::Prefix, prefix, segments.len())?;
        let shape = Shape::Segments { segments, tail: Tail::Prefix, names: Arc::from([]) };
        Ok(Self { source: prefix.into(), shape })
    }

    /// Takes the paths that `pattern` matches as a whole, in the syntax of the `regex` crate.
    ///
    /// The expression sees the normalised path, so escapes in it are upper-case.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a regular expression.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str) -> Result<Self, RouteError> {
        let shape = Shape::Regex(RegexMatch::new(pattern)?);
        Ok(Self { source: pattern.into(), shape })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.source
    }

    /// The names of the parameters, from the left.
    #[must_use]
    pub fn parameters(&self) -> &[Arc<str>] {
        match &self.shape {
            Shape::Segments { names, .. } => names,
            _ => &[],
        }
    }

    /// True when this is a prefix.
    #[must_use]
    pub const fn is_prefix(&self) -> bool {
        matches!(self.shape, Shape::Segments { tail: Tail::Prefix, .. })
    }

    /// What follows this prefix in `path`: empty, or text that begins with `/`.
    ///
    /// `None` when this is no prefix or does not take `path`.
    #[must_use]
    pub fn after_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Shape::Segments { segments, tail: Tail::Prefix, .. } = &self.shape else {
            return None;
        };
        let mut rest = path;
        for segment in segments {
            let Segment::Literal(text) = segment else {
                return None;
            };
            rest = rest.strip_prefix('/')?.strip_prefix(&**text)?;
        }
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// True when it takes the normalised `path`.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let (segments, tail) = match &self.shape {
            Shape::Exact(text) => return **text == *path,
            #[cfg(feature = "regex")]
            Shape::Regex(pattern) => return pattern.takes(path),
            Shape::Segments { segments, tail, .. } => (segments, tail),
        };
        let mut remaining = path.strip_prefix('/');
        if remaining.is_none() {
            return false;
        }
        for segment in segments {
            let Some(rest) = remaining else {
                return false;
            };
            let (head, next) = split_segment(rest);
            if !segment.takes(head) {
                return false;
            }
            remaining = next;
        }
        match tail {
            Tail::Prefix => true,
            Tail::End => remaining.is_none(),
            Tail::Rest => remaining.is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// The parameters of `path`, which this pattern takes.
    pub(crate) fn capture(&self, path: &str) -> PathParams {
        let Some(names) = self.shared_parameters() else {
            return PathParams::default();
        };
        let mut params = PathParams::named(Arc::clone(names));
        self.each_parameter(path, |range| params.push(range));
        params
    }

    /// Tells `found` the bytes of each parameter of `path`, from the left.
    ///
    /// `path` is one that this pattern takes, so literal text is stepped over without a look.
    fn each_parameter(&self, path: &str, mut found: impl FnMut(Range<usize>)) {
        let Shape::Segments { segments, tail, .. } = &self.shape else {
            return;
        };
        let mut start = 1;
        for segment in segments {
            let end = match segment {
                Segment::Literal(text) => start + text.len(),
                _ => {
                    let rest = path.as_bytes().get(start..).unwrap_or_default();
                    memchr::memchr(b'/', rest).map_or(path.len(), |slash| start + slash)
                }
            };
            match segment {
                Segment::Literal(_) => {}
                Segment::Parameter => found(start..end),
                Segment::Affixed { before, after } => {
                    found(start + before.len()..end.saturating_sub(after.len()));
                }
            }
            start = end + 1;
        }
        if *tail == Tail::Rest {
            found(start..path.len());
        }
    }

    /// The names, shared; `None` where there are none.
    pub(crate) fn shared_parameters(&self) -> Option<&Arc<[Arc<str>]>> {
        match &self.shape {
            Shape::Segments { names, .. } if !names.is_empty() => Some(names),
            _ => None,
        }
    }

    pub(crate) const fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl std::fmt::Display for PathMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Segment {
    /// True when it takes the segment `text`.
    pub(crate) fn takes(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text,
            Self::Parameter => !text.is_empty(),
            Self::Affixed { before, after } => {
                text.len() > before.len() + after.len()
                    && text.starts_with(&**before)
                    && text.ends_with(&**after)
            }
        }
    }
}

/// The first segment of `rest` and what follows its slash.
#[inline]
pub(crate) fn split_segment(rest: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', rest.as_bytes()) {
        Some(slash) => (rest.get(..slash).unwrap_or_default(), rest.get(slash + 1..)),
        None => (rest, None),
    }
}

/// `text` in the form that requests have: text beyond ASCII escaped, then normalised.
///
/// Dot segments are rejected: a request never has them, so the text could never be asked for.
pub(crate) fn literal_text(place: Place, text: &str) -> Result<String, RouteError> {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    let options = PathOptions::new().encoded_slashes(EncodedSlashes::Keep).merge_slashes(false);
    let normal = normalize(&escaped, &options).map_err(|error| {
        RouteError::new(place, text, format!("a path that a request can have ({error})"))
    })?;
    let slashes = |path: &str| path.matches('/').count();
    if slashes(&normal) != slashes(&escaped) {
        return Err(RouteError::new(place, text, "a path without dot segments"));
    }
    Ok(normal.into_owned())
}

fn check_count(place: Place, source: &str, count: usize) -> Result<(), RouteError> {
    if count > SEGMENT_LIMIT {
        let expected = format!("at most {SEGMENT_LIMIT} segments");
        return Err(RouteError::new(place, source, expected));
    }
    Ok(())
}

/// Reads the segments of `text`, the normalised form of the template `source`.
fn parse_template(source: &str, text: &str) -> Result<Shape, RouteError> {
    let reject = |expected: &'static str| Err(RouteError::new(Place::Path, source, expected));
    let mut segments = Vec::new();
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut tail = Tail::End;
    for part in text.split('/').skip(1) {
        if tail == Tail::Rest {
            return reject("`{*rest}` as the last segment");
        }
        let Some((before, inside)) = part.split_once('{') else {
            if part.contains('}') {
                return reject("a `{` before every `}`");
            }
            segments.push(Segment::Literal(part.into()));
            continue;
        };
        let Some((name, after)) = inside.split_once('}') else {
            return reject("a `}` after every `{`, in the same segment");
        };
        if before.contains('}') || after.contains(['{', '}']) {
            return reject("at most one parameter in a segment");
        }
        let has_text_around = !before.is_empty() || !after.is_empty();
        let name = match name.strip_prefix('*') {
            Some(_) if has_text_around => return reject("`{*rest}` as a segment of its own"),
            Some(name) => {
                tail = Tail::Rest;
                name
            }
            None if has_text_around => {
                segments.push(Segment::Affixed { before: before.into(), after: after.into() });
                name
            }
            None => {
                segments.push(Segment::Parameter);
                name
            }
        };
        if !is_parameter_name(name) {
            return reject("parameter names of letters, digits, '-' and '_'");
        }
        if names.iter().any(|known| **known == *name) {
            return reject("every parameter name once");
        }
        names.push(name.into());
    }
    check_count(Place::Path, source, segments.len())?;
    Ok(Shape::Segments { segments, tail, names: names.into() })
}

/// True for the names that a parameter can have.
pub(crate) fn is_parameter_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
