//! TLS of the listeners of a document.

use std::sync::Arc;

use gateway_core::server::tls::{
    Certificate, CertificateFiles, CertificateStore, ClientAuth as CoreClientAuth, ClientAuthMode,
    EXPIRES_SOON, FileProblem, FileWatch, LoadedTls, ServerTls, TlsFile, TlsFiles,
};
use gateway_core::{BoxError, Clock, Observers, SystemClock, Tasks};
use rustls::crypto::aws_lc_rs::Ticketer;

use super::tls::provider;
use crate::config::{ClientAuth, Listener, ListenerTls, Problem, Reading};

/// A listener that speaks TLS.
#[derive(Clone, Debug)]
pub(crate) struct SecureListener {
    pub(crate) name: String,
    watch: FileWatch,
    files: TlsFiles,
    loaded: LoadedTls,
    tasks: Tasks,
}

impl SecureListener {
    pub(crate) fn tls(&self) -> &ServerTls {
        self.watch.tls()
    }

    /// What is wrong with files that could not be used from the start.
    pub(crate) fn problems(&self) -> Vec<FileProblem> {
        self.watch.problems()
    }

    /// Why its files as they are now are not used.
    pub(crate) fn failure(&self) -> Option<String> {
        self.watch.failure()
    }

    /// Loads those files of `listener` that can be used. One that was there `before` goes on with
    /// the same TLS, once this is [taken over](Self::take_over); it has something to keep, so that
    /// a file that has become bad is an error.
    fn build(
        reading: &Reading,
        path: &str,
        listener: &Listener,
        tls: &ListenerTls,
        observers: &Observers,
        before: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let (files, provider) = (files_of(tls), provider());
        let loaded = files.load_usable(&provider, SystemClock.now());
        let name = listener.name.clone();
        if let Some(before) = before {
            if !before.watch.tolerates(&loaded) {
                return Err(file_problems(&loaded, path, |at, text| reading.problem(at, text)));
            }
            return Ok(Self { files, loaded, ..before.clone() });
        }
        let made = || -> Result<ServerTls, BoxError> {
            let store = CertificateStore::new(loaded.certificates().to_vec());
            store.reserve("", loaded.missing().iter().map(String::as_str));
            Ok(ServerTls::builder(Arc::clone(&provider), store)
                .min_version(loaded.min_version())
                .client_auth(loaded.client_auth().clone())
                .tickets(Ticketer::new()?)
                .build()?)
        };
        let tls = made()
            .map_err(|error| vec![reading.problem(&format!("{path}.tls"), error.to_string())])?;
        let watch = FileWatch::new(name.as_str(), tls, files.clone(), &loaded, observers.clone());
        Ok(Self { name, watch, files, loaded, tasks: Tasks::new() })
    }

    /// What in it is probably not as it was meant.
    fn warnings(&self, reading: &Reading, path: &str) -> Vec<Problem> {
        let now = SystemClock.now();
        let unusable = file_problems(&self.loaded, path, |at, text| reading.warning(at, text));
        let soon = self.loaded.certificates().iter().enumerate();
        let soon = soon.filter(|(_, certificate)| certificate.expires_within(EXPIRES_SOON, now));
        soon.map(|(index, certificate)| {
            let path = format!("{path}.tls.certificates[{index}].cert");
            let expires = certificate.expires();
            reading.warning(&path, format!("the certificate expires soon, on {expires}"))
        })
        .chain(unusable)
        .collect()
    }

    /// True unless every handshake is rejected because of files that cannot be used.
    fn is_usable(&self, tls: &ListenerTls) -> bool {
        let certificates = self.loaded.certificates().len() + tls.acme.len();
        certificates > 0 && !matches!(self.loaded.client_auth(), CoreClientAuth::Closed)
    }

    /// Lets new handshakes go by what was loaded.
    fn take_over(&self) -> Result<(), BoxError> {
        Ok(self.watch.replace(self.files.clone(), &self.loaded)?)
    }

    /// Watches the files, where they are not watched yet.
    pub(super) fn start(&self) {
        if self.tasks.names().is_empty() {
            let watch = self.watch.clone();
            self.tasks.spawn("certificate files", async move { watch.run().await });
        }
    }

