//! What events say.

use super::*;
use gateway_core::{HandshakeFailed, StateChanged};

/// A gateway whose routes fail for the reason that their path names, and its events.
struct Failing {
    gateway: Gateway,
    audit: Audit,
    hand: Hand,
}

fn failing(principal: AuditPrincipal) -> Failing {
    let module = Module::new(module_fn(|request: Request| async move {
        let context = request.extensions().get::<RequestContext>().unwrap();
        let mut ada = Principal::new("ada", "jwt");
        ada.tenant = Some("north".into());
        context.set_principal(ada.into());
        let code = request.uri().path().trim_start_matches('/').split('/').next().unwrap();
        match Reason::from_code(code) {
            Some(reason) => Err(Error::new(reason)
                .with_detail("in this case")
                .with_source(std::io::Error::other("planted"))),
            None => Ok(Response::new(Body::empty())),
        }
    }));
    let hand = Hand::default();
    let audit = Audit::builder().principal(principal).sink(hand.clone()).with_clock(Still);
    let audit = audit.build().unwrap();
    let gateway = Gateway::builder()
        .route(Route::new("all", module).matching(RouteMatch::any()))
        .observer(audit.clone())
        .build()
        .unwrap();
    Failing { gateway, audit, hand }
}

impl Failing {
    async fn asked(&self, method: &str, target: &str) {
        let request = http::Request::builder().method(method).uri(target).header("host", "a.test");
        let mut request = request.body(Body::empty()).unwrap();
        let mut listener = ListenerInfo::default();
        listener.name = "public".to_owned();
        let peer = "10.0.0.7:1234".parse().unwrap();
        let connection = ConnectionInfo::new(Arc::new(listener), Some(peer), None);
        let context = RequestContext::new(Arc::new(connection), Instant::now());
        request.extensions_mut().insert(context);
        drop(self.gateway.handle(request).await);
    }

    async fn events(self) -> Vec<Value> {
        assert_eq!(self.audit.drain(Duration::from_secs(1)).await, 0);
        self.hand.events()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_says_what_happened_and_nothing_of_the_query_or_the_source() {
    let failing = failing(AuditPrincipal::Plain);
    failing.asked("GET", "/forbidden/a?token=planted").await;
    let events = failing.events().await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let id = event["id"].as_str().unwrap().to_owned();
    assert!(id.ends_with("-1") && id.len() == 18, "{id}");
    assert_eq!(
        *event,
        serde_json::json!({
            "time": "2026-11-26T09:01:09.045Z", "id": id, "kind": "authorization",
            "reason": "forbidden", "detail": "in this case", "status": 403, "method": "GET",
            "path": "/forbidden/a", "route": "all", "listener": "public", "client": "10.0.0.7",
            "peer": "10.0.0.7", "principal": "ada", "principal_method": "jwt", "tenant": "north",
            "generation": 1,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn every_audited_reason_is_one_event_of_its_kind_and_no_other_is_any() {
    let failing = failing(AuditPrincipal::Off);
    for reason in Reason::ALL {
        failing.asked("GET", &format!("/{reason}")).await;
    }
    failing.asked("GET", "/fine").await;
    let events = failing.events().await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["reason"].as_str().unwrap()))
        .collect();
    let audited = Reason::ALL
        .iter()
        .filter_map(|reason| Some((AuditKind::of(*reason)?.name(), reason.code())));
    assert_eq!(told, audited.collect::<Vec<_>>());
    assert!(events.iter().all(|event| event.get("principal").is_none()), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn what_clients_say_is_one_line_and_no_longer_than_it_may_be() {
    let failing = failing(AuditPrincipal::Plain);
    let long = format!("/forbidden/%22%0a{}", "x".repeat(5000));
    failing.asked(&"M".repeat(400), &long).await;
    assert_eq!(failing.audit.drain(Duration::from_secs(1)).await, 0);
    let took = failing.hand.took.lock().unwrap();
    let event = &took[0][0];
    assert!(event.json().bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let read = read(event.json());
    assert_eq!(read["path"].as_str().unwrap().len(), MAX_PATH);
    assert_eq!(read["method"].as_str().unwrap().len(), MAX_NAME);
    assert!(read["path"].as_str().unwrap().ends_with("..."));
}

#[tokio::test(start_paused = true)]
async fn who_called_can_be_hidden_and_told_apart_all_the_same() {
    let failing = failing(AuditPrincipal::Hashed("key".into()));
    failing.asked("GET", "/forbidden").await;
    failing.asked("GET", "/rate_limited").await;
    let events = failing.events().await;
    assert_eq!(events[0]["principal"], events[1]["principal"]);
    let text = format!("{events:?}");
    assert!(!text.contains("ada") && !text.contains("north"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_and_what_changes_are_events_too() {
    let hand = Hand::default();
    let audit = started(&hand, |_| {});
    let peer = "[::ffff:10.0.0.8]:1".parse().unwrap();
    let connection = ConnectionInfo::new(Arc::default(), Some(peer), None);
    let error = Error::new(Reason::FramingInvalid).with_detail("two lengths");
    audit.request_rejected(&RequestRejected::new(&connection, &error));
    audit.handshake_failed(&HandshakeFailed::new(&connection, "no certificate"));
    audit.state_changed(&StateChanged::new("snapshot", "document", "current", "kept", "1:\n2:"));
    audit.state_changed(&StateChanged::new("certificate", "a.test", "due", "valid", ""));
    audit.state_changed(&StateChanged::new("endpoint", "http://a", "healthy", "unhealthy", ""));
    audit.drain(Duration::from_secs(1)).await;
    let events = hand.events();
    let told = |index: usize, name: &str| events[index][name].as_str().unwrap_or("-").to_owned();
    let all =
        |index: usize| ["kind", "reason", "detail", "name", "to"].map(|name| told(index, name));
    assert_eq!(all(0), ["request", "framing_invalid", "two lengths", "-", "-"]);
    assert_eq!((told(0, "peer"), events[0]["status"].as_u64()), ("10.0.0.8".into(), Some(400)));
    assert_eq!(all(1), ["connection", "handshake_failed", "no certificate", "-", "-"]);
    assert_eq!(all(2), ["configuration", "snapshot", "1:\n2:", "document", "kept"]);
    assert_eq!(all(3), ["configuration", "certificate", "-", "a.test", "valid"]);
    assert_eq!(events.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn kinds_that_nobody_wants_are_no_events() {
    let hand = Hand::default();
    let audit = Audit::builder().events([AuditKind::Connection]).sink(hand.clone()).build();
    let audit = audit.unwrap();
    reject(&audit, 3);
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    audit.handshake_failed(&HandshakeFailed::new(&connection, ""));
    audit.drain(Duration::from_secs(1)).await;
    assert_eq!(hand.events().len(), 1);
}
