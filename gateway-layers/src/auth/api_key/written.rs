//! Records as they are written: the same members in files, in Redis and in Postgres.

use std::collections::BTreeMap;
use std::time::SystemTime;

use gateway_core::context::Claim;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::record::{KeyGrant, KeyRecord};
use super::store::StoreError;
use super::time;
use crate::auth::SecretDigest;

/// No record is longer than this, in bytes of JSON.
pub(super) const MAX_RECORD: usize = 16 * 1024;

/// What is read may have more blanks.
const MAX_READ: usize = 2 * MAX_RECORD;

/// Claims are nested no deeper.
const MAX_DEPTH: usize = 8;

/// Longest id, owner, name, tier, tenant, role, scope, route.
const MAX_TEXT: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    id: String,
    sha256: String,
    owner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    networks: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
    #[serde(default = "first")]
    revision: u64,
    // Tables stand last, as TOML wants it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    quota: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<String, Value>,
}

fn first() -> u64 {
    1
}

/// A record that cannot be understood: which, and why. It says nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{id}`: {problem}")]
pub(super) struct Unreadable {
    id: String,
    problem: String,
}

impl TryFrom<Written> for KeyRecord {
    type Error = Unreadable;

    fn try_from(written: Written) -> Result<Self, Unreadable> {
        let id = written.id.clone();
        understand(written).map_err(|problem| Unreadable { id: shown(&id), problem })
    }
}

/// Ids are no secret, but whoever writes a record may put anything there.
fn shown(id: &str) -> String {
    if is_id(id) { id.to_owned() } else { "?".to_owned() }
}

fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

fn understand(written: Written) -> Result<KeyRecord, String> {
    let digest = SecretDigest::from_hex(&written.sha256)
        .ok_or("`sha256` is not the SHA-256 of a key, expected 64 hexadecimal digits")?;
    let moment = |name: &str, text: Option<String>| -> Result<Option<SystemTime>, String> {
        let Some(text) = text else { return Ok(None) };
        let read = time::read_time(&text).ok_or_else(|| {
            format!("`{name}` is no time, expected one such as 2026-12-31T23:59:59Z")
        })?;
        Ok(Some(read))
    };
    let networks = written.networks.iter().map(|text| network(text));
    let mut grant = KeyGrant::new(written.owner);
    grant.networks = networks.collect::<Result<_, _>>()?;
    grant.not_before = moment("not_before", written.not_before)?;
    grant.expires = moment("expires", written.expires)?;
    (grant.name, grant.tier, grant.tenant) = (written.name, written.tier, written.tenant);
    (grant.roles, grant.scopes) = (written.roles, written.scopes);
    (grant.routes, grant.quota) = (written.routes, written.quota);
    let claims = written.claims.into_iter();
    let claims = claims.map(|(name, value)| Some((name, claim(value, MAX_DEPTH)?)));
    grant.claims = claims.collect::<Option<_>>().ok_or("`claims` are nested too deep")?;
    let mut record = KeyRecord::new(written.id, digest, grant);
    record.created = moment("created", written.created)?;
    (record.disabled, record.replaced_by) = (written.disabled, written.replaced_by);
    record.revision = written.revision;
    check(&record)?;
    Ok(record)
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address.to_canonical()));
    let net = text.parse::<IpNet>().or_else(|_| one());
    net.map_err(|_| "`networks` has what is no network, expected one such as 10.0.0.0/8".to_owned())
}

/// Whether a record can be what it says.
pub(super) fn check(record: &KeyRecord) -> Result<(), String> {
    let grant = &record.grant;
    if !is_id(&record.id) {
        return Err("`id` is none, expected 1 to 64 letters, digits, `-`, `_` or `.`".to_owned());
    }
    if grant.owner.is_empty() {
        return Err("`owner` is empty, expected a name".to_owned());
    }
    let one = [&grant.owner, &grant.name].into_iter().chain(&grant.tier).chain(&grant.tenant);
    let mut all = one.chain(&grant.roles).chain(&grant.scopes).chain(&grant.routes);
    if all.any(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control)) {
        return Err(format!("a name is longer than {MAX_TEXT} bytes or has control characters"));
    }
    let never = grant.expires.zip(grant.not_before).is_some_and(|(end, start)| end <= start);
    if never {
        return Err("`expires` is not after `not_before`".to_owned());
    }
    Ok(())
}

impl From<&KeyRecord> for Written {
    fn from(record: &KeyRecord) -> Self {
        let grant = record.grant.clone();
        let claims = grant.claims.into_iter().filter_map(|(name, one)| Some((name, value(one)?)));
        Self {
            id: record.id.clone(),
            sha256: record.digest.to_hex(),
            owner: grant.owner,
            name: grant.name,
            tier: grant.tier,
            tenant: grant.tenant,
            roles: grant.roles,
            scopes: grant.scopes,
            not_before: grant.not_before.map(time::write_time),
            expires: grant.expires.map(time::write_time),
            networks: grant.networks.iter().map(ToString::to_string).collect(),
            routes: grant.routes,
            disabled: record.disabled,
            created: record.created.map(time::write_time),
            replaced_by: record.replaced_by.clone(),
            revision: record.revision,
            quota: grant.quota,
            claims: claims.collect(),
        }
    }
}

fn claim(value: Value, depth: usize) -> Option<Claim> {
    let deeper = depth.checked_sub(1)?;
    Some(match value {
        Value::Null => Claim::Null,
        Value::Bool(value) => Claim::Boolean(value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Claim::Integer(whole),
            None => Claim::Number(number.as_f64()?),
        },
        Value::String(text) => Claim::Text(text.into()),
        Value::Array(list) => {
            Claim::List(list.into_iter().map(|one| claim(one, deeper)).collect::<Option<_>>()?)
        }
        Value::Object(map) => {
            let map = map.into_iter().map(|(name, one)| Some((name, claim(one, deeper)?)));
            Claim::Map(map.collect::<Option<_>>()?)
        }
    })
}

