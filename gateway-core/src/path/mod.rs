//! The one form of a request path, made at the door.
//!
//! Matching, policy, log and upstream all read the result of [`normalize`] and nothing else, so no
//! two of them can disagree about what was asked for. What could be read in two ways is rejected.

mod steps;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::steps::{decode, merge_slashes, resolve_dots};

/// How the listener treats the points of RFC 3986 that servers disagree about.
///
/// The default rejects `%2F` and escapes that are not UTF-8, and merges `//`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathOptions {
    /// What happens to `%2F`. Default: [`EncodedSlashes::Reject`].
    pub encoded_slashes: EncodedSlashes,
    /// Whether `//` becomes `/`. Default: `true`.
    pub merge_slashes: bool,
    /// Whether percent-encoded octets that are not UTF-8 (`/caf%E9`, ISO 8859-1) stay as they are;
    /// overlong forms of UTF-8 never do. Default: `false`, they are rejected.
    pub allow_non_utf8: bool,
}

impl PathOptions {
    /// The defaults: `%2F` and what is not UTF-8 are rejected, `//` is merged.
    #[must_use]
    pub const fn new() -> Self {
        Self { encoded_slashes: EncodedSlashes::Reject, merge_slashes: true, allow_non_utf8: false }
    }

    /// Sets whether percent-encoded octets that are not UTF-8 stay as they are.
    #[must_use]
    pub const fn allow_non_utf8(mut self, allow: bool) -> Self {
        self.allow_non_utf8 = allow;
        self
    }

    /// Sets what happens to `%2F`.
    #[must_use]
    pub const fn encoded_slashes(mut self, encoded_slashes: EncodedSlashes) -> Self {
        self.encoded_slashes = encoded_slashes;
        self
    }

    /// Sets whether `//` becomes `/`.
    #[must_use]
    pub const fn merge_slashes(mut self, merge_slashes: bool) -> Self {
        self.merge_slashes = merge_slashes;
        self
    }
}

impl Default for PathOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What happens to a percent-encoded slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EncodedSlashes {
    /// The path is rejected.
    #[default]
    Reject,
    /// `%2F` stays as it is (upper-cased) and never separates segments.
    Keep,
}

/// Why a path has no normal form. The answer is `400`.
///
/// `at` is a byte offset into the path as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path does not begin with `/`.
    #[error("path does not begin with '/'")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits after it (RFC 3986, section 2.1).
    #[error("bad percent escape at byte {at}")]
    BadEscape {
        /// Where the `%` stands.
        at: usize,
    },
    /// A control character, raw or escaped; `%00` is one.
    #[error("control character at byte {at}")]
    Control {
        /// Where it stands.
        at: usize,
    },
    /// A backslash or `%5C`, which some servers read as a separator.
    #[error("backslash at byte {at}")]
    Backslash {
        /// Where it stands.
        at: usize,
    },
    /// A `#`: a fragment is never sent (RFC 9110, section 7.1).
    #[error("fragment at byte {at}")]
    Fragment {
        /// Where the `#` stands.
        at: usize,
    },
    /// A blank or `?`, which cannot be part of a path (RFC 3986, section 3.3).
    #[error("character that cannot stand in a path at byte {at}")]
    Forbidden {
        /// Where it stands.
        at: usize,
    },
    /// A raw byte above 127 (RFC 3986, section 2).
    #[error("byte that is not ASCII at byte {at}")]
    NotAscii {
        /// Where it stands.
        at: usize,
    },
    /// Escapes that do not decode to UTF-8 (RFC 3629); overlong forms are not UTF-8.
    #[error("escapes that are not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where the sequence begins.
        at: usize,
    },
    /// A `%2F` where the listener rejects it.
    #[error("encoded slash at byte {at}")]
    EncodedSlash {
        /// Where the `%` stands.
        at: usize,
    },
    /// More `..` than segments.
    #[error("dot segments lead above the root")]
    AboveRoot,
    /// A dot segment where none can be resolved: text put into a rewrite made it.
    #[error("dot segment made by a rewrite")]
    DotSegment,
    /// A dot segment with parameters, such as `/..;x/`.
    #[error("dot segment with parameters")]
    DotParameters,
    /// A dot segment beside a kept `%2F`, such as `/..%2Fx`.
    #[error("dot segment beside an encoded slash")]
    DotEncodedSlash,
}

/// Brings `path` into the one form that everything behind the door reads.
///
/// Percent-encoded unreserved characters are decoded, other escapes upper-cased, `"`, `<`, `>` and
/// `` ` `` percent-encoded, dot segments removed (RFC 3986, section 5.2.4), then `//` merged.
/// Parameters (`;x`) are ordinary text of their segment. The result is a fixed point: normalising it again changes nothing. Nothing is
/// allocated when nothing changes.
///
/// ```
/// use gateway_core::path::{PathOptions, normalize};
///
/// let path = normalize("/a/%7euser/./b//c", &PathOptions::default())?;
/// assert_eq!(path, "/a/~user/b/c");
/// # Ok::<(), gateway_core::path::PathError>(())
/// ```
///
/// # Errors
///
/// See [`PathError`]. `OPTIONS *` is the caller's: a path begins with `/`.
pub fn normalize<'p>(path: &'p str, options: &PathOptions) -> Result<Cow<'p, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_clean(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path, options)?;
    let resolved = chain(decoded, resolve_dots)?;
    if options.merge_slashes { chain(resolved, merge_slashes) } else { Ok(resolved) }
}

/// True only where normalising changes nothing whatever the options are.
fn is_clean(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let ordinary = byte > b' '
            && byte < 0x7F
            && !matches!(byte, b'%' | b'\\' | b'#' | b'?' | b'"' | b'<' | b'>' | b'`');
        if !ordinary || (previous == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        previous = byte;
    }
    true
}

/// Applies `step` to the text of `path`, keeping the borrow where both borrow.
fn chain<'p>(
    path: Cow<'p, str>,
    step: impl Fn(&str) -> Result<Cow<'_, str>, PathError>,
) -> Result<Cow<'p, str>, PathError> {
    match step(&path)? {
        Cow::Owned(changed) => Ok(Cow::Owned(changed)),
        // The steps borrow only when they changed nothing.
        Cow::Borrowed(_) => Ok(path),
    }
}
