//! Every example runs, and does what it says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gateway_core::{
    Address, BoundListener, Error, FixedResponse, Gateway, Listener, Module, ModuleService,
    Observer, Reason, Request, Response, Route, RouteMatch, Server, StateChanged, Tasks, module_fn,
};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::ServiceExt;

macro_rules! examples {
    ($($name:ident $path:literal)+) => {
        $(
            #[allow(dead_code, missing_docs, reason = "`main` is what cannot be under test")]
            #[path = $path]
            pub mod $name;
        )+
    };
}

examples! {
    audit "../audit.rs"
    authorize "../authorize.rs"
    api_keys "../api_keys.rs"
    axum_module "../axum_module.rs"
    canary "../canary.rs"
    custom_discovery "../custom_discovery.rs"
    custom_layer "../custom_layer.rs"
    custom_module "../custom_module.rs"
    embed_axum "../embed_axum.rs"
    embed_config "../embed_config.rs"
    embed_core "../embed_core.rs"
    embed_layers "../embed_layers.rs"
    external_auth "../external_auth.rs"
    failover "../failover.rs"
    grpc "../grpc.rs"
    hedging "../hedging.rs"
    acme "../acme.rs"
    metrics "../metrics.rs"
    mtls "../mtls.rs"
    rate_limit "../rate_limit.rs"
    self_registration "../self_registration.rs"
    signing "../signing.rs"
    websocket "../websocket.rs"
}

/// A listener on a free port, and its address.
fn listener() -> (BoundListener, String) {
    let listener = Listener::new("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let Address::Tcp(address) = listener.local_address() else {
        panic!("not a TCP listener");
    };
    (listener, address.to_string())
}

/// Runs an example in the background, for as long as the tasks are held.
fn start(example: impl Future<Output = gateway_examples::Result> + Send + 'static) -> Tasks {
    let tasks = Tasks::new();
    tasks.spawn("example", async {
        if let Err(error) = example.await {
            panic!("the example failed: {error}");
        }
    });
    tasks
}

fn serve(gateway: Gateway) -> (Tasks, String) {
    let (listener, address) = listener();
    let serving = async {
        let server = Server::new(gateway).listen(listener);
        server.serve(std::future::pending()).await?;
        Ok(())
    };
    (start(serving), address)
}

/// An upstream that answers with the path; below `/slow`, never.
fn upstream() -> (Tasks, String) {
    let module = module_fn(async |request: Request| {
        if request.uri().path().starts_with("/slow") {
            std::future::pending::<()>().await;
        }
        Ok::<_, Error>(Response::new(format!("upstream {}\n", request.uri().path()).into()))
    });
    upstream_of(module)
}

/// An upstream that is `module`.
fn upstream_of(module: impl ModuleService) -> (Tasks, String) {
    let gateway = Gateway::builder().fallback(module).build().unwrap();
    let (tasks, address) = serve(gateway);
    (tasks, format!("http://{address}"))
}

/// An upstream that answers with `name`.
fn named(name: &'static str) -> (Tasks, String) {
    upstream_of(module_fn(async move |_: Request| Ok::<_, Error>(Response::new(name.into()))))
}

/// The whole answer to one request, as text.
async fn ask(address: &str, head: &str, body: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{head}\r\nhost: example.org\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    timeout(Duration::from_secs(10), exchange).await.unwrap()
}

async fn get(address: &str, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1"), "").await
}

/// As a caller with this token.
async fn get_as(address: &str, path: &str, token: &str) -> String {
    let line = format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}");
    ask(address, &line, "").await
}

/// Waits for something to become so; each look at it may ask for more.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), wait).await.unwrap();
}

#[track_caller]
fn assert_answer(answer: &str, status: &str, contained: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(answer.contains(contained), "{answer}");
}

#[tokio::test]
async fn embed_core_routes_to_a_module_and_a_cluster() {
    let (_upstream, url) = upstream();
    let (_gateway, address) = serve(embed_core::gateway(&url).unwrap());
    assert_answer(&get(&address, "/hello").await, "200", "hello\n");
    assert_answer(&get(&address, "/orders/7").await, "200", "upstream /orders/7\n");
    assert_answer(&get(&address, "/elsewhere").await, "404", "route_not_found");
}

