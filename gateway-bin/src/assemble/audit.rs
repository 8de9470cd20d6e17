//! The audit of a document.

use std::time::Duration;

use gateway_core::{Cluster, ClusterBuilder};
use gateway_layers::audit::{Audit, AuditBuilder, FileSink, HttpSink, HttpSinkError, LogSink};

use crate::config::{self, AuditHttp, Problem, Reading};

/// An audit, and how long it may take to end.
#[derive(Clone, Debug)]
pub(crate) struct AuditPart {
    pub(crate) audit: Audit,
    pub(crate) flush: Duration,
}

/// Builds what `reading` says; `None`: there is none.
pub(super) fn build(reading: &Reading) -> Result<Option<AuditPart>, Vec<Problem>> {
    let Some(config) = &reading.document.audit else { return Ok(None) };
    let mut problems = Vec::new();
    let mut builder =
        Audit::builder().events(config.events.iter().copied()).principal(config.principal.clone());
    if config.log {
        builder = builder.sink(LogSink::new());
    }
    builder = file(builder, config, reading, &mut problems);
    if let Some(http) = &config.http {
        match receiver(http) {
            Ok(sink) => builder = builder.sink(sink),
            Err((key, message)) => {
                problems.push(reading.problem(&format!("audit.http.{key}"), message));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let audit =
        builder.build().map_err(|error| vec![reading.problem("audit", error.to_string())])?;
    Ok(Some(AuditPart { audit, flush: config.flush }))
}

fn file(
    builder: AuditBuilder,
    config: &config::Audit,
    reading: &Reading,
    problems: &mut Vec<Problem>,
) -> AuditBuilder {
    let Some(path) = &config.file else { return builder };
    match FileSink::new(path) {
        Ok(sink) => builder.sink(sink),
        Err(error) => {
            let message = format!("{} cannot be written: {error}", path.display());
            problems.push(reading.problem("audit.file", message));
            builder
        }
    }
}

/// Who gets events, or the key that is wrong and why.
fn receiver(http: &AuditHttp) -> Result<HttpSink, (&'static str, String)> {
    let mut builder = HttpSink::builder(http.url.reveal()).settings(http.settings.clone());
    if let Some(token) = &http.token {
        builder = builder.token(token.clone());
    }
    let cluster = connected(Cluster::builder("audit"), http)?;
    builder.cluster(cluster).build().map_err(|error| {
        let key = if error == HttpSinkError::Token { "token" } else { "url" };
        (key, error.to_string())
    })
}

/// Connections to a receiver, verified as those to upstreams are.
#[cfg(feature = "tls")]
fn connected(
    builder: ClusterBuilder,
    http: &AuditHttp,
) -> Result<ClusterBuilder, (&'static str, String)> {
    use super::tls;

    let secure = http.url.reveal().starts_with("https:");
    let (key, config) = match &http.ca {
        Some(ca) => ("ca", tls::client_trusting(ca)),
        None if secure => ("url", tls::client()),
        // A system without certificates to trust can send to where none is needed.
        None => return Ok(builder),
    };
    let config = config.map_err(|error| (key, error.to_string()))?;
    Ok(builder.tls(config))
}

#[cfg(not(feature = "tls"))]
fn connected(
    builder: ClusterBuilder,
    _: &AuditHttp,
) -> Result<ClusterBuilder, (&'static str, String)> {
    Ok(builder)
}
