//! One accepted connection, from its first byte to its end.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;
#[cfg(feature = "tls")]
use tokio::time::timeout;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::http1::{self, Served};
use super::http2;
use super::listener::{Accepted, Listener, Protocol};
use super::proxy_protocol::{self, Parsed};
use super::session::Session;
use super::settings::Timeouts;
#[cfg(feature = "tls")]
use super::tls::{self, ServerTls};
use crate::context::ConnectionInfo;
use crate::http1::READ_SIZE;
use crate::module::ModuleService;
#[cfg(feature = "tls")]
use crate::observe::{HandshakeFailed, Observer};
use crate::stream::NetStream;

/// How HTTP/2 connections begin (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves one connection to its end. `opening` is [`open`] of it: boxed, so that a quiet connection
/// does not keep the room it needed.
pub(super) async fn run<M: ModuleService>(
    opening: Pin<Box<impl Future<Output = Option<Opened>>>>,
    session: Arc<Session<M>>,
    permit: OwnedSemaphorePermit,
) {
    let _permit = permit;
    let closes_at = Instant::now() + jittered(session.timeouts.max_age);
    let Some(Opened { stream, read, info, http2 }) = opening.await else {
        return;
    };
    if http2 {
        Box::pin(http2::serve(stream, read, session, info, closes_at)).await;
        return;
    }
    let mut served = Box::pin(http1::serve(stream, read, &session, &info, closes_at, true)).await;
    while let Served::Quiet { stream, begins } = served {
        let Timeouts { header, idle, .. } = session.timeouts;
        let wait = if begins { header.saturating_sub(http1::QUIET_AFTER) } else { idle };
        let Some(stream) = asked_again(stream, &session, wait, closes_at).await else {
            return;
        };
        let read = BytesMut::new();
        served = Box::pin(http1::serve(stream, read, &session, &info, closes_at, false)).await;
    }
}

/// Waits for `wait` until the quiet client sends something; `None` when it is time to close instead.
async fn asked_again<M>(
    mut stream: NetStream,
    session: &Session<M>,
    wait: Duration,
    closes_at: Instant,
) -> Option<NetStream> {
    let until = (Instant::now() + wait).min(closes_at);
    let mut sleep = pin!(sleep_until(until));
    let mut draining = pin!(session.drain.started());
    // By hand instead of `select!`: every byte here is one per idle connection.
    let readable = poll_fn(|cx| {
        if let Poll::Ready(readable) = stream.poll_readable(cx) {
            return Poll::Ready(readable.is_ok());
        }
        ready!(match draining.as_mut().poll(cx) {
            Poll::Pending => sleep.as_mut().poll(cx),
            drained => drained,
        });
        Poll::Ready(false)
    })
    .await;
    if !readable {
        stream.say_goodbye();
        return None;
    }
    Some(stream)
}

/// A connection whose protocol is known.
pub(super) struct Opened {
    stream: NetStream,
    read: BytesMut,
    info: Arc<ConnectionInfo>,
    http2: bool,
}

/// Finds out who is there and what they speak. `None`: it is over already.
pub(super) async fn open<M>(
    accepted: Accepted,
    listener: Arc<Listener>,
    session: Arc<Session<M>>,
) -> Option<Opened> {
    let Accepted { mut stream, mut peer, mut local } = accepted;
    let mut read = BytesMut::new();
    let deadline = Instant::now() + session.timeouts.header;
    let opening = async {
        if is_behind_proxy(&listener, peer) {
            let addresses = proxy_header(&mut stream, &mut read).await?;
            if let Some((source, destination)) = addresses {
                (peer, local) = (Some(source), Some(destination));
            }
        }
        match listener.protocol {
            _ if listener.has_tls() => Some(false),
            Protocol::Http1 => Some(false),
            Protocol::Http2 => Some(true),
            Protocol::Auto => begins_with_preface(&mut stream, &mut read).await,
        }
    };
    let http2 = tokio::select! {
        opened = timeout_at(deadline, opening) => opened.ok().flatten()?,
        () = session.drain.started() => return None,
    };
    let info = match peer {
        // The PROXY protocol may have named a client that the socket does not.
        None => ConnectionInfo::unix(Arc::clone(&session.listener)),
        Some(_) => ConnectionInfo::new(Arc::clone(&session.listener), peer, local),
    };
    let info = info.cut_by(session.drain.cut_flag());
    #[cfg(feature = "tls")]
    if let Some(tls) = &listener.tls {
        // In a box of its own: without TLS nobody needs the room.
        return Box::pin(secure(stream, read, tls, listener.protocol, &session, info)).await;
    }
    Some(Opened { stream, read, info: Arc::new(info), http2 })
}

/// Does the TLS handshake, which says what is spoken.
#[cfg(feature = "tls")]
async fn secure<M>(
    stream: NetStream,
    read: BytesMut,
    tls: &ServerTls,
    protocol: Protocol,
    session: &Session<M>,
    info: ConnectionInfo,
) -> Option<Opened> {
    let handshake = timeout(session.timeouts.tls, tls::handshake(tls, protocol, stream, read));
    let cause = tokio::select! {
        done = handshake => match done {
            Ok(Ok(Some(secured))) => {
                let info = Arc::new(info.with_tls(secured.info));
                let (stream, http2) = (secured.stream, secured.http2);
                return Some(Opened { stream, read: BytesMut::new(), info, http2 });
            }
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        },
        () = session.drain.started() => return None,
    };
    tracing::debug!(listener = info.listener.name, peer = ?info.peer, cause, "no TLS handshake");
    session.observers.handshake_failed(&HandshakeFailed::new(&info, &cause));
    None
}

fn is_behind_proxy(listener: &Listener, peer: Option<SocketAddr>) -> bool {
    let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else {
        return !listener.proxy_protocol.is_empty();
    };
    listener.proxy_protocol.iter().any(|network| network.contains(&peer))
}

/// Reads the PROXY header. The outer `None`: there is none, and there must be.
async fn proxy_header(
    stream: &mut NetStream,
    read: &mut BytesMut,
) -> Option<Option<(SocketAddr, SocketAddr)>> {
    loop {
        match proxy_protocol::parse(read) {
            Ok(Parsed::Header { consumed, source, destination }) => {
                read.advance(consumed);
                return Some(source.zip(destination));
            }
            Ok(Parsed::NeedMore) => {}
            Err(error) => {
                tracing::debug!(%error, "rejected a PROXY header");
                return None;
            }
        }
        fill(stream, read).await?;
    }
}

/// Does the client speak HTTP/2? `None` when it left before that was clear.
async fn begins_with_preface(stream: &mut NetStream, read: &mut BytesMut) -> Option<bool> {
    loop {
        let known = read.len().min(PREFACE.len());
        if read.get(..known) != PREFACE.get(..known) {
            return Some(false);
        }
        if known == PREFACE.len() {
            return Some(true);
        }
        fill(stream, read).await?;
    }
}

async fn fill(stream: &mut NetStream, read: &mut BytesMut) -> Option<()> {
    read.reserve(READ_SIZE);
    let size = stream.read_buf(read).await.ok()?;
    (size > 0).then_some(())
}

/// `period`, give or take a tenth, so that connections made together do not end together.
fn jittered(period: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 2001;
    period * 9 / 10 + period.mul_f64(random as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        for _ in 0..1000 {
            let age = jittered(Duration::from_secs(100));
            assert!((Duration::from_secs(90)..=Duration::from_millis(110_010)).contains(&age));
        }
    }
}
