use std::time::Duration;

use futures_util::FutureExt;
use gateway_core::{Body, Error, Module, Outcome, Reason, Request, Response, module_fn};
use http::{HeaderValue, StatusCode};
use tower::{Layer, ServiceExt};

use super::{CheckRejected, Checked, Guard, GuardChain, GuardLayer};
use crate::filter::{Flow, filter_fn};

/// Answers with the trail that guards left in the request.
fn shows_trail() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let mut response = Response::new(Body::empty());
        for step in request.headers().get_all("x-trail") {
            response.headers_mut().append("x-trail", step.clone());
        }
        Ok::<_, Error>(response)
    }))
}

/// Leaves its mark at once, or so many waits later.
struct Marks(&'static str, u32);

impl Marks {
    fn later(name: &'static str, waits: u32) -> Checked {
        Checked::wait(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            move |request: &mut Request| Self(name, waits - 1).check(request)
        })
    }
}

impl Guard for Marks {
    fn check(&self, request: &mut Request) -> Checked {
        if self.1 > 0 {
            return Self::later(self.0, self.1);
        }
        request.headers_mut().append("x-trail", HeaderValue::from_static(self.0));
        Checked::Pass
    }
}

/// Ends with what `then` says, at once or after a wait.
struct Ends(fn() -> Checked, bool);

impl Guard for Ends {
    fn check(&self, _: &mut Request) -> Checked {
        let then = self.0;
        if !self.1 {
            return then();
        }
        Checked::wait(async move {
            tokio::task::yield_now().await;
            move |_: &mut Request| then()
        })
    }
}

async fn through(guard: impl Guard) -> Outcome {
    let service = GuardLayer::new(guard).layer(shows_trail());
    service.oneshot(Request::new(Body::empty())).await
}

fn trail(outcome: &Outcome) -> Vec<&str> {
    let steps = outcome.as_ref().unwrap().headers().get_all("x-trail").into_iter();
    steps.map(|step| step.to_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn guards_run_in_order_whoever_of_them_waits() {
    for (first, second, third) in [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 1), (3, 2, 1)] {
        let inner = GuardChain::new().then(Marks("b", second));
        let filter = filter_fn(|head| {
            head.headers.append("x-trail", HeaderValue::from_static("f"));
            Flow::Continue
        });
        let chain = GuardChain::new().then(Marks("a", first)).then(inner).then(filter);
        let began = tokio::time::Instant::now();
        let outcome = through(chain.then(Marks("c", third))).await;
        assert_eq!(trail(&outcome), ["a", "b", "f", "c"]);
        assert_eq!(began.elapsed().as_secs(), u64::from(first + second + third));
    }
    assert!(GuardChain::new().is_empty());
    assert!(trail(&through(GuardChain::new()).await).is_empty());
}

#[tokio::test]
async fn the_first_that_stops_decides() {
    for waits in [false, true] {
        let rejects = Ends(|| Checked::Reject(Reason::Forbidden.into()), waits);
        let chain = GuardChain::new().then(Marks("a", 0)).then(rejects);
        let chain = chain.then(Ends(|| panic!("seen by a later guard"), false));
        assert_eq!(through(chain).await.unwrap_err().reason(), Reason::Forbidden);
        let answer = || {
            let mut response = Response::new("from the guard".into());
            *response.status_mut() = StatusCode::ACCEPTED;
            Checked::Answer(response)
        };
        let chain = GuardChain::new().then(Ends(answer, waits));
        let chain = chain.then(Ends(|| panic!("seen by a later guard"), false));
        assert_eq!(through(chain).await.unwrap().status(), StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_while_it_waits_asks_nobody_any_more() {
    struct Dropped(std::sync::Arc<()>);
    impl Guard for Dropped {
        fn check(&self, _: &mut Request) -> Checked {
            let held = std::sync::Arc::clone(&self.0);
            Checked::wait(async move {
                std::future::pending::<()>().await;
                move |_: &mut Request| {
                    drop(held);
                    Checked::Pass
                }
            })
        }
    }
    let held = std::sync::Arc::new(());
    let mut waiting = Box::pin(through(Dropped(std::sync::Arc::clone(&held))));
    assert!((&mut waiting).now_or_never().is_none());
    assert!(std::sync::Arc::strong_count(&held) > 1);
    drop(waiting);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

fn unknown() -> Checked {
    Checked::Reject(Reason::TokenInvalid.into())
}

fn asks() -> Checked {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Checked::Answer(response)
}

fn forbidden() -> Checked {
    Checked::Reject(Reason::Forbidden.into())
}

fn limited() -> Checked {
    Checked::Reject(Reason::RateLimited.into())
}

fn told(outcome: Outcome) -> StatusCode {
    outcome.map_or_else(|error| error.reason().status(), |response| response.status())
}

#[tokio::test]
async fn a_second_guard_sees_those_whom_the_first_does_not_know_and_nobody_else() {
    let pass = || Checked::Pass;
    for (first, second, status) in [
        (unknown as fn() -> Checked, pass as fn() -> Checked, 401),
        (unknown, limited, 429),
        (asks, pass, 401),
        (asks, limited, 429),
        (forbidden, limited, 403),
        (pass, limited, 200),
    ] {
        for (first_waits, second_waits) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let guard = CheckRejected::new(Ends(first, first_waits), Ends(second, second_waits));
            assert_eq!(told(through(guard).await), status, "{first_waits} {second_waits}");
        }
    }
}
