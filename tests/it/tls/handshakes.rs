//! Who is answered, with which certificate, and how long everybody is waited for.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_tests::certs::{Authority, ClientTls, Files};
use gateway_tests::{Answer, Client, Gateway, Raw, Step, Upstream, eventually, within};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{OK, Setup, ask, gateway, hello};

/// Long enough for what was said before to be passed on.
const PAUSE: Duration = Duration::from_millis(300);

/// A client whose every byte the test sends.
struct Manual {
    socket: TcpStream,
    connection: ClientConnection,
}

impl Manual {
    async fn connect(addr: SocketAddr, tls: &ClientTls) -> Self {
        let socket = TcpStream::connect(addr).await.expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        let connection = ClientConnection::new(Arc::clone(tls.config()), tls.name().clone());
        Self { socket, connection: connection.expect("a client") }
    }

    /// What the client has to say now.
    fn says(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).expect("a vector takes everything");
        }
        bytes
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("send");
    }

    /// Takes what the server says; false at its end.
    async fn hear(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        let size = self.socket.read(&mut bytes).await.unwrap_or(0);
        let mut rest = &bytes[..size];
        while !rest.is_empty() {
            self.connection.read_tls(&mut rest).expect("room");
            self.connection.process_new_packets().expect("TLS");
        }
        size > 0
    }

    /// Does the rest of the handshake.
    async fn finish(&mut self) {
        while self.connection.is_handshaking() {
            let bytes = self.says();
            self.send(&bytes).await;
            if self.connection.is_handshaking() {
                assert!(self.hear().await, "cut in the handshake");
            }
        }
        let bytes = self.says();
        self.send(&bytes).await;
    }

    /// Sends a request and reads the answer to the end of the connection.
    async fn ask(&mut self) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n";
        std::io::Write::write_all(&mut self.connection.writer(), request).expect("write");
        let bytes = self.says();
        self.send(&bytes).await;
        while self.hear().await {}
        let mut answer = String::new();
        self.connection.reader().read_to_string(&mut answer).expect("close_notify");
        answer
    }

    /// Whether the server ends the connection within the time.
    async fn ends_within(mut self, limit: Duration) -> bool {
        let cut = async { while self.hear().await {} };
        tokio::time::timeout(limit, cut).await.is_ok()
    }
}

