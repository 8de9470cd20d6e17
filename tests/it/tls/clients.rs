//! Clients with certificates.

use std::sync::Arc;

use gateway_core::server::tls::{
    Certificate, CertificateStore, ClientAuth, ClientTrust, ServerTls,
};
use gateway_core::{Address, Body, Error, Listener, Module, Request, RequestExt, Response, Server};
use gateway_tests::certs::{Authority, ClientTls, Pair, expired};
use gateway_tests::{Client, Failures};
use rcgen::{CertificateParams, DnType, SanType};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

use super::{OK, Setup, ask, gateway, hello};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[tokio::test]
async fn every_mode_takes_whom_it_should() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let clients = Authority::new("clients");
    let ca = setup.files.write("clients.pem", &clients.pem());
    let good = clients.client("good");
    let stranger = Authority::new("strangers").client("stranger");
    // An authority of the same name is another one all the same.
    let double = Authority::new("clients").client("good");
    let old = clients.client_with("old", expired);
    let revoked = clients.client("revoked");
    let server = clients.server(&["gateway.test"]);
    let crl = setup.files.write("clients.crl", &clients.crl(&[&revoked]));
    let cases: [(&str, Option<&Pair>, [bool; 3]); 7] = [
        ("none", None, [true, true, false]),
        ("good", Some(&good), [true, true, true]),
        ("of a stranger", Some(&stranger), [true, false, false]),
        ("of a double", Some(&double), [true, false, false]),
        ("expired", Some(&old), [true, false, false]),
        ("revoked", Some(&revoked), [true, false, false]),
        ("of a server", Some(&server), [true, false, false]),
    ];
    let mut failures = Failures::new();
    for (index, mode) in ["off", "optional", "required"].into_iter().enumerate() {
        let more = match mode {
            "off" => String::new(),
            _ => format!(", client_auth = {mode:?}, client_ca = {ca:?}, client_crl = {crl:?}"),
        };
        let gateway = gateway(&upstream, &setup.tls(&more)).start().await;
        for (name, pair, expected) in &cases {
            for version in [&TLS12, &TLS13] {
                let tls = ClientTls::with(&setup.authority, "gateway.test", &[version], *pair);
                let asked = ask(gateway.addr(), &tls).await;
                let good = (asked.as_deref() == Ok(OK)) == expected[index];
                failures.check(good, || format!("{mode}, {name}, {version:?}: {asked:?}"));
            }
        }
    }
    failures.assert_none();
}

/// A server in this process whose module says who the client is.
async fn server(pair: &Pair, trust: ClientTrust) -> std::net::SocketAddr {
    let certificate = Certificate::from_pem(pair.cert.as_bytes(), pair.key.as_bytes(), &provider());
    let store = CertificateStore::new(vec![certificate.expect("a certificate")]);
    let tls = ServerTls::builder(provider(), store).client_auth(ClientAuth::Optional(trust));
    let listener = Listener::new("127.0.0.1:0".parse().expect("an address"));
    let bound = listener.tls(tls.build().expect("TLS")).bind().expect("bind");
    let Address::Tcp(addr) = bound.local_address() else { panic!("no port") };
    let module = gateway_core::module_fn(|request: Request| async move {
        let context = request.context().expect("a context");
        let tls = context.connection().tls.as_ref().expect("TLS");
        let text = match &tls.client {
            None => "nobody".to_owned(),
            Some(client) => format!(
                "{:?} {:?} {:?} {:?} {:?} {} {}",
                client.common_name.as_deref().unwrap_or_default(),
                client.dns_names,
                client.uris,
                client.emails,
                client.spiffe_id.as_deref().unwrap_or_default(),
                client.serial,
                client.fingerprint_hex(),
            ),
        };
        let name = tls.server_name.as_deref().unwrap_or_default();
        let text = format!("{} {} {name} {text}", tls.version, tls.alpn.unwrap_or_default());
        Ok::<_, Error>(Response::new(Body::from(text)))
    });
    tokio::spawn(Server::new(Module::new(module)).listen(bound).serve(std::future::pending()));
    addr
}

#[tokio::test]
async fn who_the_client_is_reaches_the_module() {
    let setup = Setup::new();
    let pair = setup.authority.server(&["gateway.test"]);
    let clients = Authority::new("clients");
    let trust = ClientTrust::from_pem(clients.pem().as_bytes()).expect("an authority");
    let addr = server(&pair, trust).await;
    let spiffe = "spiffe://example.org/ns/shop/sa/orders";
    let client = clients.client_with("orders", |params: &mut CertificateParams| {
        params.subject_alt_names = vec![
            SanType::DnsName("orders.internal".try_into().expect("a name")),
            SanType::URI(spiffe.try_into().expect("a URI")),
            SanType::Rfc822Name("orders@example.org".try_into().expect("an address")),
        ];
        params.serial_number = Some(rcgen::SerialNumber::from(0xabc_u64));
    });
    let tls = setup.showing(&client);
    let mut asking = Client::http2(addr).over(&tls);
    let text = asking.get("/").await.text();
    let expected = format!(
        "1.3 h2 gateway.test \"orders\" [\"orders.internal\"] [{spiffe:?}] \
         [\"orders@example.org\"] {spiffe:?} 0abc "
    );
    let fingerprint = text.strip_prefix(&expected).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(fingerprint, sha256(&client.cert));
    assert_eq!(Client::http1(addr).over(&setup.trusting()).get("/").await.text(), {
        "1.3 http/1.1 gateway.test nobody"
    });
    // Once more, by a session: it is the same client.
    let mut again = Client::http2(addr).over(&tls);
    assert_eq!(again.get("/").await.text(), text);
}

