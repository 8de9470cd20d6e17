//! `gateway keys`: API keys of a document.

use std::io::Read;

use gateway::config::{Document, Source};
use gateway_core::{Clock, Modules, SystemClock};
use gateway_layers::auth::api_key::{
    ApiKeys, IssuedKey, KeyGrant, KeyRecord, MAX_KEY, read_time, write_time,
};
use tokio::runtime;

use super::Failure;
use crate::args::{Grant, Keys, Provider, duration};
use crate::terminal::{say, tell};

pub(crate) fn keys(arguments: Keys) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Keys) -> Result<(), Failure> {
    match arguments {
        Keys::Issue { provider, grant } => {
            let grant = grant_of(grant)?;
            let (key, record) = open(&provider)?.issue(grant).await?;
            hand_over(&key, &record);
        }
        Keys::Import { provider, id, grant } => {
            let (grant, key) = (grant_of(grant)?, from_input()?);
            let record = open(&provider)?.import(id, &key, grant).await?;
            tell(&format!("imported: {}", line(&record)));
        }
        Keys::List { provider, json } => {
            for record in open(&provider)?.list().await? {
                say(&if json { record.to_json()? } else { line(&record) });
            }
        }
        Keys::Rotate { provider, id, overlap } => {
            let (key, record) = open(&provider)?.rotate(&id, overlap).await?;
            hand_over(&key, &record);
        }
        Keys::Revoke { provider, id } => {
            let record = open(&provider)?.revoke(&id).await?;
            tell(&format!("revoked: {}", line(&record)));
        }
        Keys::Remove { provider, id } => {
            open(&provider)?.remove(&id).await?;
            tell(&format!("removed: {id}"));
        }
        Keys::CreateTable { provider, print } => create_table(&provider, print).await?,
    }
    Ok(())
}

/// The key alone goes to standard output, so that a pipe gets nothing else.
fn hand_over(key: &IssuedKey, record: &KeyRecord) {
    tell(&format!("issued: {}", line(record)));
    say(key.reveal());
}

/// A key in a line.
fn line(record: &KeyRecord) -> String {
    let grant = &record.grant;
    let mut text = format!("{} owner={}", record.id, grant.owner);
    let mut add = |name: &str, value: &str| {
        text.push_str(&format!(" {name}={value}"));
    };
    let optional = [("name", Some(&grant.name)), ("tier", grant.tier.as_ref())];
    let optional = optional.into_iter().chain([("tenant", grant.tenant.as_ref())]);
    for (name, value) in optional {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            add(name, value);
        }
    }
    let times =
        [("created", record.created), ("not_before", grant.not_before), ("expires", grant.expires)];
    for (name, time) in times {
        if let Some(time) = time {
            add(name, &write_time(time));
        }
    }
    if let Some(next) = &record.replaced_by {
        add("replaced_by", next);
    }
    if record.disabled {
        text.push_str(" revoked");
    }
    text
}

fn grant_of(given: Grant) -> Result<KeyGrant, Failure> {
    let mut grant = KeyGrant::new(given.owner).name(given.name);
    (grant.tier, grant.tenant) = (given.tier, given.tenant);
    (grant.roles, grant.scopes) = (given.roles, given.scopes);
    (grant.networks, grant.routes) = (given.networks, given.routes);
    grant.quota = given.quota.into_iter().collect();
    if let Some(text) = given.expires {
        let time = read_time(&text);
        let time = time.or_else(|| Some(SystemClock.now() + duration(&text).ok()?));
        let expected = "--expires: expected a time such as 2026-12-31T23:59:59Z, or 90d";
        grant.expires = Some(time.ok_or(expected)?);
    }
    Ok(grant)
}

/// A line of standard input: on the command line everybody on this machine could read it.
fn from_input() -> Result<String, Failure> {
    let mut text = String::new();
    let most = MAX_KEY as u64 + 3;
    std::io::stdin().lock().take(most).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn document(provider: &Provider) -> Result<Document, Failure> {
    // Modules are a program's own; whether they are there does not matter for keys.
    let reading = Source::file(&provider.document.config).read(&Modules::new());
    Ok(reading.map_err(|problems| problems.to_string())?.document)
}

fn open(provider: &Provider) -> Result<ApiKeys, Failure> {
    gateway::keys::open(&document(provider)?, provider.identity.as_deref())
}

#[cfg(feature = "postgres")]
async fn create_table(provider: &Provider, print: bool) -> Result<(), Failure> {
    let store = gateway::keys::postgres(&document(provider)?, provider.identity.as_deref())?;
    if print {
        say(&store.statements());
    } else {
        store.create().await?;
        tell("the table is there");
    }
    Ok(())
}

#[cfg(not(feature = "postgres"))]
async fn create_table(_: &Provider, _: bool) -> Result<(), Failure> {
    Err("this gateway was built without Postgres".into())
}
