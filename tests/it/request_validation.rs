//! What of a request (and of a response) is dropped, counted, normalized or rejected before it is
//! forwarded.

use std::time::Duration;

use gateway_tests::{Answer, Client, Gateway, Payload, Raw, Upstream};
use http::Request;

const HOST: &str = "Host: gateway.test\r\n";

#[tokio::test]
async fn framing_spelled_with_underscores_is_dropped() {
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent_Length: 9\r\n\
                    Transfer_Encoding: chunked\r\nx_kept: 1\r\n\r\nok";
    let upstream = Upstream::http1().answer(Answer::raw(response)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!(
        "POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent_Length: 9\r\n\
         Transfer_Encoding: chunked\r\nX_Kept: 1\r\n\r\nhi"
    ))
    .await;
    let response = raw.answer("POST").await.expect("a response");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.header("x_kept"), response.header("x_kept")), (Some("1"), Some("1")));
    for name in ["content_length", "transfer_encoding"] {
        assert_eq!((seen.header(name), response.header(name)), (None, None), "{name}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn options_and_trace_count_their_hops() {
    let upstreams = [Upstream::http1().start().await, Upstream::http2().start().await];
    for upstream in upstreams {
        let gateway = Gateway::to(&upstream).start().await;
        let mut clients = [Client::http1(gateway.addr()), Client::http2(gateway.addr())];
        for client in &mut clients {
            for (left, forwarded) in [("2", Some("1")), ("0", None), ("many", Some("many"))] {
                let before = upstream.seen().len();
                let request = Request::builder().method("OPTIONS").uri("/a");
                let request = request.header("max-forwards", left).body(Payload::empty());
                let reply = client.send(request.expect("a request")).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert_eq!(reply.is_by_gateway(), forwarded.is_none(), "{reply:?}");
                let seen = upstream.seen().into_iter().nth(before);
                let header = seen.as_ref().and_then(|seen| seen.header("max-forwards"));
                assert_eq!(header, forwarded);
            }
        }
        let mut raw = Raw::connect(gateway.addr()).await;
        let credentials = "Cookie: secret\r\nAuthorization: secret\r\n";
        let request = format!("TRACE /t?q HTTP/1.1\r\n{HOST}{credentials}Max-Forwards: 0\r\n\r\n");
        raw.send(request).await;
        let response = raw.answer("TRACE").await.expect("a response");
        assert_eq!(response.header("content-type"), Some("message/http"));
        let text = response.text();
        assert!(text.starts_with("TRACE /t?q HTTP/1.1\r\nhost: gateway.test\r\n"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn the_target_that_matched_is_the_one_forwarded() {
    let upstreams = [Upstream::http1().start().await, Upstream::http2().start().await];
    for upstream in upstreams {
        let gateway = Gateway::document(format!(
            "[[listeners]]\naddress = \"{{listen}}\"\n[clusters.a]\nendpoints = [{:?}]\n\
             [[routes]]\nid = \"slash\"\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"a\" }}\n",
            upstream.url()
        ))
        .start()
        .await;
        let mut raw = Raw::connect(gateway.addr()).await;
        for target in ["/*", "/%2A", "/"] {
            let before = upstream.seen().len();
            raw.send(format!("OPTIONS {target} HTTP/1.1\r\n{HOST}\r\n")).await;
            assert_eq!(raw.answer("OPTIONS").await.expect("a response").status, 200);
            let seen = upstream.seen().into_iter().nth(before).expect("a request");
            assert_eq!(seen.target, target);
        }
        // No route of paths takes the whole server.
        raw.send(format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n")).await;
        let status = raw.answer("OPTIONS").await.expect("a response").status;
        let last = upstream.seen().pop().expect("a request").target;
        assert!(
            (status, last.as_str()) == (404, "/") || (status, last.as_str()) == (200, "*"),
            "{status} {last}"
        );
    }
}

#[tokio::test]
async fn crumbs_of_a_cookie_are_one_header() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut request = Request::builder().uri("/");
    for crumb in 0..150 {
        request = request.header("cookie", format!("c{crumb}=1"));
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http2(gateway.addr()).send(request).await.assert_ok("ok");
    let cookies = upstream.seen().pop().expect("a request");
    let cookies = cookies.header_all("cookie");
    assert_eq!(cookies.len(), 1);
    assert_eq!(cookies[0].split("; ").count(), 150);
}

#[tokio::test]
async fn headers_of_the_connection_are_no_trailers() {
    let response = "HTTP/1.1 200 OK\r\nconnection: x-hop\r\ntransfer-encoding: chunked\r\n\
                    trailer: x-hop, x-sum\r\n\r\n2\r\nok\r\n0\r\nx-hop: 1\r\nx-sum: 1\r\n\
                    x-gateway-origin: 1\r\nx-forwarded-for: 1\r\n\r\n";
    let upstream = Upstream::http1().answer(Answer::raw(response)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!(
        "POST / HTTP/1.1\r\n{HOST}Connection: x-hop, te\r\nTE: trailers\r\n\
         Transfer-Encoding: chunked\r\nTrailer: x-hop, x-sum\r\n\r\n2\r\nhi\r\n0\r\n\
         x-hop: 1\r\nx-sum: 1\r\nx-forwarded-for: 1\r\nx-gateway-origin: 1\r\n\r\n"
    ))
    .await;
    let response = raw.answer("POST").await.expect("a response");
    let names = |lines: &[(String, String)]| {
        lines.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    assert_eq!(names(&upstream.seen().pop().expect("a request").trailers), ["x-sum"]);
    assert_eq!(names(&response.trailers), ["x-sum"]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn octets_that_are_not_utf8_are_an_option() {
    let upstream = Upstream::http1().start().await;
    for (line, status) in [("", 400), ("path = { allow_non_utf8 = true }", 200)] {
        let gateway = Gateway::to(&upstream).listener(line).start().await;
        let reply = Client::http1(gateway.addr()).get("/caf%e9/%C3%A9").await;
        assert_eq!(reply.status, status, "{line}");
        let overlong = Client::http1(gateway.addr()).get("/..%c0%af").await;
        assert_eq!(overlong.status, 400, "{line}");
    }
    assert_eq!(upstream.seen().pop().expect("a request").target, "/caf%E9/%C3%A9");
}

#[tokio::test]
async fn raw_characters_pass_in_path_and_query() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    for character in ['"', '<', '>', '`', '^', '{', '}', '|'] {
        for target in [format!("/a{character}b"), format!("/a?q={character}b")] {
            raw.send(format!("GET {target} HTTP/1.1\r\n{HOST}\r\n")).await;
            let response = raw.answer_within(Duration::from_secs(10), "GET").await;
            assert_eq!(response.expect("a response").status, 200, "{target}");
        }
    }
    gateway.assert_quiet().await;
}
