//! [`read`]: a text becomes a tree. The only file that lets the parser run.

use std::thread;

use cel::parser::ParseErrors;

use super::translate::{Translated, translate};
use super::{ExpressionError, MOST_BYTES, MOST_DEPTH};

/// The stack that the parser has: many times what [`MOST_DEPTH`] takes, and a chain of operators
/// of [`MOST_BYTES`], which it goes down one by one.
const STACK: usize = 64 * 1024 * 1024;

/// Reads and checks `source`, on a thread of its own: a parser that panics or goes astray is then
/// an error of this expression, and nothing of ours is deep in its stack.
pub(super) fn read(source: &str) -> Result<Translated, ExpressionError> {
    if source.len() > MOST_BYTES {
        let message = format!("{} bytes, expected {MOST_BYTES} at most", source.len());
        return Err(ExpressionError::at(source, 0, &message));
    }
    if source.trim().is_empty() {
        return Err(ExpressionError::at(source, 0, "nothing, expected an expression"));
    }
    check_brackets(source)?;
    let parser = thread::Builder::new().name("expression".to_owned()).stack_size(STACK);
    thread::scope(|scope| {
        let parsing = parser.spawn_scoped(scope, || parse(source));
        let parsed = parsing
            .map_err(|error| error.to_string())
            .and_then(|parsing| parsing.join().map_err(|_| "the parser failed".to_owned()));
        parsed.unwrap_or_else(|message| Err(ExpressionError::at(source, 0, &message)))
    })
}

/// Rejects what is nested too deeply before the parser, which takes its time for it, sees it.
fn check_brackets(source: &str) -> Result<(), ExpressionError> {
    let mut depth = 0_usize;
    for (offset, letter) in source.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_DEPTH {
            let message = format!("nested more than {MOST_DEPTH} deep");
            return Err(ExpressionError::at(source, offset, &message));
        }
    }
    Ok(())
}

fn parse(source: &str) -> Result<Translated, ExpressionError> {
    // Without macros of its own: what they stand for is easier to see from their names.
    let parser = cel::Env::default().with_optional_support(false).parser();
    let parser = parser.max_recursion_depth(u16::try_from(MOST_DEPTH).unwrap_or(u16::MAX));
    let (tree, places) =
        parser.parse_with_source_info(source).map_err(|errors| syntax(source, &errors))?;
    translate(&tree).map_err(|fault| {
        let offset = places.offset_for(fault.id).map_or(0, |(start, _)| start);
        ExpressionError::at(source, usize::try_from(offset).unwrap_or(0), &fault.message)
    })
}

/// What the parser did not like first.
fn syntax(source: &str, errors: &ParseErrors) -> ExpressionError {
    let Some(error) = errors.errors.first() else {
        return ExpressionError::at(source, 0, "no expression");
    };
    let (line, column) = error.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    let within: usize = rest.chars().take(column - 1).map(char::len_utf8).sum();
    ExpressionError::at(source, before + within, &plainly(&error.msg))
}

/// What the parser says, without the names that only it knows.
fn plainly(message: &str) -> String {
    if message.contains("Recursion limit") {
        return format!("nested more than {MOST_DEPTH} deep");
    }
    if message.starts_with("Incomplete") {
        return "no expression: something is missing".to_owned();
    }
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split_once(" expecting {").map_or(message, |(found, _)| found);
    format!("no expression: {message}")
}
