//! `tls` of listeners and of clusters.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_core::context::{HttpsRedirect, TlsVersion};
use http::StatusCode;

use super::acme::AcmeCertificate;
use super::reader::{Field, Table};
use super::value::quote;

const FILE: &str = "the path of a PEM file";

const NO_ACME: &str = "at least one certificate to order";

/// The most bytes of a PEM file of a cluster.
const MOST_BYTES: u64 = 1024 * 1024;

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerTls {
    /// `certificates`: the first is the default. At least one, unless there is `acme`.
    pub certificates: Vec<CertificatePaths>,
    /// `acme`: certificates that are ordered and renewed by themselves. Default: none.
    pub acme: Vec<AcmeCertificate>,
    /// `client_auth`: `off`, `optional` or `required`. Default: `off`.
    pub client_auth: ClientAuth,
    /// `client_ca`: a PEM file with the authorities of clients; needed unless `client_auth` is
    /// off.
    pub client_ca: Option<PathBuf>,
    /// `client_crl`: a PEM file with what they revoked. Default: none.
    pub client_crl: Option<PathBuf>,
    /// `min_version`: `1.2` or `1.3`. Default: `1.2`.
    pub min_version: TlsVersion,
}

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificatePaths {
    /// `cert`: the chain, the server's own first.
    pub cert: PathBuf,
    /// `key`: the private key.
    pub key: PathBuf,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They may have none; one that is not good is rejected.
    Optional,
    /// They must have a good one.
    Required,
}

impl ClientAuth {
    /// As documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// TLS towards the endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterTls {
    /// `ca`: the authorities that are believed. Default: those that the system trusts.
    pub ca: Option<PemFile>,
    /// `server_name`: what endpoints are asked for, and must have in their certificates. Default:
    /// the host of the endpoint, or the name that was looked up by DNS.
    pub server_name: Option<String>,
    /// `client_cert`: the certificate that the gateway shows. Default: none.
    pub client_cert: Option<PemFile>,
    /// `client_key`: its private key.
    pub client_key: Option<PemFile>,
    /// `min_version`: `1.2` or `1.3`. Default: `1.2`.
    pub min_version: TlsVersion,
    /// `dangerous_accept_any_certificate`: whoever answers is believed. Default: `false`.
    pub dangerous_accept_any_certificate: bool,
}

/// A PEM file as it was when the document was read, so that a reload sees that it changed.
///
/// `Debug` shows its path, never what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    path: PathBuf,
    bytes: Arc<[u8]>,
}

impl PemFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is far too large.
    pub fn read(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path = path.into();
        let metadata = std::fs::metadata(&path)?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(std::io::Error::other("not a file of at most 1 MiB"));
        }
        let bytes = std::fs::read(&path)?;
        let bytes = super::source::without_mark(&bytes).to_vec().into();
        Ok(Self { path, bytes })
    }
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PemFile").field(&self.path).finish()
    }
}

