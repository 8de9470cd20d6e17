//! [`Subject`]: what an expression is evaluated about.

use std::sync::Arc;

use gateway_core::RequestContext;
use gateway_core::context::{Principal, Scheme};
use http::header::HOST;
use http::request;
use http::uri::Authority;

use super::query::Pairs;
use super::schema::Field;
use super::value::{List, Map, Value};

/// What an expression is evaluated about.
pub(in crate::auth::authorize) struct Subject<'a> {
    pub(in crate::auth::authorize) principal: &'a Principal,
    pub(in crate::auth::authorize) head: &'a request::Parts,
    pub(in crate::auth::authorize) context: Option<&'a RequestContext>,
}

impl<'a> Subject<'a> {
    /// What stands in `field`; `None`: nothing.
    pub(super) fn look(&self, field: Field) -> Option<Value<'a>> {
        let Self { principal, head, context } = *self;
        let text = |text: &'a Option<Arc<str>>| text.as_deref().map(Value::from);
        let route = || context.and_then(RequestContext::route);
        Some(match field {
            Field::Subject => Value::from(&*principal.subject),
            Field::Method => Value::from(principal.method),
            Field::Issuer => return text(&principal.issuer),
            Field::Tier => return text(&principal.tier),
            Field::Tenant => return text(&principal.tenant),
            Field::Roles => Value::List(List::Names(&principal.roles)),
            Field::Scopes => Value::List(List::Names(&principal.scopes)),
            Field::Claims => Value::Map(Map::Claims(&principal.claims)),
            Field::RequestMethod => Value::from(head.method.as_str()),
            Field::Path => Value::from(path(head, context)),
            Field::Host => return host(head, context),
            Field::Scheme => {
                Value::from(context.map_or(Scheme::Http, RequestContext::scheme).as_str())
            }
            Field::Query => {
                let uri = context.and_then(RequestContext::target).unwrap_or(&head.uri);
                Value::Map(Map::Query(uri.query().unwrap_or_default()))
            }
            Field::Headers => Value::Map(Map::Headers(&head.headers)),
            Field::Params => Value::Map(Map::Params(Pairs::Path(path(head, context), context))),
            Field::ClientIp => Value::made(context?.client_ip()?.to_string()),
            Field::RouteId => Value::from(&*route()?.id),
            Field::Metadata => Value::Map(Map::Metadata(&route()?.metadata)),
        })
    }
}

/// The path in its normal form, before it was rewritten.
fn path<'a>(head: &'a request::Parts, context: Option<&'a RequestContext>) -> &'a str {
    context.and_then(RequestContext::target).unwrap_or(&head.uri).path()
}

/// The host that the client asked for, in lower case, without port and last dot.
fn host<'a>(head: &'a request::Parts, context: Option<&'a RequestContext>) -> Option<Value<'a>> {
    let asked = context.and_then(RequestContext::requested_host);
    let name = match asked.or_else(|| head.headers.get(HOST)) {
        Some(line) => bare(line.to_str().ok()?),
        None => head.uri.authority().map(Authority::host)?,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(Value::made(name.to_ascii_lowercase()));
    }
    Some(Value::from(name))
}

fn bare(host: &str) -> &str {
    let end = match host.rfind(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host.get(..end).unwrap_or(host)
}
