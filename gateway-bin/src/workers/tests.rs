//! Ports that are shared, and work that is cut.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::Assembly;
use crate::config::Source;

const DOCUMENT: &str = r#"
    workers = 3
    listeners = [{ name = "public", address = "127.0.0.1:0" }]
    drain = { lame_duck = "0s", timeout = "5s" }
    [[routes]]
    id = "hello"
    match = { path = "/hello" }
    target = { respond = { body = "hello" } }
    policy = { timeout = "0s", body_limit = "off" }
    "#;

fn assembled(text: &str) -> Assembled {
    Assembly::from(Source::text("g.toml", text)).assemble().unwrap()
}

async fn ask(address: &Address) -> String {
    let Address::Tcp(address) = address else { panic!("{address}") };
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn workers_share_the_port_that_the_first_one_got() {
    let bound = assembled(DOCUMENT).bind().unwrap();
    assert_eq!(bound.worker_count(), 3);
    let [(name, address)] = bound.addresses() else { panic!("{bound:?}") };
    assert_eq!(name, "public");
    let address = address.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = bound.serve(async { drop(stopped.await) });
    let ask = async {
        for _ in 0..12 {
            let answer = ask(&address).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
        }
        stop.send(()).unwrap();
    };
    let (drained, ()) = tokio::join!(serve, ask);
    assert_eq!(drained.unwrap().cut, 0);
}

#[tokio::test]
async fn what_is_cut_is_not_waited_for() {
    let bound = assembled(DOCUMENT).bind().unwrap();
    let Some((_, Address::Tcp(address))) = bound.addresses().first().cloned() else {
        panic!("{bound:?}")
    };
    let (cut, cutting) = oneshot::channel::<()>();
    let serve = bound.serve_until(std::future::pending(), async { drop(cutting.await) });
    let hold = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /hello HTTP/1.1\r\n").await.unwrap();
        cut.send(()).unwrap();
    };
    let both = async { tokio::join!(serve, hold) };
    let (served, ()) = tokio::time::timeout(Duration::from_secs(4), both).await.unwrap();
    served.unwrap();
}

#[test]
fn an_address_in_use_is_an_error_even_where_ports_are_shared() {
    let bound = assembled(DOCUMENT).bind().unwrap();
    let taken = bound.addresses()[0].1.to_string();
    let again = DOCUMENT.replace("127.0.0.1:0", &taken);
    let error = assembled(&again).bind().unwrap_err().to_string();
    let expected = format!(
        "cannot listen on {taken}: Address already in use (os error 98); \
         another process listens there: stop it, or choose another address"
    );
    assert_eq!(error, expected);
}
