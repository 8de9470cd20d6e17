//! `endpoints` of a cluster.

use std::sync::Arc;

use gateway_core::upstream::{EndpointSpec, MAX_WEIGHT};

use crate::config::reader::Field;
use crate::config::value::quote;

const ENDPOINT: &str =
    "http://HOST[:PORT], h2c://HOST[:PORT], https://HOST[:PORT] or unix:/PATH, without a path";

pub(super) fn read(field: &Field<'_>) -> Vec<EndpointSpec> {
    let mut seen: Vec<String> = Vec::new();
    let mut count = 0;
    let read = |field: Field<'_>| {
        count += 1;
        let spec = endpoint(field.clone())?;
        // By what is connected to: `http://a` and `http://a:80` are one.
        let shown = spec.address.to_string();
        if seen.contains(&shown) {
            return field.note(format!("found {}, which is in the list already", quote(&shown)));
        }
        seen.push(shown);
        Some(spec)
    };
    let endpoints = field.list("a list of endpoints such as [\"http://127.0.0.1:9000\"]", read);
    if endpoints.is_some() && count == 0 {
        field.reject::<()>("at least one endpoint");
    }
    endpoints.unwrap_or_default()
}

fn endpoint(field: Field<'_>) -> Option<EndpointSpec> {
    if !field.is_table() {
        return field.parse(ENDPOINT).map(EndpointSpec::new);
    }
    let mut table = field.table("{ url = \"http://127.0.0.1:9000\", weight = 3 }")?;
    let address = table.require("url", ENDPOINT).and_then(|field| field.parse(ENDPOINT));
    let mut weight = 1;
    table.set("weight", &mut weight, |field| field.number(0, i64::from(MAX_WEIGHT)));
    let mut zone: Option<Arc<str>> = None;
    table.set("zone", &mut zone, |field| Some(Some(field.name("the name of a zone")?.into())));
    let mut priority = 0;
    table.set("priority", &mut priority, |field| field.number(0, i64::from(u32::MAX)));
    table.finish();
    let mut spec = EndpointSpec::new(address?).weight(weight).priority(priority);
    spec.zone = zone;
    Some(spec)
}
