//! A listener that sends everybody to `https`.

use gateway_tests::{Client, Payload};
use http::Request;

use super::{gateway, hello};

#[tokio::test]
async fn every_request_is_sent_to_https() {
    let upstream = hello().await;
    for (line, port, status) in [
        ("redirect = { scheme = \"https\" }", "", 308),
        ("redirect = { scheme = \"https\", port = 8443, status = 301 }", ":8443", 301),
    ] {
        let gateway = gateway(&upstream, line).start().await;
        for (path, host) in [("/", "a.test"), ("/a%20b/?c=d&e", "a.test:8080"), ("/x", "[::1]:80")]
        {
            let bare = host.rsplit_once(':').filter(|(name, _)| !name.ends_with(':'));
            let bare = bare.map_or(host, |(name, _)| name);
            for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
                let request = Request::post(path).header("host", host);
                let reply = client.send(request.body(Payload::empty()).expect("a request")).await;
                assert_eq!(reply.status, status);
                let expected = format!("https://{bare}{port}{path}");
                assert_eq!(reply.header("location"), Some(expected.as_str()));
            }
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn what_proves_a_name_goes_to_routes() {
    let upstream = hello().await;
    let gateway = gateway(&upstream, "redirect = { scheme = \"https\" }").start().await;
    let mut client = Client::http1(gateway.addr());
    client.get("/.well-known/acme-challenge/token").await.assert_ok("hello");
    for path in ["/.well-known/acme-challenge/../x", "/.well-known/acme-challenge"] {
        assert_eq!(client.get(path).await.status, 308, "{path}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn no_host_is_nowhere_to_send_to() {
    let upstream = hello().await;
    let gateway = gateway(&upstream, "redirect = { scheme = \"https\" }").start().await;
    let mut raw = gateway_tests::Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.map(|answer| answer.status), Some(400));
}
