//! [`KeyPart`]: who counts as one; and the fingerprints that stand for them.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use gateway_core::context::Principal;
use gateway_core::{Request, RequestContext, RequestExt};
use http::HeaderName;
use sha1_smol::Sha1;

/// The `method` of a principal that was known by its key.
const API_KEY: &str = "api_key";

/// What makes the difference between one who is counted and another.
///
/// A request that has no such part (nobody is known, the field is missing) is counted by the
/// client's address instead: who leaves something out does not pass uncounted, and does not use up
/// what others without it have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyPart {
    /// The client's address, as [`RequestContext::client_ip`] has it: the peer's, or what trusted
    /// proxies say. IPv6 by its first 64 bits, which is the least that one client has; IPv4 in IPv6
    /// as IPv4. Clients on a Unix socket are one, `127.0.0.1`. A request whose client's address is
    /// unknown is rejected with [`Reason::ClientAddressUnknown`].
    ///
    /// [`Reason::ClientAddressUnknown`]: gateway_core::Reason::ClientAddressUnknown
    Ip,
    /// Who is calling: method, issuer and subject of the principal.
    Principal,
    /// The principal, if it was known by an API key.
    ApiKey,
    /// A field of the request, all lines of it. A field that clients choose freely is no limit for
    /// who means harm: put one by address beside it.
    Header(HeaderName),
    /// The route's id.
    Route,
}

impl KeyPart {
    /// Its name in documents.
    pub fn name(&self) -> String {
        match self {
            Self::Ip => "ip".to_owned(),
            Self::Principal => "principal".to_owned(),
            Self::ApiKey => "api_key".to_owned(),
            Self::Route => "route".to_owned(),
            Self::Header(name) => format!("header:{name}"),
        }
    }

    /// True where the caller has to be known before a request can be counted.
    pub(super) fn needs_identity(&self) -> bool {
        matches!(self, Self::Principal | Self::ApiKey)
    }

    /// The part of this [`name`](Self::name): `ip`, `principal`, `api_key`, `route` or
    /// `header:NAME`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ip" => Some(Self::Ip),
            "principal" => Some(Self::Principal),
            "api_key" => Some(Self::ApiKey),
            "route" => Some(Self::Route),
            _ => name.strip_prefix("header:")?.parse().ok().map(Self::Header),
        }
    }
}

/// What a request is counted by, found once for all its limits.
pub(super) struct Subject<'a> {
    request: &'a Request,
    context: Option<&'a RequestContext>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        Self { request, context: request.context() }
    }

    pub(super) fn context(&self) -> Option<&'a RequestContext> {
        self.context
    }

    pub(super) fn tier(&self) -> Option<&'a str> {
        self.principal()?.tier.as_deref()
    }

    /// True when `parts` need the client's address, and it is unknown.
    pub(super) fn lacks_address(&self, parts: &[KeyPart]) -> bool {
        if self.client_ip().is_some() {
            return false;
        }
        parts.iter().any(|part| match part {
            KeyPart::Ip => true,
            KeyPart::Principal => self.principal().is_none(),
            KeyPart::ApiKey => self.principal().is_none_or(|known| known.method != API_KEY),
            KeyPart::Header(name) => !self.request.headers().contains_key(name),
            KeyPart::Route => false,
        })
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.context.and_then(RequestContext::client_ip)
    }

    fn principal(&self) -> Option<&'a Principal> {
        self.context?.principal().map(AsRef::as_ref)
    }

    /// The fingerprint of `parts` among others of the same `seed`. Of stores of one process it is
    /// keyed by a secret of the process; of shared ones it is the same everywhere.
    pub(super) fn fingerprint(&self, seed: &Seed, parts: &[KeyPart], shared: bool) -> u128 {
        if shared {
            let mut sha = Sha(Sha1::new());
            sha.put(&seed.bytes);
            self.feed(parts, &mut sha);
            first_bytes(&sha.0).iter().fold(0, |all, byte| all << 8 | u128::from(*byte))
        } else {
            let mut keyed = Keyed::of(&seed.keyed);
            self.feed(parts, &mut keyed);
            keyed.finish()
        }
    }

    fn feed(&self, parts: &[KeyPart], sink: &mut impl Sink) {
        for part in parts {
            let known = match part {
                KeyPart::Ip => false,
                KeyPart::Principal => self.feed_principal(self.principal(), sink),
                KeyPart::ApiKey => {
                    let known = self.principal().filter(|known| known.method == API_KEY);
                    self.feed_principal(known, sink)
                }
                KeyPart::Header(name) => self.feed_header(name, sink),
                KeyPart::Route => {
                    let route = self.context.and_then(RequestContext::route);
                    sink.text(b'r', route.map_or("", |route| &*route.id).as_bytes());
                    true
                }
            };
            if !known {
                let (kind, bits) = self.client_ip().map_or((b'0', 0), network);
                // Words are hashed as they were written; a byte before them would move them apart.
                sink.put(&u64::from(kind).to_le_bytes());
                sink.put(&bits.to_le_bytes());
            }
        }
    }

    fn feed_principal(&self, principal: Option<&Principal>, sink: &mut impl Sink) -> bool {
        let Some(principal) = principal else { return false };
        sink.text(b'm', principal.method.as_bytes());
        sink.text(b'i', principal.issuer.as_deref().unwrap_or_default().as_bytes());
        sink.text(b's', principal.subject.as_bytes());
        true
    }

    fn feed_header(&self, name: &HeaderName, sink: &mut impl Sink) -> bool {
        let mut values = self.request.headers().get_all(name).iter().peekable();
        if values.peek().is_none() {
            return false;
        }
        values.for_each(|value| sink.text(b'h', value.as_bytes()));
        sink.put(b"e");
        true
    }
}

