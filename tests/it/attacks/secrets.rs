//! Secrets of every kind, planted where they belong, and looked for everywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_layers::auth::basic::PasswordHash;
use gateway_tests::tokens::{ISSUER, Signer, claims, sha256};
use gateway_tests::{
    Admin, Answer, Client, Gateway, GatewayBuilder, Reply, Seen, Upstream, run_gateway,
};

use super::{ADMIN, request};
use crate::routing::LISTENER;

/// In every secret: what is looked for.
const PLANTED: &str = "pLaNtEd-sEcReT";

/// A secret of this kind, which nothing but its kind may tell.
pub(crate) fn secret(kind: &str) -> String {
    format!("{PLANTED}-{kind}-0123456789abcdef0123456789abcdef")
}

/// Everything that somebody could read, and is no place for secrets.
#[derive(Default)]
struct Said(String);

impl Said {
    fn reply(&mut self, reply: &Reply) {
        self.0.push_str(&format!("{:?} {} {:?}\n", reply.headers, reply.text(), reply.trailers));
    }

    async fn admin(&mut self, admin: Admin) {
        let explained = "/explain?method=GET&url=http://gateway.test/jwt";
        for path in [
            "/ready",
            "/status",
            "/clusters",
            "/splits",
            "/mirrors",
            "/identity",
            "/limits",
            explained,
            "/nothing",
        ] {
            self.reply(&admin.get(path).await);
        }
    }

