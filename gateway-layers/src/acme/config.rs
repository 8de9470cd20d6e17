//! What an ACME client is told, and what can be wrong with it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::http_client::url::Url;
use crate::secret::Secret;

/// The directory of Let's Encrypt, for certificates that browsers believe.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Names in one certificate, at most: as many as the large authorities take.
const MOST_DOMAINS: usize = 100;

/// How it is proved that the names are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// In a TLS handshake on port 443 (RFC 8737).
    #[default]
    TlsAlpn01,
    /// By a plain request on port 80 (RFC 8555, section 8.3).
    Http01,
}

impl Challenge {
    /// As the standard names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// An account that one has with the authority already (RFC 8555, section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    key_id: String,
    hmac_key: Secret,
}

impl ExternalAccount {
    /// The account `key_id`, with its key in base64url, as authorities hand it out.
    pub fn new(key_id: impl Into<String>, hmac_key: impl Into<Secret>) -> Self {
        Self { key_id: key_id.into(), hmac_key: hmac_key.into() }
    }

    /// The name of the key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key itself; `None`: it is no base64.
    pub(super) fn key(&self) -> Option<Vec<u8>> {
        let text = self.hmac_key.reveal().trim();
        let forms = [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD_NO_PAD, &STANDARD];
        let decoded = forms.iter().find_map(|form| form.decode(text).ok());
        decoded.filter(|key| !key.is_empty())
    }
}

/// Something that is wrong with what an ACME client was told.
///
/// Displays as the setting and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {message}")]
#[non_exhaustive]
pub struct AcmeProblem {
    /// Which setting, such as `directory` or `domains[1]`.
    pub setting: String,
    /// What was found, and what was expected. Never a secret.
    pub message: String,
}

impl AcmeProblem {
    pub(super) fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self { setting: setting.into(), message: message.into() }
    }
}

/// Everything that is wrong with what an ACME client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeProblems(pub(super) Vec<AcmeProblem>);

impl IntoIterator for AcmeProblems {
    type Item = AcmeProblem;
    type IntoIter = std::vec::IntoIter<AcmeProblem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for AcmeProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for AcmeProblems {}

/// The names in lower case, or what is wrong with them.
pub(super) fn domains(names: &[String], problems: &mut Vec<AcmeProblem>) -> Vec<String> {
    if names.is_empty() {
        problems.push(AcmeProblem::new("domains", "found none, expected at least one name"));
    }
    if names.len() > MOST_DOMAINS {
        let message = format!(
            "found {}, expected {MOST_DOMAINS} at most; the rest belongs into a second certificate",
            names.len()
        );
        problems.push(AcmeProblem::new("domains", message));
    }
    let mut known: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let fault = match fault_of(&lower) {
            None if known.contains(&lower) => Some("a name that is not there already"),
            fault => fault,
        };
        if let Some(expected) = fault {
            let message = format!("found {name:?}, expected {expected}");
            problems.push(AcmeProblem::new(format!("domains[{index}]"), message));
        } else {
            known.push(lower);
        }
    }
    known
}

/// What a name should be that is not good.
fn fault_of(name: &str) -> Option<&'static str> {
    if name.contains('*') {
        return Some(
            "a name without `*`: authorities give wildcards only to who proves a name by DNS \
             (dns-01), which is not done here",
        );
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some("a name, not an address");
    }
    if !name.is_ascii() {
        return Some("a name in its ASCII form (`xn--...`)");
    }
    let good_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let good = name.len() <= 253 && name.split('.').all(good_label);
    (!good).then_some("a host name such as \"www.example.org\"")
}

/// The contacts as URLs, or what is wrong with them (RFC 8555, section 7.3).
pub(super) fn contacts(given: &[String], problems: &mut Vec<AcmeProblem>) -> Vec<String> {
    let mut contacts = Vec::new();
    for (index, contact) in given.iter().enumerate() {
        let address = contact.strip_prefix("mailto:").unwrap_or(contact);
        let parts = address.split_once('@');
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
        };
        let good = parts.is_some_and(|(name, host)| {
            plain(name) && plain(host) && !host.contains(['@', '?', ':', '/'])
        });
        if good {
            contacts.push(format!("mailto:{address}"));
        } else {
            let message = format!("found {contact:?}, expected a mail address");
            problems.push(AcmeProblem::new(format!("contact[{index}]"), message));
        }
    }
    contacts
}

/// What is wrong with the address of a directory. RFC 8555, section 6.1, wants `https`.
pub(super) fn directory(url: &str) -> Option<AcmeProblem> {
    let found = match Url::parse(url) {
        Ok(url) if url.is_https() => return None,
        Ok(_) => "http",
        Err(found) => found,
    };
    Some(AcmeProblem::new("directory", format!("found {found}, expected an https URL")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(names: &[&str]) -> Vec<String> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut problems = Vec::new();
        domains(&names, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_those_that_an_authority_takes() {
        let long = format!("{}.example", "a".repeat(63));
        let good = ["example.org", "a.b-c.d", "localhost", "xn--bcher-kva.example", &long];
        assert!(wrong(&good).is_empty());
        for (name, expected) in [
            ("*.example.org", "dns-01"),
            ("bücher.example", "ASCII form"),
            ("10.0.0.1", "not an address"),
            ("::1", "not an address"),
            ("", "host name"),
            ("a..b", "host name"),
            ("-a.example", "host name"),
            ("a.example.", "host name"),
            ("a/b", "host name"),
            ("../etc", "host name"),
            ("a b.example", "host name"),
            ("a.example:443", "host name"),
        ] {
            let problems = wrong(&[name]);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{name}: {problems:?}");
            assert!(problems[0].starts_with("domains[0]: found"), "{problems:?}");
        }
        assert_eq!(wrong(&["a.example", "A.example"]).len(), 1);
        assert_eq!(wrong(&[]).len(), 1);
        let many: Vec<_> = (0..101).map(|index| format!("n{index}.example")).collect();
        assert_eq!(wrong(&many.iter().map(String::as_str).collect::<Vec<_>>()).len(), 1);
    }

    #[test]
    fn contacts_are_mail_addresses() {
        let mut problems = Vec::new();
        let given = ["a@b.example", "mailto:c@d.example"].map(str::to_owned);
        let found = contacts(&given, &mut problems);
        assert_eq!(found, ["mailto:a@b.example", "mailto:c@d.example"]);
        assert!(problems.is_empty());
        // RFC 8555, section 7.3: no more than one address, and no header fields.
        for wrong in ["a", "@b", "a@", "a@b,c@d", "a@b?subject=c", "a b@c", "tel:1", "a@b@c"] {
            let mut problems = Vec::new();
            contacts(&[wrong.to_owned()], &mut problems);
            assert_eq!(problems.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn directories_are_secured() {
        assert_eq!(directory(LETS_ENCRYPT), None);
        for wrong in ["http://a.example/dir", "a.example", "", "https://user:pass@a.example/"] {
            assert!(directory(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn keys_of_accounts_are_base64_of_any_kind_and_never_shown() {
        let key = [0xfb_u8, 0xff, 0xbe, 1];
        for text in ["-_--AQ", "-_--AQ==", "+/++AQ", "+/++AQ==", " -_--AQ\n"] {
            assert_eq!(ExternalAccount::new("id", text).key().as_deref(), Some(&key[..]), "{text}");
        }
        for text in ["", "?", "no base64!"] {
            assert_eq!(ExternalAccount::new("id", text).key(), None, "{text}");
        }
        let shown = format!("{:?}", ExternalAccount::new("id", "planted"));
        assert!(shown.contains("id") && !shown.contains("planted"), "{shown}");
    }
}
