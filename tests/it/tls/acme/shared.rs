//! Several on one storage.

use std::fs::{self, File};
use std::path::PathBuf;

use super::*;

impl Setup {
    /// The only file of this kind in the folder of certificates.
    pub(super) fn certificate_file(&self) -> PathBuf {
        let folder = self.storage.folder().join("acme/certificates");
        let mut files =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let is_pem = |path: &PathBuf| path.extension().is_some_and(|end| end == "pem");
        files.find(is_pem).expect("a certificate")
    }
}

#[tokio::test]
async fn processes_that_share_a_storage_order_once() {
    let (setup, other) = (Setup::new(), Setup::new());
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let (first, second) = tokio::join!(setup.gateway(&upstream, &acme).start(), async {
        // The authority looks at the first: whoever orders, that is where the proof must be.
        let ordering = || fs::read_dir(setup.storage.folder().join("acme/certificates")).is_ok();
        gateway_tests::eventually_within(SOON, "an order", ordering, |begun| *begun).await;
        other.gateway(&upstream, &acme).start().await
    });
    for gateway in [&first, &second] {
        eventually_is(gateway, "gateway.test", is_valid).await;
    }
    let tls = pebble.client("gateway.test").await;
    assert_eq!(shown(&first, &tls).await, shown(&second, &tls).await);
    assert_eq!((pebble.accounts(), pebble.orders()), (1, 1));
}

#[tokio::test]
async fn who_waits_for_another_process_takes_what_that_one_got() {
    let (made, setup) = (Setup::new(), Setup::new());
    let Some(pebble) = made.pebble().start() else { return };
    let upstream = hello().await;
    let gateway =
        made.gateway(&upstream, &made.acme(&pebble, "\"gateway.test\"", "")).start().await;
    eventually_is(&gateway, "gateway.test", is_valid).await;
    let pem = made.certificate_file();
    let name = pem.file_name().and_then(|name| name.to_str()).expect("a name");
    // Somebody else orders, which takes a while.
    let folder = setup.storage.folder().join("acme/certificates");
    fs::create_dir_all(&folder).expect("a folder");
    let lock = File::create(folder.join(name.replace(".pem", ".lock"))).expect("a lock");
    lock.try_lock().expect("nobody has it");
    let gateway =
        setup.gateway(&upstream, &setup.acme(&pebble, "\"gateway.test\"", "")).start().await;
    let waits = |shown: &Value| shown["state"] == "ordered_elsewhere";
    eventually_is(&gateway, "gateway.test", waits).await;
    fs::copy(&pem, folder.join("new")).expect("copy");
    fs::rename(folder.join("new"), folder.join(name)).expect("rename");
    drop(lock);
    eventually_is(&gateway, "gateway.test", is_valid).await;
    assert_eq!(pebble.orders(), 1);
    assert_eq!(ask(gateway.addr(), &pebble.client("gateway.test").await).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn listeners_that_say_the_same_share_one_certificate() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let second = format!(
        "[[listeners]]\nname = \"second\"\naddress = \"127.0.0.1:{}\"\ntls = {{ acme = {acme} }}\n",
        setup.http_port
    );
    let gateway = setup.gateway(&upstream, &acme).listener(&second).start().await;
    let certificate = eventually_is(&gateway, "gateway.test", is_valid).await;
    assert_eq!(certificate["listeners"], serde_json::json!(["public", "second"]));
    let tls = pebble.client("gateway.test").await;
    for port in [setup.tls_port, setup.http_port] {
        assert_eq!(ask(([127, 0, 0, 1], port).into(), &tls).await.as_deref(), Ok(OK));
    }
    assert_eq!(pebble.orders(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_replaced_and_never_served() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    {
        let gateway = setup.gateway(&upstream, &acme).start().await;
        eventually_is(&gateway, "gateway.test", is_valid).await;
    }
    let file = setup.certificate_file();
    let whole = fs::read(&file).expect("a certificate");
    fs::write(&file, &whole[..whole.len() / 3]).expect("write");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    eventually_is(&gateway, "gateway.test", is_valid).await;
    assert_eq!((pebble.accounts(), pebble.issued()), (1, 2));
}