#[tokio::test]
async fn the_name_that_is_asked_for_picks_the_certificate() {
    let (authority, files, upstream) = (Authority::new("tests"), Files::new(), hello().await);
    let pairs = [&["a.test", "127.0.0.1"][..], &["*.b.test"], &["x.b.test"]]
        .map(|names| authority.server(names));
    let listed: Vec<_> = pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| files.pair(&format!("pair{index}"), pair))
        .collect();
    let line = format!("tls = {{ certificates = [{}] }}", listed.join(", "));
    let gateway = gateway(&upstream, &line).start().await;
    // The last one sends no name: an address is none.
    for (name, expected) in [("a.test", 0), ("A.TEST", 0), ("y.b.test", 1), ("x.b.test", 2)]
        .into_iter()
        .chain([("127.0.0.1", 0)])
    {
        let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
        let stream = ClientTls::new(&authority, name).handshake(socket).await.expect(name);
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
        let pem = pairs[expected].cert.as_bytes();
        assert_eq!(shown, CertificateDer::from_pem_slice(pem).expect("PEM"), "{name}");
    }
    // A name that nobody has gets the first certificate, which a client that looks rejects.
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let error = ClientTls::new(&authority, "c.test").handshake(socket).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn an_older_version_than_the_oldest_is_rejected() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let old = ClientTls::versions(&setup.authority, "gateway.test", &[&TLS12]);
    let new = ClientTls::versions(&setup.authority, "gateway.test", &[&TLS13]);
    let any = gateway(&upstream, &setup.tls("")).start().await;
    assert_eq!(ask(any.addr(), &old).await.as_deref(), Ok(OK));
    assert_eq!(ask(any.addr(), &new).await.as_deref(), Ok(OK));
    let strict = gateway(&upstream, &setup.tls(", min_version = \"1.3\"")).start().await;
    let error = ask(strict.addr(), &old).await.unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
    assert_eq!(ask(strict.addr(), &new).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn sessions_are_taken_up_again_by_any_worker() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).top("workers = 4").start().await;
    for version in [&TLS12, &TLS13] {
        let tls = ClientTls::versions(&setup.authority, "gateway.test", &[version]);
        for turn in 0..12 {
            let mut client = Manual::connect(gateway.addr(), &tls).await;
            client.finish().await;
            assert!(client.ask().await.starts_with(OK));
            let kind = client.connection.handshake_kind();
            let resumed = kind == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, turn > 0, "{version:?}, turn {turn}: {kind:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_at_any_record_is_cut() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let line = format!("{}\ntimeouts = {{ tls = \"500ms\" }}", setup.tls(""));
    let gateway = gateway(&upstream, &line).start().await;
    let addr = gateway.addr();
    let limit = Duration::from_secs(3);
    let stalls = [&TLS12, &TLS13].into_iter().flat_map(|version| {
        let tls = ClientTls::versions(&setup.authority, "gateway.test", &[version]);
        // Nothing, one byte, all but one byte, all of the first flight; then the same of the second.
        [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)].map(|(flight, part)| {
            let tls = tls.clone();
            async move {
                let mut client = Manual::connect(addr, &tls).await;
                if flight == 1 {
                    let hello = client.says();
                    client.send(&hello).await;
                    while !client.connection.wants_write() {
                        assert!(client.hear().await);
                    }
                }
                let bytes = client.says();
                let sent = [0, 1, bytes.len() - 1, bytes.len()][part];
                client.send(&bytes[..sent]).await;
                assert!(client.ends_within(limit).await, "{version:?}: {flight}, {part}");
            }
        })
    });
    join_all(stalls).await;
    // Nobody is cut who does not stall.
    assert_eq!(ask(addr, &setup.trusting()).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn a_hello_may_be_split_anywhere() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    let (addr, tls) = (gateway.addr(), setup.trusting());
    let mut client = Manual::connect(addr, &tls).await;
    for byte in client.says() {
        client.send(&[byte]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.finish().await;
    assert!(client.ask().await.starts_with(OK));
    let length = Manual::connect(addr, &tls).await.says().len();
    let positions: Vec<_> = (1..length).collect();
    for some in positions.chunks(64) {
        join_all(some.iter().map(|&at| {
            let tls = tls.clone();
            async move {
                let mut client = Manual::connect(addr, &tls).await;
                let hello = client.says();
                let (first, second) = hello.split_at(at.min(hello.len()));
                client.send(first).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                client.send(second).await;
                client.finish().await;
                assert!(client.ask().await.starts_with(OK), "split at {at}");
            }
        }))
        .await;
    }
}

#[tokio::test]
async fn the_proxy_header_comes_before_the_handshake() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let line = format!("{}\nproxy_protocol = {{ trusted = [\"127.0.0.0/8\"] }}", setup.tls(""));
    let gateway = gateway(&upstream, &line).start().await;
    let mut client = Manual::connect(gateway.addr(), &setup.trusting()).await;
    let mut first = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n".to_vec();
    first.extend(client.says());
    client.send(&first).await;
    client.finish().await;
    assert!(client.ask().await.starts_with(OK));
    assert_eq!(upstream.seen()[0].header("x-forwarded-for"), Some("192.0.2.7"));
}

#[tokio::test]
async fn a_client_that_says_nothing_after_its_handshake_is_cut() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let line = format!("{}\ntimeouts = {{ header = \"500ms\", idle = \"1s\" }}", setup.tls(""));
    let gateway = gateway(&upstream, &line).start().await;
    for protocol in ["http/1.1", "h2"] {
        let tls = setup.trusting().offering(&[protocol]);
        let mut client = Manual::connect(gateway.addr(), &tls).await;
        client.finish().await;
        assert!(client.ends_within(Duration::from_secs(5)).await, "{protocol}");
    }
}

#[tokio::test]
async fn an_idle_connection_goes_on_and_ends_with_a_goodbye() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let line = format!("{}\ntimeouts = {{ idle = \"3s\" }}", setup.tls(""));
    let gateway = gateway(&upstream, &line).start().await;
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let mut stream = setup.trusting().handshake(socket).await.expect("a handshake");
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n").await.expect("write");
        let mut answer = vec![0; 4096];
        let size = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..size].starts_with(OK.as_bytes()));
        // Long enough that the gateway takes the connection apart.
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    let mut rest = Vec::new();
    // Without a `close_notify` this is an error.
    let end = within(Duration::from_secs(5), "the end", stream.read_to_end(&mut rest)).await;
    assert_eq!((end.expect("an orderly end"), rest.len()), (0, 0));
}

