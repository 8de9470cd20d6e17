//! [`CertificateStore`]: the certificates of a listener, replaced while it serves.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use crate::context::ServedNames;
use crate::swap::Swap;

/// The certificates of a listener. Cheap to clone; clones are the same store.
///
/// A handshake takes one of those that are in it at that moment: of those whose names fit the one
/// the client asks for, exact before wildcard, the first whose key the client understands. Without
/// a fit, or a name, it is the first of all. Replacing them touches no connection that is there.
///
/// The store has parts, so that several can fill it: files, an ACME client. Each replaces its own.
/// A part can [reserve](Self::reserve) names that it has no certificate for yet: a client that asks
/// for one of these is rejected, since any other certificate would be the wrong one.
///
/// ```
/// use gateway_core::server::tls::CertificateStore;
///
/// let store = CertificateStore::new(Vec::new());
/// assert!(store.certificates().is_empty());
/// ```
#[derive(Clone)]
pub struct CertificateStore {
    shared: Arc<Shared>,
}

struct Shared {
    set: Swap<Set>,
    challenges: Swap<HashMap<String, Arc<CertifiedKey>>>,
    /// Held while somebody replaces something.
    writing: Mutex<()>,
}

/// The certificates of one moment.
#[derive(Default)]
struct Set {
    parts: Vec<Part>,
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
    reserved: HashSet<Box<str>>,
    served: Arc<ServedNames>,
}

/// What one of those who fill the store has put in.
#[derive(Clone, Default)]
struct Part {
    name: String,
    certificates: Vec<Certificate>,
    reserved: Vec<String>,
}

impl Set {
    fn of(parts: Vec<Part>) -> Self {
        let mut set = Self::default();
        let mut served = ServedNames::new();
        for name in parts.iter().flat_map(|part| &part.reserved) {
            set.reserved.insert(name.as_str().into());
        }
        for certificate in parts.iter().flat_map(|part| &part.certificates) {
            let key = certificate.key();
            set.all.push(Arc::clone(key));
            for name in certificate.names() {
                served.insert(name);
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut set.wildcards, parent),
                    None => (&mut set.exact, name.as_str()),
                };
                map.entry(name.into()).or_default().push(Arc::clone(key));
            }
            certificate.addresses().iter().for_each(|one| served.insert_address(*one));
        }
        Self { parts, served: Arc::new(served), ..set }
    }

    fn find(&self, name: Option<&str>, fits: impl Fn(&CertifiedKey) -> bool) -> Option<Found> {
        let named = name.and_then(|name| {
            let parent = name.split_once('.').map(|(_, parent)| parent);
            let exact = self.exact.get(name).into_iter();
            let wildcard = parent.and_then(|parent| self.wildcards.get(parent));
            exact.chain(wildcard).flatten().find(|key| fits(key))
        });
        if named.is_none() && name.is_some_and(|name| self.reserved.contains(name)) {
            return None;
        }
        named.or_else(|| self.all.iter().find(|key| fits(key))).cloned()
    }
}

type Found = Arc<CertifiedKey>;

impl CertificateStore {
    /// A store of `certificates`, the default first. An empty one rejects every handshake until it
    /// is filled.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        let parts = vec![Part { certificates, ..Part::default() }];
        let shared = Shared {
            set: Swap::new(Set::of(parts)),
            challenges: Swap::new(HashMap::new()),
            writing: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Replaces what [`new`](Self::new) or the last `set` put in.
    pub fn set(&self, certificates: Vec<Certificate>) {
        self.set_part("", certificates);
    }

    /// Replaces the part `part` by `certificates`. Parts rank in the order in which they came, that
    /// of [`set`](Self::set) first.
    pub fn set_part(&self, part: &str, certificates: Vec<Certificate>) {
        self.edit_part(part, |part| part.certificates = certificates);
    }

    /// Keeps `names` for the part `part`, in place of those it kept before: while no certificate
    /// has one of them, a handshake that asks for it is rejected instead of answered by the default.
    pub fn reserve(&self, part: &str, names: impl IntoIterator<Item = impl Into<String>>) {
        let names = names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect();
        self.edit_part(part, |part| part.reserved = names);
    }

    /// Forgets the part `part`, with its certificates and names.
    pub fn remove_part(&self, part: &str) {
        let _writing = self.writing();
        let mut parts = self.shared.set.peek().parts.clone();
        parts.retain(|one| one.name != part);
        self.shared.set.replace(Set::of(parts));
    }

    fn edit_part(&self, part: &str, edit: impl FnOnce(&mut Part)) {
        let _writing = self.writing();
        let mut parts = self.shared.set.peek().parts.clone();
        match parts.iter_mut().find(|one| one.name == part) {
            Some(own) => edit(own),
            None => {
                let mut own = Part { name: part.to_owned(), ..Part::default() };
                edit(&mut own);
                parts.push(own);
            }
        }
        self.shared.set.replace(Set::of(parts));
    }

    /// What is in it now, the default first.
    pub fn certificates(&self) -> Vec<Certificate> {
        let set = self.shared.set.load();
        set.parts.iter().flat_map(|part| &part.certificates).cloned().collect()
    }

    /// What the part `part` has put in; empty when there is none.
    pub fn part(&self, part: &str) -> Vec<Certificate> {
        let set = self.shared.set.load();
        let found = set.parts.iter().find(|one| one.name == part);
        found.map(|one| one.certificates.clone()).unwrap_or_default()
    }

    /// The names that are served now.
    pub fn served(&self) -> Arc<ServedNames> {
        Arc::clone(&self.shared.set.peek().served)
    }

    /// Answers handshakes that ask for `domain` and offer `acme-tls/1` alone with `key`
    /// (RFC 8737, section 3): a certificate made to prove who owns the name. Such a connection is
    /// closed after its handshake. Whoever sets one removes it.
    pub fn set_challenge(&self, domain: &str, key: CertifiedKey) {
        let (domain, key) = (domain.to_ascii_lowercase(), Arc::new(key));
        self.edit_challenges(|challenges| drop(challenges.insert(domain, key)));
    }

    /// Forgets the challenge of `domain`.
    pub fn remove_challenge(&self, domain: &str) {
        let domain = domain.to_ascii_lowercase();
        self.edit_challenges(|challenges| drop(challenges.remove(&domain)));
    }

    fn edit_challenges(&self, edit: impl FnOnce(&mut HashMap<String, Arc<CertifiedKey>>)) {
        let _writing = self.writing();
        let mut challenges = (*self.shared.challenges.load()).clone();
        edit(&mut challenges);
        self.shared.challenges.replace(challenges);
    }

    /// True when a handshake that offers `alpn` proves a name and nothing else.
    pub(super) fn is_challenge<'a>(&self, mut alpn: impl Iterator<Item = &'a [u8]>) -> bool {
        alpn.next() == Some(ACME_TLS)
            && alpn.next().is_none()
            && !self.shared.challenges.peek().is_empty()
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(Resolver(self.clone()))
    }

    pub(super) fn challenge_resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(ChallengeResolver(self.clone()))
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client that proves a name offers by ALPN (RFC 8737, section 6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

#[derive(Debug)]
struct Resolver(CertificateStore);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(lower);
        let fits = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.shared.set.peek().find(name.as_deref(), fits)
    }
}

#[derive(Debug)]
struct ChallengeResolver(CertificateStore);

impl ResolvesServerCert for ChallengeResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = lower(hello.server_name()?);
        self.0.shared.challenges.peek().get(&*name).cloned()
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateStore").field(&self.certificates()).finish()
    }
}
