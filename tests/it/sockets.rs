//! Where bytes come from and go to: PROXY headers (hardening 55) and Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use gateway_tests::{Gateway, Raw, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
const SOON: Duration = Duration::from_secs(3);

async fn behind_proxies(upstream: &Upstream, trusted: &str) -> Gateway {
    let line = format!("proxy_protocol = {{ trusted = [\"{trusted}\"] }}");
    let header = "timeouts = { header = \"1s\" }";
    Gateway::to(upstream).listener(&line).listener(header).start().await
}

fn version_2(client: [u8; 4], port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&client);
    header.extend_from_slice(&[127, 0, 0, 1]);
    header.extend_from_slice(&port.to_be_bytes());
    header.extend_from_slice(&80_u16.to_be_bytes());
    header
}

#[tokio::test]
async fn a_trusted_peer_tells_who_the_client_is() {
    let upstream = Upstream::http1().start().await;
    let gateway = behind_proxies(&upstream, "127.0.0.0/8").await;
    let version_1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 80\r\n".to_vec();
    for header in [version_1, version_2([192, 0, 2, 7], 5000)] {
        for at in [1, header.len() / 2, header.len()] {
            let mut raw = Raw::connect(gateway.addr()).await;
            let bytes = [&header[..], REQUEST.as_bytes()].concat();
            raw.send_split(bytes, at).await;
            assert_eq!(raw.answer("GET").await.expect("an answer").status, 200);
            let seen = upstream.seen().pop().expect("a request");
            let told: Vec<_> =
                seen.headers.iter().filter(|(name, _)| name == "x-forwarded-for").collect();
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].1, "192.0.2.7");
        }
    }
}

#[tokio::test]
async fn what_is_no_header_or_comes_from_a_stranger_is_closed() {
    let upstream = Upstream::http1().start().await;
    let gateway = behind_proxies(&upstream, "127.0.0.0/8").await;
    let long = format!("PROXY TCP4 {}", "1".repeat(200));
    let mut cut = version_2([192, 0, 2, 7], 5000);
    cut.truncate(20);
    let mut past_the_end = version_2([192, 0, 2, 7], 5000);
    past_the_end[15] = 15;
    past_the_end.extend_from_slice(&[3, 0, 200]);
    let wrong: [Vec<u8>; 5] = [
        REQUEST.into(),
        b"PROXY TCP4 1.2.3.4.5 127.0.0.1 5000 80\r\n".to_vec(),
        long.into(),
        cut,
        past_the_end,
    ];
    for bytes in wrong {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(&bytes).await;
        assert!(raw.ends_within(SOON).await, "{bytes:?}");
        assert!(raw.buffered().is_empty(), "{:?}", raw.buffered());
    }
    let strict = behind_proxies(&upstream, "10.0.0.0/8").await;
    let mut raw = Raw::connect(strict.addr()).await;
    raw.send(format!("PROXY TCP4 192.0.2.7 127.0.0.1 5000 80\r\n{REQUEST}")).await;
    assert_eq!(raw.answer("GET").await.expect("a rejection").status, 400);
    assert!(raw.ends_within(SOON).await);
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn unix_sockets_on_both_sides() {
    let directory = std::env::temp_dir().join(format!("gateway-sockets-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (front, back) = (directory.join("front.sock"), directory.join("back.sock"));
    let _ = std::fs::remove_file(&back);
    let listener = UnixListener::bind(&back).expect("bind");
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut head = vec![0; 4096];
        let size = stream.read(&mut head).await.expect("read");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback";
        stream.write_all(answer).await.expect("write");
        String::from_utf8_lossy(&head[..size]).into_owned()
    });
    let document = format!(
        "[[listeners]]\naddress = \"{{listen}}\"\n\n[[listeners]]\naddress = \"unix:{}\"\n\
         unix_mode = \"0606\"\n\n\
         [clusters.back]\nendpoints = [\"unix:{}\"]\n\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"back\" }}\n\n\
         [drain]\nlame_duck = \"0s\"\n",
        front.display(),
        back.display(),
    );
    let gateway = Gateway::document(&document).start().await;
    let mode = std::fs::metadata(&front).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o606);
    let mut client = UnixStream::connect(&front).await.expect("connect");
    client.write_all(REQUEST.as_bytes()).await.expect("write");
    let mut answer = vec![0; 4096];
    let size = client.read(&mut answer).await.expect("read");
    let answer = String::from_utf8_lossy(&answer[..size]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("back"), "{answer}");
    let head = upstream.await.expect("the upstream");
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    gateway.signal("TERM");
    gateway.ended_within(SOON).await;
    assert!(!front.exists(), "the socket file stays behind");
    let _ = std::fs::remove_dir_all(&directory);
}
