//! Rust sources as far as the rules look at them: words without comments and texts, and paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the workspace.
pub(super) struct Source {
    /// Relative to the root of the workspace.
    pub(super) path: String,
    /// The modules it is in, from the root of its crate: `["server", "http1"]`.
    pub(super) module: Vec<String>,
    /// Without comments, texts and unit tests.
    pub(super) code: String,
    /// Lines before the unit tests.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn new(path: &str, module: &[&str], text: &str) -> Self {
        let own = text.find("\n#[cfg(test)]\nmod tests").map_or(text, |end| &text[..end]);
        Self {
            path: path.to_owned(),
            module: module.iter().map(|&name| name.to_owned()).collect(),
            code: blanked(own),
            lines: own.lines().count(),
        }
    }

    /// The first module of the file: `server` for all of `server/`; the file of the crate itself
    /// has none.
    pub(super) fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Each path of the code whose first name is `root`, by its second name:
    /// `use crate::{a::B, c}` has `a` and `c`.
    pub(super) fn names_under(&self, root: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (start, _) in self.code.match_indices(root) {
            let before = self.code[..start].chars().next_back();
            let rest = &self.code[start + root.len()..];
            let is_word = !before.is_some_and(is_word) && !ends_path(&self.code[..start]);
            if let Some(rest) = rest.trim_start().strip_prefix("::")
                && is_word
            {
                found.extend(first_names(rest.trim_start()));
            }
        }
        found
    }

    /// The modules at the top of its own crate that the file names, by `crate` or by `super`.
    pub(super) fn own_modules(&self) -> BTreeSet<String> {
        let mut found = self.names_under("crate");
        let to_root = vec!["super"; self.module.len()].join("::");
        if !to_root.is_empty() {
            found.extend(self.names_under(&to_root));
        }
        // What is left of longer chains, and of paths to the crate itself.
        found.retain(|name| name != "super" && name != "self");
        found
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.code.match_indices(word).any(|(start, _)| {
            let before = self.code[..start].chars().next_back();
            let after = self.code[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    }
}

/// Every source below `folder` of the workspace, without tests. Modules count from `folder`.
pub(super) fn sources(root: &Path, folder: &str) -> Vec<Source> {
    let base = root.join(folder);
    let mut sources: Vec<_> = files(&base, "rs")
        .into_iter()
        .filter_map(|file| {
            let inside = file.strip_prefix(&base).expect("below").to_owned();
            let mut module: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
            let name = module.pop()?.strip_suffix(".rs")?;
            if !matches!(name, "mod" | "lib" | "main") {
                module.push(name);
            }
            if module.contains(&"tests") {
                return None;
            }
            let text = fs::read_to_string(&file).expect("a source can be read");
            let path = file.strip_prefix(root).expect("below").display().to_string();
            Some(Source::new(&path, &module, &text))
        })
        .collect();
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!sources.is_empty(), "{folder} has no sources");
    sources
}

/// The files below `folder` with this extension, but for what builds leave there.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// The names with which the paths at the start of `text` begin: one, or those of a group.
fn first_names(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
        return vec![text[..end].to_owned()];
    };
    let mut names = Vec::new();
    let mut depth = 1;
    let mut at_start = true;
    for (index, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            letter if is_word(letter) && at_start => {
                names.extend(first_names(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn ends_path(text: &str) -> bool {
    text.trim_end().ends_with("::")
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The text with comments, texts and characters left out.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let word_before = code.chars().next_back().is_some_and(is_word);
        let length = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            'r' if !word_before && raw(rest).is_some() => raw(rest).unwrap_or(1),
            '\'' if character(rest).is_some() => character(rest).unwrap_or(1),
            _ => {
                code.push(letter);
                rest = &rest[letter.len_utf8()..];
                continue;
            }
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

/// The length of the text in quotes that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (index, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the raw text that `rest` begins with.
fn raw(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    let text = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    text.find(&end).map(|at| 1 + hashes + 1 + at + end.len())
}

/// The length of the character that `rest` begins with; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map(|end| end + 4);
    }
    let letter = inside.chars().next()?;
    inside[letter.len_utf8()..].starts_with('\'').then(|| letter.len_utf8() + 2)
}