#[tokio::test]
async fn embed_layers_limits_time_and_bodies() {
    let (_upstream, url) = upstream();
    let (_gateway, address) = serve(embed_layers::gateway(&url).unwrap());
    assert_answer(&get(&address, "/a").await, "200", "upstream /a\n");
    let head = "GET /slow HTTP/1.1\r\nx-request-deadline-ms: 200";
    assert_answer(&ask(&address, head, "").await, "504", "route_timeout");
    let head = "POST /a HTTP/1.1\r\ncontent-length: 65537";
    assert_answer(&ask(&address, head, "").await, "413", "body_too_large");
    let body = format!("ffff\r\n{}\r\nf\r\n{}\r\n0\r\n\r\n", "x".repeat(0xffff), "x".repeat(0xf));
    let head = "POST /a HTTP/1.1\r\ntransfer-encoding: chunked";
    assert_answer(&ask(&address, head, &body).await, "413", "body_too_large");
}

#[tokio::test]
async fn embed_config_leads_to_its_module() {
    let assembled = embed_config::assembly("config/embed.toml").assemble().unwrap();
    assert_eq!(assembled.warnings(), []);
    let (_gateway, address) = serve(assembled.gateway().clone());
    assert_answer(&get(&address, "/users").await, "200", "[]\n");
    assert_answer(&get(&address, "/elsewhere").await, "404", "route_not_found");
}

#[tokio::test]
async fn embed_axum_falls_through() {
    let (_upstream, url) = upstream();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let _example = start(async move { embed_axum::run(listener, &url).await });
    assert_answer(&get(&address, "/").await, "200", "axum's own\n");
    assert_answer(&get(&address, "/orders/7").await, "200", "upstream /orders/7\n");
    let answer = get(&address, "/elsewhere").await;
    assert_answer(&answer, "404", "");
    assert!(!answer.contains("route_not_found"), "{answer}");
}

#[tokio::test]
async fn address_policies_need_the_peer_inside_axum() {
    use axum::extract::ConnectInfo;
    use gateway_layers::filter::FilterLayer;
    use gateway_layers::ip_filter::IpFilter;
    use std::net::SocketAddr;

    let allow = IpFilter::new().allow(["127.0.0.0/8".parse().unwrap()]);
    let module = FixedResponse::new(http::StatusCode::NO_CONTENT);
    let module = Module::new(module).layered(FilterLayer::new(allow));
    let gateway = |with_peer: bool| {
        let route = Route::new("all", module.clone()).matching(RouteMatch::any());
        let builder = Gateway::builder().route(route);
        let builder = match with_peer {
            true => {
                builder.peer_from(|known| known.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
            }
            false => builder,
        };
        axum::Router::new().layer(builder.build().unwrap().layer())
    };
    for (with_peer, status, reason) in [(true, "204", ""), (false, "500", "client_address_unknown")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = gateway(with_peer).into_make_service_with_connect_info::<SocketAddr>();
        let _server = start(async move { Ok(axum::serve(listener, app).await?) });
        assert_answer(&get(&address, "/").await, status, reason);
    }
}

#[tokio::test]
async fn axum_module_answers_in_this_process() {
    let (listener, address) = listener();
    let _example = start(axum_module::run(listener));
    assert_answer(&get(&address, "/users").await, "200", "[\"ada\",\"grace\"]");
    assert_answer(&get(&address, "/users/ada").await, "200", "this is ada\n");
    // Not an upgrade: axum rejects it, and says so itself.
    assert_answer(&get(&address, "/users/ada/chat").await, "400", "upgrade");
    let url = format!("ws://{address}/users/ada/chat");
    let conversation = async {
        let (mut client, answer) = tokio_tungstenite::connect_async(&url).await.unwrap();
        assert_eq!(answer.status(), 101);
        for text in ["hello", "again"] {
            client.send(text.into()).await.unwrap();
            let answer = client.next().await.unwrap().unwrap();
            assert_eq!(answer.into_text().unwrap(), format!("ada says: {text}"));
        }
        client.close(None).await.unwrap();
        while let Some(Ok(message)) = client.next().await {
            assert!(message.is_close() || message.is_text(), "{message}");
        }
    };
    timeout(Duration::from_secs(10), conversation).await.unwrap();
}

#[tokio::test]
async fn custom_module_keeps_notes() {
    let (listener, address) = listener();
    let _example = start(custom_module::run(listener));
    assert_answer(&get(&address, "/notes/sky").await, "404", "no note");
    let head = "PUT /notes/sky HTTP/1.1\r\ncontent-length: 4";
    assert_answer(&ask(&address, head, "blue").await, "204", "");
    assert_answer(&get(&address, "/notes/sky").await, "200", "blue");
    let head = "PUT /notes/sky HTTP/1.1\r\ncontent-length: 5000";
    assert_answer(&ask(&address, head, &"x".repeat(5000)).await, "413", "body_too_large");
}

#[tokio::test]
async fn custom_layer_tells_the_time() {
    let (listener, address) = listener();
    let _example = start(custom_layer::run(listener));
    let answer = get(&address, "/").await;
    assert_answer(&answer, "200", "server-timing: target;dur=");
}

#[tokio::test]
async fn self_registration_finds_a_service_that_nobody_configured() {
    let (gateway, address) = listener();
    let _gateway = start(self_registration::run(gateway));
    assert_answer(&get(&address, "/resources/users").await, "503", "no_endpoint");
    assert_answer(&get(&address, "/registry/services").await, "401", "registry_token");
    let (service, own) = listener();
    let (url, own) = (format!("http://{address}"), format!("http://{own}"));
    let _service = start(async move { self_registration::serve(&url, &own, service).await });
    let registered = async {
        while !get(&address, "/resources/users").await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), registered).await.unwrap();
    let answer = get(&address, "/resources/groups").await;
    assert_answer(&answer, "200", "users answers /resources/groups\n");
    assert_answer(&get(&address, "/resources/products").await, "503", "no_endpoint");
    let token = "x-service-token: a-token-for-services";
    let head = format!("GET /registry/compatible?resource_type=users HTTP/1.1\r\n{token}");
    assert_answer(&ask(&address, &head, "").await, "200", "{\"services\":[\"users\"]}");
}

