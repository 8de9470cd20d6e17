//! Text that cannot leave its place in a line.

use std::fmt::{self, Write};

/// Of a text from outside, at most this many characters are logged.
pub(super) const MAX_TEXT: usize = 1024;

/// A text that cannot leave its place in a line: control characters, quotes, backslashes and
/// what reorders text are escaped, and what is too long is cut.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping::into(f), "{}", self.0)
    }
}

/// Writes a text, escaped.
pub(super) fn text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        shown(out, text);
    }
}

/// Writes what something shows itself as, escaped.
pub(super) fn shown(out: &mut String, shown: impl fmt::Display) {
    // Writing to a string does not fail, and what fails to show itself ends there.
    let _ = write!(Escaping::into(out), "{shown}");
}

/// Whether nothing of a text has to be escaped or cut.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // All of them are looked at: that way many are looked at in one step.
    text.len() < MAX_TEXT && text.bytes().fold(true, |all, byte| all & plain(byte))
}

/// Escapes what is written through it.
struct Escaping<'a, W> {
    out: &'a mut W,
    left: usize,
}

impl<'a, W> Escaping<'a, W> {
    fn into(out: &'a mut W) -> Self {
        Self { out, left: MAX_TEXT }
    }
}

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() < self.left && is_plain(text) {
            self.left -= text.len();
            return self.out.write_str(text);
        }
        for character in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            if self.left == 0 {
                return self.out.write_str("...");
            }
            match character {
                '"' | '\\' => {
                    self.out.write_char('\\')?;
                    self.out.write_char(character)?;
                }
                plain @ ' '..='~' => self.out.write_char(plain)?,
                plain if plain.is_alphanumeric() => self.out.write_char(plain)?,
                other => write!(self.out, "\\u{{{:x}}}", u32::from(other))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_in_its_place() {
        for (text, expected) in [
            ("/plain?", "/plain?"),
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\"\\", "\\\"\\\\"),
            ("\u{202e}x\u{2028}", "\\u{202e}x\\u{2028}"),
            ("\u{fc}ber", "\u{fc}ber"),
        ] {
            assert_eq!(Escaped(text).to_string(), expected);
            let mut line = String::new();
            super::text(&mut line, text);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_wherever_its_pieces_end() {
        for long in ["x".repeat(5000), format!("{}\u{fc}{}", "x".repeat(1000), "y".repeat(900))] {
            let cut = Escaped(&long).to_string();
            assert_eq!(cut.chars().count(), MAX_TEXT - 1 + "...".len());
            assert!(cut.ends_with("..."), "{cut}");
            let (one, two) = long.split_at(700);
            assert_eq!(Escaped(format_args!("{one}{two}")).to_string(), cut);
            let mut line = String::new();
            text(&mut line, &long);
            assert_eq!(line, cut);
        }
        let fits = "x".repeat(MAX_TEXT - 1);
        assert_eq!(Escaped(&fits).to_string(), fits);
    }
}
