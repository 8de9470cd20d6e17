//! `ip`: which addresses may ask.

use std::net::IpAddr;

use gateway_layers::ip_filter::IpFilter;
use ipnet::IpNet;

use crate::config::reader::{Field, Table};
use crate::config::value::quote;

const NETWORK: &str = "a network such as \"10.0.0.0/8\", or an address";

pub(super) fn read(field: Field<'_>) -> Option<IpFilter> {
    let mut table = field.table("{ allow = [\"10.0.0.0/8\"] }")?;
    let allow = networks(&mut table, "allow", "allow_file");
    let deny = networks(&mut table, "deny", "deny_file");
    if allow.is_none() && deny.is_none() {
        let message = "no list, expected one of `allow`, `allow_file`, `deny`, `deny_file`";
        table.field().note::<()>(message.to_owned());
    }
    table.finish();
    let filter = IpFilter::new().deny(deny.unwrap_or_default());
    Some(match allow {
        Some(allow) => filter.allow(allow),
        None => filter,
    })
}

/// The networks of the document and those of a file; `None`: neither is there.
fn networks(
    table: &mut Table<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Vec<IpNet>> {
    let (here, file) = (table.take(key), table.take(file_key));
    if here.is_none() && file.is_none() {
        return None;
    }
    let mut networks = Vec::new();
    if let Some(field) = here {
        if field.is_empty_list() {
            field.reject::<()>("at least one network");
        }
        let read = field.list("a list of networks such as [\"10.0.0.0/8\"]", |field| {
            network(field.text(NETWORK)?).or_else(|| field.reject(NETWORK))
        });
        networks.extend(read.unwrap_or_default());
    }
    if let Some(field) = file {
        networks.extend(from_file(&field));
    }
    Some(networks)
}

/// A network or address in each line; what follows a `#` is for people.
fn from_file(field: &Field<'_>) -> Vec<IpNet> {
    let Some(text) = field.file() else { return Vec::new() };
    let mut networks = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match network(line) {
            Some(network) => networks.push(network),
            None => {
                let (found, number) = (quote(line), number + 1);
                field.note::<()>(format!("line {number}: found {found}, expected {NETWORK}"));
                return Vec::new();
            }
        }
    }
    if networks.is_empty() {
        field.note::<()>("there is no network in the file, expected at least one".to_owned());
    }
    networks
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}
