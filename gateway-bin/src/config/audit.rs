//! `[audit]`: an event for whoever was not let in, and where it goes.

use std::path::PathBuf;
use std::time::Duration;

use gateway_layers::audit::{AuditKind, AuditPrincipal, SinkConfig};
use gateway_layers::secret::Secret;

use super::reader::{Field, Table};
use super::units::{duration, some_duration};

/// How long what waits may take at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// A shorter key could be found by trying.
const LEAST_KEY: usize = 16;

/// More than this need not wait.
const MOST_QUEUED: i64 = 10_000_000;

/// More than this need not go together.
const MOST_BATCH: i64 = 10_000;

/// More tries than this are no limit.
const MOST_RETRIES: i64 = 1_000;

/// An event for whoever was not let in, and where it goes. At least one of `log`, `file` and `http`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Audit {
    /// `events`: the kinds of events. Default: all.
    pub events: Vec<AuditKind>,
    /// `principal`: `plain`, `hashed` with `principal_key`, or `off`. Default: `plain`.
    pub principal: AuditPrincipal,
    /// `log`: as lines of the log. Default: false.
    pub log: bool,
    /// `file`: as lines of a file. Default: none.
    pub file: Option<PathBuf>,
    /// `http`: sent to a receiver. Default: none.
    pub http: Option<AuditHttp>,
    /// `flush`: how long what waits may take at the end. Default: 5 s.
    pub flush: Duration,
}

/// `[audit.http]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditHttp {
    /// `url`; a secret, since it may hold a key. Required.
    pub url: Secret,
    /// `token`, shown as `Authorization: Bearer`. Default: none.
    pub token: Option<Secret>,
    /// `ca`: a file of certificates to trust instead of the system's.
    pub ca: Option<String>,
    /// `queue` (10,000), `batch` (100), `interval` (1 s), `timeout` (5 s), `retries` (10).
    pub settings: SinkConfig,
}

impl Audit {
    /// Every kind of event, and no sink yet.
    pub fn new() -> Self {
        Self {
            events: AuditKind::ALL.to_vec(),
            principal: AuditPrincipal::default(),
            log: false,
            file: None,
            http: None,
            flush: FLUSH,
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ file = \"audit.jsonl\" }")?;
        let mut audit = Self::new();
        table.set("events", &mut audit.events, |field| kinds(&field));
        principal(&mut table, &mut audit.principal);
        table.set("log", &mut audit.log, |field| field.boolean());
        let said = ["file", "http"].into_iter().any(|key| table.field().has_key(key));
        table.set("file", &mut audit.file, |field| {
            field.name("the path of a file").map(|path| Some(path.into()))
        });
        table.set("http", &mut audit.http, |field| AuditHttp::read(field).map(Some));
        table.set("flush", &mut audit.flush, |field| duration(&field));
        if !audit.log && !said {
            let message = "nobody takes the events, expected `log`, `file` or `http`";
            table.field().note::<()>(message.to_owned());
        }
        table.finish();
        Some(audit)
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditHttp {
    /// Sends to `url` with every default.
    pub fn new(url: Secret) -> Self {
        Self { url, token: None, ca: None, settings: SinkConfig::default() }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ url = \"https://audit.example/events\" }")?;
        let url = table.require("url", "a URL such as \"https://audit.example/events\"");
        let url = url.and_then(|field| field.secret());
        let mut http = Self::new(Secret::new(""));
        table.set("token", &mut http.token, |field| field.secret().map(Some));
        table.set("ca", &mut http.ca, |field| field.name("the path of a file").map(Some));
        let settings = &mut http.settings;
        table.set("queue", &mut settings.queue, |field| field.number(1, MOST_QUEUED));
        table.set("batch", &mut settings.batch, |field| field.number(1, MOST_BATCH));
        table.set("interval", &mut settings.interval, |field| duration(&field));
        table.set("timeout", &mut settings.timeout, |field| some_duration(&field));
        table.set("retries", &mut settings.retries, |field| field.number(0, MOST_RETRIES));
        table.finish();
        http.url = url?;
        Some(http)
    }
}

fn kinds(field: &Field<'_>) -> Option<Vec<AuditKind>> {
    if field.is_empty_list() {
        return field.reject("at least one kind of events");
    }
    // Losses are always told, so that they are not asked for.
    let kinds = AuditKind::ALL.iter().filter(|kind| **kind != AuditKind::Audit);
    let choices: Vec<_> = kinds.map(|kind| (kind.name(), *kind)).collect();
    Some(field.one_or_list(|field| field.choice(&choices)))
}

fn principal(table: &mut Table<'_>, slot: &mut AuditPrincipal) {
    const KEY: &str = "a secret of 16 bytes or more, since a hash without one tells who it was to \
                       everybody who tries names";
    let choices = ["plain", "hashed", "off"].map(|name| (name, name));
    let wanted = table.take("principal").and_then(|field| field.choice(&choices));
    let wanted = wanted.unwrap_or("plain");
    if wanted != "hashed" {
        if let Some(field) = table.take("principal_key") {
            field.note::<()>("is for `principal = \"hashed\"` alone".to_owned());
        }
        *slot = if wanted == "off" { AuditPrincipal::Off } else { AuditPrincipal::Plain };
        return;
    }
    let Some(field) = table.require("principal_key", KEY) else { return };
    match field.secret() {
        Some(key) if key.reveal().len() >= LEAST_KEY => *slot = AuditPrincipal::Hashed(key),
        Some(_) => drop(field.note::<()>(format!("is too short, expected {KEY}"))),
        None => {}
    }
}
