//! [`Choice`]: the endpoint that takes a request.

use std::sync::Arc;

use http::HeaderMap;
use http::header::SET_COOKIE;

use crate::context::{RequestContext, Scheme};
use crate::error::{Error, HealthSignal, Reason};
use crate::grpc::{self, GrpcCall};
use crate::message::Outcome;
use crate::upstream::balance::PickContext;
use crate::upstream::cluster::Shared;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pool::BoundConnection;

/// The endpoint that takes a request.
pub(super) struct Choice {
    pub(super) endpoint: Arc<Endpoint>,
    /// The client is to be told that it is this one from now on.
    assigns: bool,
    /// The connection to it that belongs to the client's connection.
    pub(super) bound: Option<BoundConnection>,
}

impl Choice {
    /// Chooses among those of `cluster` that may be picked now.
    pub(super) fn new(
        cluster: &Shared,
        context: Option<&RequestContext>,
        headers: &HeaderMap,
    ) -> Result<Self, Error> {
        let settings = &cluster.settings;
        let tried = context.map(|context| context.record().tried()).unwrap_or_default();
        let hash = settings.affinity.as_ref().and_then(|keys| keys.hash(headers, context));
        let wanted = PickContext::default().avoid(&tried).hash(hash);
        let limit = settings.endpoint_limit;
        let available = cluster.peek();
        let own = context.and_then(RequestContext::owner);
        // Where it cannot be used it is closed: authentication begins anew.
        if let Some(bound) = own.and_then(|own| own.owned.take::<BoundConnection>(&cluster.name))
            && let endpoint = bound.endpoint()
            && available.candidates().any(|one| Arc::ptr_eq(&one.endpoint, endpoint))
            && endpoint.in_flight() < limit
            && !wanted.avoids(endpoint)
        {
            let endpoint = Arc::clone(endpoint);
            return Ok(Self { endpoint, assigns: false, bound: Some(*bound) });
        }
        let Some(sticky) = &settings.sticky else {
            let endpoint = available.pick(&wanted, limit).map(Arc::clone)?;
            return Ok(Self { endpoint, assigns: false, bound: None });
        };
        let token = sticky.token_of(headers);
        let own = token.and_then(|token| available.session(token));
        let rejects = sticky.rejects();
        // Who must not go elsewhere tries the same endpoint again.
        let may_take = |endpoint: &Endpoint| {
            endpoint.in_flight() < limit && (rejects || !wanted.avoids(endpoint))
        };
        if let Some(own) = own.filter(|own| may_take(own)) {
            return Ok(Self { endpoint: Arc::clone(own), assigns: false, bound: None });
        }
        if token.is_some() && rejects {
            return Err(Reason::StickyEndpointGone.into());
        }
        let picked = available.pick(&wanted, limit)?;
        let assigns = !own.is_some_and(|own| Arc::ptr_eq(own, picked));
        Ok(Self { endpoint: Arc::clone(picked), assigns, bound: None })
    }

    /// Tells the client with its answer whom it was assigned to, unless the endpoint is in trouble.
    pub(super) fn tell(
        self,
        cluster: &Shared,
        context: Option<&RequestContext>,
        grpc: Option<GrpcCall>,
        outcome: &mut Outcome,
    ) {
        let (true, Some(sticky), Ok(answer)) = (self.assigns, &cluster.settings.sticky, outcome)
        else {
            return;
        };
        if grpc::health_signal(grpc, Ok(answer)) == Some(HealthSignal::Failure) {
            return;
        }
        let https =
            context.is_some_and(|context| context.connection().listener.scheme == Scheme::Https);
        if let Some(cookie) = sticky.set_cookie(self.endpoint.name(), https) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response, StatusCode};
    use tokio::time::Instant;

    use super::*;
    use crate::body::Body;
    use crate::context::{Attempt, ConnectionInfo};
    use crate::upstream::balance::{ConsistentHash, RoundRobin};
    use crate::upstream::{Affinity, Cluster, ClusterBuilder, EndpointSpec, OnUnavailable, Sticky};

    fn endpoints(count: usize) -> Vec<EndpointSpec> {
        let address = |place| format!("http://10.0.0.{place}").parse().unwrap();
        (0..count).map(|place| EndpointSpec::new(address(place))).collect()
    }

