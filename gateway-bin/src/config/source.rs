//! A document as it was found, before anybody knows what it says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_core::Modules;

use super::problem::{Place, Problem, Problems, Severity};
use super::reader::{Field, Notes, no_variables};
use super::value::{Data, Places, Value, index_path, key_path, overlay, parse_toml};
use super::{Document, Parts, check};

/// A document as it was found: TOML of some file, and the variables that override it.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<str>,
    /// Where it was read from, to read it again.
    path: Option<PathBuf>,
    text: Result<String, String>,
    variables: Vec<(OsString, OsString)>,
}

/// What came of reading a document without errors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reading {
    /// What it says.
    pub document: Document,
    /// What is probably not as it was meant.
    pub warnings: Vec<Problem>,
    places: Places,
}

impl Reading {
    /// Checks a document that was made in code; problems call it `document`.
    ///
    /// # Errors
    ///
    /// Everything that does not fit together.
    pub fn of(document: Document, modules: &Modules) -> Result<Self, Problems> {
        Self::checked(Parts::from(document), modules, Places::empty("document"), Vec::new())
    }

    fn checked(
        parts: Parts,
        modules: &Modules,
        places: Places,
        mut problems: Vec<Problem>,
    ) -> Result<Self, Problems> {
        problems.extend(check::check(&parts, modules, &places));
        problems.sort_by_key(|problem| match problem.place {
            Place::Whole => (0, 0, 0),
            Place::Text { line, column } => (1, line, column),
            Place::Variable(_) => (2, 0, 0),
        });
        let (errors, warnings): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| problem.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(Problems::new(errors));
        }
        Ok(Self { document: parts.into_document(), warnings, places })
    }

    /// The path of an element, where a list may also be its only element.
    #[cfg(feature = "acme")]
    pub(crate) fn element(&self, list: &str, index: usize) -> String {
        self.places.element(list, index)
    }

    /// Something odd about the document that only showed when it was assembled.
    #[cfg(feature = "tls")]
    pub(crate) fn warning(&self, path: &str, message: impl Into<String>) -> Problem {
        self.places.problem(Severity::Warning, path, message)
    }

    /// A problem of the document that only showed when it was assembled.
    pub(crate) fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        self.places.problem(Severity::Error, path, message)
    }
}

impl Source {
    /// The file at `path`, and the environment of this process over it.
    ///
    /// A file that cannot be read is a problem like any other: [`read`](Self::read) says so.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let file = path.display().to_string().into();
        let source =
            Self { file, path: Some(path.to_owned()), text: read(path), variables: Vec::new() };
        source.variables(std::env::vars_os())
    }

    /// The same document as it is now: a file is read again, under the same variables.
    #[must_use]
    pub fn again(&self) -> Self {
        let text = self.path.as_deref().map_or_else(|| self.text.clone(), read);
        Self { text, ..self.clone() }
    }

    /// A text that problems call `file`; nothing overrides it.
    pub fn text(file: &str, text: impl Into<String>) -> Self {
        Self { file: file.into(), path: None, text: Ok(text.into()), variables: Vec::new() }
    }

    /// Takes names and values of environment variables over the document; see the
    /// [module](super) for how they are read. Those of other names are passed over.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Reads and checks the document for a program that offers `modules`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the document.
    pub fn read(&self, modules: &Modules) -> Result<Reading, Problems> {
        let root = self.root().map_err(Problems::new)?;
        let places = Places::new(Arc::clone(&self.file), &root.value);
        let notes = Notes::new(Arc::clone(&self.file));
        let parts = Parts::read(Field::root(&root.value, &notes));
        let mut problems = root.problems;
        problems.extend(notes.into_problems());
        Reading::checked(parts, modules, places, problems)
    }

    fn root(&self) -> Result<Root, Vec<Problem>> {
        let text = self.text.as_ref().map_err(|message| {
            vec![Problem {
                severity: Severity::Error,
                file: Arc::clone(&self.file),
                place: Place::Whole,
                path: String::new(),
                message: message.clone(),
            }]
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut value = parse_toml(text, &self.file)?;
        let mut problems = overlay(&mut value, self.variables.iter().cloned(), &self.file);
        unreplaced(&value, "", &self.file, &mut problems);
        Ok(Root { value, problems })
    }
}

fn read(path: &Path) -> Result<String, String> {
    let read = std::fs::read(path)
        .map_err(|error| format!("cannot be read: {error}; give the path of a TOML document"));
    read.and_then(|bytes| text_of(&bytes))
}

/// The text in the `bytes` of a file, without a byte order mark.
///
/// # Errors
///
/// When they are not UTF-8, with the place.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, String> {
    let bytes = without_mark(bytes);
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        let byte = bytes.get(good.len()).copied().unwrap_or_default();
        format!("is not UTF-8: byte 0x{byte:02x} at line {line}, column {column}")
    })
}

/// Editors put a byte order mark (U+FEFF) before the text, where it would be a part of it.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Warns of texts that look as if variables of the environment were put into them.
fn unreplaced(value: &Value, path: &str, file: &Arc<str>, problems: &mut Vec<Problem>) {
    match &value.data {
        Data::Text(text) if names_variable(text) => problems.push(Problem {
            severity: Severity::Warning,
            file: Arc::clone(file),
            place: value.place.clone(),
            path: path.to_owned(),
            message: no_variables(path),
        }),
        Data::List(values) => values.iter().enumerate().for_each(|(index, value)| {
            unreplaced(value, &index_path(path, index), file, problems);
        }),
        Data::Table(entries) => entries.iter().for_each(|entry| {
            unreplaced(&entry.value, &key_path(path, &entry.name), file, problems);
        }),
        _ => {}
    }
}

/// True for a text with `${NAME}`, where the name is one of an environment variable.
fn names_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| {
        let name = rest.split_once('}').map_or("", |(name, _)| name);
        let name = name.split(':').next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !name.is_empty() && name.bytes().all(plain)
    })
}

struct Root {
    value: Value,
    problems: Vec<Problem>,
}