#[tokio::test]
async fn custom_discovery_sends_where_it_is_told() {
    let (_upstream, url) = upstream();
    let (listener, address) = listener();
    let _example = start(custom_discovery::run(listener));
    assert_answer(&get(&address, "/orders/7").await, "503", "no_endpoint");
    let say = async |text: &str| {
        let head = format!("PUT /endpoints HTTP/1.1\r\ncontent-length: {}", text.len());
        assert_answer(&ask(&address, &head, text).await, "202", "");
    };
    let shows = async |text: &str| {
        let seen = async { while !get(&address, "/endpoints").await.contains(text) {} };
        timeout(Duration::from_secs(10), seen).await.unwrap();
    };
    say(&url).await;
    shows(&format!("{url}: picked")).await;
    assert_answer(&get(&address, "/orders/7").await, "200", "upstream /orders/7\n");
    // What cannot be understood is said, and changes nothing.
    say("somewhere").await;
    shows("from said over HTTP (fails: `somewhere` is no endpoint").await;
    assert_answer(&get(&address, "/orders/7").await, "200", "upstream /orders/7\n");
}

#[tokio::test]
async fn websocket_echoes_through_the_gateway() {
    let (listener, address) = listener();
    let _example = start(websocket::run(listener));
    let url = format!("ws://{address}/echo");
    let conversation = async {
        let (mut client, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        for text in ["hello", "again", &"x".repeat(100_000)] {
            client.send(text.into()).await.unwrap();
            let echoed = client.next().await.unwrap().unwrap();
            assert_eq!(echoed.into_text().unwrap(), text);
        }
        client.close(None).await.unwrap();
        while let Some(Ok(message)) = client.next().await {
            assert!(message.is_close());
        }
    };
    timeout(Duration::from_secs(10), conversation).await.unwrap();
}

#[tokio::test]
async fn grpc_is_answered_here_and_there() {
    use tonic::transport::Channel;
    use tonic_prost::ProstCodec;

    async fn hello(
        channel: &Channel,
        name: &str,
        place: &'static str,
    ) -> Result<String, tonic::Status> {
        let name = name.to_owned();
        let mut request = tonic::Request::new(grpc::HelloRequest { name });
        let place = tonic::metadata::MetadataValue::from_static(place);
        request.metadata_mut().insert("x-place", place);
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(grpc::HELLO);
        let codec = ProstCodec::<_, grpc::HelloReply>::default();
        let reply = client.unary(request, path, codec).await?;
        Ok(reply.into_inner().text)
    }

    let (listener, address) = listener();
    let _example = start(grpc::run(listener));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    for place in ["here", "there"] {
        let reply = hello(&channel, "ada", place).await.unwrap();
        assert_eq!(reply, format!("hello ada, from {place}"));
        let rejected = hello(&channel, "", place).await.unwrap_err();
        assert_eq!(rejected.code(), tonic::Code::InvalidArgument);
        assert_eq!(rejected.message(), "nobody to greet");
    }
}

#[tokio::test]
async fn canary_keeps_sessions_together_and_can_be_forced() {
    let ((_blue, blue), (_green, green)) = (named("blue"), named("green"));
    let ((public, address), (operators, own)) = (listener(), listener());
    let _example = start(async move { canary::run(public, operators, &blue, &green).await });
    for variant in ["blue", "green"] {
        let head = format!("GET / HTTP/1.1\r\nx-variant: {variant}");
        assert_answer(&ask(&address, &head, "").await, "200", variant);
    }
    let mut to_green = 0;
    for key in ["cookie: session=", "x-user: "] {
        for number in 0..100 {
            let head = format!("GET / HTTP/1.1\r\n{key}{number}");
            let is_green = ask(&address, &head, "").await.ends_with("green");
            assert_eq!(ask(&address, &head, "").await.ends_with("green"), is_green, "{head}");
            to_green += u32::from(is_green);
        }
    }
    // A tenth of 200, as far as keys are spread evenly.
    assert!((5..50).contains(&to_green), "{to_green}");
    assert_answer(&get(&own, "/weights").await, "200", "blue weight 90");
}

#[tokio::test]
async fn canary_switches_and_drops_nothing() {
    let arrived = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let (tell, wait) = (Arc::clone(&arrived), Arc::clone(&release));
    let (_blue, blue) = upstream_of(module_fn(move |request: Request| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            if request.uri().path() == "/held" {
                tell.notify_one();
                wait.notified().await;
            }
            Ok::<_, Error>(Response::new("blue".into()))
        }
    }));
    let (_green, green) = named("green");
    let ((public, address), (operators, own)) = (listener(), listener());
    let _example = start(async move { canary::run(public, operators, &blue, &green).await });
    let say = async |weights: &str| {
        let head = format!("PUT /weights HTTP/1.1\r\ncontent-length: {}", weights.len());
        ask(&own, &head, weights).await
    };
    let switch = async {
        arrived.notified().await;
        for weights in ["blue=0 green=100", "green=0 blue=100"].repeat(5) {
            assert_answer(&say(weights).await, "200", "weight 100");
        }
        assert_answer(&say("blue=0 green=100").await, "200", "blue weight 0");
        for _ in 0..20 {
            assert_answer(&get(&address, "/").await, "200", "green");
        }
        // What is wrong changes nothing.
        for weights in ["blue=100", "blue=100 green", "blue=100 red=0", "blue=100 green=-1"] {
            assert_answer(&say(weights).await, "400", "");
        }
        assert_answer(&get(&address, "/").await, "200", "green");
        release.notify_one();
    };
    let others = async {
        for _ in 0..50 {
            assert_answer(&get(&address, "/").await, "200", "");
        }
    };
    let held = ask(&address, "GET /held HTTP/1.1\r\nx-variant: blue", "");
    let (held, (), ()) = tokio::join!(held, switch, others);
    assert_answer(&held, "200", "blue");
}

