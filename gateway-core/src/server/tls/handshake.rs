//! From bytes to a secured connection.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::UnixTime;
use rustls::server::Acceptor;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;

use super::{Current, HTTP2, ServerTls, identity};
use crate::context::{ClientIdentity, TlsInfo, TlsVersion};
use crate::server::listener::Protocol;
use crate::stream::{NetStream, Rewound};

/// The first read of a connection has room for this many bytes; most client hellos are smaller.
const HELLO_SIZE: usize = 2048;

/// A connection whose handshake is done.
pub(in crate::server) struct Secured {
    pub(in crate::server) stream: NetStream,
    pub(in crate::server) info: TlsInfo,
    pub(in crate::server) http2: bool,
}

/// Does the handshake on `stream`, of which `read` has been read already. `None`: the connection
/// was a probe or has served its purpose, and is over. The caller has a deadline.
pub(in crate::server) async fn handshake(
    tls: &ServerTls,
    protocol: Protocol,
    mut stream: NetStream,
    mut read: BytesMut,
) -> io::Result<Option<Secured>> {
    if read.is_empty() {
        read.reserve(HELLO_SIZE);
        // A connection that ends before its first byte is a probe, not a failed handshake.
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return Ok(None);
        }
    }
    let stream = Rewound::new(stream, read);
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    // One state of things from here to the end of the handshake.
    let (current, store) = (tls.shared.current.load(), &tls.shared.store);
    let proves = start.client_hello().alpn().is_some_and(|alpn| store.is_challenge(alpn));
    if proves {
        // The handshake was the answer (RFC 8737, section 3).
        let mut stream = start.into_stream(Arc::clone(&current.challenge)).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    let config = Arc::clone(current.config(protocol));
    let served = store.served();
    let stream = start.into_stream(config).await?;
    let connection = stream.get_ref().1;
    let (version, suite) = (connection.protocol_version(), connection.negotiated_cipher_suite());
    let version = match version {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    };
    let suite = suite.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    let mut info = TlsInfo::new(version, suite, served);
    let http2 = connection.alpn_protocol() == Some(HTTP2);
    info.alpn = connection.alpn_protocol().map(|_| if http2 { "h2" } else { "http/1.1" });
    info.server_name = connection.server_name().map(|name| name.to_ascii_lowercase().into());
    info.resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    info.client = client(tls, &current, connection, info.resumed)?;
    if protocol == Protocol::Http2 && !http2 {
        // RFC 9113, section 3.2: over TLS it is agreed by ALPN.
        return Err(io::Error::other("the client does not offer h2"));
    }
    Ok(Some(Secured { stream: NetStream::Tls(Box::new(stream)), info, http2 }))
}

/// Who the client is.
fn client(
    tls: &ServerTls,
    current: &Current,
    connection: &ServerConnection,
    resumed: bool,
) -> io::Result<Option<ClientIdentity>> {
    let Some(verifier) = &current.verifier else {
        return Ok(None);
    };
    let Some((certificate, intermediates)) =
        connection.peer_certificates().and_then(<[_]>::split_first)
    else {
        if verifier.client_auth_mandatory() {
            return Err(io::Error::other("no client certificate"));
        }
        return Ok(None);
    };
    if resumed {
        // A session carries the certificate that was good when it began. Since then it may have
        // expired or been revoked, or its authority may be believed no more.
        verifier
            .verify_client_cert(certificate, intermediates, UnixTime::now())
            .map_err(io::Error::other)?;
    }
    let mut fingerprint = [0; 32];
    let digest = tls.shared.sha256.hash(certificate);
    for (to, from) in fingerprint.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    let identity = identity::identity(certificate, fingerprint).map_err(io::Error::other)?;
    Ok(Some(identity))
}
