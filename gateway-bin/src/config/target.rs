//! `target`: what answers the requests of a route.

use gateway_core::route::{Redirect, RouteError};
use http::{HeaderValue, StatusCode};

use super::reader::{Field, Table};

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// `{ cluster = "NAME" }`: a cluster of the document.
    Cluster(String),
    /// `{ module = "NAME" }`: a module that the embedder offers.
    Module(String),
    /// `{ redirect = { status, scheme, host, port, path or prefix } }`. Default status: 302.
    Redirect(Redirect),
    /// `{ respond = { status, body, content_type } }`: always the same answer.
    Respond(Respond),
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
        let name = match self {
            Self::Cluster(name) => Some(name.as_str()),
            _ => None,
        };
        name.into_iter()
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cluster = \"NAME\" }")?;
        let chosen = table.only_one(&["cluster", "module", "redirect", "respond"]);
        let target = match chosen {
            Some(("cluster", field)) => field.name("the name of a cluster").map(Self::Cluster),
            Some(("module", field)) => field.name("the name of a module").map(Self::Module),
            Some(("redirect", field)) => redirect(field).map(Self::Redirect),
            Some((_, field)) => respond(field).map(Self::Respond),
            None => table.field().note(
                "no target, expected one of `cluster`, `module`, `redirect`, `respond`".to_owned(),
            ),
        };
        table.finish();
        target
    }
}

fn redirect(field: Field<'_>) -> Option<Redirect> {
    let mut table = field.table("{ status = 308, scheme = \"https\" }")?;
    let mut redirect = Redirect::new();
    change(&mut table, "status", &mut redirect, |redirect, field| {
        // What is no status at all is refused in the words of what can be one.
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
            field.refuse::<()>(error.expected());
        }
        None => {}
    }
}

fn respond(field: Field<'_>) -> Option<Respond> {
    let mut table = field.table("{ status = 200, body = \"ok\" }")?;
    let mut respond = Respond::default();
    table.set("status", &mut respond.status, |field| {
        StatusCode::from_u16(field.number(200, 599)?).ok()
    });
    if let Some(field) = table.take("body") {
        respond.body = field.text("text").unwrap_or_default().to_owned();
        let bodyless = matches!(respond.status.as_u16(), 204 | 205 | 304);
        if bodyless && !respond.body.is_empty() {
            let status = respond.status.as_u16();
            field.refuse::<()>(format_args!("no body: a {status} answer has none"));
        }
    }
    table.set("content_type", &mut respond.content_type, |field| {
        let expected = "a media type such as \"text/plain\"";
        let text = field.text(expected)?;
        HeaderValue::from_str(text).ok().or_else(|| field.refuse(expected))
    });
    table.finish();
    Some(respond)
}
