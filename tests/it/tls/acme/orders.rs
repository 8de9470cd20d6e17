//! From nothing to a certificate.

use super::*;

#[tokio::test]
async fn a_certificate_is_ordered_and_proved_in_tls() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\", \"www.gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let certificate = eventually_is(&gateway, "gateway.test", is_valid).await;
    println!("{certificate:#}\n{}\n{}", gateway.log(), pebble.log());
    for name in ["gateway.test", "www.gateway.test"] {
        assert_eq!(ask(gateway.addr(), &pebble.client(name).await).await.as_deref(), Ok(OK));
    }
    gateway.assert_quiet().await;
}