    fn cluster(build: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Cluster {
        let builder = Cluster::builder("carts").balance(RoundRobin::default());
        let builder = endpoints(4).into_iter().fold(builder, ClusterBuilder::endpoint_spec);
        build(builder).build().unwrap()
    }

    fn context() -> RequestContext {
        let connection = ConnectionInfo::new(Arc::default(), None, None);
        RequestContext::new(Arc::new(connection), Instant::now())
    }

    fn choose(
        cluster: &Cluster,
        context: &RequestContext,
        headers: &HeaderMap,
    ) -> Result<Choice, Reason> {
        let choice = Choice::new(cluster.shared(), Some(context), headers);
        choice.map_err(|error| error.reason())
    }

    /// The answer's cookies when it has this status.
    fn told(cluster: &Cluster, choice: Choice, status: StatusCode) -> Vec<HeaderValue> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        let mut outcome = Ok(answer);
        choice.tell(cluster.shared(), Some(&context()), None, &mut outcome);
        outcome.unwrap().headers().get_all(SET_COOKIE).iter().cloned().collect()
    }

    /// What a client sends that was assigned to an endpoint.
    fn client(cluster: &Cluster) -> (Arc<Endpoint>, HeaderMap) {
        let choice = choose(cluster, &context(), &HeaderMap::new()).ok().unwrap();
        let endpoint = Arc::clone(&choice.endpoint);
        let cookies = told(cluster, choice, StatusCode::OK);
        let [cookie] = &*cookies else {
            panic!("{cookies:?}");
        };
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("a=b; {pair}").parse().unwrap());
        (endpoint, headers)
    }

    fn without(cluster: &Cluster, gone: &Endpoint) {
        let rest = endpoints(4).into_iter().filter(|spec| spec.address != *gone.address());
        cluster.replace_endpoints(rest.collect());
    }

    fn sticky() -> Sticky {
        Sticky::new("gw").unwrap()
    }

    #[tokio::test]
    async fn requests_of_one_key_go_to_one_endpoint() {
        let keys = Affinity::new(["header:x-user".parse().unwrap()]);
        let build =
            |builder: ClusterBuilder| builder.balance(ConsistentHash::new()).affinity(keys.clone());
        let (one, other) = (cluster(build), cluster(build));
        let mut seen = std::collections::HashSet::new();
        for number in 0..100 {
            let mut headers = HeaderMap::new();
            headers.insert("x-user", number.into());
            let choose = |cluster| choose(cluster, &context(), &headers).ok().unwrap().endpoint;
            let endpoint = choose(&one);
            assert!(Arc::ptr_eq(&endpoint, &choose(&one)));
            assert_eq!(endpoint.name(), choose(&other).name(), "gateways agree");
            seen.insert(Arc::clone(endpoint.name()));
        }
        assert_eq!(seen.len(), 4);
    }

    #[tokio::test]
    async fn without_sticky_no_cookie_is_set() {
        let cluster = cluster(|builder| builder);
        let choice = choose(&cluster, &context(), &HeaderMap::new()).ok().unwrap();
        assert!(told(&cluster, choice, StatusCode::OK).is_empty());
    }

    #[tokio::test]
    async fn a_client_comes_back_to_its_endpoint_and_is_told_once() {
        let cluster = cluster(|builder| builder.sticky(sticky()));
        let (endpoint, headers) = client(&cluster);
        for _ in 0..8 {
            let choice = choose(&cluster, &context(), &headers).ok().unwrap();
            assert!(Arc::ptr_eq(&choice.endpoint, &endpoint));
            assert!(told(&cluster, choice, StatusCode::OK).is_empty());
        }
    }

    #[tokio::test]
    async fn a_client_whose_endpoint_is_gone_gets_another_one() {
        let cluster = cluster(|builder| builder.sticky(sticky()));
        let (endpoint, headers) = client(&cluster);
        without(&cluster, &endpoint);
        let choice = choose(&cluster, &context(), &headers).ok().unwrap();
        assert!(!Arc::ptr_eq(&choice.endpoint, &endpoint));
        assert_eq!(told(&cluster, choice, StatusCode::OK).len(), 1);
    }

    #[tokio::test]
    async fn a_client_whose_endpoint_is_gone_is_rejected_if_that_is_wanted() {
        let cluster =
            cluster(|builder| builder.sticky(sticky().on_unavailable(OnUnavailable::Reject)));
        let (endpoint, headers) = client(&cluster);
        let context = context();
        context.record().attempt(Attempt::new("carts".into(), Arc::clone(endpoint.name())));
        let again = choose(&cluster, &context, &headers).ok().unwrap();
        assert!(Arc::ptr_eq(&again.endpoint, &endpoint), "another try is at the same one");
        without(&cluster, &endpoint);
        let rejected = choose(&cluster, &context, &headers).err();
        assert_eq!(rejected, Some(Reason::StickyEndpointGone));
        assert!(choose(&cluster, &context, &HeaderMap::new()).is_ok());
    }

    #[tokio::test]
    async fn what_was_tried_is_left_for_another_endpoint() {
        let cluster = cluster(|builder| builder.sticky(sticky()));
        let (endpoint, headers) = client(&cluster);
        let context = context();
        context.record().attempt(Attempt::new("carts".into(), Arc::clone(endpoint.name())));
        let choice = choose(&cluster, &context, &headers).ok().unwrap();
        assert!(!Arc::ptr_eq(&choice.endpoint, &endpoint));
        assert_eq!(told(&cluster, choice, StatusCode::OK).len(), 1);
    }

    #[tokio::test]
    async fn a_full_endpoint_is_left_for_another_one() {
        let cluster = cluster(|builder| builder.sticky(sticky()).endpoint_limit(1));
        let (endpoint, headers) = client(&cluster);
        let busy = Arc::clone(&endpoint).enter();
        let choice = choose(&cluster, &context(), &headers).ok().unwrap();
        assert!(!Arc::ptr_eq(&choice.endpoint, &endpoint));
        drop(busy);
        let choice = choose(&cluster, &context(), &headers).ok().unwrap();
        assert!(Arc::ptr_eq(&choice.endpoint, &endpoint));
    }

    #[tokio::test]
    async fn nobody_is_assigned_to_an_endpoint_in_trouble() {
        let cluster = cluster(|builder| builder.sticky(sticky()));
        for (status, count) in
            [(StatusCode::BAD_GATEWAY, 0), (StatusCode::INTERNAL_SERVER_ERROR, 1)]
        {
            let choice = choose(&cluster, &context(), &HeaderMap::new()).ok().unwrap();
            assert_eq!(told(&cluster, choice, status).len(), count);
        }
    }

    /// An upstream that answers every request with a cookie of its own.
    async fn upstream(listener: tokio::net::TcpListener) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let answer = "HTTP/1.1 200 OK\r\nset-cookie: own=1\r\ncontent-length: 0\r\n\r\n";
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            while matches!(stream.read(&mut head).await, Ok(count) if count > 0) {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn the_cookie_is_set_beside_those_of_the_endpoint_and_only_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let tasks = crate::task::Tasks::new();
        tasks.spawn("upstream", upstream(listener));
        let cluster = Cluster::builder("carts").endpoint(endpoint).sticky(sticky());
        let cluster = cluster.build().unwrap();
        let mut cookie = HeaderValue::from_static("a=b");
        for expected in [2, 1] {
            let mut request = crate::message::Request::new(Body::empty());
            request.headers_mut().insert("host", HeaderValue::from_static("example.org"));
            request.headers_mut().insert("cookie", cookie.clone());
            let answer = crate::module::ModuleService::call(&cluster, request).await.unwrap();
            let cookies: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().cloned().collect();
            assert_eq!(cookies[0], "own=1");
            assert_eq!(cookies.len(), expected);
            cookie = cookies[cookies.len() - 1].clone();
        }
    }

    #[tokio::test]
    async fn a_cookie_that_was_made_up_is_none() {
        let cluster = cluster(|builder| builder.sticky(sticky()));
        for cookie in ["gw=", "gw=10.0.0.1", "gw=0123456789abcdef0123456789abcdef"] {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", cookie.parse().unwrap());
            let choice = choose(&cluster, &context(), &headers).ok().unwrap();
            assert_eq!(told(&cluster, choice, StatusCode::OK).len(), 1, "{cookie}");
        }
    }
}