#[tokio::test]
async fn what_is_cut_never_looks_whole() {
    let setup = Setup::new();
    let cut = Answer::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf of");
    let upstream =
        Upstream::http1().answer(cut.then(Step::Sleep(PAUSE)).then(Step::Reset)).start().await;
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    // An answer without a length, for a client of HTTP/1.0, lasts until the end of the connection.
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let mut stream = setup.trusting().handshake(socket).await.expect("a handshake");
    stream.write_all(b"GET / HTTP/1.0\r\nhost: gateway.test\r\n\r\n").await.expect("write");
    let mut answer = Vec::new();
    let end = within(Duration::from_secs(5), "the end", stream.read_to_end(&mut answer)).await;
    assert!(end.is_err(), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_upload_that_is_cut_is_not_whole_upstream() {
    let setup = Setup::new();
    let upstream = Upstream::http1().answer(Answer::echo()).start().await;
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
        let mut stream = setup.trusting().handshake(socket).await.expect("a handshake");
        let request = format!("POST / HTTP/1.1\r\nhost: gateway.test\r\n{head}\r\n\r\n5\r\nhello");
        stream.write_all(request.as_bytes()).await.expect("write");
        let before = upstream.seen().iter().filter(|seen| seen.left.is_some()).count();
        eventually("the upload", || upstream.seen().len(), |seen| *seen > before).await;
        // The socket ends, without a `close_notify`.
        let (mut socket, _) = stream.into_inner();
        socket.shutdown().await.expect("shutdown");
        let left = || upstream.seen().iter().filter(|seen| seen.left.is_some()).count();
        eventually("the upload is given up", left, |left| *left > before).await;
    }
    assert!(upstream.seen().iter().all(|seen| !seen.complete));
}

#[tokio::test]
async fn over_http2_a_host_without_certificate_is_misdirected() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    let request = |host: &str| {
        let request = http::Request::get("/").header("host", host);
        request.body(gateway_tests::Payload::empty()).expect("a request")
    };
    let mut client = Client::http2(gateway.addr()).over(&setup.trusting());
    for host in ["other.test", "a.gateway.test", "192.0.2.1", "[::1]:8443"] {
        let reply = client.send(request(host)).await;
        reply.assert_by_gateway(&[421]);
        assert!(reply.text().contains("misdirected_request"), "{}", reply.text());
    }
    // The connection is as good as before, for what it was made for.
    for host in ["gateway.test", "GATEWAY.test:8443", "127.0.0.1"] {
        client.send(request(host)).await.assert_ok("hello");
    }
    assert_eq!(client.connections(), 1);
    // Over HTTP/1.1 nobody mixes hosts on a connection.
    let mut client = Client::http1(gateway.addr()).over(&setup.trusting());
    client.send(request("other.test")).await.assert_ok("hello");
}

#[tokio::test]
async fn what_is_no_tls_is_closed() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).start().await;
    let long = "x".repeat(100_000);
    for bytes in ["GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n", "\u{16}\u{3}\u{1}", &long] {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(bytes).await;
        raw.finish().await;
        assert!(raw.ends_within(Duration::from_secs(5)).await, "{bytes:.10}");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(ask(gateway.addr(), &setup.trusting()).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn a_request_under_way_survives_the_drain() {
    let setup = Setup::new();
    let gate = gateway_tests::Gate::new();
    let answer = Answer::unread().then(Step::Gate(gate.clone())).then(Step::Reply(
        200,
        Vec::new(),
        "late".into(),
    ));
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = gateway(&upstream, &setup.tls(""))
        .more("[drain]\nlame_duck = \"0s\"\ntimeout = \"5s\"")
        .start()
        .await;
    let mut idle = Manual::connect(gateway.addr(), &setup.trusting()).await;
    idle.finish().await;
    let mut client = Client::http1(gateway.addr()).over(&setup.trusting());
    let asking = tokio::spawn(async move { client.get("/").await });
    eventually("the request", || upstream.seen().len(), |seen| *seen == 1).await;
    gateway.signal("TERM");
    assert!(idle.ends_within(Duration::from_secs(5)).await);
    gate.open();
    asking.await.expect("a task").assert_ok("late");
    assert!(gateway.ended_within(Duration::from_secs(5)).await.success());
}

#[tokio::test]
async fn a_foreign_client_is_answered() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway: Gateway = gateway(&upstream, &setup.tls("")).start().await;
    let ca = setup.files.write("ca.pem", &setup.authority.pem());
    let port = gateway.addr().port();
    for version in ["--http1.1", "--http2"] {
        let resolve = format!("gateway.test:{port}:127.0.0.1");
        let url = format!("https://gateway.test:{port}/");
        let said = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--cacert", &ca, version, "--resolve", &resolve])
            .args(["--noproxy", "*", "--write-out", " %{http_version}", &url])
            .output()
            .await;
        let Ok(said) = said else {
            eprintln!("skipped: curl is not installed");
            return;
        };
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.starts_with("hello "), "{text}: {}", String::from_utf8_lossy(&said.stderr));
    }
}
