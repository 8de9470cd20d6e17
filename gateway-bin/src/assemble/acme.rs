//! Certificates by ACME, out of a document.

use std::sync::Arc;

use gateway_core::Observers;
use gateway_core::context::HttpChallenges;
use gateway_layers::acme::{Acme, AcmeBuilder, AcmeState, Challenge, ExternalAccount};

use super::listener_tls::SecureListener;
use super::tls;
use crate::config::{AcmeCertificate, AcmeChallenge, Problem, Reading};

/// A certificate that is kept by ACME, for the listeners that say the same about it.
#[derive(Clone, Debug)]
pub(crate) struct AcmePart {
    config: AcmeCertificate,
    pub(crate) listeners: Vec<String>,
    pub(crate) acme: Acme,
}

impl AcmePart {
    /// The certificate in a few words, for people.
    pub(super) fn describe(&self) -> String {
        let status = self.acme.status();
        let (names, challenge) = (status.domains.join(" "), status.challenge.as_str());
        let until = match status.not_after {
            Some(time) => format!("until {}", httpdate::fmt_http_date(time)),
            None => "none yet".to_owned(),
        };
        format!("{names} {until} by ACME ({challenge}, {})", status.directory)
    }

    /// True while handshakes for its names are rejected.
    pub(crate) fn is_missing(&self) -> bool {
        self.acme.status().not_after.is_none()
    }

    fn warnings(&self, reading: &Reading, path: &str) -> Vec<Problem> {
        let mut warnings = Vec::new();
        if self.acme.is_storage_open() {
            let message = format!(
                "others than its owner can look into {}, expected nobody else (mode 0700)",
                self.acme.storage().display()
            );
            warnings.push(reading.warning(&format!("{path}.storage"), message));
        }
        let status = self.acme.status();
        if let Some(error) = status.last_error.filter(|_| status.state == AcmeState::Missing) {
            warnings.push(reading.warning(&format!("{path}.storage"), error));
        }
        warnings
    }
}

/// What one or more listeners say.
struct Wanted<'d> {
    config: &'d AcmeCertificate,
    path: String,
    listeners: Vec<&'d SecureListener>,
}

/// Builds what `reading` says about certificates by ACME. What is the same as `before` goes on.
pub(super) fn build(
    reading: &Reading,
    listeners: &[SecureListener],
    challenges: &HttpChallenges,
    observers: &Observers,
    before: &[AcmePart],
) -> Result<(Vec<AcmePart>, Vec<Problem>), Vec<Problem>> {
    let (mut parts, mut warnings, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for wanted in wanted(reading, listeners) {
        problems.extend(wanted.named_twice(reading));
        let names: Vec<_> = wanted.listeners.iter().map(|one| one.name.clone()).collect();
        let same = before.iter().find(|old| old.config == *wanted.config && old.listeners == names);
        if let Some(same) = same {
            parts.push(same.clone());
            continue;
        }
        match wanted.build(reading, challenges, observers) {
            Ok(acme) => {
                let part = AcmePart { config: wanted.config.clone(), listeners: names, acme };
                warnings.extend(part.warnings(reading, &wanted.path));
                parts.push(part);
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok((parts, warnings)) } else { Err(problems) }
}

fn wanted<'d>(reading: &'d Reading, secure: &'d [SecureListener]) -> Vec<Wanted<'d>> {
    let mut all: Vec<Wanted<'d>> = Vec::new();
    for (index, listener) in reading.document.listeners.iter().enumerate() {
        let (Some(tls), Some(secure)) =
            (&listener.tls, secure.iter().find(|one| one.name == listener.name))
        else {
            continue;
        };
        for (position, config) in tls.acme.iter().enumerate() {
            if let Some(same) = all.iter_mut().find(|one| one.config == config) {
                same.listeners.push(secure);
                continue;
            }
            let path = reading.element(&format!("listeners[{index}].tls.acme"), position);
            all.push(Wanted { config, path, listeners: vec![secure] });
        }
    }
    all
}

impl Wanted<'_> {
    /// Names that a certificate in a file has already.
    fn named_twice(&self, reading: &Reading) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, domain) in self.config.domains.iter().enumerate() {
            let lower = domain.to_ascii_lowercase();
            let has = |listener: &&&SecureListener| listener.has_file_for(&lower);
            if let Some(listener) = self.listeners.iter().find(has) {
                let path = reading.element(&format!("{}.domains", self.path), index);
                let message = format!(
                    "found \"{domain}\", which a certificate in `certificates` of listener {} has \
                     already, expected it in one of both",
                    listener.name
                );
                problems.push(reading.problem(&path, message));
            }
        }
        problems
    }

    fn build(
        &self,
        reading: &Reading,
        challenges: &HttpChallenges,
        observers: &Observers,
    ) -> Result<Acme, Vec<Problem>> {
        let path = &self.path;
        let trust = match &self.config.ca {
            Some(ca) => tls::client_trusting_pem(ca),
            None => tls::client().map_err(|error| error.to_string()),
        };
        let trust = trust.map_err(|error| vec![reading.problem(&format!("{path}.ca"), error)])?;
        let mut builder = described(self.config, trust)
            .http_challenges(challenges.clone())
            .observers(observers.clone());
        for listener in &self.listeners {
            builder = builder.store(listener.tls().certificates().clone());
        }
        builder.build().map_err(|problems| {
            let problems = problems.into_iter().map(|problem| {
                let (setting, index) = match problem.setting.split_once('[') {
                    Some((list, index)) => (list, index.trim_end_matches(']').parse().ok()),
                    None => (problem.setting.as_str(), None),
                };
                let path = format!("{path}.{setting}");
                let path = index.map_or_else(|| path.clone(), |at| reading.element(&path, at));
                reading.problem(&path, problem.message)
            });
            problems.collect::<Vec<_>>()
        })
    }
}

fn described(config: &AcmeCertificate, trust: Arc<rustls::ClientConfig>) -> AcmeBuilder {
    let mut builder = Acme::builder(config.domains.iter().cloned(), &config.storage, trust)
        .terms_agreed(config.terms_agreed)
        .contact(config.contact.iter().cloned())
        .challenge(match config.challenge {
            AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn01,
            AcmeChallenge::Http01 => Challenge::Http01,
        });
    if let Some(directory) = &config.directory {
        builder = builder.directory(directory);
    }
    if let Some(external) = &config.external_account {
        let key = external.hmac_key.clone();
        builder = builder.external_account(ExternalAccount::new(&external.key_id, key));
    }
    if let Some(profile) = &config.profile {
        builder = builder.profile(profile);
    }
    match config.renew_before {
        Some(time) => builder.renew_before(time),
        None => builder,
    }
}
