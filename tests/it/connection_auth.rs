//! Authentication that holds for a connection (NTLM, Negotiate) is never another client's.

use std::collections::HashMap;
use std::sync::Mutex;

use gateway_tests::{Answer, Client, Gateway, Payload, Reply, Seen, Upstream, eventually};
use http::Request;

/// An upstream that authenticates connections in three steps, as NTLM does.
async fn ntlm(scheme: &'static str) -> Upstream {
    let users = Mutex::new(HashMap::<usize, String>::new());
    let script = move |seen: &Seen| {
        let mut users = users.lock().expect("no panic");
        let token = seen.header("authorization").and_then(|value| value.split_once(' '));
        if let Some((_, token)) = token {
            users.insert(seen.connection, token.to_owned());
        }
        match users.get(&seen.connection).map(String::as_str) {
            None => Answer::status(401, "").header("www-authenticate", scheme),
            Some("begin") => {
                Answer::status(401, "").header("www-authenticate", &format!("{scheme} challenge"))
            }
            Some(user) => Answer::ok(user.to_owned()),
        }
    };
    Upstream::http1().script(script).start().await
}

async fn send(client: &mut Client, authorization: &str) -> Reply {
    let request = Request::builder().uri("/").header("authorization", authorization);
    client.send(request.body(Payload::empty()).expect("a request")).await
}

#[tokio::test]
async fn authenticated_connection_belongs_to_one_client() {
    for scheme in ["NTLM", "Negotiate"] {
        let (one, other) = (ntlm(scheme).await, ntlm(scheme).await);
        let gateway = Gateway::to(&one).and(&other).start().await;
        let mut clients = [Client::http1(gateway.addr()), Client::http1(gateway.addr())];
        for (client, user) in clients.iter_mut().zip(["ada", "bob"]) {
            assert_eq!(client.get("/").await.status, 401);
            assert_eq!(send(client, &format!("{scheme} begin")).await.status, 401);
            send(client, &format!("{scheme} {user}")).await.assert_ok(user);
        }
        for _ in 0..5 {
            for (client, user) in clients.iter_mut().zip(["ada", "bob"]) {
                client.get("/").await.assert_ok(user);
            }
            assert_eq!(Client::http1(gateway.addr()).get("/").await.status, 401);
            assert_eq!(Client::http2(gateway.addr()).get("/").await.status, 401);
        }
        drop(clients);
        let open = || one.open() + other.open();
        eventually("the connections end with their clients", open, |open| *open == 0).await;
    }
}

#[tokio::test]
async fn connection_of_an_http2_client_is_closed_after_the_response() {
    let upstream = ntlm("Negotiate").await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    for user in ["ada", "bob"] {
        send(&mut client, &format!("Negotiate {user}")).await.assert_ok(user);
        assert_eq!(client.get("/").await.status, 401);
    }
    eventually("no connection is kept", || upstream.open(), |open| *open == 0).await;
}
