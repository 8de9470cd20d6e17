//! The steps of [`normalize`](super::normalize), in order: each borrows what it does not change.

use std::borrow::Cow;

use super::{EncodedSlashes, PathError, PathOptions};

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
pub(super) fn decode<'p>(path: &'p str, options: &PathOptions) -> Result<Cow<'p, str>, PathError> {
    let bytes = path.as_bytes();
    let mut output = Output::new(path);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                at = decode_escape(bytes, at, options, &mut output)?;
                continue;
            }
            0..=0x1F | 0x7F => return Err(PathError::Control { at }),
            0x80.. => return Err(PathError::NotAscii { at }),
            b'\\' => return Err(PathError::Backslash { at }),
            b'#' => return Err(PathError::Fragment { at }),
            b' ' | b'?' => return Err(PathError::Forbidden { at }),
            // What clients leave raw has one form as well.
            b'"' | b'<' | b'>' | b'`' => output.push_escape(byte),
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
    options: &PathOptions,
    output: &mut Output<'_>,
) -> Result<usize, PathError> {
    let byte = escaped_byte(bytes, at)?;
    match byte {
        0..=0x1F | 0x7F => return Err(PathError::Control { at }),
        b'\\' => return Err(PathError::Backslash { at }),
        b'/' if options.encoded_slashes == EncodedSlashes::Reject => {
            return Err(PathError::EncodedSlash { at });
        }
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => output.push(byte),
        0x80.. => return decode_character(bytes, at, byte, options, output),
        _ => output.push_escape(byte),
    }
    Ok(at + 3)
}

/// Writes the escapes from `at` on that are one character of UTF-8, or the one at `at` where that is
/// not needed.
fn decode_character(
    bytes: &[u8],
    at: usize,
    lead: u8,
    options: &PathOptions,
    output: &mut Output<'_>,
) -> Result<usize, PathError> {
    let width = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let mut encoded = [0; 4];
    let mut next = at;
    for slot in encoded.iter_mut().take(width) {
        if bytes.get(next) != Some(&b'%') {
            break;
        }
        *slot = escaped_byte(bytes, next)?;
        next += 3;
    }
    let encoded = encoded.get(..width).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(encoded) else {
        if !options.allow_non_utf8 || is_overlong(bytes, at, lead) {
            return Err(PathError::NotUtf8 { at });
        }
        output.push_escape(lead);
        return Ok(at + 3);
    };
    if text.chars().any(char::is_control) {
        return Err(PathError::Control { at });
    }
    for &byte in encoded {
        output.push_escape(byte);
    }
    Ok(next)
}

/// True where the escapes from `at` on are a longer form of a character than UTF-8 allows, such as
/// `%C0%AF`, which careless decoders read as a slash.
fn is_overlong(bytes: &[u8], at: usize, lead: u8) -> bool {
    let next = bytes.get(at + 3) == Some(&b'%');
    let next = next.then(|| escaped_byte(bytes, at + 3).ok()).flatten();
    next.is_some_and(|next| match lead {
        0xC0 | 0xC1 => (0x80..=0xBF).contains(&next),
        0xE0 => (0x80..=0x9F).contains(&next),
        0xF0 => (0x80..=0x8F).contains(&next),
        _ => false,
    })
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
pub(super) fn resolve_dots(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut found = false;
    for segment in path.split('/') {
        if is_dots(segment) {
            found = true;
        } else {
            reject_disguised_dots(segment)?;
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

pub(super) fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// Rejects what another server may read as a dot segment: `..;x`, and `..%2Fx` where that is kept.
fn reject_disguised_dots(segment: &str) -> Result<(), PathError> {
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
pub(super) fn merge_slashes(path: &str) -> Result<Cow<'_, str>, PathError> {
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
