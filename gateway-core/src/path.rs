//! The one form of a request path, made at the door.
//!
//! Matching, policy, log and upstream all read the result of [`normalize`] and nothing else, so no
//! two of them can disagree about what was asked for. What could be read in two ways is refused.

use std::borrow::Cow;

/// How the listener treats the two points of RFC 3986 that servers disagree about.
///
/// The default refuses `%2F` and merges `//`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathOptions {
    /// What happens to `%2F`. Default: [`EncodedSlashes::Refuse`].
    pub encoded_slashes: EncodedSlashes,
    /// Whether `//` becomes `/`. Default: `true`.
    pub merge_slashes: bool,
}

impl PathOptions {
    /// The defaults: `%2F` is refused, `//` is merged.
    #[must_use]
    pub const fn new() -> Self {
        Self { encoded_slashes: EncodedSlashes::Refuse, merge_slashes: true }
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
    /// The path is refused.
    #[default]
    Refuse,
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
    /// A `%2F` where the listener refuses it.
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
/// Percent-encoded unreserved characters are decoded, other escapes upper-cased, dot segments
/// removed (RFC 3986, section 5.2.4), then `//` merged. Parameters (`;x`) are ordinary text of
/// their segment. The result is a fixed point: normalising it again changes nothing. Nothing is
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
    let decoded = decode(path, options.encoded_slashes)?;
    let resolved = chain(decoded, resolve_dots)?;
    if options.merge_slashes { chain(resolved, merge_slashes) } else { Ok(resolved) }
}

/// True only where normalising changes nothing whatever the options are.
fn is_clean(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let ordinary = byte > b' ' && byte < 0x7F && !matches!(byte, b'%' | b'\\' | b'#' | b'?');
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

/// Text that stays a borrow of `source` until it differs from it.
struct Output<'p> {
    source: &'p str,
    same: usize,
    owned: Option<String>,
}

impl<'p> Output<'p> {
    const fn new(source: &'p str) -> Self {
        Self { source, same: 0, owned: None }
    }

    fn push(&mut self, byte: u8) {
        match &mut self.owned {
            Some(text) => text.push(char::from(byte)),
            None if self.source.as_bytes().get(self.same) == Some(&byte) => self.same += 1,
            None => {
                let mut text = String::with_capacity(self.source.len());
                text.push_str(self.source.get(..self.same).unwrap_or_default());
                text.push(char::from(byte));
                self.owned = Some(text);
            }
        }
    }

    fn push_escape(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.push(b'%');
        for digit in [byte >> 4, byte & 15] {
            self.push(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
    }

    fn finish(self) -> Cow<'p, str> {
        match self.owned {
            Some(text) => Cow::Owned(text),
            None if self.same == self.source.len() => Cow::Borrowed(self.source),
            None => Cow::Owned(self.source.get(..self.same).unwrap_or_default().to_owned()),
        }
    }
}

/// Checks every character; decodes unreserved escapes and upper-cases the others.
fn decode(path: &str, slashes: EncodedSlashes) -> Result<Cow<'_, str>, PathError> {
    let bytes = path.as_bytes();
    let mut output = Output::new(path);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                at = decode_escape(bytes, at, slashes, &mut output)?;
                continue;
            }
            0..=0x1F | 0x7F => return Err(PathError::Control { at }),
            0x80.. => return Err(PathError::NotAscii { at }),
            b'\\' => return Err(PathError::Backslash { at }),
            b'#' => return Err(PathError::Fragment { at }),
            b' ' | b'?' => return Err(PathError::Forbidden { at }),
            _ => output.push(byte),
        }
        at += 1;
    }
    Ok(output.finish())
}

/// Writes the escape at `at` (beyond ASCII: the whole character); gives the place after it.
fn decode_escape(
    bytes: &[u8],
    at: usize,
    slashes: EncodedSlashes,
    output: &mut Output<'_>,
) -> Result<usize, PathError> {
    let byte = escaped_byte(bytes, at)?;
    match byte {
        0..=0x1F | 0x7F => return Err(PathError::Control { at }),
        b'\\' => return Err(PathError::Backslash { at }),
        b'/' if slashes == EncodedSlashes::Refuse => return Err(PathError::EncodedSlash { at }),
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => output.push(byte),
        0x80.. => return decode_character(bytes, at, byte, output),
        _ => output.push_escape(byte),
    }
    Ok(at + 3)
}

