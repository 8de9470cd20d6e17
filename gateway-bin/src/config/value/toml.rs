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
    let mut again: Range<usize> = 0..0;
    let problems = errors.into_iter().filter_map(|error| {
        let duplicate = error.span().filter(|_| error.message().contains("duplicate key"));
        // What stands below a table that is there twice is not there twice on its own.
        if duplicate.as_ref().is_some_and(|span| again.contains(&span.start)) {
            return None;
        }
        let header = duplicate.as_ref().and_then(|span| Header::at(text, span));
        let message = match (duplicate, header) {
            (Some(span), Some(header)) => {
                again = span.end..header.end_of_table(text);
                header
                    .twice(text, &lines)
                    .unwrap_or_else(|| twice(text, &span, table.get_ref(), &lines))
            }
            (Some(span), None) => twice(text, &span, table.get_ref(), &lines),
            (None, _) => format!("not TOML: {}", error.message()),
        };
        Some(Problem {
            severity: Severity::Error,
            file: Arc::clone(file),
            place: error.span().map_or(Place::Whole, |span| lines.place(&span)),
            path: String::new(),
            message,
        })
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

/// The line that begins a table, such as `[clusters.a]`.
struct Header<'t> {
    /// Between the brackets.
    name: &'t str,
    /// Where the line begins.
    start: usize,
}

impl<'t> Header<'t> {
    /// The one that the key at `span` stands in.
    fn at(text: &'t str, span: &Range<usize>) -> Option<Self> {
        let start = text.get(..span.start)?.rfind('\n').map_or(0, |newline| newline + 1);
        let name = name_in(text.get(start..)?.lines().next()?)?;
        let end = start + text.get(start..)?.find(name)? + name.len();
        (span.end <= end).then_some(Self { name, start })
    }

    /// Where the next table begins.
    fn end_of_table(&self, text: &str) -> usize {
        let below = offsets(text).filter(|(start, _)| *start > self.start);
        let mut headers = below.filter(|(_, line)| name_in(line).is_some());
        headers.next().map_or(text.len(), |(start, _)| start)
    }

    /// Tells where the table begins that this one is once more.
    fn twice(&self, text: &str, lines: &Lines<'_>) -> Option<String> {
        let same = |name: &str| name.split_whitespace().eq(self.name.split_whitespace());
        let mut before = offsets(text).take_while(|(start, _)| *start < self.start);
        let (start, _) = before.find(|(_, line)| name_in(line).is_some_and(same))?;
        let Place::Text { line, column } = lines.place(&(start..start)) else { return None };
        let name = self.name;
        Some(format!(
            "not TOML: duplicate table `[{name}]`, which begins in line {line}:{column} already"
        ))
    }
}

/// The lines of `text`, and where they begin.
fn offsets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len();
        Some((start, line))
    })
}

/// The name in the header of a table; `None` for any other line.
fn name_in(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.split(']').next()?;
    let name = name.trim_start_matches('[').trim();
    (!name.is_empty() && !name.contains(['{', '=', ','])).then_some(name)
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
    #[test]
    fn a_table_that_is_there_twice_is_one_error_with_the_place_of_the_first() {
        for (text, expected) in [
            (
                "[clusters.a]\nendpoints = [1]\n[clusters.a]\nendpoints = [\n2]\nb = 1\n",
                "g.toml:3:11: not TOML: duplicate table `[clusters.a]`, which begins in line 1:1 \
                 already",
            ),
            (
                "[metrics]\nb = 1\n[admin]\n  [metrics] # again\n",
                "g.toml:4:4: not TOML: duplicate table `[metrics]`, which begins in line 1:1 \
                 already",
            ),
            ("a.b = 1\n[a]\n", "g.toml:2:2: not TOML: duplicate key `a`"),
        ] {
            let problems = parse_toml(text, &"g.toml".into()).unwrap_err();
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(lines, [expected]);
        }
        let below = "[a]\nb = 1\n[a]\nb = 1\n[c]\nd = 1\nd = 2\n";
        assert_eq!(parse_toml(below, &"g.toml".into()).unwrap_err().len(), 2);
    }
}
