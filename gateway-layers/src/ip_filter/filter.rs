//! [`IpFilter`].

use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::{Reason, RequestContext, RequestExt};
use http::request;
use ipnet::IpNet;

use super::networks::Networks;
use crate::filter::{Filter, Flow};

/// Rejects addresses; see the [module](super). Clones share their lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct IpFilter {
    /// `None`: every address.
    allow: Option<Arc<Networks>>,
    deny: Arc<Networks>,
}

impl IpFilter {
    /// Lets in every address.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in these networks alone; none of them: nobody.
    pub fn allow(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.allow = Some(Arc::new(Networks::new(networks)));
        self
    }

    /// Keeps out these networks, also where they are allowed.
    pub fn deny(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.deny = Arc::new(Networks::new(networks));
        self
    }

    /// The networks that may ask; `None`: every one.
    pub fn allowed(&self) -> Option<&Networks> {
        self.allow.as_deref()
    }

    /// The networks that may not.
    pub fn denied(&self) -> &Networks {
        &self.deny
    }

    /// True when `address` may ask.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address)
            && self.allow.as_ref().is_none_or(|allow| allow.contains(address))
    }
}

impl Filter for IpFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        match head.context().and_then(RequestContext::client_ip) {
            Some(address) if self.admits(address) => Flow::Continue,
            Some(_) => Flow::Reject(Reason::AddressDenied.into()),
            None => Flow::Reject(Reason::ClientAddressUnknown.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::{Body, ConnectionInfo, Request};
    use tokio::time::Instant;

    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn flow(filter: &IpFilter, peer: Option<&str>) -> Flow {
        let mut request = Request::new(Body::empty());
        let peer = peer.map(|peer| peer.parse().unwrap());
        let connection = ConnectionInfo::new(Arc::default(), peer, None);
        let context = RequestContext::new(Arc::new(connection), Instant::now());
        request.extensions_mut().insert(context);
        filter.apply(&mut request.into_parts().0)
    }

    fn passes(filter: &IpFilter, peer: &str) -> bool {
        match flow(filter, Some(peer)) {
            Flow::Continue => true,
            Flow::Reject(error) => {
                assert_eq!(error.reason(), Reason::AddressDenied);
                false
            }
            Flow::Answer(_) => panic!("an answer"),
        }
    }

    #[test]
    fn deny_wins_over_allow() {
        let filter = IpFilter::new().allow(nets(&["10.0.0.0/8"])).deny(nets(&["10.9.0.0/16"]));
        assert!(passes(&filter, "10.1.0.1:1"));
        assert!(passes(&filter, "[::ffff:10.1.0.1]:1"), "the same address");
        assert!(!passes(&filter, "10.9.0.1:1"));
        assert!(!passes(&filter, "[::ffff:10.9.0.1]:1"), "the same address");
        assert!(!passes(&filter, "192.0.2.1:1"));
        assert!(!passes(&filter, "[2001:db8::1]:1"));
    }

    #[test]
    fn without_an_allow_list_all_others_pass() {
        let filter = IpFilter::new().deny(nets(&["2001:db8::/32"]));
        assert!(passes(&filter, "192.0.2.1:1"));
        assert!(!passes(&filter, "[2001:db8::1]:1"));
    }

    #[test]
    fn an_empty_allow_list_lets_nobody_in() {
        assert!(!passes(&IpFilter::new().allow([]), "192.0.2.1:1"));
        assert!(passes(&IpFilter::new(), "192.0.2.1:1"));
    }

    #[test]
    fn rejects_clients_of_unknown_address() {
        for filter in [IpFilter::new(), IpFilter::new().allow(nets(&["127.0.0.0/8", "0.0.0.0/0"]))]
        {
            let Flow::Reject(error) = flow(&filter, None) else { panic!("it passed") };
            assert_eq!(error.reason(), Reason::ClientAddressUnknown);
        }
    }
}