/// Checks that the escapes from `at` on are one character of UTF-8 and writes them.
fn decode_character(
    bytes: &[u8],
    at: usize,
    lead: u8,
    output: &mut Output<'_>,
) -> Result<usize, PathError> {
    let width = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Err(PathError::NotUtf8 { at }),
    };
    let mut encoded = [0; 4];
    let mut next = at;
    for slot in encoded.iter_mut().take(width) {
        if bytes.get(next) != Some(&b'%') {
            return Err(PathError::NotUtf8 { at });
        }
        *slot = escaped_byte(bytes, next)?;
        next += 3;
    }
    let encoded = encoded.get(..width).unwrap_or_default();
    let text = std::str::from_utf8(encoded).map_err(|_| PathError::NotUtf8 { at })?;
    if text.chars().any(char::is_control) {
        return Err(PathError::Control { at });
    }
    for &byte in encoded {
        output.push_escape(byte);
    }
    Ok(next)
}

/// The byte that the escape at `at` stands for.
fn escaped_byte(bytes: &[u8], at: usize) -> Result<u8, PathError> {
    let digit = |offset: usize| {
        let digit = bytes.get(at + offset).copied().map(char::from)?.to_digit(16)?;
        u8::try_from(digit).ok()
    };
    match (digit(1), digit(2)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(PathError::BadEscape { at }),
    }
}

/// Removes dot segments (RFC 3986, section 5.2.4), but never silently above the root.
fn resolve_dots(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut found = false;
    for segment in path.split('/') {
        if is_dots(segment) {
            found = true;
        } else {
            refuse_disguised_dots(segment)?;
        }
    }
    if !found {
        return Ok(Cow::Borrowed(path));
    }
    let mut output = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == ".." {
            let parent = output.rfind('/').ok_or(PathError::AboveRoot)?;
            output.truncate(parent);
        }
        if !is_dots(segment) {
            output.push('/');
            output.push_str(segment);
        } else if is_last {
            output.push('/');
        }
    }
    Ok(Cow::Owned(output))
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// Refuses what another server may read as a dot segment: `..;x`, and `..%2Fx` where that is kept.
fn refuse_disguised_dots(segment: &str) -> Result<(), PathError> {
    if !segment.contains('.') {
        return Ok(());
    }
    for part in segment.split("%2F") {
        let bare = part.split(';').next().unwrap_or_default();
        let bare = bare.split("%3B").next().unwrap_or_default();
        if is_dots(bare) {
            let has_parameters = bare.len() != part.len();
            let error =
                if has_parameters { PathError::DotParameters } else { PathError::DotEncodedSlash };
            return Err(error);
        }
    }
    Ok(())
}