/// Changes of state, as they were told.
#[derive(Clone, Default)]
struct Changes {
    list: Arc<Mutex<Vec<String>>>,
}

impl Observer for Changes {
    fn state_changed(&self, event: &StateChanged<'_>) {
        let change = format!("{} {} to {}", event.subject, event.name, event.to);
        self.list.lock().unwrap().push(change);
    }
}

impl Changes {
    fn have(&self, change: &str) -> bool {
        self.list.lock().unwrap().iter().any(|one| one == change)
    }
}

#[tokio::test]
async fn failover_answers_whoever_is_down() {
    let (primary, first) = named("primary");
    let well = Arc::new(AtomicBool::new(true));
    let is_healthy = Arc::clone(&well);
    let (_secondary, second) = upstream_of(module_fn(move |_: Request| {
        let is_healthy = is_healthy.load(Ordering::Relaxed);
        let answer = is_healthy.then(|| Response::new("secondary".into()));
        async move { answer.ok_or(Error::new(Reason::ModuleUnhealthy)) }
    }));
    let (listener, address) = listener();
    let (changes, url) = (Changes::default(), first.clone());
    let observer = changes.clone();
    let _example = start(async move { failover::run(listener, &url, &second, observer).await });
    until(async || get(&address, "/").await.ends_with("primary")).await;

    // The primary stops: no request fails, and soon none goes there any more.
    drop(primary);
    until(async || {
        let answer = get(&address, "/").await;
        assert_answer(&answer, "200", "");
        assert!(!answer.contains("x-gateway-fallback"), "{answer}");
        answer.ends_with("secondary")
            && ["ejected", "unhealthy"]
                .iter()
                .any(|state| changes.have(&format!("endpoint {first} to {state}")))
    })
    .await;

    // The secondary fails as well: the answer is the fixed one, and the breaker opens.
    well.store(false, Ordering::Relaxed);
    until(async || {
        let answer = get(&address, "/").await;
        assert_answer(&answer, "200", "x-gateway-fallback: empty-list");
        assert!(answer.ends_with("[]"), "{answer}");
        changes.have("breaker orders to open")
    })
    .await;

    // It is back: probes find that out, and the breaker closes.
    well.store(true, Ordering::Relaxed);
    until(async || {
        let answer = get(&address, "/").await;
        assert_answer(&answer, "200", "");
        answer.ends_with("secondary") && changes.have("breaker orders to closed")
    })
    .await;
}