    /// True where a certificate in a file has this name.
    #[cfg(feature = "acme")]
    pub(super) fn has_file_for(&self, name: &str) -> bool {
        let mut names = self.loaded.certificates().iter().flat_map(Certificate::names);
        names.any(|known| known == name)
    }

    /// The certificates that came from files.
    pub(crate) fn file_certificates(&self) -> Vec<Certificate> {
        self.tls().certificates().part("")
    }

    /// The TLS in a line, for people; `more` are certificates that are not from files.
    pub(super) fn describe(&self, more: Vec<String>) -> String {
        let tls = self.tls();
        let certificates = self.file_certificates().into_iter();
        let certificates =
            certificates.map(|one| format!("{} until {}", one.names().join(" "), one.expires()));
        let certificates: Vec<_> = certificates.chain(more).collect();
        format!(
            "listener {}: TLS {} or newer, client_auth {}, certificates: {}",
            self.name,
            tls.min_version(),
            tls.client_auth(),
            certificates.join("; "),
        )
    }
}

/// Builds the TLS of every listener that has it, and what is odd about it.
pub(super) fn build(
    reading: &Reading,
    observers: &Observers,
    before: &[SecureListener],
) -> Result<(Vec<SecureListener>, Vec<Problem>), Vec<Problem>> {
    let (mut listeners, mut warnings, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    // A listener without usable files does not keep the others from starting.
    let mut usable = reading.document.listeners.iter().any(|listener| listener.tls.is_none());
    let mut unusable = Vec::new();
    for (index, listener) in reading.document.listeners.iter().enumerate() {
        let Some(tls) = &listener.tls else {
            continue;
        };
        let path = format!("listeners[{index}]");
        let same = before.iter().find(|before| before.name == listener.name);
        match SecureListener::build(reading, &path, listener, tls, observers, same) {
            Ok(built) => {
                usable |= same.is_some() || built.is_usable(tls);
                let found =
                    file_problems(&built.loaded, &path, |at, text| reading.problem(at, text));
                unusable.extend(found);
                warnings.extend(built.warnings(reading, &path));
                listeners.push(built);
            }
            Err(more) => problems.extend(more),
        }
    }
    if !usable {
        // Nothing would be served.
        problems.extend(unusable);
    }
    if problems.is_empty() { Ok((listeners, warnings)) } else { Err(problems) }
}

/// Lets new handshakes go by what was loaded for `listeners`.
pub(super) fn take_over(
    reading: &Reading,
    listeners: &[SecureListener],
) -> Result<(), Vec<Problem>> {
    for listener in listeners {
        listener
            .take_over()
            .map_err(|error| vec![reading.problem("listeners", error.to_string())])?;
    }
    Ok(())
}

fn files_of(tls: &ListenerTls) -> TlsFiles {
    let mut files = TlsFiles::default();
    files.min_version = tls.min_version;
    let certificates = tls.certificates.iter();
    files.certificates = certificates
        .map(|one| CertificateFiles { cert: one.cert.clone(), key: one.key.clone() })
        .collect();
    files.client_auth = match tls.client_auth {
        ClientAuth::Off => ClientAuthMode::Off,
        ClientAuth::Optional => ClientAuthMode::Optional,
        ClientAuth::Required => ClientAuthMode::Required,
    };
    files.client_ca.clone_from(&tls.client_ca);
    files.client_crl.clone_from(&tls.client_crl);
    files
}

/// The files of the listener at `path` that cannot be used, as problems of its configuration.
fn file_problems(
    loaded: &LoadedTls,
    path: &str,
    problem: impl Fn(&str, String) -> Problem,
) -> Vec<Problem> {
    let problems = loaded.problems().iter();
    let problems = problems
        .map(|found| problem(&format!("{path}.tls.{}", key_of(found.file)), found.to_string()));
    problems.collect()
}

/// The key of the document that names the file.
fn key_of(file: TlsFile) -> String {
    match file {
        TlsFile::Certificate(index) => format!("certificates[{index}].cert"),
        TlsFile::Key(index) => format!("certificates[{index}].key"),
        TlsFile::ClientCrl => "client_crl".to_owned(),
        _ => "client_ca".to_owned(),
    }
}