/// The part of an address that one client has.
fn network(ip: IpAddr) -> (u8, u64) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (b'4', u64::from(ip.to_bits())),
        IpAddr::V6(ip) => (b'6', (ip.to_bits() >> 64) as u64),
    }
}

/// What keeps apart what is counted under different names.
pub(super) struct Seed {
    bytes: [u8; 16],
    /// Has taken the bytes in.
    keyed: DefaultHasher,
}

impl Seed {
    pub(super) fn of(names: &[&str]) -> Self {
        let mut sha = Sha(Sha1::new());
        names.iter().for_each(|name| sha.text(b'n', name.as_bytes()));
        let bytes = first_bytes(&sha.0);
        let mut keyed = SECRET.build_hasher();
        keyed.write(&bytes);
        Self { bytes, keyed }
    }
}

fn first_bytes(sha: &Sha1) -> [u8; 16] {
    let mut first = [0; 16];
    first.iter_mut().zip(sha.digest().bytes()).for_each(|(to, from)| *to = from);
    first
}

trait Sink {
    fn put(&mut self, bytes: &[u8]);

    /// With its length, so that no two texts run into one another.
    #[inline]
    fn text(&mut self, kind: u8, bytes: &[u8]) {
        let length = (bytes.len() as u32).to_le_bytes();
        self.put(&[kind, length[0], length[1], length[2], length[3]]);
        self.put(bytes);
    }
}

struct Sha(Sha1);

impl Sink for Sha {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// A secret of the process: nobody can choose what falls together, and of a million keys two do in
/// one of forty million processes.
static SECRET: LazyLock<RandomState> = LazyLock::new(Default::default);

/// So many bytes of pieces are put together.
const PIECES: usize = 64;

/// Short pieces are put together first: hashing them one by one takes longer than all at once.
struct Keyed {
    hasher: DefaultHasher,
    pieces: [u8; PIECES],
    filled: usize,
}

impl Keyed {
    /// Goes on where `hasher` is.
    fn of(hasher: &DefaultHasher) -> Self {
        Self { hasher: hasher.clone(), pieces: [0; PIECES], filled: 0 }
    }

    /// The halves are used for different things, so that each has all bits.
    fn finish(&mut self) -> u128 {
        self.hash_pieces();
        let hash = self.hasher.finish();
        u128::from(hash.rotate_left(32)) << 64 | u128::from(hash)
    }

    fn hash_pieces(&mut self) {
        self.hasher.write(self.pieces.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }
}

impl Sink for Keyed {
    // Most pieces have a length that is known where they are put: they are moved, not copied.
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > self.pieces.len() - self.filled {
            self.hash_pieces();
        }
        match self.pieces.get_mut(self.filled..self.filled + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => self.hasher.write(bytes),
        }
    }
}

/// Fingerprints that others may have chosen, keyed by the secret of the process.
#[cfg(feature = "redis")]
pub(super) fn rekeyed(key: u128) -> u128 {
    let mut keyed = Keyed::of(&SECRET.build_hasher());
    keyed.put(&key.to_le_bytes());
    keyed.finish()
}