#[tokio::test]
async fn hedging_asks_another_endpoint_when_one_is_slow() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (_stuck, stuck) = upstream_of(module_fn(move |_: Request| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Response, Error>>()
    }));
    let (_quick, quick) = named("quick");
    let (listener, address) = listener();
    let _example = start(async move { hedging::run(listener, &stuck, &quick).await });
    // Whom a request meets first is drawn.
    until(async || {
        assert_answer(&get(&address, "/").await, "200", "quick");
        asked.load(Ordering::Relaxed) >= 3
    })
    .await;
}

/// Of ada: the scope `users:read`.
const ADA: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjo\
                    gInVzZXJzIiwgInN1YiI6ICJhZGEiLCAiZXhwIjogNDEwMjQ0NDgwMCwgInNjb3BlIjogInV\
                    zZXJzOnJlYWQifQ.HCtrYeP6Qva75tEzu5g0WkXgKtTvuZL3S1W0ilHt3lY";

/// Of bo, an admin with the same scope.
const BO: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjo\
                    gInVzZXJzIiwgInN1YiI6ICJibyIsICJleHAiOiA0MTAyNDQ0ODAwLCAic2NvcGUiOiAidXN\
                    lcnM6cmVhZCIsICJyb2xlcyI6IFsiYWRtaW4iXX0.JzBelj_CH8aLbp83MxkK6tvGOscFHJp\
                    -757783539d4";

/// Of cy, who has no scope.
const CY: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjo\
                    gInVzZXJzIiwgInN1YiI6ICJjeSIsICJleHAiOiA0MTAyNDQ0ODAwfQ.sBDwyJKFeIPNSB-M\
                    fuCAEjNLb_xI8Vp9TMgjlJoD6bI";

