//! `mirror`: where copies of requests go.

use gateway_layers::mirror::{CompareConfig, JsonPath, Methods, MirrorConfig};

use crate::config::destination::Destination;
use crate::config::reader::Field;
use crate::config::units::{some_duration, some_size};

/// Where copies of requests go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mirror {
    /// `cluster` or `module`. Required.
    pub to: Destination,
    /// `percent` (100), `methods` (`"safe"`; `"all"` or a list), `body_limit` (64 KiB),
    /// `in_flight` (64), `timeout` (10 s), `compare`.
    pub settings: MirrorConfig,
}

impl Mirror {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cluster = \"NAME\", percent = 10 }")?;
        let to = Destination::take(&mut table);
        let mut settings = MirrorConfig::default();
        table.set("percent", &mut settings.percent, |field| field.fraction(0.0, 100.0));
        table.set("methods", &mut settings.methods, |field| match field.peek_text() {
            Some("safe") => Some(Methods::Safe),
            Some("all") => Some(Methods::All),
            _ => field
                .list("\"safe\", \"all\" or a list of methods", |field| {
                    field.parse("a method such as \"POST\"")
                })
                .map(Methods::Only),
        });
        table.set("body_limit", &mut settings.body_limit, |field| some_size(&field));
        table.set("in_flight", &mut settings.in_flight, |field| field.number(1, 100_000));
        table.set("timeout", &mut settings.timeout, |field| some_duration(&field));
        table.set("compare", &mut settings.compare, |field| compare(field).map(Some));
        table.finish();
        Some(Self { to: to?, settings })
    }
}

fn compare(field: Field<'_>) -> Option<CompareConfig> {
    let mut table = field.table("{ ignore = [\"/id\"], unordered = [\"/items\"] }")?;
    let mut compare = CompareConfig::default();
    for (key, paths) in [("ignore", &mut compare.ignore), ("unordered", &mut compare.unordered)] {
        table.set(key, paths, |field| {
            field.list("a list of JSON paths such as [\"/items/*/id\"]", |field| json_path(&field))
        });
    }
    table.set("limit", &mut compare.compare_limit, |field| some_size(&field));
    table.set("differences", &mut compare.differences, |field| field.number(0, 1000));
    table.set("show_values", &mut compare.show_values, |field| field.boolean());
    table.finish();
    Some(compare)
}

fn json_path(field: &Field<'_>) -> Option<JsonPath> {
    field.parse("a JSON path such as \"/items/*/id\"")
}
