//! Upgrades for services that know hyper's kind of them and not ours.
//!
//! A service that wants to switch protocols waits for hyper's [`OnUpgrade`], which only a hyper
//! connection can make. So one is made, in memory: it carries a request that stands for the
//! client's, and becomes the far side of the [`Tunnel`] once the service has agreed.

use std::io;
use std::sync::{Mutex, PoisonError};

use http::header::{self, HeaderValue};
use http::{StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::oneshot;

use crate::body::Body;
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request, Response, Tunnel};
use crate::task::spawn_detached;

/// Each direction of the tunnel buffers at most this many bytes.
const BUFFER: usize = 16 * 1024;

/// What stands for the client's request; the service never sees it.
const STAND_IN: &[u8] =
    b"GET / HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: tunnel\r\n\r\n";

/// True when the client asked for another protocol, and nobody has prepared for that yet.
pub(super) fn is_wanted(request: &Request) -> bool {
    request.headers().contains_key(header::UPGRADE)
        && request.body().is_end_stream()
        && request.extensions().get::<OnUpgrade>().is_none()
}

/// An upgrade that a service may agree to.
pub(super) struct Offer {
    near: DuplexStream,
    agree: oneshot::Sender<()>,
}

/// Puts an upgrade into `request` that the service can wait for.
pub(super) async fn offer(request: &mut Request) -> Result<Offer, Error> {
    let (mut near, far) = duplex(BUFFER);
    let (agree, agreed) = oneshot::channel();
    let (give, given) = oneshot::channel();
    spawn_detached(serve(far, give, agreed));
    near.write_all(STAND_IN).await.map_err(failed)?;
    let upgrade = given.await.map_err(failed)?;
    request.extensions_mut().insert::<OnUpgrade>(upgrade);
    // Inside of the gateway there is one form of upgrade, that of HTTP/1.1.
    *request.version_mut() = Version::HTTP_11;
    Ok(Offer { near, agree })
}

impl Offer {
    /// The answer with the tunnel it leads into. One that rejects the upgrade passes as it is.
    pub(super) async fn settle(self, mut response: Response) -> Outcome {
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !switches || response.extensions().get::<Tunnel>().is_some() {
            return Ok(response);
        }
        if self.agree.send(()).is_err() {
            return Err(failed("the connection in memory ended"));
        }
        let far = skip_head(self.near).await.map_err(failed)?;
        response.extensions_mut().insert(Tunnel::new(far));
        Ok(response)
    }
}

fn failed(cause: impl Into<crate::BoxError>) -> Error {
    Error::new(Reason::ModuleFailed).with_source(cause)
}

/// The hyper connection: gives its upgrade away, and switches once it was agreed to.
async fn serve(
    stream: DuplexStream,
    give: oneshot::Sender<OnUpgrade>,
    agreed: oneshot::Receiver<()>,
) {
    let once = Mutex::new(Some((give, agreed)));
    let service = hyper::service::service_fn(|request: http::Request<Incoming>| {
        let first = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let (give, agreed) = first.ok_or("a second request")?;
            give.send(hyper::upgrade::on(request)).map_err(|_| "nobody waits")?;
            // Dropped when the service rejected or the client left: the connection ends.
            agreed.await.map_err(|_| "not agreed to")?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("tunnel"));
            Ok::<_, &'static str>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::trace!(%error, "an offered upgrade was not taken");
    }
}

/// `stream` behind the head of the answer to the stand-in.
async fn skip_head(stream: DuplexStream) -> io::Result<BufReader<DuplexStream>> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while line != b"\r\n" {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use tokio::io::AsyncReadExt;
    use tower::service_fn;

    use super::*;
    use crate::module::Module;

    fn request() -> Request {
        let request = http::Request::get("/").header(header::UPGRADE, "echo");
        request.header(header::CONNECTION, "upgrade").body(Body::empty()).unwrap()
    }

    /// Agrees to every upgrade and sends back what comes.
    fn echoes() -> Module {
        Module::from_service(service_fn(async |mut request: Request| {
            let upgrade = request.extensions_mut().remove::<OnUpgrade>().unwrap();
            spawn_detached(async move {
                let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let mut response = http::Response::new(Full::<bytes::Bytes>::default());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, Infallible>(response)
        }))
    }

    #[tokio::test]
    async fn a_service_that_agrees_gets_the_far_side_of_the_tunnel() {
        let response = echoes().call(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = response.extensions().get::<Tunnel>().unwrap().take().unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut echoed = [0; 4];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"ping");
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut echoed).await.unwrap(), 0, "the end passes both ways");
    }

    #[tokio::test]
    async fn a_rejection_passes_with_its_body() {
        let module = Module::from_service(service_fn(async |request: Request| {
            assert!(request.extensions().get::<OnUpgrade>().is_some());
            let mut response = http::Response::new(Full::<bytes::Bytes>::from("no"));
            *response.status_mut() = StatusCode::FORBIDDEN;
            Ok::<_, Infallible>(response)
        }));
        let response = module.call(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "no");
    }

    #[tokio::test]
    async fn who_asks_for_no_upgrade_is_offered_none() {
        let module = Module::from_service(service_fn(async |request: Request| {
            assert!(request.extensions().get::<OnUpgrade>().is_none());
            Ok::<_, Infallible>(http::Response::new(Full::<bytes::Bytes>::default()))
        }));
        let plain = Request::new(Body::empty());
        assert_eq!(module.call(plain).await.unwrap().status(), StatusCode::OK);
        let mut with_body = request();
        *with_body.body_mut() = "body".into();
        assert_eq!(module.call(with_body).await.unwrap().status(), StatusCode::OK);
    }
}