    /// Runs the program; gives whether it was content.
    fn command(&mut self, arguments: &[&str]) -> bool {
        let output = run_gateway(arguments, "");
        self.0.push_str(&String::from_utf8_lossy(&output.stdout));
        self.0.push_str(&String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_clean(&self.0);
    }
}

/// Fails where there is a secret in `said`, as it is or in Base64.
#[track_caller]
pub(crate) fn assert_clean(said: &str) {
    let forms = [PLANTED.to_owned(), encoded_part(0), encoded_part(1), encoded_part(2)];
    for form in forms {
        if let Some(at) = said.find(&form) {
            let from = said[..at].rfind('\n').map_or(0, |line| line + 1);
            let rest = &said[from..];
            panic!("{form} in: {}", &rest[..rest.find('\n').unwrap_or(rest.len())]);
        }
    }
}

/// What is the same of the planted word in Base64 behind `before` letters, whatever they are.
fn encoded_part(before: usize) -> String {
    let text = STANDARD.encode(format!("{}{PLANTED}-", "x".repeat(before)));
    text[before.div_ceil(3) * 4..(before + PLANTED.len()) / 3 * 4].to_owned()
}

/// Where nobody listens.
fn nowhere() -> Upstream {
    Upstream::rejecting()
}

/// A service that repeats all that it was told, in an answer that is of no use.
async fn repeats() -> Upstream {
    let script = |seen: &Seen| {
        let said = format!("{:?} {}", seen.headers, String::from_utf8_lossy(&seen.body));
        match seen.target.as_str() {
            "/introspect" if !said.contains("good") => Answer::status(500, said),
            "/introspect" | "/verify" => Answer::ok(r#"{"active":true,"sub":"ada"}"#)
                .header("content-type", "application/json"),
            "/check" if said.contains("reject") => Answer::status(403, "no"),
            "/check" => Answer::ok("yes").header("x-internal", &secret("internal")),
            _ => Answer::ok("ok"),
        }
    };
    Upstream::http1().script_after_body(script).start().await
}

/// A route of this name with this policy, to this cluster.
fn route(name: &str, policy: &str, cluster: &str) -> String {
    format!(
        "[[routes]]\nid = {name:?}\nmatch = {{ prefix = \"/{name}\" }}\n\
         target = {{ cluster = {cluster:?} }}\npolicy = {{ {policy} }}\n"
    )
}

/// Every kind of identity and of store, each with a secret of its own.
fn document(upstream: &Upstream, gone: &Upstream) -> String {
    let (url, gone_url) = (upstream.url(), gone.url());
    let gone_host = gone.addr();
    let hash = PasswordHash::make(&secret("password")).expect("a hash").to_string();
    let identities = format!(
        "[identity.jwt.main]\nissuer = {ISSUER:?}\naudience = \"orders\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = {:?} }}\nfrom = [\"header\", \"query:token\", \"cookie:token\"]\n\
         [identity.api_key.here.keys.one]\nsha256 = {:?}\nowner = \"acme\"\n\
         [identity.api_key.in_redis]\ntimeout = \"200ms\"\n\
         redis = {{ url = \"redis://gateway:{}@{gone_host}/\" }}\n\
         [identity.api_key.in_postgres]\ntimeout = \"200ms\"\n\
         postgres = {{ url = \"postgresql://gateway:{}@{gone_host}/gateway\" }}\n\
         [identity.basic.staff]\nusers.ada.hash = {hash:?}\n\
         [identity.service_token.inner]\n\
         tokens = [{{ service = \"billing\", token = {:?} }}]\n\
         [identity.signature.partners]\n\
         keys = [{{ id = \"k1\", algorithm = \"hmac-sha256\", key = {:?}, owner = \"ada\" }}]\n\
         [identity.introspection.house]\nurl = \"{url}/introspect\"\n\
         client_id = \"gateway\"\nclient_secret = {:?}\n\
         [identity.introspection.away]\nurl = \"{gone_url}/introspect\"\n\
         client_id = \"gateway\"\nclient_secret = {:?}\n\
         [identity.delegated.users]\nurl = \"{url}/verify\"\n\
         [stores.redis]\nurl = \"redis://gateway:{}@{gone_host}/\"\non_unavailable = \"share\"\n",
        secret("jwt"),
        sha256(&secret("api-key")),
        secret("api-redis"),
        secret("postgres"),
        secret("service-token"),
        secret("signature"),
        secret("introspection"),
        secret("away"),
        secret("redis"),
    );
    let clusters = format!(
        "[clusters.upstream]\nendpoints = [{url:?}]\nservice_token = {:?}\n\
         sign = {{ id = \"out\", algorithm = \"hmac-sha256\", key = {:?} }}\n\
         [clusters.auth]\nendpoints = [{url:?}]\nservice_token = {:?}\n\
         [clusters.gone]\nendpoints = [{gone_url:?}]\nservice_token = {:?}\n",
        secret("own-token"),
        secret("sign"),
        secret("auth-token"),
        secret("gone-token"),
    );
    let external = "external_auth = { cluster = \"auth\", path = \"/check\", \
                    upstream_headers = [\"x-internal\"] }";
    let limit = "rate_limit = { limit = 1000, key = [\"api_key\"], store = \"redis\" }";
    let routes = [
        route("jwt", &format!("jwt = \"main\", {limit}"), "upstream"),
        route("api-key", "api_key = \"here\"", "upstream"),
        route("api-redis", "api_key = \"in_redis\"", "upstream"),
        route("api-postgres", "api_key = \"in_postgres\"", "upstream"),
        route("basic", "basic = \"staff\"", "upstream"),
        route("service", "service_token = \"inner\"", "upstream"),
        route("signature", "signature = \"partners\"", "upstream"),
        route("introspection", "introspection = \"house\"", "upstream"),
        route("away", "introspection = \"away\"", "upstream"),
        route("delegated", "delegated = \"users\"", "upstream"),
        route("external", &format!("public = true, {external}"), "upstream"),
        route("gone", "jwt = \"main\"", "gone"),
        route("fresh-check", "public = true", "upstream"),
    ];
    format!("{LISTENER}{clusters}{identities}{}{ADMIN}", routes.concat())
}

fn gateway(text: &str) -> GatewayBuilder {
    Gateway::document(text).environment("RUST_LOG", "trace")
}

/// What is asked, and with which status it is answered.
type Question = (&'static str, Vec<(&'static str, String)>, u16);

fn questions() -> Vec<Question> {
    let jwt = Signer::secret(secret("jwt"));
    // The token is a secret as well, and its claims have one in them.
    let token = |subject: &str| jwt.token("a", &claims(&format!("{subject}-{PLANTED}")));
    let forged = Signer::secret(secret("forged")).token("a", &claims(PLANTED));
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let key = |kind: &str| ("x-api-key", secret(kind));
    let basic = |password: &str| {
        let text = STANDARD.encode(format!("ada:{}", secret(password)));
        ("authorization", format!("Basic {text}"))
    };
    let input = "sig=(\"@method\");created=1;keyid=\"k1\";nonce=\"pLaNtEd-sEcReT-nonce\"";
    vec![
        ("/jwt", vec![bearer(&token("ada"))], 200),
        ("/jwt", vec![bearer(&forged)], 401),
        ("/jwt", vec![bearer(&secret("no-token"))], 401),
        ("/jwt", vec![bearer(&token("a")), bearer(&token("b"))], 401),
        ("/jwt", vec![("cookie", format!("token={}", token("ada")))], 200),
        ("/gone", vec![bearer(&token("ada"))], 502),
        ("/api-key", vec![key("api-key")], 200),
        ("/api-key", vec![key("wrong-key")], 401),
        ("/api-key", vec![key("api-key"), key("api-key")], 401),
        ("/api-redis", vec![key("api-key")], 503),
        ("/api-postgres", vec![key("api-key")], 503),
        ("/basic", vec![basic("password")], 200),
        ("/basic", vec![basic("wrong-password")], 401),
        ("/basic", vec![("authorization", format!("Basic {}", secret("no-base64")))], 401),
        ("/service", vec![("x-service-token", secret("service-token"))], 200),
        ("/service", vec![("x-service-token", secret("wrong-token"))], 401),
        (
            "/signature",
            vec![
                ("signature-input", input.to_owned()),
                ("signature", format!("sig=:{}:", STANDARD.encode(secret("mac")))),
            ],
            401,
        ),
        ("/introspection", vec![bearer(&format!("good-{}", secret("opaque")))], 200),
        ("/introspection", vec![bearer(&secret("opaque"))], 503),
        ("/away", vec![bearer(&secret("opaque"))], 503),
        ("/delegated", vec![bearer(&secret("opaque"))], 200),
        ("/external", vec![bearer(&secret("told"))], 200),
        ("/external", vec![bearer(&secret("reject"))], 403),
    ]
}

#[tokio::test]
async fn no_secret_of_any_kind_is_in_what_the_gateway_says() {
    let (upstream, gone) = (repeats().await, nowhere());
    let gateway = gateway(&document(&upstream, &gone)).start().await;
    let admin = gateway.admin();
    let mut said = Said::default();
    let mut clients = [Client::http1(gateway.addr()), Client::http2(gateway.addr())];
    for (target, fields, status) in questions() {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for client in &mut clients {
            let reply = client.send(request(target, &fields)).await;
            assert_eq!(reply.status, status, "{target} {fields:?}: {reply:?}");
            said.reply(&reply);
        }
    }
    // In a query, which is for upstreams as it is, and for nobody else.
    let token = Signer::secret(secret("jwt")).token("a", &claims(PLANTED));
    let reply = clients[0].get(&format!("/jwt?token={token}")).await;
    reply.assert_ok("ok");
    // What upstreams and services are told has arrived: this could have failed.
    let seen = format!("{:?}", upstream.seen());
    for kind in ["own-token", "auth-token", "internal", "told"] {
        assert!(seen.contains(&secret(kind)), "{kind}");
    }
    said.admin(admin).await;
    let log = gateway.log();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "{log:.400}");
    let token_parts: Vec<&str> = token.split('.').collect();
    assert!(!log.contains(token_parts[1]) && !log.contains(token_parts[2]));
    said.0.push_str(&log);
    let path = gateway.document_path();
    let config = path.to_str().expect("a path");
    assert!(said.command(&["check", "--config", config]), "{}", said.0);
    for target in ["jwt", "api-key", "introspection", "signature", "external", "gone"] {
        let url = format!("http://gateway.test/{target}");
        let header = format!("authorization: Bearer {token}");
        let arguments = ["explain", "--config", config, "--header", &header, "GET", &url];
        assert!(said.command(&arguments), "{}", said.0);
    }
    said.assert_clean();
}

