use gateway_core::upstream::Discover;
use gateway_core::{
    Body, Cluster, ConnectionInfo, Error, FixedResponse, Gateway, Health, Module, ModuleService,
    Outcome, Reason, Request, RequestContext, Response, Route, RouteMatch, module_fn,
};
use http::request;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::*;

/// A module of this process that says its name, and may be unwell or reject.
struct Named {
    name: &'static str,
    health: Arc<Mutex<Health>>,
    accepts: bool,
}

impl ModuleService for Named {
    async fn call(&self, _: Request) -> Outcome {
        Ok(Response::new(self.name.into()))
    }

    fn accepts(&self, head: &request::Parts, _: &Metadata) -> bool {
        self.accepts || head.headers.contains_key("x-please")
    }

    async fn health(&self) -> Health {
        *self.health.lock().unwrap()
    }
}

fn named(name: &'static str) -> (Module, Arc<Mutex<Health>>) {
    let health = Arc::new(Mutex::new(Health::Healthy));
    let module = Named { name, health: Arc::clone(&health), accepts: true };
    (Module::new(module), health)
}

async fn register(registry: &Registry, name: &str, module: Module, takes: &[&str]) {
    active(registry, Registration::new(name, module).capabilities(kinds(takes))).await;
}

fn gateway(registry: &Registry) -> Gateway {
    let target = Module::new(CapabilityModule::new(registry).param("resource_type", "type"));
    let by_param = Route::new("param", target);
    let by_metadata = Route::new("metadata", Module::new(CapabilityModule::new(registry)));
    let nothing = Route::new("nothing", Module::new(CapabilityModule::new(registry)));
    let other = CapabilityModule::new(registry).choice(Choice::First);
    let other = other.query("resource_type", "type").header("region", "x-region".parse().unwrap());
    let other = Route::new("other", Module::new(other));
    Gateway::builder()
        .route(by_param.matching(RouteMatch::path("/resources/{type}").unwrap()))
        .route(by_metadata.metadata(asked("users")).matching(RouteMatch::path("/users").unwrap()))
        .route(nothing.matching(RouteMatch::path("/nothing").unwrap()))
        .route(other.matching(RouteMatch::path("/other").unwrap()))
        .build()
        .unwrap()
}

fn request(path: &str) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    let request = http::Request::get(path).header("host", "a").extension(context);
    request.body(Body::empty()).unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Who answers, or why nobody does.
async fn ask(gateway: &Gateway, request: Request) -> String {
    match ModuleService::call(gateway, request).await {
        Ok(response) => text(response).await,
        Err(error) => format!("{}: {}", error.reason(), error.detail()),
    }
}

#[tokio::test(start_paused = true)]
async fn requests_go_to_whoever_takes_them() {
    let registry = builder(&Doctor::default()).build();
    let (users, users_health) = named("users");
    register(&registry, "users", users, &["users", "groups"]).await;
    register(&registry, "products", named("products").0, &["products"]).await;
    let gateway = gateway(&registry);
    assert_eq!(ask(&gateway, request("/resources/users")).await, "users");
    assert_eq!(ask(&gateway, request("/resources/groups")).await, "users");
    assert_eq!(ask(&gateway, request("/resources/%70roducts")).await, "products");
    assert_eq!(ask(&gateway, request("/users")).await, "users");
    let none = ask(&gateway, request("/resources/unknown")).await;
    assert!(none.contains("no_endpoint") && none.contains("no service"), "{none}");
    let none = ask(&gateway, request("/nothing")).await;
    assert!(none.contains("no_endpoint") && none.contains("asks for no capability"), "{none}");
    let none = ask(&gateway, request("/other?type=users")).await;
    assert!(none.contains("does not say its `region`"), "{none}");
    // Asked right before: the last check said that it is well.
    *users_health.lock().unwrap() = Health::Unhealthy;
    assert_eq!(registry.health_check().get("users"), Some(&true));
    let none = ask(&gateway, request("/users")).await;
    assert!(none.contains("no_endpoint"), "{none}");
}

#[tokio::test(start_paused = true)]
async fn modules_have_the_last_word() {
    let registry = builder(&Doctor::default()).build();
    let health = Arc::new(Mutex::new(Health::Healthy));
    let picky = Named { name: "picky", health, accepts: false };
    register(&registry, "picky", Module::new(picky), &["users"]).await;
    assert!(names(&registry, "users").is_empty());
    let gateway = gateway(&registry);
    assert!(ask(&gateway, request("/users")).await.contains("no_endpoint"));
    let mut please = request("/users");
    please.headers_mut().insert("x-please", "1".parse().unwrap());
    assert_eq!(ask(&gateway, please).await, "picky");
}