/// As `openssl x509 -fingerprint` says it, by the library that the gateway uses.
fn sha256(pem: &str) -> String {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().expect("TLS 1.3").common.hash_provider.hash(&der);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn names_that_mean_two_things_are_rejected() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let clients = Authority::new("clients");
    let ca = setup.files.write("clients.pem", &clients.pem());
    let more = format!(", client_auth = \"optional\", client_ca = {ca:?}");
    let gateway = gateway(&upstream, &setup.tls(&more)).start().await;
    let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
    let dns = |text: &str| SanType::DnsName(text.try_into().expect("ASCII"));
    let wrong: Vec<(&str, Vec<SanType>)> = vec![
        ("admin\0.evil", Vec::new()),
        ("admin\nx-user-id: root", Vec::new()),
        ("a", vec![dns("admin.test\0.evil.test")]),
        ("a", vec![uri("https://a\r\n")]),
        ("a", vec![uri("spiffe://a/b"), uri("spiffe://a/c")]),
        ("a", vec![uri("spiffe://a/../b")]),
        ("a", vec![SanType::Rfc822Name("a\u{7f}@b".try_into().expect("ASCII"))]),
    ];
    for (name, names) in wrong {
        let shown = format!("{name:?} {names:?}");
        let client = clients.client_with("a", |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.subject_alt_names = names;
        });
        let asked = ask(gateway.addr(), &setup.showing(&client)).await;
        assert!(asked.is_err(), "{shown}: {asked:?}");
    }
    let good = ask(gateway.addr(), &setup.showing(&clients.client("a"))).await;
    assert_eq!(good.as_deref(), Ok(OK));
}

/// A gateway whose route is for certificates of this name alone.
async fn for_orders(
    setup: &Setup,
    upstream: &gateway_tests::Upstream,
    ca: &str,
) -> gateway_tests::Gateway {
    let more = format!(", client_auth = \"optional\", client_ca = {ca:?}");
    gateway(upstream, &setup.tls(&more))
        .route("policy.mtls = \"partners\"")
        .more(
            "[identity.mtls.partners]\nallow = [\"cn:orders\", \"dns:*.orders.test\"]\n\
             forward = { x-user-id = \"subject\" }\n",
        )
        .start()
        .await
}

#[tokio::test]
async fn a_route_for_certificates_takes_those_of_the_right_name_and_no_word_for_it() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let (clients, strangers) = (Authority::new("clients"), Authority::new("clients"));
    let ca = setup.files.write("clients.pem", &clients.pem());
    let gateway = for_orders(&setup, &upstream, &ca).await;
    let named = |name: &str| {
        clients.client_with("x", |params| {
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("a name"))];
        })
    };
    let cases = [
        ("orders", Some(clients.client("orders")), Ok("orders")),
        ("a host of orders", Some(named("a.orders.test")), Ok("a.orders.test")),
        ("nobody", None, Err(401)),
        ("another", Some(clients.client("billing")), Err(403)),
        ("nearly", Some(clients.client("orders2")), Err(403)),
        ("in upper case", Some(clients.client("ORDERS")), Err(403)),
        ("a host behind it", Some(named("a.orders.test.evil.test")), Err(403)),
        ("the host itself", Some(named("orders.test")), Err(403)),
    ];
    let mut failures = Failures::new();
    for (name, pair, expected) in &cases {
        let tls = pair.as_ref().map_or_else(|| setup.trusting(), |pair| setup.showing(pair));
        for mut client in
            [Client::http1(gateway.addr()).over(&tls), Client::http2(gateway.addr()).over(&tls)]
        {
            let before = upstream.seen().len();
            // What proxies in front of others say of certificates.
            let request = http::Request::get("/")
                .header("x-user-id", "orders")
                .header("x-forwarded-client-cert", "Subject=\"CN=orders\"")
                .header("x-ssl-client-s-dn", "CN=orders")
                .header("x-client-verify", "SUCCESS");
            let request = request.body(gateway_tests::Payload::empty()).expect("a request");
            let reply = client.send(request).await;
            let seen = upstream.seen();
            let good = match expected {
                Ok(subject) => {
                    let told = seen.last().map(|seen| seen.header_all("x-user-id"));
                    reply.status == 200 && told == Some(vec![*subject])
                }
                Err(status) => reply.is_rejection(&[*status]) && seen.len() == before,
            };
            failures.check(good, || format!("{name}: {reply:?}"));
        }
    }
    // Of another authority, or over: not even a connection.
    for pair in [strangers.client("orders"), clients.client_with("orders", expired)] {
        let asked = ask(gateway.addr(), &setup.showing(&pair)).await;
        failures.check(asked.is_err(), || format!("{asked:?}"));
    }
    failures.assert_none();
}
