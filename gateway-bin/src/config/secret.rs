//! Secrets of a document: a text as it stands, `{ file = "PATH" }` (without the line break at its
//! end) or `{ env = "NAME" }`. None of them is quoted in a problem.

use gateway_layers::secret::Secret;

use super::reader::Field;
use super::value::quote;

const EXPECTED: &str = "a secret, { file = \"PATH\" } or { env = \"NAME\" }";

impl Field<'_> {
    pub(super) fn secret(&self) -> Option<Secret> {
        let text = self.secret_text()?;
        if text.is_empty() {
            return self.note("the secret is empty".to_owned());
        }
        Some(Secret::new(text))
    }

    fn secret_text(&self) -> Option<String> {
        if let Some(text) = self.peek_text() {
            return Some(text.to_owned());
        }
        if !self.is_table() {
            return self.note(format!("found something else, expected {EXPECTED}"));
        }
        let mut table = self.clone().table(EXPECTED)?;
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
        text
    }
}
