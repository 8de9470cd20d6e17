//! `target`: what answers the requests of a route.

use gateway_core::route::{HeaderEdits, Redirect, RouteError};
use gateway_core::upstream::HashKey;
use http::{HeaderName, HeaderValue, StatusCode};

use super::cluster::hash_keys;
use super::destination::Destination;
use super::policy::header_edits;
use super::reader::{Field, Table};
use super::value::quote;

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// `{ cluster = "NAME" }`: a cluster of the document.
    Cluster(String),
    /// `{ module = "NAME" }`: a module that the embedder offers.
    Module(String),
    /// `{ split = [...] }`: several of them, each with its share.
    Split(SplitTarget),
    /// `{ registry = {} }`: the API of `[registry]`, under the route's prefix.
    Registry,
    /// `{ capability = {...} }`: a registered service that takes what is asked for.
    Capability(CapabilityTarget),
    /// `{ redirect = { status, scheme, host, port, path or prefix } }`. Default status: 302.
    Redirect(Redirect),
    /// `{ respond = { status, body, content_type } }`: always the same answer.
    Respond(Respond),
}

/// What a registered service must take, and where a request says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapabilityTarget {
    /// `metadata`: capabilities whose value stands in the route's metadata.
    pub metadata: Vec<String>,
    /// `param`: capabilities, and the path parameter that has their value.
    pub param: Vec<(String, String)>,
    /// `header`: capabilities, and the header field that has their value.
    pub header: Vec<(String, HeaderName)>,
    /// `query`: capabilities, and the parameter of the query that has their value.
    pub query: Vec<(String, String)>,
    /// `selection`: `least_loaded` or `first`. Default: `least_loaded`.
    pub first: bool,
}

/// Clusters and modules that share the requests of a route.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SplitTarget {
    /// `split`: at least one entry.
    pub entries: Vec<SplitEntry>,
    /// `split_by`: what requests are kept together by. Default: nothing, each is drawn.
    pub by: Vec<HashKey>,
    /// `force_header`: the header field in which a request names its entry. Default: none.
    pub force_header: Option<HeaderName>,
}

/// One of those that share.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SplitEntry {
    /// `name`, unique in the split. Default: the name of its cluster or module.
    pub name: String,
    /// `cluster` or `module`.
    pub to: Destination,
    /// `weight`: its share beside the others; 0: nothing but what is forced. Default: 1.
    pub weight: u32,
    /// `request_headers`: edits after those of the route.
    pub request_headers: HeaderEdits,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Respond {
    /// `status`, from 200 to 599. Default: 200.
    pub status: StatusCode,
    /// `body`. Default: empty.
    pub body: String,
    /// `content_type`. Default: `text/plain; charset=utf-8`.
    pub content_type: HeaderValue,
}

impl Default for Respond {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            body: String::new(),
            content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
        }
    }
}

impl Target {
    /// The names of the clusters that it leads to.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        let (name, entries) = match self {
            Self::Cluster(name) => (Some(name.as_str()), None),
            Self::Split(split) => (None, Some(&split.entries)),
            _ => (None, None),
        };
        let entries = entries.into_iter().flatten().filter_map(|entry| entry.to.cluster());
        name.into_iter().chain(entries)
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cluster = \"NAME\" }")?;
        let chosen = table.only_one(&KINDS);
        let target = match chosen {
            Some(("cluster", field)) => field.name("the name of a cluster").map(Self::Cluster),
            Some(("module", field)) => field.name("the name of a module").map(Self::Module),
            Some(("split", field)) => Some(Self::Split(split(&field, &mut table))),
            Some(("registry", field)) => field.table("{}").map(|table| {
                table.finish();
                Self::Registry
            }),
            Some(("capability", field)) => capability(field).map(Self::Capability),
            Some(("redirect", field)) => redirect(field).map(Self::Redirect),
            Some((_, field)) => Respond::read(field).map(Self::Respond),
            None => {
                let kinds: Vec<_> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
                table.field().note(format!("no target, expected one of {}", kinds.join(", ")))
            }
        };
        table.finish();
        target
    }
}

const KINDS: [&str; 7] =
    ["cluster", "module", "split", "registry", "capability", "redirect", "respond"];

fn capability(field: Field<'_>) -> Option<CapabilityTarget> {
    let mut table = field.table("{ param = { resource_type = \"type\" } }")?;
    let mut target = CapabilityTarget::default();
    if let Some(field) = table.take("metadata") {
        target.metadata = field.one_or_list(|field| field.name("the name of a capability"));
    }
    let mut asks = !target.metadata.is_empty();
    let name = |field: Field<'_>| field.name("a name");
    target.param = places(&mut table, "param", &mut asks, name);
    target.query = places(&mut table, "query", &mut asks, name);
    target.header =
        places(&mut table, "header", &mut asks, |field| field.parse("the name of a header field"));
    table.set("selection", &mut target.first, |field| {
        field.choice(&[("least_loaded", false), ("first", true)])
    });
    if !asks {
        let expected = "expected one of `metadata`, `param`, `header`, `query`";
        table.field().note::<()>(format!("nothing is asked for, {expected}"));
    }
    table.finish();
    Some(target)
}

