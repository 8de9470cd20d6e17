use proptest::prelude::*;
use tokio::time::Instant;

use super::super::registration::{At, Record};
use super::super::secret::Fingerprint;
use super::super::state::State;
use super::*;

#[derive(Clone, Debug)]
enum Act {
    Insert { id: u8, service: u8, address: u8, bytes: u16 },
    Remove { id: u8 },
    Renew { id: u8 },
    Checked { id: u8, well: bool },
    Check { most: usize },
    Merge { ids: Vec<(u8, u8, u8)> },
    Wait { seconds: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<u8>(), 0..6_u8, 0..8_u8, 0..600_u16).prop_map(|(id, service, address, bytes)| {
            Act::Insert { id, service, address, bytes }
        }),
        1 => any::<u8>().prop_map(|id| Act::Remove { id }),
        1 => any::<u8>().prop_map(|id| Act::Renew { id }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(id, well)| Act::Checked { id, well }),
        1 => (0..4_usize).prop_map(|most| Act::Check { most }),
        1 => proptest::collection::vec((any::<u8>(), 0..6_u8, 0..8_u8), 0..12)
            .prop_map(|ids| Act::Merge { ids }),
        1 => (0..20_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn record(id: u8, service: u8, address: u8, bytes: u16) -> Arc<Record> {
    Arc::new(Record {
        id: format!("id-{id}").into(),
        service: format!("s{service}").into(),
        at: At::Address(format!("http://10.0.0.{address}").parse().unwrap()),
        capabilities: Capabilities::new(),
        metadata: [("m", "x".repeat(bytes.into()))].into_iter().collect(),
        lease: 30 * SECOND,
        health_path: "/".into(),
        weight: 1,
        zone: None,
        secret: Fingerprint::of(b""),
    })
}

fn limits() -> RegistryLimits {
    RegistryLimits {
        services: 4,
        instances_per_service: 3,
        instances: 8,
        bytes: 2000,
        ..RegistryLimits::default()
    }
}

fn within(state: &State) {
    let limits = limits();
    let mut ids = BTreeSet::new();
    let (mut count, mut bytes) = (0, 0);
    let mut services = 0;
    for (name, instances) in state.services() {
        services += 1;
        assert!(!instances.is_empty() && instances.len() <= limits.instances_per_service);
        let mut addresses = BTreeSet::new();
        for (id, instance) in instances {
            assert_eq!((&instance.record.id, &instance.record.service), (id, name));
            assert!(addresses.insert(instance.record.address().unwrap().to_string()));
            assert!(ids.insert(id.to_string()));
            assert!(state.find(id).is_some());
            bytes += instance.record.bytes();
            count += 1;
        }
    }
    assert!(services <= limits.services && count <= limits.instances && bytes <= limits.bytes);
    assert_eq!((state.len(), state.bytes()), (count, bytes));
}

proptest! {
    #[test]
    fn whatever_happens_the_bounds_hold(acts in proptest::collection::vec(act(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let start = Instant::now();
        let mut now = start;
        let mut state = State::new(limits());
        let checks = CheckConfig::default();
        for act in acts {
            match act {
                Act::Insert { id, service, address, bytes } => {
                    let record = record(id, service, address, bytes);
                    let admitted = state.admits(&record).is_ok();
                    let before = state.len();
                    let inserted = state.insert(record, Some(now + 30 * SECOND), now);
                    assert_eq!(inserted.is_ok(), admitted);
                    assert!(admitted || state.len() == before);
                }
                Act::Remove { id } => {
                    let there = state.find(&format!("id-{id}")).is_some();
                    assert_eq!(state.remove(&format!("id-{id}"), "").is_some(), there);
                }
                Act::Renew { id } => {
                    state.renew(&format!("id-{id}"), now + 30 * SECOND, now);
                }
                Act::Checked { id, well } => {
                    let found = if well { Ok(()) } else { Err("ill".to_owned()) };
                    state.checked(&format!("id-{id}"), found, &checks, now);
                }
                Act::Check { most } => assert!(state.due(most, now).len() <= most),
                Act::Merge { ids } => {
                    let stored = ids.into_iter().map(|(id, service, address)| Stored {
                        record: record(id, service, address, 10),
                        remaining: SECOND * u32::from(id % 40),
                    });
                    state.merge(stored.collect(), now, now);
                    // Whatever is over by now was ended, or came anew.
                    assert!(state.next_expiry().is_none_or(|at| at > now));
                }
                Act::Wait { seconds } => now += Duration::from_secs(seconds),
            }
            within(&state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_displaces_nobody_who_came_after() {
    let mut state = State::new(limits());
    let started = Instant::now();
    tokio::time::advance(SECOND).await;
    let now = Instant::now();
    state.insert(record(2, 0, 0, 0), Some(now + 30 * SECOND), now).unwrap();
    let older = || vec![Stored { record: record(1, 0, 0, 0), remaining: SECOND }];
    assert!(state.merge(older(), started, now).0.is_empty());
    assert!(state.find("id-2").is_some());
    // Read afterwards, it is who is there now.
    assert_eq!(state.merge(older(), now + SECOND, now + SECOND).0.len(), 2);
    assert!(state.find("id-1").is_some() && state.find("id-2").is_none());
    // One id at two places is what no registry writes.
    let twice = Stored { record: record(1, 1, 1, 0), remaining: SECOND };
    assert!(state.insert(twice.record, None, now).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_rejected_and_said() {
    let limits = RegistryLimits {
        services: 2,
        instances_per_service: 2,
        instances: 3,
        registration: 100,
        ..RegistryLimits::default()
    };
    let registry = builder(&Doctor::default()).limits(limits).build();
    let register = async |service: &str, last: u8| {
        let registration = at(service, &format!("http://10.0.0.{last}"));
        registry.register(registration).await.map_err(|error| error.to_string())
    };
    register("a", 1).await.unwrap();
    register("a", 2).await.unwrap();
    assert!(register("a", 3).await.unwrap_err().contains("2 instances of one service at most"));
    // In the place of another one there is room.
    register("a", 2).await.unwrap();
    register("b", 1).await.unwrap();
    assert!(register("b", 2).await.unwrap_err().contains("3 instances at most"));
    assert!(register("c", 1).await.unwrap_err().contains("2 services at most"));
    let large = [("m", "x".repeat(100))].into_iter().collect();
    let error = registry.register(at("a", "http://10.0.0.1").metadata(large)).await.unwrap_err();
    assert!(error.to_string().contains("found 101 bytes, expected 100 bytes"), "{error}");
}
