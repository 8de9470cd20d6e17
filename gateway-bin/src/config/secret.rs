//! [`Secret`]: a text that nobody prints.

use std::fmt;

use super::reader::Field;
use super::value::quote;

const EXPECTED: &str = "a secret, { file = \"PATH\" } or { env = \"NAME\" }";

/// A text that nobody prints. In a document it stands as it is, or as `{ file = "PATH" }` (without
/// the line break at its end) or `{ env = "NAME" }`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        if let Some(text) = field.peek_text() {
            return Self::checked(field, text.to_owned());
        }
        if !field.is_table() {
            return field.note(format!("found something else, expected {EXPECTED}"));
        }
        let mut table = field.clone().table(EXPECTED)?;
        let text = match table.only_one(&["file", "env"]) {
            Some(("file", field)) => field.file().map(|text| match text.strip_suffix('\n') {
                Some(line) => line.strip_suffix('\r').unwrap_or(line).to_owned(),
                None => text,
            }),
            Some((_, field)) => {
                let name = field.name("the name of a variable")?;
                std::env::var(&name).ok().or_else(|| {
                    field.note(format!("the variable {} is not set, or no text", quote(&name)))
                })
            }
            None => table.field().note(format!("says nothing, expected {EXPECTED}")),
        };
        table.finish();
        text.and_then(|text| Self::checked(field, text))
    }

    fn checked(field: &Field<'_>, text: String) -> Option<Self> {
        if text.is_empty() {
            field.note("the secret is empty".to_owned())
        } else {
            Some(Self(text))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
