//! `acme` of `tls` of a listener: a certificate from an authority that hands them out by itself.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::reader::Field;
use super::tls::{PemFile, pem};
use super::units::some_duration;

const EXAMPLE: &str =
    "{ domains = [\"example.org\"], storage = \"/var/lib/gateway/acme\", terms_agreed = true }";

/// A certificate that is ordered and renewed by ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcmeCertificate {
    /// `domains`: the names of the certificate. At least one.
    pub domains: Vec<String>,
    /// `storage`: the directory of accounts and certificates. Required.
    pub storage: PathBuf,
    /// `terms_agreed`: true for who agrees to the authority's terms of service. Required.
    pub terms_agreed: bool,
    /// `directory`: the authority, an `https` URL. Default: Let's Encrypt.
    pub directory: Option<String>,
    /// `contact`: mail addresses that the authority may write to. Default: none.
    pub contact: Vec<String>,
    /// `challenge`: `tls-alpn-01` or `http-01`. Default: `tls-alpn-01`.
    pub challenge: AcmeChallenge,
    /// `external_account`: `key_id` and `hmac_key` of an account that the authority knows already.
    /// Default: none.
    pub external_account: Option<ExternalAccount>,
    /// `ca`: the authorities that are believed about the directory itself. Default: those that the
    /// system trusts.
    pub ca: Option<PemFile>,
    /// `profile`: the kind of certificate, by the authority's name. Default: the authority chooses.
    pub profile: Option<String>,
    /// `renew_before`: how long before its end it is renewed at the latest. Default: when the
    /// authority says, else a third of the lifetime.
    pub renew_before: Option<Duration>,
}

/// How it is proved that names are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcmeChallenge {
    /// In a TLS handshake on port 443 (RFC 8737).
    #[default]
    TlsAlpn01,
    /// By a plain request on port 80 (RFC 8555, section 8.3).
    Http01,
}

impl AcmeChallenge {
    /// As documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// An account that one has with the authority already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExternalAccount {
    /// `key_id`. Required.
    pub key_id: String,
    /// `hmac_key`: a secret, in base64url as authorities hand it out. Required.
    pub hmac_key: Secret,
}

impl ExternalAccount {
    /// The account `key_id` with its key.
    pub fn new(key_id: impl Into<String>, hmac_key: impl Into<Secret>) -> Self {
        Self { key_id: key_id.into(), hmac_key: hmac_key.into() }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ key_id = \"id\", hmac_key = { env = \"EAB_KEY\" } }")?;
        let expected = "the name of the key, as the authority gave it";
        let key_id = table.require("key_id", expected).and_then(|field| field.name(expected));
        let hmac_key = table.require("hmac_key", "the key, as the authority gave it");
        let hmac_key = hmac_key.and_then(|field| field.secret());
        table.finish();
        Some(Self { key_id: key_id?, hmac_key: hmac_key? })
    }
}

impl AcmeCertificate {
    /// A certificate for `domains` with every default, kept in `storage`, of who agrees to the
    /// terms of service.
    pub fn new(domains: Vec<String>, storage: impl Into<PathBuf>) -> Self {
        Self {
            domains,
            storage: storage.into(),
            terms_agreed: true,
            directory: None,
            contact: Vec::new(),
            challenge: AcmeChallenge::default(),
            external_account: None,
            ca: None,
            profile: None,
            renew_before: None,
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        const DIRECTORY: &str = "a directory that the gateway may write to";
        let mut table = field.table(EXAMPLE)?;
        let domains = table.require("domains", "a list of names such as [\"example.org\"]");
        let domains = domains.and_then(|field| {
            if field.is_empty_list() {
                return field.reject("at least one name");
            }
            Some(field.one_or_list(|field| field.name("a name such as \"example.org\"")))
        });
        let storage = table.require("storage", DIRECTORY);
        let storage = storage.and_then(|field| field.name(DIRECTORY));
        let agreed = table.require("terms_agreed", "true, once the terms have been read");
        let agreed = agreed.and_then(|field| match field.boolean()? {
            true => Some(true),
            false => field.reject(
                "true: an authority gives nothing to who does not agree to its terms of service",
            ),
        });
        let mut acme = Self::new(Vec::new(), "");
        table.set("directory", &mut acme.directory, |field| {
            field.name("the https URL of a directory").map(Some)
        });
        table.set("contact", &mut acme.contact, |field| {
            Some(field.one_or_list(|field| field.name("a mail address")))
        });
        table.set("challenge", &mut acme.challenge, |field| {
            let (tls, http) = (AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01);
            field.choice(&[(tls.as_str(), tls), (http.as_str(), http)])
        });
        table.set("external_account", &mut acme.external_account, |field| {
            ExternalAccount::read(field).map(Some)
        });
        table.set("ca", &mut acme.ca, |field| pem(&field).map(Some));
        table.set("profile", &mut acme.profile, |field| {
            field.name("a profile of the authority").map(Some)
        });
        table.set("renew_before", &mut acme.renew_before, |field| some_duration(&field).map(Some));
        table.finish();
        (acme.domains, acme.storage) = (domains?, storage?.into());
        agreed.map(|_| acme)
    }
}
