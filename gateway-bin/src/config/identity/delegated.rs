//! `[identity.delegated.NAME]`: a service that verifies tokens in its own way.

use gateway_layers::auth::delegated::Presentation;
use http::{Method, StatusCode};

use super::remote::{RemoteProvider, RemoteTo};
use crate::config::reader::Field;

/// A service that verifies tokens in its own way.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DelegatedProvider {
    /// Who is asked, how often, and what is made of the answer.
    pub remote: RemoteProvider,
    /// `method`. Default: `POST`.
    pub method: Method,
    /// `send`: how a token is shown. Default: `bearer`.
    pub send: Presentation,
    /// `rejected_statuses`: statuses that say that a token is not good. Default: 401 and 403.
    pub rejected_statuses: Vec<StatusCode>,
    /// `active`: the member that must be true. Default: any of `active` and `valid` that is there.
    pub active: Option<String>,
    /// `expires`: the member that says when the token ends; `"off"`: none does. Default: `exp`.
    pub expires: Option<String>,
}

const SEND: &str = "\"bearer\", \"header:NAME\", \"cookie:NAME\" or \"json:NAME\"";

impl DelegatedProvider {
    /// Asks `to` with every default.
    pub fn new(to: RemoteTo) -> Self {
        Self {
            remote: RemoteProvider::new(to),
            method: Method::POST,
            send: Presentation::default(),
            rejected_statuses: vec![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN],
            active: None,
            expires: Some("exp".to_owned()),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.delegated.users]")?;
        let remote = RemoteProvider::take(&mut table);
        let mut provider = Self::new(RemoteTo::Url { url: String::new(), ca: None });
        table.set("method", &mut provider.method, |field| field.parse("a method such as \"POST\""));
        table.set("send", &mut provider.send, |field| send(&field));
        table.set("rejected_statuses", &mut provider.rejected_statuses, |field| {
            field.list("a list of statuses such as [401, 403]", |field| {
                StatusCode::from_u16(field.number(400, 499)?).ok()
            })
        });
        let member = |field: &Field<'_>| field.name("the name of a member of the answer");
        table.set("active", &mut provider.active, |field| member(&field).map(Some));
        table.set("expires", &mut provider.expires, |field| match field.peek_text() {
            Some("off") => Some(None),
            _ => member(&field).map(Some),
        });
        table.finish();
        provider.remote = remote?;
        Some(provider)
    }
}

fn send(field: &Field<'_>) -> Option<Presentation> {
    let text = field.text(SEND)?;
    match text.split_once(':') {
        None if text == "bearer" => Some(Presentation::Bearer),
        Some(("header", name)) => name.parse().ok().map(Presentation::Header),
        Some(("cookie", name)) if super::is_name(name) => {
            Some(Presentation::Cookie(name.to_owned()))
        }
        Some(("json", name)) if !name.is_empty() => Some(Presentation::Json(name.to_owned())),
        _ => None,
    }
    .or_else(|| field.reject(SEND))
}
