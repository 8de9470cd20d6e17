//! The API keys of a document, for whoever issues them and takes them back.

use gateway_core::BoxError;
#[cfg(feature = "postgres")]
use gateway_layers::auth::api_key::PostgresKeyStore;
use gateway_layers::auth::api_key::{ApiKeys, StoreError};

use crate::assemble;
use crate::config::{ApiKeyProvider, Document, IdentityConfig, KeysFrom};

/// The keys of `[identity.api_key.NAME]`, to change them; without a name those of the only one. A
/// file that is not there is made.
///
/// # Errors
///
/// When there is no such table, several of them and no name, its keys stand in the document
/// itself, or cannot be opened.
pub fn open(document: &Document, name: Option<&str>) -> Result<ApiKeys, BoxError> {
    let (name, config) = provider(document, name)?;
    if matches!(config.keys, KeysFrom::Inline(_)) {
        let problem = format!("the keys of `{name}` stand in the document: change them there");
        return Err(StoreError::Rejected(problem).into());
    }
    assemble::open_keys(name, config, true)
}

/// Where `[identity.api_key.NAME]` keeps its keys in Postgres.
///
/// # Errors
///
/// As [`open`], and when they are not in Postgres.
#[cfg(feature = "postgres")]
pub fn postgres(document: &Document, name: Option<&str>) -> Result<PostgresKeyStore, BoxError> {
    assemble::open_postgres(provider(document, name)?.1)
}

fn provider<'d>(
    document: &'d Document,
    name: Option<&str>,
) -> Result<(&'d str, &'d ApiKeyProvider), BoxError> {
    let all = document.identities.iter().filter_map(|one| match &one.settings {
        IdentityConfig::ApiKey(config) => Some((one.name.as_str(), config)),
        _ => None,
    });
    let mut found = all.filter(|(own, _)| name.is_none_or(|name| *own == name));
    match (found.next(), found.next(), name) {
        (Some(only), None, _) => Ok(only),
        (None, _, Some(name)) => Err(format!("there is no [identity.api_key.{name}]").into()),
        (None, _, None) => Err("there is no [identity.api_key.NAME]".into()),
        _ => Err("there are several [identity.api_key.NAME]: say which, with --identity".into()),
    }
}