impl ListenerTls {
    /// TLS with `certificates` and every default.
    pub fn new(certificates: Vec<CertificatePaths>) -> Self {
        Self {
            certificates,
            acme: Vec::new(),
            client_auth: ClientAuth::Off,
            client_ca: None,
            client_crl: None,
            min_version: TlsVersion::default(),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        const EXAMPLE: &str = "{ certificates = [{ cert = \"a.pem\", key = \"a.key\" }] }";
        let whole = field.clone();
        let mut table = field.table(EXAMPLE)?;
        let mut tls = Self::new(Vec::new());
        let acme = table.take("acme");
        let certificates = match acme {
            Some(_) => table.take("certificates"),
            None => table.require("certificates", "at least one certificate, or `acme`"),
        };
        if let Some(field) = acme {
            if field.is_empty_list() {
                field.reject::<()>(NO_ACME);
            }
            tls.acme = field.one_or_list(AcmeCertificate::read);
        }
        if let Some(field) = certificates {
            if field.is_empty_list() {
                field.reject::<()>("at least one certificate");
            }
            tls.certificates = field.one_or_list(CertificatePaths::read);
        }
        table.set("client_auth", &mut tls.client_auth, |field| {
            field.choice(&[
                ("off", ClientAuth::Off),
                ("optional", ClientAuth::Optional),
                ("required", ClientAuth::Required),
            ])
        });
        table.set("client_ca", &mut tls.client_ca, |field| path(&field).map(Some));
        table.set("client_crl", &mut tls.client_crl, |field| path(&field).map(Some));
        min_version(&mut table, &mut tls.min_version);
        table.finish();
        if tls.client_auth != ClientAuth::Off && tls.client_ca.is_none() {
            let found = quote(tls.client_auth.as_str());
            whole.note::<()>(format!(
                "`client_auth` is {found} and there is no `client_ca`, expected the authorities \
                 whose clients are believed"
            ));
        }
        if tls.client_auth == ClientAuth::Off
            && tls.client_ca.as_ref().or(tls.client_crl.as_ref()).is_some()
        {
            return whole.note(
                "`client_ca` or `client_crl` and no `client_auth`: clients would not be asked, \
                 expected \"optional\" or \"required\""
                    .to_owned(),
            );
        }
        Some(tls)
    }
}

impl CertificatePaths {
    /// The chain at `cert` with the key at `key`.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cert = \"a.pem\", key = \"a.key\" }")?;
        let cert = table.require("cert", FILE).and_then(|field| path(&field));
        let key = table.require("key", FILE).and_then(|field| path(&field));
        table.finish();
        Some(Self { cert: cert?, key: key? })
    }
}

impl ClusterTls {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let whole = field.clone();
        let mut table = field.table("{ ca = \"ca.pem\", server_name = \"orders.internal\" }")?;
        let mut tls = Self::default();
        table.set("ca", &mut tls.ca, |field| pem(&field).map(Some));
        table.set("server_name", &mut tls.server_name, |field| {
            field.name("a host name or an address").map(Some)
        });
        table.set("client_cert", &mut tls.client_cert, |field| pem(&field).map(Some));
        table.set("client_key", &mut tls.client_key, |field| pem(&field).map(Some));
        min_version(&mut table, &mut tls.min_version);
        let any = &mut tls.dangerous_accept_any_certificate;
        table.set("dangerous_accept_any_certificate", any, |field| field.boolean());
        // Told by the keys: a file that cannot be read is a problem of its own.
        let (cert, key) = (table.take("client_cert"), table.take("client_key"));
        if let (Some(field), None) | (None, Some(field)) = (cert, key) {
            field
                .note::<()>("`client_cert` and `client_key` go together, expected both".to_owned());
        }
        if tls.dangerous_accept_any_certificate && table.take("ca").is_some() {
            whole.note::<()>(
                "`ca` says whom to believe and `dangerous_accept_any_certificate` to believe \
                 everybody, expected only one"
                    .to_owned(),
            );
        }
        table.finish();
        Some(tls)
    }
}

/// `redirect` of a listener.
pub(super) fn redirect(field: Field<'_>) -> Option<HttpsRedirect> {
    let mut table = field.table("{ scheme = \"https\" }")?;
    let scheme = table.require("scheme", "\"https\"");
    let scheme = scheme.and_then(|field| field.choice(&[("https", ())]));
    let mut redirect = HttpsRedirect::default();
    table.set("port", &mut redirect.port, |field| field.number(1, 65_535));
    table.set("status", &mut redirect.status, |field| {
        let status = field.number(100, 999).and_then(|code| StatusCode::from_u16(code).ok())?;
        let known = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if known { Some(status) } else { field.reject("301, 302, 303, 307 or 308") }
    });
    table.finish();
    scheme.map(|()| redirect)
}

fn min_version(table: &mut Table<'_>, version: &mut TlsVersion) {
    table.set("min_version", version, |field| {
        field.choice(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)])
    });
}

fn path(field: &Field<'_>) -> Option<PathBuf> {
    field.name(FILE).map(PathBuf::from)
}

pub(super) fn pem(field: &Field<'_>) -> Option<PemFile> {
    let path = field.name(FILE)?;
    match PemFile::read(&path) {
        Ok(file) => Some(file),
        Err(error) => field.note(format!("{} cannot be read: {error}", quote(&path))),
    }
}