/// Makes one slash of several.
#[allow(clippy::unnecessary_wraps)] // One shape with the other steps.
fn merge_slashes(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut output = Output::new(path);
    let mut previous = 0;
    for &byte in path.as_bytes() {
        if byte != b'/' || previous != b'/' {
            output.push(byte);
        }
        previous = byte;
    }
    Ok(output.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Result<String, PathError> {
        normalize(path, &PathOptions::default()).map(Cow::into_owned)
    }

    fn kept(path: &str) -> Result<String, PathError> {
        let options = PathOptions::new().encoded_slashes(EncodedSlashes::Keep);
        normalize(path, &options).map(Cow::into_owned)
    }

    #[track_caller]
    fn assert_forms(forms: &[(&str, &str)]) {
        for (path, expected) in forms {
            assert_eq!(normal(path).as_deref(), Ok(*expected), "{path}");
        }
    }

    #[test]
    fn unreserved_characters_are_decoded_and_other_escapes_upper_cased() {
        assert_forms(&[
            ("/%41%7a%30%2d%2E%5f%7E", "/Az0-._~"),
            ("/a%3ab%c3%a9", "/a%3Ab%C3%A9"),
            ("/%25%32%65", "/%252e"),
            ("/%23%3f%20", "/%23%3F%20"),
            ("/%f0%9f%a6%80", "/%F0%9F%A6%80"),
        ]);
    }

    #[test]
    fn dot_segments_are_removed() {
        assert_forms(&[
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/..b", "/a/..b"),
            ("/a;x/../b", "/b"),
        ]);
        for path in ["/..", "/a/../..", "/%2e%2e/a", "/./../a", "/a/../../b"] {
            assert_eq!(normal(path), Err(PathError::AboveRoot), "{path}");
        }
    }

    #[test]
    fn dot_segments_are_removed_before_slashes_are_merged() {
        assert_forms(&[("/a//b///c/", "/a/b/c/"), ("//", "/"), ("/a//../b", "/a/b")]);
        let options = PathOptions::new().merge_slashes(false);
        assert_eq!(normalize("/a//b/", &options), Ok(Cow::Borrowed("/a//b/")));
        assert_eq!(normalize("/a//../b", &options), Ok(Cow::Borrowed("/a/b")));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let cases = [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("a/b", PathError::NotAbsolute),
            ("/a%", PathError::BadEscape { at: 2 }),
            ("/a%4", PathError::BadEscape { at: 2 }),
            ("/%g0", PathError::BadEscape { at: 1 }),
            ("/%+1", PathError::BadEscape { at: 1 }),
            ("/%00", PathError::Control { at: 1 }),
            ("/a%0d%0a", PathError::Control { at: 2 }),
            ("/a\tb", PathError::Control { at: 2 }),
            ("/a\x7f", PathError::Control { at: 2 }),
            ("/%7F", PathError::Control { at: 1 }),
            ("/%C2%85", PathError::Control { at: 1 }),
            ("/a\\b", PathError::Backslash { at: 2 }),
            ("/a%5cb", PathError::Backslash { at: 2 }),
            ("/a#b", PathError::Fragment { at: 2 }),
            ("/a b", PathError::Forbidden { at: 2 }),
            ("/a?b", PathError::Forbidden { at: 2 }),
            ("/\u{e9}", PathError::NotAscii { at: 1 }),
            ("/a%2fb", PathError::EncodedSlash { at: 2 }),
        ];
        for (path, expected) in cases {
            assert_eq!(normal(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn escapes_must_decode_to_utf8() {
        for path in ["/%ff", "/%c0%af", "/%c3", "/%c3x", "/%c3%41", "/%e0%80%af", "/%ed%a0%80"] {
            assert_eq!(normal(path), Err(PathError::NotUtf8 { at: 1 }), "{path}");
        }
        assert_eq!(normal("/%c3%zz"), Err(PathError::BadEscape { at: 4 }));
        assert_eq!(normal("/%f4%90%80%80"), Err(PathError::NotUtf8 { at: 1 }));
    }

    #[test]
    fn dot_segments_with_parameters_are_refused_others_are_text() {
        for path in ["/a/..;x/b", "/..;", "/.;x", "/a/%2e%2e;/b", "/a/..%3bx", "/.;x;y/"] {
            assert_eq!(normal(path), Err(PathError::DotParameters), "{path}");
        }
        assert_forms(&[("/a;x=1/b;y", "/a;x=1/b;y"), ("/...;x", "/...;x"), ("/a.;x", "/a.;x")]);
    }

    #[test]
    fn a_kept_encoded_slash_is_never_a_separator() {
        assert_eq!(kept("/a%2fb").as_deref(), Ok("/a%2Fb"));
        assert_eq!(kept("/a%2Fb/../c").as_deref(), Ok("/c"));
        assert_eq!(kept("/a%2F%2Fb").as_deref(), Ok("/a%2F%2Fb"));
        assert_eq!(kept("/a/..%2fb"), Err(PathError::DotEncodedSlash));
        assert_eq!(kept("/a%2f.%2fb"), Err(PathError::DotEncodedSlash));
        assert_eq!(kept("/a%2f..;x"), Err(PathError::DotParameters));
    }

    #[test]
    fn nothing_is_allocated_when_nothing_changes() {
        for path in ["/", "/a/b/", "/.well-known/x", "/a%20b", "/%C3%A9", "/a/{b}", "/a;x=1"] {
            let result = normalize(path, &PathOptions::default());
            assert!(matches!(result, Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    #[test]
    fn an_error_says_what_was_found() {
        assert_eq!(PathError::BadEscape { at: 2 }.to_string(), "bad percent escape at byte 2");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "/", ".", "..", "a", "B", ";", "%2e", "%2F", "%3b", "%25", "%c3%a9", "%41",
                    "//", "/../", "%20", "{", "%2", "~",
                ]), 0..12),
            keep: bool,
            merge: bool,
        ) {
            let slashes = if keep { EncodedSlashes::Keep } else { EncodedSlashes::Refuse };
            let options = PathOptions::new().encoded_slashes(slashes).merge_slashes(merge);
            let path = format!("/{}", parts.concat());
            if let Ok(once) = normalize(&path, &options) {
                let twice = normalize(&once, &options);
                prop_assert_eq!(twice, Ok(Cow::Borrowed(&*once)));
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(is_dots));
                prop_assert!(!merge || !once.contains("//"));
            }
        }

        #[test]
        fn any_text_gives_a_path_or_an_error(text in "\\PC*", merge: bool) {
            let options = PathOptions::new().merge_slashes(merge);
            if let Ok(once) = normalize(&text, &options) {
                prop_assert_eq!(normalize(&once, &options), Ok(Cow::Borrowed(&*once)));
            }
        }
    }
}
