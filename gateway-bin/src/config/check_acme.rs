//! Certificates by ACME among the other parts of a document.

use super::check::Check;
use super::{AcmeChallenge, ListenerTls, quote};

impl Check<'_> {
    /// What the certificates of one listener need that are ordered by ACME.
    pub(super) fn acme(&mut self, path: &str, tls: &ListenerTls) {
        if tls.acme.is_empty() {
            return;
        }
        if !cfg!(feature = "acme") {
            self.error(&format!("{path}.tls.acme"), "this build orders no certificates");
            return;
        }
        let plain = self.parts.listeners.iter().any(|(_, listener)| listener.tls.is_none());
        // One that could not be read may be the one.
        let plain = plain || !self.parts.all_listeners;
        let list = format!("{path}.tls.acme");
        let mut known: Vec<String> = Vec::new();
        for (index, acme) in tls.acme.iter().enumerate() {
            let path = self.places.element(&list, index);
            if acme.challenge == AcmeChallenge::Http01 && !plain {
                let message = "found \"http-01\" and no listener in plain text, expected one that \
                               clients reach on port 80, or \"tls-alpn-01\"";
                self.error(&format!("{path}.challenge"), message);
            }
            for (position, domain) in acme.domains.iter().enumerate() {
                // What is there twice in one list is said where the list is read.
                let lower = domain.to_ascii_lowercase();
                if known.contains(&lower) {
                    let message = format!(
                        "found {}, which another certificate of this listener has already",
                        quote(domain)
                    );
                    self.error(&self.places.element(&format!("{path}.domains"), position), message);
                }
            }
            known.extend(acme.domains.iter().map(|domain| domain.to_ascii_lowercase()));
        }
    }
}