/// Reads where the values of capabilities stand; `asks` becomes true where there is one.
fn places<T>(
    table: &mut Table<'_>,
    key: &'static str,
    asks: &mut bool,
    read: impl Fn(Field<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let example = "a table such as { resource_type = \"type\" }";
    let entries = table.take(key).map(|field| field.entries(example)).unwrap_or_default();
    *asks |= !entries.is_empty();
    entries.into_iter().filter_map(|(name, field)| Some((name.to_owned(), read(field)?))).collect()
}

/// More entries than this are no split.
const MOST_ENTRIES: usize = 64;

fn split(field: &Field<'_>, table: &mut Table<'_>) -> SplitTarget {
    let expected =
        "a list such as [{ cluster = \"a\", weight = 90 }, { cluster = \"b\", weight = 10 }]";
    let mut names: Vec<String> = Vec::new();
    let entries = field.list(expected, |field| {
        let entry = split_entry(field.clone())?;
        if names.contains(&entry.name) {
            let name = quote(&entry.name);
            return field.note(format!("found {name} twice, expected a `name` of its own"));
        }
        names.push(entry.name.clone());
        Some(entry)
    });
    let entries = entries.unwrap_or_default();
    if field.is_empty_list() || entries.len() > MOST_ENTRIES {
        field.reject::<()>(format_args!("1 to {MOST_ENTRIES} entries"));
    }
    let mut by = Vec::new();
    hash_keys(table, "split_by", &mut by);
    let force_header = table.take("force_header");
    let force_header = force_header.and_then(|field| field.parse("the name of a header field"));
    SplitTarget { entries, by, force_header }
}

fn split_entry(field: Field<'_>) -> Option<SplitEntry> {
    let mut table = field.table("{ cluster = \"NAME\", weight = 10 }")?;
    let to = Destination::take(&mut table);
    let mut weight = 1;
    table.set("weight", &mut weight, |field| field.number(0, 1_000_000));
    let mut request_headers = HeaderEdits::default();
    table.set("request_headers", &mut request_headers, header_edits::read);
    let name = table.take("name").and_then(|field| field.name("a name"));
    table.finish();
    let to = to?;
    let called = match &to {
        Destination::Cluster(name) | Destination::Module(name) => name.clone(),
    };
    Some(SplitEntry { name: name.unwrap_or(called), to, weight, request_headers })
}

fn redirect(field: Field<'_>) -> Option<Redirect> {
    let mut table = field.table("{ status = 308, scheme = \"https\" }")?;
    let mut redirect = Redirect::new();
    change(&mut table, "status", &mut redirect, |redirect, field| {
        // What is no status at all is rejected in the words of what can be one.
        Some(redirect.status(field.number(100, 599)?))
    });
    change(&mut table, "scheme", &mut redirect, |redirect, field| {
        Some(redirect.scheme(field.text("`http` or `https`")?))
    });
    change(&mut table, "host", &mut redirect, |redirect, field| {
        Some(redirect.host(field.text("a host name without port")?))
    });
    change(&mut table, "port", &mut redirect, |redirect, field| {
        Some(redirect.port(field.number(1, 65_535)?))
    });
    let place = table.only_one(&["path", "prefix"]).map(|(key, _)| key);
    if let Some(key) = place {
        change(&mut table, key, &mut redirect, |redirect, field| {
            let text = field.text("a path such as \"/new\"")?;
            Some(if key == "path" { redirect.path(text) } else { redirect.prefix(text) })
        });
    }
    table.finish();
    Some(redirect)
}

fn change(
    table: &mut Table<'_>,
    key: &'static str,
    redirect: &mut Redirect,
    make: impl FnOnce(Redirect, &Field<'_>) -> Option<Result<Redirect, RouteError>>,
) {
    let Some(field) = table.take(key) else {
        return;
    };
    match make(redirect.clone(), &field) {
        Some(Ok(changed)) => *redirect = changed,
        Some(Err(error)) => {
            field.reject::<()>(error.expected());
        }
        None => {}
    }
}

impl Respond {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ status = 200, body = \"ok\" }")?;
        let mut respond = Self::default();
        table.set("status", &mut respond.status, |field| {
            StatusCode::from_u16(field.number(200, 599)?).ok()
        });
        if let Some(field) = table.take("body") {
            respond.body = field.text("text").unwrap_or_default().to_owned();
            let bodyless = matches!(respond.status.as_u16(), 204 | 205 | 304);
            if bodyless && !respond.body.is_empty() {
                let status = respond.status.as_u16();
                field.reject::<()>(format_args!("no body: a {status} answer has none"));
            }
        }
        table.set("content_type", &mut respond.content_type, |field| {
            let expected = "a media type such as \"text/plain\"";
            let text = field.text(expected)?;
            HeaderValue::from_str(text).ok().or_else(|| field.reject(expected))
        });
        table.finish();
        Some(respond)
    }
}
