//! [`TlsFiles`]: certificates, keys and authorities in files.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;

use super::certificate::Certificate;
use super::client_auth::{ClientAuth, ClientTrust};
use super::{ServerTls, ServerTlsError};
use crate::context::TlsVersion;

/// A file with more bytes than this is no certificate, key or revocation list of ours.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Whether clients show a certificate, without saying whose is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked, and may have none.
    Optional,
    /// They are asked, and must have one.
    Required,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The files of a listener's TLS, all in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The oldest version that is spoken. Default: 1.2.
    pub min_version: TlsVersion,
    /// The certificates, the default first.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show a certificate. Default: off.
    pub client_auth: ClientAuthMode,
    /// The authorities whose certificates of clients are believed.
    pub client_ca: Option<PathBuf>,
    /// What these authorities revoked.
    pub client_crl: Option<PathBuf>,
}

/// Which of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFile {
    /// The chain of the certificate of this index.
    Certificate(usize),
    /// The private key of the certificate of this index.
    Key(usize),
    /// The authorities of clients.
    ClientCa,
    /// Their revocation lists.
    ClientCrl,
}

/// What is wrong with a file.
///
/// Displays as its path and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileProblem {
    /// Which one.
    pub file: TlsFile,
    /// Where it is.
    pub path: PathBuf,
    /// What was found. Never a piece of the file.
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.message)
    }
}

impl std::error::Error for FileProblem {}

/// What was loaded from files, none of it used yet.
#[derive(Clone, Debug)]
pub struct LoadedTls {
    min_version: TlsVersion,
    certificates: Vec<Certificate>,
    client_auth: ClientAuth,
    problems: Vec<FileProblem>,
    /// Names of certificates that are not valid now.
    missing: Vec<String>,
    pub(super) state: FilesState,
}

impl LoadedTls {
    /// The certificates, the default first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Whether clients show a certificate, and whose is believed.
    pub fn client_auth(&self) -> &ClientAuth {
        &self.client_auth
    }

    /// The oldest version that is spoken.
    pub fn min_version(&self) -> TlsVersion {
        self.min_version
    }

    /// The files that cannot be used; empty after [`TlsFiles::load`].
    pub fn problems(&self) -> &[FileProblem] {
        &self.problems
    }

    /// The names of certificates that are not valid now. Handshakes that request one of them are
    /// rejected instead of answered with another certificate.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Lets new handshakes of `tls` go by it. Parts of the store that others filled stay.
    ///
    /// # Errors
    ///
    /// When clients could not be verified; nothing has changed then.
    pub fn apply(&self, tls: &ServerTls) -> Result<(), ServerTlsError> {
        tls.change(self.min_version, self.client_auth.clone())?;
        tls.certificates().reserve("", self.missing.iter().map(String::as_str));
        tls.certificates().set(self.certificates.clone());
        Ok(())
    }
}

impl TlsFiles {
    /// Loads all of them, to be used at `now`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong: files that cannot be read or hold something else, keys that do
    /// not fit, certificates that are not valid now.
    pub fn load(
        &self,
        provider: &Arc<CryptoProvider>,
        now: SystemTime,
    ) -> Result<LoadedTls, Vec<FileProblem>> {
        let loaded = self.load_usable(provider, now);
        if loaded.problems.is_empty() { Ok(loaded) } else { Err(loaded.problems) }
    }

    /// Loads those that can be used at `now`, so that one bad file does not keep a listener from
    /// starting; [`LoadedTls::problems`] has the rest. Where clients are to be verified and the
    /// files for that cannot be used, every handshake is rejected ([`ClientAuth::Closed`]).
    pub fn load_usable(&self, provider: &Arc<CryptoProvider>, now: SystemTime) -> LoadedTls {
        // Before anything is read: what changes meanwhile is a change.
        let state = self.state();
        let (mut problems, mut missing) = (Vec::new(), Vec::new());
        let mut certificates = Vec::new();
        for (index, files) in self.certificates.iter().enumerate() {
            match certificate(index, files, provider, now, &mut missing) {
                Ok(certificate) => certificates.push(certificate),
                Err(more) => problems.extend(more),
            }
        }
        let client_auth = self.load_client_auth(provider, now).unwrap_or_else(|problem| {
            problems.push(problem);
            ClientAuth::Closed
        });
        let min_version = self.min_version;
        LoadedTls { min_version, certificates, client_auth, problems, missing, state }
    }

