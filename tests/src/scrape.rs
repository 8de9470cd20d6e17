//! What a gateway has counted, as somebody who scrapes it reads it.

use std::collections::{BTreeMap, HashSet};

/// Samples of an exposition in the text form of `OpenMetrics` 1.0.0, by series as they are written:
/// `name{label="value"}`.
#[derive(Clone, Debug)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads `text`, and fails where it is not what it must be: a family is written once and in one
    /// piece, a series once, a sample belongs to the family before it, and nothing follows the end.
    #[track_caller]
    pub fn of(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end in\n{text}"));
        let (mut families, mut samples) = (HashSet::new(), BTreeMap::new());
        let mut family = (String::new(), String::new());
        for line in lines.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help");
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(families.insert(name.to_owned()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert!(families.contains(name), "no help before {line}");
                family = (name.to_owned(), kind.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let name = series.split('{').next().unwrap_or_default();
                assert!(belongs(name, &family), "{line} in {family:?}");
                assert!(is_labelled(&series[name.len()..]), "{line}");
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Self { samples }
    }

    /// The value of a series; 0 where there is none.
    pub fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or_default()
    }

    /// True when there is such a series.
    pub fn has(&self, series: &str) -> bool {
        self.samples.contains_key(series)
    }

    /// Fails unless the series is there and has this value.
    #[track_caller]
    pub fn assert(&self, series: &str, value: f64) {
        let found = self.samples.get(series);
        assert_eq!(found, Some(&value), "{series} in {:#?}", self.samples);
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit()
}

fn belongs(name: &str, (family, kind): &(String, String)) -> bool {
    let suffixes: &[&str] = match kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_sum", "_count", "_bucket"],
        other => panic!("the type {other}"),
    };
    suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(family))
}

/// Nothing, or names with quoted values in braces.
fn is_labelled(labels: &str) -> bool {
    if labels.is_empty() {
        return true;
    }
    let Some(mut rest) = labels.strip_prefix('{') else { return false };
    loop {
        let Some((name, value)) = rest.split_once("=\"") else { return false };
        let mut escaped = false;
        let end = value.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(end) = end.filter(|_| is_name(name)) else { return false };
        match &value[end + 1..] {
            "}" => return true,
            more => match more.strip_prefix(',') {
                Some(more) => rest = more,
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "# HELP a_b Of a.\n# TYPE a_b counter\na_b_total{c=\"d\\\"}\",e=\"\"} 2\n# EOF\n";

    #[test]
    fn a_good_exposition_is_read() {
        let scrape = Scrape::of(GOOD);
        scrape.assert("a_b_total{c=\"d\\\"}\",e=\"\"}", 2.0);
        assert!(!scrape.has("a_b_total"));
    }

    #[test]
    fn what_is_none_is_not() {
        for (good, bad) in [
            ("# EOF\n", ""),
            ("counter", "gauge"),
            ("} 2", "} two"),
            ("# TYPE a_b", "# TYPE c"),
            ("\",e", "\" e"),
            ("\\\"}\"", "\"}\""),
            (" Of a.", ""),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_ne!(text, GOOD);
            assert!(std::panic::catch_unwind(|| Scrape::of(&text)).is_err(), "{text}");
        }
    }
}