#[tokio::test]
async fn authorize_lets_everybody_see_his_own_page_and_admins_all() {
    let (listener, address) = listener();
    let _example = start(authorize::run(listener));
    until(async || get(&address, "/users/ada").await.contains("401")).await;
    for (token, path, status) in [
        (ADA, "/users/ada", "204"),
        (ADA, "/users/bo", "403"),
        (BO, "/users/ada", "204"),
        (CY, "/users/cy", "403"),
    ] {
        let answer = get_as(&address, path, token).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn acme() {
    use gateway_core::{FixedResponse, Module};
    use gateway_layers::acme::AcmeState;
    use gateway_tests::certs::Files;
    use gateway_tests::{Client, Pebble, eventually_within, free_port};
    let port = free_port();
    let Some(pebble) = Pebble::builder().tls_port(port).start() else { return };
    let files = Files::new();
    let storage = files.folder().join("acme").display().to_string();
    let trust = rustls::ClientConfig::clone(pebble.trusting().config());
    let directory = pebble.directory();
    let (tls, kept) =
        acme::secured("gateway.test", "ops@gateway.test", &storage, &directory, trust).unwrap();
    let listener = Listener::new(format!("127.0.0.1:{port}").parse().unwrap()).tls(tls);
    let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
    let server = Server::new(module).listen(listener.bind().unwrap());
    let _tasks = start(async { Ok(server.serve(std::future::pending()).await.map(drop)?) });
    kept.start();
    let state = || kept.status().state;
    let valid = |state: &AcmeState| *state == AcmeState::Valid;
    eventually_within(Duration::from_secs(30), "a certificate", state, valid).await;
    let tls = pebble.client("gateway.test").await;
    let mut client = Client::http2(([127, 0, 0, 1], port).into()).over(&tls);
    assert_eq!(client.get("/").await.status, 204);
}

#[tokio::test]
async fn mtls() {
    use gateway_tests::Client;
    use gateway_tests::certs::{Authority, ClientTls, Files};
    let (authority, files) = (Authority::new("examples"), Files::new());
    files.pair("gateway", &authority.server(&["gateway.test"]));
    files.write("clients.pem", &authority.pem());
    let path = |name: &str| files.folder().join(name).display().to_string();
    let missing = mtls::tls(&path("gateway.pem"), &path("nowhere"), &path("clients.pem"));
    assert!(missing.unwrap_err().to_string().contains("nowhere cannot be read"));
    let watch =
        mtls::tls(&path("gateway.pem"), &path("gateway.key"), &path("clients.pem")).unwrap();
    let listener = Listener::new("127.0.0.1:0".parse().unwrap()).tls(watch.tls().clone());
    let bound = listener.bind().unwrap();
    let Address::Tcp(address) = bound.local_address() else { panic!("not a TCP listener") };
    let server = Server::new(mtls::module()).listen(bound);
    let _tasks = start(async { Ok(server.serve(std::future::pending()).await.map(drop)?) });
    let known = ClientTls::showing(&authority, "gateway.test", &authority.client("orders"));
    let mut client = Client::http2(address).over(&known);
    assert_eq!(client.get("/").await.text(), "hello orders\n");
    let stranger = ClientTls::new(&authority, "gateway.test").offering(&["h2"]);
    let socket = TcpStream::connect(address).await.unwrap();
    let mut stream = stranger.handshake(socket).await.unwrap();
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).await.is_err());
}

#[tokio::test]
async fn signing_lets_partners_pass_and_signs_what_goes_on() {
    let (_upstream, upstream) = upstream_of(module_fn(async |request: Request| {
        let field = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let text = format!("{} {}", field("x-partner"), field("signature-input"));
        Ok::<_, Error>(Response::new(text.into()))
    }));
    let (listener, address) = listener();
    let _example = start(async move { signing::run(listener, &upstream).await });
    assert_answer(&get(&address, "/orders").await, "401", "unauthenticated");
    let partner = signing::partner(&format!("http://{address}")).unwrap();
    for body in ["", "an order"] {
        let request = http::Request::post("/orders").header("host", "example.org");
        let request = request.body(gateway_core::Body::full(body)).unwrap();
        let answer = partner.clone().oneshot(request).await.unwrap();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with("acme gateway=("), "{text}");
        assert!(text.contains("keyid=\"gateway-2026\""), "{text}");
    }
}

