//! TOML into values.

use std::ops::Range;
use std::sync::Arc;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Data, Entry, Value};
use crate::config::problem::{Place, Problem, Severity};

/// Reads `text`, which `file` holds.
///
/// # Errors
///
/// Every place where it is not TOML.
pub(in crate::config) fn parse_toml(text: &str, file: &Arc<str>) -> Result<Value, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::new(text);
    if errors.is_empty() {
        let data = convert_table(table.get_ref(), &lines);
        return Ok(Value { place: Place::Whole, data });
    }
    let problems = errors.into_iter().map(|error| Problem {
        severity: Severity::Error,
        file: Arc::clone(file),
        place: error.span().map_or(Place::Whole, |span| lines.place(&span)),
        path: String::new(),
        message: match error.span().filter(|_| error.message().contains("duplicate key")) {
            Some(span) => twice(text, &span, table.get_ref(), &lines),
            None => format!("not TOML: {}", error.message()),
        },
    });
    Err(problems.collect())
}

/// Reads a list or an inline table out of an environment variable; everything is placed there.
pub(super) fn parse_inline(text: &str, place: &Place) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let mut value = convert(&value, &Lines::new(text), None);
    move_to(&mut value, place);
    Some(value)
}

/// Names the key at `span`, which stands twice in one table, and the place of the first.
fn twice(text: &str, span: &Range<usize>, root: &DeTable<'_>, lines: &Lines<'_>) -> String {
    let key = text.get(span.clone()).unwrap_or_default();
    let key = key.rsplit('.').next().unwrap_or(key).trim().trim_matches(['"', '\'', '[', ']']);
    let first = latest(root, key, span.start).map(|start| lines.place(&(start..start)));
    match first {
        Some(Place::Text { line, column }) => {
            format!("not TOML: duplicate key `{key}`, which is set in line {line}:{column} already")
        }
        _ => format!("not TOML: duplicate key `{key}`"),
    }
}

/// Where the last key called `name` before `end` begins, in any table.
fn latest(table: &DeTable<'_>, name: &str, end: usize) -> Option<usize> {
    fn within(value: &DeValue<'_>, name: &str, end: usize) -> Option<usize> {
        match value {
            DeValue::Table(table) => latest(table, name, end),
            DeValue::Array(values) => {
                values.iter().filter_map(|value| within(value.get_ref(), name, end)).max()
            }
            _ => None,
        }
    }
    let places = table.iter().filter_map(|(key, value)| {
        let start = key.span().start;
        let own = (key.get_ref() == name && start < end).then_some(start);
        own.max(within(value.get_ref(), name, end))
    });
    places.max()
}

fn move_to(value: &mut Value, place: &Place) {
    value.place = place.clone();
    match &mut value.data {
        Data::List(values) => values.iter_mut().for_each(|value| move_to(value, place)),
        Data::Table(entries) => {
            for entry in entries {
                entry.place = place.clone();
                move_to(&mut entry.value, place);
            }
        }
        _ => {}
    }
}

fn convert(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>, key: Option<&Place>) -> Value {
    let data = match value.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Data::Integer(number),
            Err(_) => Data::Other(format!("the number {number}")),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Data::Fraction(number),
            Err(_) => Data::Other(format!("the fraction {number}")),
        },
        DeValue::Boolean(value) => Data::Boolean(*value),
        DeValue::Datetime(time) => Data::Other(format!("the time {time}")),
        DeValue::Array(values) => {
            Data::List(values.iter().map(|value| convert(value, lines, None)).collect())
        }
        DeValue::Table(table) => convert_table(table, lines),
    };
    // A table that only dotted keys speak of stands nowhere of its own.
    let place = match (key, value.span().is_empty()) {
        (Some(key), true) => key.clone(),
        _ => lines.place(&value.span()),
    };
    Value { place, data }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines<'_>) -> Data {
    let mut entries: Vec<_> = table.iter().collect();
    // The parser sorts by name; order in the document decides where nothing else does.
    entries.sort_by_key(|(name, _)| name.span().start);
    let entries = entries.into_iter().map(|(name, value)| {
        let place = lines.place(&name.span());
        let value = convert(value, lines, Some(&place));
        Entry { name: name.get_ref().to_string(), place, value }
    });
    Data::Table(entries.collect())
}

/// Turns byte offsets into lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(offset, _)| offset + 1));
        Self { text, starts: starts.collect() }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let offset = span.start.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Place::Text { line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("ab\nü = 1\n");
        assert_eq!(lines.place(&(0..1)), Place::Text { line: 1, column: 1 });
        assert_eq!(lines.place(&(6..7)), Place::Text { line: 2, column: 3 });
        assert_eq!(lines.place(&(99..99)), Place::Text { line: 3, column: 1 });
    }

    #[test]
    fn every_syntax_error_is_reported_with_its_place() {
        let problems = parse_toml("a = \nb = 1\nb = 2\n", &"g.toml".into()).unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("g.toml:1:"), "{lines:?}");
        let twice = "g.toml:3:1: not TOML: duplicate key `b`, which is set in line 2:1 already";
        assert_eq!(lines[1], twice);
    }
}
