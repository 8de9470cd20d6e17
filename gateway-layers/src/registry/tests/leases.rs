use tokio::time::{Instant, advance, sleep};

use super::*;

const ADDRESS: &str = "http://10.0.0.1:80";

#[tokio::test(start_paused = true)]
async fn what_is_registered_is_pending_until_the_gateway_has_found_it_well() {
    let (doctor, diary) = (Doctor::default(), Diary::default());
    doctor.ill(ADDRESS);
    let registry = builder(&doctor).observers(diary.observers()).build();
    let users = at("users", ADDRESS).capabilities(kinds(&["users"])).health_path("/ready");
    let registered = registry.register(users).await.unwrap();
    assert_eq!(registered.state, InstanceState::Pending);
    assert_eq!((registered.lease, registered.heartbeat()), (Some(30 * SECOND), Some(10 * SECOND)));
    let state = registry.confirmed(&registered.id, 3 * SECOND).await;
    assert_eq!(state, Some(InstanceState::Pending));
    assert!(names(&registry, "users").is_empty());
    assert_eq!(registry.health_check().get("users"), Some(&false));
    let problem = registry.instance(&registered.id).unwrap().problem;
    assert_eq!(problem.as_deref(), Some("status 503"));
    doctor.well(ADDRESS);
    let state = registry.confirmed(&registered.id, 3 * SECOND).await;
    assert_eq!(state, Some(InstanceState::Active));
    assert_eq!(names(&registry, "users"), ["users"]);
    assert_eq!(registry.health_check().get("users"), Some(&true));
    assert!(doctor.asked.lock().unwrap().iter().all(|asked| asked == "http://10.0.0.1:80/ready"));
    let told = diary.take();
    let expected =
        ["registration absent>pending (registered)", "registration pending>active (checked)"];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_without_heartbeats_and_not_with_them() {
    let (doctor, diary) = (Doctor::default(), Diary::default());
    let registry = builder(&doctor).observers(diary.observers()).build();
    let registered = active(&registry, at("users", ADDRESS)).await;
    let start = Instant::now();
    for _ in 0..20 {
        sleep(10 * SECOND).await;
        let (state, lease) =
            registry.heartbeat(&registered.id, registered.secret.reveal()).await.unwrap();
        assert_eq!((state, lease), (InstanceState::Active, 30 * SECOND));
    }
    diary.take();
    while registry.instance(&registered.id).is_some() {
        registry.changed().await;
    }
    assert_eq!(start.elapsed().as_secs(), 230);
    assert_eq!(diary.take(), ["registration active>absent (its lease ended)"]);
    let late = registry.heartbeat(&registered.id, registered.secret.reveal()).await;
    assert!(matches!(late, Err(RegistryError::Unknown)));
    assert!(registry.health_check().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_lease_ends_at_its_own_time() {
    let registry = builder(&Doctor::default()).build();
    let start = Instant::now();
    for (number, seconds) in [(1, 50), (2, 5), (3, 20)] {
        let registration = at("users", &format!("http://10.0.0.{number}"));
        registry.register(registration.lease(SECOND * seconds)).await.unwrap();
    }
    for expected in [5, 20, 50] {
        let before = registry.instances().len();
        while registry.instances().len() == before {
            registry.changed().await;
        }
        assert_eq!(start.elapsed().as_secs(), expected);
    }
    assert!(registry.instances().is_empty());
}

#[tokio::test(start_paused = true)]
async fn leases_outside_of_the_bounds_are_rejected() {
    let registry = builder(&Doctor::default()).build();
    for (seconds, taken) in [(4, false), (5, true), (300, true), (301, false)] {
        let registration = at("users", ADDRESS).lease(SECOND * seconds);
        assert_eq!(registry.register(registration).await.is_ok(), taken, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_of_the_secret_renews_and_ends() {
    let registry = builder(&Doctor::default()).build();
    let own = registry.register(at("users", ADDRESS)).await.unwrap();
    let other = registry.register(at("users", "http://10.0.0.2")).await.unwrap();
    for secret in ["", "x", other.secret.reveal()] {
        let heartbeat = registry.heartbeat(&own.id, secret).await;
        assert!(matches!(heartbeat, Err(RegistryError::NotTheHolder)));
        let end = registry.deregister(&own.id, secret).await;
        assert!(matches!(end, Err(RegistryError::NotTheHolder)));
    }
    registry.deregister(&own.id, own.secret.reveal()).await.unwrap();
    let again = registry.deregister(&own.id, own.secret.reveal()).await;
    assert!(matches!(again, Err(RegistryError::Unknown)));
    registry.remove(&other.id).await.unwrap();
    assert!(registry.instances().is_empty());
}

#[tokio::test(start_paused = true)]
async fn three_bad_checks_make_it_unhealthy_and_two_good_ones_bring_it_back() {
    let (doctor, diary) = (Doctor::default(), Diary::default());
    let registry = builder(&doctor).observers(diary.observers()).build();
    let module = gateway_core::FixedResponse::new(http::StatusCode::OK);
    let other = Registration::new("other", gateway_core::Module::new(module));
    active(&registry, other).await;
    let users = active(&registry, at("users", ADDRESS).lease(300 * SECOND)).await;
    let state = || registry.instance(&users.id).unwrap().state;
    let checks = || doctor.asked.lock().unwrap().len();
    let checked = async |count: usize| {
        let from = checks();
        while checks() < from + count {
            advance(SECOND / 10).await;
            tokio::task::yield_now().await;
        }
        sleep(SECOND / 100).await;
    };
    diary.take();
    doctor.ill(ADDRESS);
    checked(2).await;
    assert_eq!(state(), InstanceState::Active);
    checked(1).await;
    assert_eq!(state(), InstanceState::Unhealthy);
    assert_eq!(diary.take(), ["registration active>unhealthy (status 503)"]);
    doctor.well(ADDRESS);
    checked(1).await;
    assert_eq!(state(), InstanceState::Unhealthy);
    checked(1).await;
    assert_eq!(state(), InstanceState::Active);
    assert_eq!(diary.take(), ["registration unhealthy>active (checked)"]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_at_the_same_address_takes_the_place_and_stays_well() {
    let registry = builder(&Doctor::default()).build();
    let before = active(&registry, at("users", ADDRESS)).await;
    let after = registry.register(at("users", ADDRESS)).await.unwrap();
    assert_eq!(after.state, InstanceState::Active);
    assert_eq!(registry.instances().len(), 1);
    let late = registry.heartbeat(&before.id, before.secret.reveal()).await;
    assert!(matches!(late, Err(RegistryError::Unknown)));
    // Checked in another way, it has to show that it is well.
    let other = registry.register(at("users", ADDRESS).health_path("/other")).await.unwrap();
    assert_eq!(other.state, InstanceState::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_does_not_end_is_a_bad_one() {
    struct Silent;
    impl Check for Silent {
        async fn check(&self, _: &EndpointAddress, _: &str) -> Result<(), String> {
            std::future::pending().await
        }
    }
    let registry = Registry::builder().allow(allow()).with_check(Silent).build();
    let registered = registry.register(at("users", ADDRESS)).await.unwrap();
    sleep(3 * SECOND).await;
    let problem = registry.instance(&registered.id).unwrap().problem.unwrap();
    assert!(problem.contains("no answer within 2s"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_at_once_with_its_place() {
    let registry = builder(&Doctor::default()).build();
    let wrong = at("a b", "http://127.0.0.1")
        .capabilities(Capabilities::new().with("ki nd", ["x"]).with("empty", [""]).with("*", ["x"]))
        .metadata([("note", "a\nb")].into_iter().collect())
        .lease(SECOND)
        .health_path("//evil")
        .weight(1_000_000)
        .zone("");
    let Err(RegistryError::Invalid(faults)) = registry.register(wrong).await else {
        panic!("taken");
    };
    let places: Vec<_> = faults.iter().map(|fault| fault.at.as_str()).collect();
    let expected = [
        "/service",
        "/capabilities/*",
        "/capabilities/empty",
        "/capabilities/ki nd",
        "/metadata/note",
        "/lease_seconds",
        "/health_path",
        "/weight",
        "/zone",
    ];
    assert_eq!(places, expected);
    let rejected = registry.register(at("users", "http://127.0.0.1")).await;
    assert!(matches!(rejected, Err(RegistryError::Address(AddressError::Special(..)))));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_everything() {
    let doctor = Doctor::default();
    let registry = builder(&doctor).build();
    active(&registry, at("users", ADDRESS)).await;
    drop(registry);
    let before = doctor.asked.lock().unwrap().len();
    sleep(100 * SECOND).await;
    assert_eq!(doctor.asked.lock().unwrap().len(), before);
}