    fn load_client_auth(
        &self,
        provider: &Arc<CryptoProvider>,
        now: SystemTime,
    ) -> Result<ClientAuth, FileProblem> {
        let (ClientAuthMode::Optional | ClientAuthMode::Required, Some(ca)) =
            (self.client_auth, &self.client_ca)
        else {
            return Ok(ClientAuth::Off);
        };
        let problem = |file: TlsFile, path: &Path| {
            let path = path.to_owned();
            move |message: String| FileProblem { file, path, message }
        };
        let wrong = problem(TlsFile::ClientCa, ca);
        let pem = read(ca).map_err(problem(TlsFile::ClientCa, ca))?;
        let mut trust = ClientTrust::from_pem(&pem)
            .map_err(|error| problem(TlsFile::ClientCa, ca)(error.to_string()))?;
        if let Some(crl) = &self.client_crl {
            let pem = read(crl).map_err(problem(TlsFile::ClientCrl, crl))?;
            trust = trust
                .with_crls_from_pem(&pem, now)
                .map_err(|error| problem(TlsFile::ClientCrl, crl)(error.to_string()))?;
        }
        let client_auth = match self.client_auth {
            ClientAuthMode::Optional => ClientAuth::Optional(trust),
            _ => ClientAuth::Required(trust),
        };
        client_auth.verifier(provider).map_err(|error| wrong(error.to_string()))?;
        Ok(client_auth)
    }

    /// Every file there is.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
        certificates.chain(&self.client_ca).chain(&self.client_crl)
    }

    /// What tells the files as they are now from what they are later. Blocks.
    pub(super) fn state(&self) -> FilesState {
        self.paths().map(|path| Fingerprint::of(path)).collect()
    }
}

/// Of each file its fingerprint; `None`: it is not there.
pub(super) type FilesState = Vec<Option<Fingerprint>>;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Where the links lead: a mounted secret changes by changing a link.
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let real = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(&real).ok()?;
        Some(Self {
            path: real,
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn certificate(
    index: usize,
    files: &CertificateFiles,
    provider: &CryptoProvider,
    now: SystemTime,
    missing: &mut Vec<String>,
) -> Result<Certificate, Vec<FileProblem>> {
    let problem = |file: TlsFile, message: String| {
        let path = if matches!(file, TlsFile::Key(_)) { &files.key } else { &files.cert };
        FileProblem { file, path: path.clone(), message }
    };
    let (of_cert, of_key) = (TlsFile::Certificate(index), TlsFile::Key(index));
    let (cert, key) = match (read(&files.cert), read(&files.key)) {
        (Ok(cert), Ok(key)) => (cert, key),
        (cert, key) => {
            let cert = cert.err().map(|message| problem(of_cert, message));
            let key = key.err().map(|message| problem(of_key, message));
            return Err(cert.into_iter().chain(key).collect());
        }
    };
    let loaded = Certificate::from_pem(&cert, &key, provider);
    let checked = loaded.and_then(|loaded| {
        let checked = loaded.check(now);
        if checked.is_err() {
            missing.extend_from_slice(loaded.names());
        }
        checked.map(|()| loaded)
    });
    checked.map_err(|error| {
        let file = if error.is_about_key() { of_key } else { of_cert };
        vec![problem(file, error.to_string())]
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    // Not opened to see what it is: opening a pipe waits for its other end.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("has more than {MOST_BYTES} bytes"));
    }
    // A byte order mark hides the first `-----BEGIN`.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}