/// A document in which something is wrong right where a secret stands says so without it.
#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_without_it() {
    let (upstream, gone) = (repeats().await, nowhere());
    let gateway = gateway(&document(&upstream, &gone)).start().await;
    let good = gateway.document_text();
    let (admin, path) = (gateway.admin(), gateway.document_path());
    let config = path.to_str().expect("a path");
    let quoted = |kind: &str| format!("{:?}", secret(kind));
    let mut said = Said::default();
    for (from, to) in [
        // Not TOML, in the middle of it.
        (quoted("introspection"), format!("\"{}", secret("introspection"))),
        (quoted("jwt"), format!("{} x", quoted("jwt"))),
        (quoted("jwt"), format!("\"\\q{}\"", secret("jwt"))),
        // Of another type, or in something else.
        (quoted("jwt"), format!("[{}]", quoted("jwt"))),
        (quoted("jwt"), format!("{{ path = {} }}", quoted("jwt"))),
        (quoted("signature"), format!("\"{PLANTED}\"")),
        (quoted("jwt"), format!("\"{PLANTED}\"")),
        (quoted("sign"), format!("\"{PLANTED}\"")),
        (quoted("service-token"), format!("\"{PLANTED}\"")),
        (quoted("service-token"), format!("\"\\u0001{}\"", secret("service-token"))),
        (quoted("own-token"), format!("\"\\u0001{}\"", secret("own-token"))),
        // A name that is nearly right, with the value behind it.
        ("client_secret = ".to_owned(), "client_secrets = ".to_owned()),
        ("keys = { secret = ".to_owned(), "keys = { sekret = ".to_owned()),
        // A secret where its hash belongs.
        (format!("{:?}", sha256(&secret("api-key"))), quoted("api-key")),
        ("hash = \"$".to_owned(), format!("hash = \"{PLANTED}$")),
        (format!("token = {}", quoted("service-token")), format!("sha256 = {}", quoted("x"))),
        // An address that is none, with a password in it.
        ("url = \"redis://gateway:".to_owned(), "url = \"rediss-x://gateway:".to_owned()),
        ("url = \"postgresql://gateway:".to_owned(), "url = \"mysql://gateway:".to_owned()),
        (
            format!("url = \"{}/introspect\"", upstream.url()),
            format!("url = \"http://gateway:{}@127.0.0.1/introspect\"", secret("userinfo")),
        ),
        (
            format!("endpoints = [{:?}]", upstream.url()),
            format!("endpoints = [\"http://gateway:{}@127.0.0.1/\"]", secret("userinfo")),
        ),
        (
            format!("keys = {{ secret = {} }}", quoted("jwt")),
            format!("keys = {{ url = \"http://gateway:{}@127.0.0.1/\" }}", secret("userinfo")),
        ),
    ] {
        assert!(good.contains(&from), "{from}");
        gateway.rewrite_document(&good.replace(&from, &to));
        let reply = admin.reload().await;
        assert_eq!(reply.status, 409, "{from} {to}: {}", reply.text());
        said.reply(&reply);
        said.reply(&admin.get("/status").await);
        assert!(!said.command(&["check", "--config", config]), "{to}");
        said.assert_clean();
    }
    said.0.push_str(&gateway.log());
    said.assert_clean();
}
