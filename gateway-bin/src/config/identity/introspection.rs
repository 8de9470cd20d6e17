//! `[identity.introspection.NAME]`: an issuer that is asked about its tokens.

use std::time::Duration;

use gateway_layers::auth::introspection::DEFAULT_SKEW;

use super::remote::{RemoteProvider, RemoteTo};
use crate::config::reader::{Field, Table};
use crate::config::units::duration;
use gateway_layers::secret::Secret;

/// An issuer that is asked about its tokens (RFC 7662), and what it must say of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IntrospectionProvider {
    /// Who is asked, how often, and what is made of the answer.
    pub remote: RemoteProvider,
    /// `client_id` with `client_secret`, or `client_token`. Default: none.
    pub credentials: IntrospectionCredentials,
    /// `issuer`: what `iss` must be. Default: anything.
    pub issuer: Option<String>,
    /// `audience`: one or a list, one of which `aud` must name. Default: whomever tokens are for.
    pub audience: Vec<String>,
    /// `skew` of clocks. Default: 60 s.
    pub skew: Duration,
}

/// How the gateway says to an issuer who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntrospectionCredentials {
    /// Not at all.
    #[default]
    None,
    /// `client_id` and `client_secret`.
    Client(String, Secret),
    /// `client_token`.
    Token(Secret),
}

impl IntrospectionProvider {
    /// Asks `to` with every default.
    pub fn new(to: RemoteTo) -> Self {
        Self {
            remote: RemoteProvider::new(to),
            credentials: IntrospectionCredentials::None,
            issuer: None,
            audience: Vec::new(),
            skew: DEFAULT_SKEW,
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.introspection.main]")?;
        let remote = RemoteProvider::take(&mut table);
        let mut provider = Self::new(RemoteTo::Url { url: String::new(), ca: None });
        provider.credentials = credentials(&mut table);
        table.set("issuer", &mut provider.issuer, |field| {
            field.name("the issuer's name, as in `iss`").map(Some)
        });
        table.set("audience", &mut provider.audience, |field| {
            if field.is_empty_list() {
                return field.reject("at least one name");
            }
            Some(field.one_or_list(|field| field.name("a name as in `aud`")))
        });
        table.set("skew", &mut provider.skew, |field| duration(&field));
        table.finish();
        provider.remote = remote?;
        Some(provider)
    }
}

fn credentials(table: &mut Table<'_>) -> IntrospectionCredentials {
    let secret = |field: Option<Field<'_>>| field.map(|field| field.secret());
    match table.only_one(&["client_id", "client_token"]) {
        Some(("client_id", field)) => {
            let id = field.name("the gateway's name at the issuer");
            let secret = secret(table.require("client_secret", "the secret of `client_id`"));
            match (id, secret.flatten()) {
                (Some(id), Some(secret)) => IntrospectionCredentials::Client(id, secret),
                // Noted, so that the document is not taken.
                _ => IntrospectionCredentials::None,
            }
        }
        Some((_, field)) => match field.secret() {
            Some(token) => IntrospectionCredentials::Token(token),
            None => IntrospectionCredentials::None,
        },
        None => IntrospectionCredentials::None,
    }
}