#[tokio::test(start_paused = true)]
async fn the_least_loaded_gets_the_request_and_equals_take_turns() {
    let registry = builder(&Doctor::default()).build();
    register(&registry, "a", named("a").0, &["users"]).await;
    register(&registry, "b", named("b").0, &["users"]).await;
    let gateway = gateway(&registry);
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(ask(&gateway, request("/users")).await);
    }
    assert_eq!(seen.len(), 2);
    // One has an answer under way: everything else goes to the other.
    let busy = ModuleService::call(&gateway, request("/users")).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(ask(&gateway, request("/users")).await);
    }
    assert_eq!(seen.len(), 1);
    assert!(!seen.contains(&text(busy).await));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_counts_no_more() {
    let registry = builder(&Doctor::default()).build();
    let never = module_fn(async |_: Request| {
        std::future::pending::<()>().await;
        Err::<Response, _>(Error::new(Reason::ModuleFailed))
    });
    register(&registry, "never", Module::new(never), &["users"]).await;
    let gateway = gateway(&registry);
    let load = || registry.shared.view.load()["never"].load();
    let call = async {
        let call = ModuleService::call(&gateway, request("/users"));
        tokio::select! {
            biased;
            _ = call => panic!("it answered"),
            under_way = async {
                tokio::time::sleep(SECOND).await;
                load()
            } => under_way,
        }
    };
    assert_eq!(call.await, 1000);
    assert_eq!(load(), 0);
}

#[tokio::test(start_paused = true)]
async fn names_of_modules_are_not_taken_over_by_addresses() {
    let registry = builder(&Doctor::default()).build();
    let module = || Module::new(FixedResponse::new(http::StatusCode::OK));
    let users = registry.register(Registration::new("users", module())).await.unwrap();
    assert_eq!(users.lease, None);
    let rejected = registry.register(at("users", "http://10.0.0.1")).await;
    assert!(matches!(rejected, Err(RegistryError::NameTaken(..))));
    registry.register(at("orders", "http://10.0.0.1")).await.unwrap();
    let rejected = registry.register(Registration::new("orders", module())).await;
    assert!(matches!(rejected, Err(RegistryError::NameTaken(..))));
    tokio::time::sleep(1000 * SECOND).await;
    assert!(registry.instance(&users.id).is_some(), "a module of this process has no lease");
}

#[tokio::test(start_paused = true)]
async fn a_service_takes_what_each_of_its_instances_takes() {
    let registry = builder(&Doctor::default()).build();
    active(&registry, at("s", "http://10.0.0.1").capabilities(kinds(&["a", "b"]))).await;
    assert_eq!(
        (names(&registry, "a"), names(&registry, "b")),
        (vec!["s".into()], vec!["s".into()])
    );
    active(&registry, at("s", "http://10.0.0.2").capabilities(kinds(&["b", "c"]))).await;
    assert!(names(&registry, "a").is_empty() && names(&registry, "c").is_empty());
    assert_eq!(names(&registry, "b"), ["s"]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_follows_the_registry() {
    let doctor = Doctor::default();
    let registry = builder(&doctor).build();
    let cluster = |source: RegistrySource| {
        let cluster = Cluster::builder("c").discovery(source).build().unwrap();
        cluster.start();
        cluster
    };
    let source = RegistrySource::service(&registry, "users");
    assert_eq!(Discover::name(&source), "registry users");
    let by_name = cluster(source);
    let by_capability = cluster(RegistrySource::compatible(&registry, asked("users")));
    let settled = async |expected: &[&str]| {
        for cluster in [&by_name, &by_capability] {
            let names = || -> BTreeSet<String> {
                cluster.endpoints().iter().map(|endpoint| endpoint.name().to_string()).collect()
            };
            let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
            while names() != expected {
                cluster.changed().await;
            }
        }
    };
    by_name.ready().await;
    settled(&[]).await;
    let users = |address: &str| at("users", address).capabilities(kinds(&["users"])).weight(7);
    let one = active(&registry, users("http://10.0.0.1:80")).await;
    settled(&["http://10.0.0.1:80"]).await;
    let two = active(&registry, users("http://10.0.0.2:80")).await;
    settled(&["http://10.0.0.1:80", "http://10.0.0.2:80"]).await;
    registry.deregister(&one.id, one.secret.reveal()).await.unwrap();
    settled(&["http://10.0.0.2:80"]).await;
    doctor.ill("http://10.0.0.2:80");
    let beat = async {
        loop {
            tokio::time::sleep(10 * SECOND).await;
            registry.heartbeat(&two.id, two.secret.reveal()).await.unwrap();
        }
    };
    tokio::select! {
        () = beat => {}
        () = settled(&[]) => {}
    }
    assert_eq!(registry.instance(&two.id).unwrap().state, InstanceState::Unhealthy);
}
