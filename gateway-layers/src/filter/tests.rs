use gateway_core::{Body, Error, Module, Outcome, Reason, Request, Response, module_fn};
use http::{HeaderValue, StatusCode, request};
use tower::{Layer, ServiceExt};

use super::{Filter, FilterChain, FilterLayer, Flow, filter_fn};

/// Answers with the trail that filters left in the request.
fn shows_trail() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let mut response = Response::new(Body::empty());
        for step in request.headers().get_all("x-trail") {
            response.headers_mut().append("x-trail", step.clone());
        }
        Ok::<_, Error>(response)
    }))
}

struct Marks(&'static str);

impl Filter for Marks {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        head.headers.append("x-trail", HeaderValue::from_static(self.0));
        Flow::Continue
    }
}

async fn through(filter: impl Filter) -> Outcome {
    let service = FilterLayer::new(filter).layer(shows_trail());
    service.oneshot(Request::new(Body::empty())).await
}

fn trail(outcome: &Outcome) -> Vec<&str> {
    let headers = outcome.as_ref().unwrap().headers();
    let steps = headers.get_all("x-trail").into_iter();
    steps.map(|step| step.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_filter_edits_the_head() {
    assert_eq!(trail(&through(Marks("a")).await), ["a"]);
}

#[tokio::test]
async fn a_chain_runs_in_order_and_nests() {
    let inner = FilterChain::new().then(Marks("b")).then(Marks("c"));
    let chain = FilterChain::new().then(Marks("a")).then(inner).then(Marks("d"));
    assert_eq!(trail(&through(chain).await), ["a", "b", "c", "d"]);
    assert!(FilterChain::new().is_empty());
    assert!(trail(&through(FilterChain::new()).await).is_empty());
}

#[tokio::test]
async fn the_first_that_stops_decides() {
    let chain = FilterChain::new()
        .then(filter_fn(|_| Flow::Reject(Reason::RouteNotFound.into())))
        .then(filter_fn(|_| panic!("seen by a later filter")));
    let rejected = through(chain).await.unwrap_err();
    assert_eq!(rejected.reason(), Reason::RouteNotFound);
}

#[tokio::test]
async fn a_filter_may_answer() {
    let filter = filter_fn(|_| {
        let mut response = Response::new("from the filter".into());
        *response.status_mut() = StatusCode::ACCEPTED;
        Flow::Answer(response)
    });
    assert_eq!(through(filter).await.unwrap().status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_check_is_a_flow() {
    let check = |head: &request::Parts| match head.headers.contains_key("x-a") {
        true => Ok(()),
        false => Err(Error::new(Reason::HostInvalid)),
    };
    let rejected = through(filter_fn(move |head| check(head).into())).await;
    assert_eq!(rejected.unwrap_err().reason(), Reason::HostInvalid);
}
