//! Names and passwords of a document.

use std::time::Duration;

use futures_util::future::join_all;
use gateway_layers::auth::basic::PasswordHash;
use gateway_tests::{Client, Gateway, Payload, Reply, Upstream};
use http::Request;
use tokio::time::Instant;

use crate::routing::LISTENER;

/// `crypt("open sesame")` by libxcrypt, cost 5.
const SESAME: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

async fn gateway(upstream: &Upstream, settings: &str) -> Gateway {
    let cluster = format!("[clusters.upstream]\nendpoints = [{:?}]\n", upstream.url());
    let identity = format!(
        "[identity.basic.staff]\nrealm = \"staff\"\n\
         forward = {{ x-user-id = \"subject\", x-user-roles = \"roles\" }}\n{settings}\n"
    );
    let routes = "[[routes]]\nmatch = { prefix = \"/orders\" }\npolicy.basic = \"staff\"\n\
                  target = { cluster = \"upstream\" }\n\
                  [[routes]]\nmatch = { prefix = \"/fresh-check\" }\npolicy.public = true\n\
                  target = { cluster = \"upstream\" }\n";
    let text = format!("{LISTENER}{cluster}{identity}{routes}");
    Gateway::document(text).knows(upstream).start().await
}

async fn asks(gateway: &Gateway, credentials: Option<&str>) -> Reply {
    let mut request = Request::builder().uri("/orders").header("host", "a.test");
    if let Some(credentials) = credentials {
        request = request.header("authorization", format!("Basic {credentials}"));
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

/// `alice:open sesame`.
const ALICE: &str = "YWxpY2U6b3BlbiBzZXNhbWU=";

/// `bob:open sesame`.
const BOB: &str = "Ym9iOm9wZW4gc2VzYW1l";

/// `carol:open sesame`, who is not there.
const CAROL: &str = "Y2Fyb2w6b3BlbiBzZXNhbWU=";

/// `alice:wrong`.
const WRONG: &str = "YWxpY2U6d3Jvbmc=";

#[tokio::test]
async fn users_of_a_file_are_known_and_followed_while_the_gateway_runs() {
    let path = std::env::temp_dir().join(format!("gateway-it-users-{}", std::process::id()));
    std::fs::write(&path, format!("# staff\nalice:{SESAME}:admin,reader\n")).expect("write");
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(&upstream, &format!("file = {path:?}")).await;
    asks(&gateway, Some(ALICE)).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.header("x-user-id"), seen.header("authorization")), (Some("alice"), None));
    assert_eq!(seen.header("x-user-roles"), Some("admin,reader"));
    for (credentials, reason) in [
        (None, "unauthenticated"),
        (Some(WRONG), "credentials_invalid"),
        (Some(CAROL), "credentials_invalid"),
        (Some(BOB), "credentials_invalid"),
        (Some("!"), "credentials_invalid"),
    ] {
        let answer = asks(&gateway, credentials).await;
        answer.assert_by_gateway(&[401]);
        assert_eq!(answer.reason().as_deref(), Some(reason));
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"staff\", charset=\"UTF-8\""));
    }
    std::fs::write(&path, format!("bob:{SESAME}\n")).expect("write");
    let began = Instant::now();
    while asks(&gateway, Some(BOB)).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(asks(&gateway, Some(ALICE)).await.status, 401);
    std::fs::remove_file(&path).expect("remove");
    assert!(!gateway.log().contains("open sesame") && !gateway.log().contains(SESAME));
}

#[tokio::test]
async fn a_flood_of_passwords_costs_its_own_and_no_one_elses_time() {
    let hash = PasswordHash::make("open sesame").expect("a hash");
    let upstream = Upstream::http1().start().await;
    let settings = format!("jobs = 1\nqueue = 2\nusers.alice.hash = {hash:?}");
    let gateway = gateway(&upstream, &settings).await;
    asks(&gateway, Some(ALICE)).await.assert_ok("ok");
    let flood: Vec<_> = (0..40).map(|number| encoded(&format!("alice:wrong-{number}"))).collect();
    let flood = join_all(flood.iter().map(|credentials| asks(&gateway, Some(credentials))));
    let known = async {
        // Whoever is remembered waits for nobody.
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            asks(&gateway, Some(ALICE)).await.assert_ok("ok");
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (flood, slowest) = tokio::join!(flood, known);
    let busy = flood.iter().filter(|answer| answer.status == 503).count();
    assert!(busy > 0 && flood.iter().all(|answer| matches!(answer.status, 401 | 503)), "{busy}");
    for answer in flood.iter().filter(|answer| answer.status == 503) {
        assert_eq!(answer.reason().as_deref(), Some("identity_unavailable"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// Base64 (RFC 4648, section 4).
fn encoded(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks(3).flat_map(|three| {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        (0..4).map(move |place| match place <= three.len() {
            true => char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]),
            false => '=',
        })
    });
    digits.collect()
}