fn value(claim: Claim) -> Option<Value> {
    Some(match claim {
        Claim::Boolean(value) => value.into(),
        Claim::Integer(number) => number.into(),
        Claim::Number(number) => Value::Number(Number::from_f64(number)?),
        Claim::Text(text) => (*text).into(),
        Claim::List(list) => list.into_iter().filter_map(value).collect(),
        Claim::Map(map) => {
            map.into_iter().filter_map(|(name, one)| Some((name, value(one)?))).collect()
        }
        // TOML has no word for nothing.
        _ => return None,
    })
}

impl KeyRecord {
    /// As it is written: JSON, as [stores](super::KeyStore) keep it.
    ///
    /// # Errors
    ///
    /// When it cannot be what it says, or is longer than 16 KiB.
    pub fn to_json(&self) -> Result<String, StoreError> {
        to_json(self).map_err(StoreError::Rejected)
    }

    /// The record that `text` writes.
    ///
    /// # Errors
    ///
    /// When it is none. What is wrong repeats nothing of it.
    pub fn from_json(text: &str) -> Result<Self, StoreError> {
        from_json(text).map_err(StoreError::Unreadable)
    }
}

/// A record as JSON.
pub(super) fn to_json(record: &KeyRecord) -> Result<String, String> {
    check(record)?;
    let text = serde_json::to_string(&Written::from(record)).map_err(|error| error.to_string())?;
    if text.len() > MAX_RECORD {
        return Err(format!("the record is longer than {MAX_RECORD} bytes"));
    }
    Ok(text)
}

/// The record that `text` says in JSON.
pub(super) fn from_json(text: &str) -> Result<KeyRecord, String> {
    if text.len() > MAX_READ {
        return Err(format!("a record is longer than {MAX_READ} bytes"));
    }
    // What serde says repeats what it found; which may be anything, a key for instance.
    let written: Written = serde_json::from_str(text).map_err(|error| {
        format!("a record cannot be read, line {}, column {}", error.line(), error.column())
    })?;
    KeyRecord::try_from(written).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn full() -> KeyRecord {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut grant = KeyGrant::new("acme").name("billing").tier("gold").tenant("north");
        grant = grant.roles(["admin"]).scopes(["read"]).quota("month", 1000).routes(["orders"]);
        grant = grant.not_before(at(1_000_000)).expires(at(2_000_000_000));
        grant = grant.networks(["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let list = Claim::List(vec![Claim::Boolean(true), Claim::Number(0.5)]);
        grant.claims.insert("list".to_owned(), list);
        grant.claims.insert("text".to_owned(), Claim::Text("a \"b\"".into()));
        let mut record = KeyRecord::new("4XkQ9aZr0BnW", SecretDigest::of(b"key"), grant);
        record.created = Some(at(1_700_000_000));
        record.replaced_by = Some("other".to_owned());
        (record.disabled, record.revision) = (true, 7);
        record
    }

    #[test]
    fn a_record_survives_being_written_down() {
        let record = full();
        let text = to_json(&record).unwrap();
        assert_eq!(from_json(&text).unwrap(), record);
        let bare = KeyRecord::new("id", SecretDigest::of(b"key"), KeyGrant::new("acme"));
        let text = to_json(&bare).unwrap();
        let digest = bare.digest.to_hex();
        let said = format!(r#"{{"id":"id","sha256":"{digest}","owner":"acme","revision":1}}"#);
        assert_eq!(text, said);
        assert_eq!(from_json(&text).unwrap(), bare);
    }

    #[test]
    fn what_is_no_record_is_rejected_and_not_repeated() {
        let digest = SecretDigest::of(b"key").to_hex();
        let with = |more: &str| format!(r#"{{"id":"a","sha256":"{digest}","owner":"b"{more}}}"#);
        assert!(from_json(&with("")).is_ok());
        let deep = format!(r#","claims":{{"a":{}1{}}}"#, "[".repeat(9), "]".repeat(9));
        for more in [
            r#","key":"planted-secret"#,
            r#","key":"planted-secret""#,
            r#","planted-secret":1"#,
            r#","roles":"planted-secret""#,
            r#","expires":"planted-secret""#,
            r#","networks":["planted-secret"]"#,
            r#","tier":"planted\nsecret""#,
            r#","quota":{"a":1.5}"#,
            r#","not_before":"2026-01-02","expires":"2026-01-02""#,
            r#","revision":-1"#,
            &deep,
        ] {
            let problem = from_json(&with(more)).unwrap_err();
            assert!(!problem.contains("planted"), "{problem}");
        }
        let plain = r#"{"id":"a","sha256":"planted-secret","owner":"b"}"#;
        assert!(!from_json(plain).unwrap_err().contains("planted"));
        let odd = format!(r#"{{"id":"planted secret","sha256":"{digest}","owner":"b"}}"#);
        assert!(!from_json(&odd).unwrap_err().contains("planted"));
        let nobody = format!(r#"{{"id":"a","sha256":"{digest}","owner":""}}"#);
        assert!(from_json(&nobody).unwrap_err().contains("owner"));
        assert!(from_json(&" ".repeat(MAX_READ + 1)).is_err());
        let mut long = full();
        long.grant.claims.insert("long".into(), Claim::Text("x".repeat(MAX_RECORD).into()));
        assert!(to_json(&long).is_err());
    }
}
