//! TLS of listeners.

mod acme;
mod clients;
mod files;
mod handshakes;
mod redirect;
mod store;

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::certs::{Authority, ClientTls, Files, Pair};
use gateway_tests::{Answer, Client, Gateway, GatewayBuilder, Step, Upstream, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An authority with a certificate for `gateway.test`, in files.
struct Setup {
    authority: Authority,
    files: Files,
    /// The certificate as documents have it.
    pair: String,
}

impl Setup {
    fn new() -> Self {
        let (authority, files) = (Authority::new("tests"), Files::new());
        let pair = files.pair("a", &authority.server(&["gateway.test", "127.0.0.1"]));
        Self { authority, files, pair }
    }

    /// The listener's line, with `more` keys of its TLS.
    fn tls(&self, more: &str) -> String {
        format!("tls = {{ certificates = [{}]{more} }}", self.pair)
    }

    fn trusting(&self) -> ClientTls {
        ClientTls::new(&self.authority, "gateway.test")
    }

    fn showing(&self, pair: &Pair) -> ClientTls {
        ClientTls::showing(&self.authority, "gateway.test", pair)
    }
}

async fn hello() -> Upstream {
    Upstream::http1().answer(Answer::ok("hello")).start().await
}

/// A gateway to `upstream` with this line of TLS.
fn gateway(upstream: &Upstream, line: &str) -> GatewayBuilder {
    Gateway::to(upstream).listener(line)
}

/// What a request over TLS came to: the status, or why there is none. In TLS 1.3 a client hears
/// only then that its certificate was rejected.
async fn ask(addr: SocketAddr, tls: &ClientTls) -> Result<String, String> {
    let socket = TcpStream::connect(addr).await.expect("connect");
    let asking = async {
        let mut stream = tls.handshake(socket).await?;
        let request = b"GET / HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let asked = within(Duration::from_secs(10), "an answer", asking).await;
    let answer = asked.map_err(|error| error.to_string())?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

const OK: &str = "HTTP/1.1 200 OK";

#[tokio::test]
async fn both_protocols_are_spoken_as_alpn_says() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    let tls = setup.trusting();
    let mut first = Client::http1(gateway.addr()).over(&tls);
    let mut second = Client::http2(gateway.addr()).over(&tls);
    for _ in 0..3 {
        first.get("/").await.assert_ok("hello");
        second.get("/").await.assert_ok("hello");
    }
    assert_eq!((first.connections(), second.connections()), (1, 1));
    // Who offers nothing speaks HTTP/1.1.
    let mut silent = Client::http1(gateway.addr()).over_as_is(&tls);
    silent.get("/").await.assert_ok("hello");
    // Upstreams are told how the client came.
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| seen.header("x-forwarded-proto") == Some("https")));
    assert!(gateway.log().contains("listening on https://"), "{}", gateway.log());
}

#[tokio::test]
async fn a_long_answer_and_a_long_request_pass_whole() {
    let setup = Setup::new();
    let body = "0123456789abcdef".repeat(512 * 1024);
    let answer = Answer::unread().then(Step::ReadBody).then(Step::Reply(
        200,
        Vec::new(),
        body.clone().into(),
    ));
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
        .map(|client| client.over(&setup.trusting()))
    {
        let reply = client.post("/", body.clone()).await;
        assert!(reply.is_complete() && reply.text() == body, "{} bytes", reply.body.len());
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| seen.complete && seen.body_length == body.len() as u64));
}
