//! Records as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gateway_core::context::Metadata;
use serde::{Deserialize, Serialize};

use super::super::super::Record;
use super::super::super::capability::Capabilities;
use super::super::super::registration::At;
use super::super::super::secret::Fingerprint;

/// What a record is written as. Unknown members are passed over: a newer gateway may write more.
#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    service: String,
    address: String,
    capabilities: BTreeMap<String, BTreeSet<String>>,
    metadata: BTreeMap<String, String>,
    lease_ms: u64,
    health_path: String,
    weight: u32,
    zone: Option<String>,
    secret_fingerprint: String,
}

pub(super) fn written(record: &Record) -> String {
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let capabilities = record.capabilities.iter();
    let written = Written {
        id: record.id.to_string(),
        service: record.service.to_string(),
        address: record.address().map(ToString::to_string).unwrap_or_default(),
        capabilities: capabilities
            .map(|(name, values)| (name.to_owned(), values.map(str::to_owned).collect()))
            .collect(),
        metadata: record.metadata.iter().map(text).collect(),
        lease_ms: super::milliseconds(record.lease),
        health_path: record.health_path.to_string(),
        weight: record.weight,
        zone: record.zone.as_deref().map(str::to_owned),
        secret_fingerprint: record.secret.to_hex(),
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&written).unwrap_or_default()
}

pub(super) fn read(text: &str) -> Option<Record> {
    let written: Written = serde_json::from_str(text).ok()?;
    let capabilities = written.capabilities.into_iter();
    let capabilities =
        capabilities.fold(Capabilities::new(), |all, (name, values)| all.with(name, values));
    Some(Record {
        id: written.id.into(),
        service: written.service.into(),
        at: At::Address(written.address.parse().ok()?),
        capabilities,
        metadata: Metadata::from(written.metadata),
        lease: Duration::from_millis(written.lease_ms),
        health_path: written.health_path.into(),
        weight: written.weight,
        zone: written.zone.map(Into::into),
        secret: Fingerprint::from_hex(&written.secret_fingerprint)?,
    })
}