#[tokio::test]
async fn external_auth_lets_pass_whom_the_service_knows() {
    let decides = module_fn(async |request: Request| {
        let asked = format!("{} {}", request.method(), request.uri());
        assert_eq!(asked, "GET /check");
        let mut answer = Response::new("not you\n".into());
        let token = request.headers().get("authorization");
        if token.is_some_and(|token| token == "Bearer ada") {
            answer.headers_mut().insert("x-user-id", "ada".parse().unwrap());
        } else {
            *answer.status_mut() = http::StatusCode::FORBIDDEN;
        }
        Ok::<_, Error>(answer)
    });
    let (service, decider) = upstream_of(decides);
    let told = module_fn(async |request: Request| {
        let user = request.headers().get("x-user-id").map(|user| user.to_str().unwrap().to_owned());
        Ok::<_, Error>(Response::new(format!("{user:?}\n").into()))
    });
    let (_upstream, url) = upstream_of(told);
    let (listener, address) = listener();
    let _example = start(async move { external_auth::run(listener, &decider, &url).await });
    let head = "GET /a HTTP/1.1\r\nauthorization: Bearer ada\r\nx-user-id: root";
    assert_answer(&ask(&address, head, "").await, "200", "Some(\"ada\")");
    let head = "GET /a HTTP/1.1\r\nauthorization: Bearer eve\r\nx-user-id: root";
    assert_answer(&ask(&address, head, "").await, "403", "not you\n");
    drop(service);
    let head = "GET /a HTTP/1.1\r\nauthorization: Bearer ada";
    until(async || ask(&address, head, "").await.contains("identity_unavailable")).await;
}

#[tokio::test]
async fn api_keys_let_in_who_has_one_until_it_is_taken_back() {
    let (_upstream, url) = upstream_of(module_fn(async |request: Request| {
        let told = request.headers().get("x-user-id").map(|id| id.to_str().unwrap().to_owned());
        let key = request.headers().contains_key("x-api-key");
        Ok::<_, Error>(Response::new(format!("{} {key}", told.unwrap_or_default()).into()))
    }));
    let (listener, address) = listener();
    let keys = api_keys::keys();
    let grant = gateway_layers::auth::api_key::KeyGrant::new("acme");
    let (key, record) = keys.issue(grant).await.unwrap();
    let issued = keys.clone();
    let _gateway = start(async move { api_keys::run(listener, &url, issued).await });
    let head = format!("GET / HTTP/1.1\r\nx-user-id: eve\r\nx-api-key: {}", key.reveal());
    assert_answer(&ask(&address, &head, "").await, "200", "acme false");
    assert_answer(&get(&address, "/").await, "401", "unauthenticated");
    keys.revoke(&record.id).await.unwrap();
    assert_answer(&ask(&address, &head, "").await, "401", "credentials_invalid");
}

#[tokio::test]
async fn audit_tells_its_sink_who_was_not_let_in() {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let sink = audit::Topic(move |event: &str| drop(sender.send(event.to_owned())));
    let (listener, address) = listener();
    let _example = start(async move { audit::run(listener, sink).await });
    assert_answer(&get(&address, "/orders").await, "204", "");
    assert_answer(&get(&address, "/private/a?token=planted").await, "403", "forbidden");
    let event = timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
    for part in ["\"reason\":\"forbidden\"", "\"path\":\"/private/a\"", "\"route\":\"private\""] {
        assert!(event.contains(part), "{event}");
    }
    assert!(!event.contains("planted") && events.try_recv().is_err(), "{event}");
}

#[tokio::test]
async fn metrics_show_what_was_counted_and_a_number_of_the_program() {
    let (listener, address) = listener();
    let _example = start(async move { metrics::run(listener).await });
    for _ in 0..3 {
        assert_answer(&get(&address, "/orders").await, "200", "taken");
    }
    let shown = get(&address, "/metrics").await;
    let orders = "http_requests_total{route=\"orders\",method=\"GET\",status=\"200\"} 3";
    for line in [orders, "orders_queued 3", "# EOF"] {
        assert!(shown.contains(line), "no {line} in {shown}");
    }
}

#[tokio::test]
async fn rate_limit_counts_who_is_known_and_who_guesses() {
    let (listener, address) = listener();
    let _example = start(async move { rate_limit::run(listener).await });
    let send = async |password: &str| {
        let credentials = format!("GET / HTTP/1.1\r\nauthorization: Basic {password}");
        ask(&address, &credentials, "").await
    };
    // `ada:lovelace`, and `ada:babbage`.
    let (right, wrong) = ("YWRhOmxvdmVsYWNl", "YWRhOmJhYmJhZ2U=");
    let answer = send(right).await;
    assert_answer(&answer, "204", "\"minute\";r=9");
    assert_answer(&answer, "204", "\"day\";r=999");
    for left in (0..9).rev() {
        assert_answer(&send(wrong).await, "401", &format!("\"minute\";r={left}"));
    }
    for guess in [wrong, right] {
        assert_answer(&send(guess).await, "429", "rate_limited");
    }
}
