//! Expressions, by what they come to.

mod hostile;
mod oracle;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gateway_core::context::{Claim, Principal, Scheme};
use gateway_core::{ConnectionInfo, ListenerInfo, RequestContext};
use http::request;
use tokio::time::Instant;

use super::*;

/// Somebody with a bit of everything.
fn principal() -> Principal {
    let mut principal = Principal::new("ada", "jwt");
    principal.issuer = Some("https://issuer.example".into());
    principal.tenant = Some("acme".into());
    principal.roles = vec!["admin".into(), "clerk".into()];
    principal.scopes = vec!["orders:read".into()];
    let access = BTreeMap::from([("roles".to_owned(), Claim::List(vec!["a".into(), "b".into()]))]);
    principal.claims = BTreeMap::from([
        ("email".to_owned(), "ada@acme.example".into()),
        ("email_verified".to_owned(), true.into()),
        ("age".to_owned(), 36.into()),
        ("score".to_owned(), 0.5.into()),
        ("nothing".to_owned(), Claim::Null),
        ("realm_access".to_owned(), Claim::Map(access)),
        ("groups".to_owned(), Claim::List(vec!["dev".into(), "ops".into()])),
        ("mixed".to_owned(), Claim::List(vec!["x".into(), 1.into(), Claim::Null])),
    ]);
    principal
}

fn head() -> request::Parts {
    let request = http::Request::builder()
        .method("POST")
        .uri("/orders/7?page=2&tag=a&tag=b%20c&tag=d+e&empty&nan=NaN&bad=%FF&%zz=1")
        .header("host", "Shop.Example:8080")
        .header("x-tenant", "acme")
        .header("x-many", "1")
        .header("x-many", "2")
        .header("x-bytes", &b"\xff"[..]);
    request.body(()).unwrap().into_parts().0
}

fn context() -> RequestContext {
    let mut listener = ListenerInfo::default();
    listener.scheme = Scheme::Https;
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
    let connection = ConnectionInfo::new(Arc::new(listener), Some(peer), None);
    RequestContext::new(Arc::new(connection), Instant::now())
}

fn of(principal: &Principal, source: &str) -> Result<bool, Failure> {
    let expression = Expression::new(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let (head, context) = (head(), context());
    expression.allows(&Subject { principal, head: &head, context: Some(&context) })
}

fn result(source: &str) -> Result<bool, Failure> {
    of(&principal(), source)
}

fn error(source: &str) -> String {
    match Expression::new(source) {
        Ok(_) => panic!("{source} is an expression"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn all_true(sources: &[&str]) {
    for source in sources {
        assert_eq!(result(source), Ok(true), "{source}");
    }
}

#[test]
fn what_is_true_of_a_principal() {
    all_true(&[
        "true",
        "principal.subject == 'ada'",
        "principal.method == \"jwt\"",
        "principal.issuer.startsWith('https://')",
        "principal.tenant == 'acme'",
        "!has(principal.tier)",
        "has(principal.tenant)",
        "principal.roles.exists(r, r == 'admin')",
        "'admin' in principal.roles",
        "!('root' in principal.roles)",
        "principal.roles.all(r, r.size() > 3)",
        "principal.roles.exists_one(r, r.startsWith('a'))",
        "principal.roles.filter(r, r != 'admin') == ['clerk']",
        "principal.roles.map(r, r.upperAscii()) == ['ADMIN', 'CLERK']",
        "principal.roles == ['admin', 'clerk']",
        "principal.roles[0] == 'admin'",
        "size(principal.roles) == 2 && principal.roles.size() == 2",
        "principal.scopes.exists(s, s in ['orders:read', 'orders:write'])",
        "['orders:read'].all(s, s in principal.scopes)",
        "principal.claims.email.endsWith('@acme.example')",
        "principal.claims['email'].contains('@')",
        "principal.claims.email.matches('^[a-z]+@acme\\\\.example$')",
        "matches(principal.subject, 'd')",
        "principal.claims.email_verified",
        "principal.claims.email_verified == true",
        "principal.claims.age >= 18 && principal.claims.age < 40",
        "principal.claims.age == 36.0",
        "principal.claims.score < 1 && principal.claims.score > 0.25",
        "principal.claims.nothing == null",
        "has(principal.claims.nothing)",
        "!has(principal.claims.missing)",
        "has(principal.claims.missing) ? principal.claims.missing == 1 : true",
        "'a' in principal.claims.realm_access.roles",
        "principal.claims['realm_access']['roles'][1] == 'b'",
        "has(principal.claims.realm_access) && !has(principal.claims.realm_access.x)",
        "principal.claims.groups.exists(g, g == 'ops')",
        "principal.claims.mixed.exists(m, m == 1)",
        "principal.claims.exists(name, name == 'email')",
        "'email' in principal.claims",
    ]);
}

#[test]
fn what_is_true_of_a_request() {
    all_true(&[
        "request.method in ['POST', 'PUT']",
        "request.path == '/orders/7'",
        "request.host == 'shop.example'",
        "request.scheme == 'https'",
        "request.client_ip == '192.0.2.1'",
        "request.headers['x-tenant'] == ['acme']",
        "request.headers['x-tenant'][0] == principal.tenant",
        "request.headers['X-Tenant'].all(v, v == principal.tenant)",
        "request.headers['x-many'] == ['1', '2']",
        "'x-tenant' in request.headers && !('x-other' in request.headers)",
        "request.headers.exists(name, name == 'x-tenant')",
        "has(request.headers.host)",
        "request.query.page == ['2']",
        "request.query['tag'] == ['a', 'b c', 'd e']",
        "request.query.empty == ['']",
        "request.query['%zz'] == ['1']",
        "'page' in request.query && has(request.query.tag) && !has(request.query.x)",
        "int(request.query.page[0]) <= 10",
    ]);
}

#[test]
fn what_operators_and_functions_make() {
    all_true(&[
        "double('1.5') == 1.5 && int(1.9) == 1 && int('-3') == -3 && string(3) == '3'",
        "string(1.5) + string(true) == '1.5true'",
        "1 + 2 * 3 - 4 / 2 % 5 == 5",
        "7 % 4 == 3 && -7 % 4 == -3 && -(3) == -3",
        "0.1 + 0.2 > 0.3 && 1.5 - 0.5 == 1.0 && 2.0 * 2.0 == 4.0 && 1.0 / 4.0 == 0.25",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
        "'a' < 'b' && 'B' < 'a' && false < true && 2 > 1.5 && 1 <= 1.0 && 'a' >= 'a'",
        "size('höhe') == 4 && size({'a': 1}) == 1",
        "{'a': 1, 'b': [2]} == {'b': [2.0], 'a': 1}",
        "{'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
        "{'acme': 'gold'}[principal.tenant] == 'gold'",
        "[[1, 2], [3]].exists(l, l.exists(x, x == 3))",
        "'\\u00e9' == 'é' && r'\\d' == '\\\\d'",
        "principal.roles.exists(a, principal.claims.groups.exists(b, a != b))",
        // What decides does so from either side.
        "true || principal.claims.missing == 1",
        "principal.claims.missing == 1 || true",
        "!(false && principal.claims.missing == 1)",
        "!(principal.claims.missing == 1 && false)",
        "[1, 2].exists(x, x == 2 || principal.claims.missing)",
        "!principal.claims.mixed.all(m, m + 1 == 3)",
        "principal.claims.mixed.exists(m, m > 0)",
    ]);
}

#[test]
fn what_is_false() {
    for source in [
        "false",
        "principal.subject != 'ada'",
        "'' in principal.roles",
        "[].exists(x, x == 1)",
        "![].all(x, x == 1)",
        "principal.roles.exists_one(r, r.contains('e') || r.contains('a'))",
        "principal.claims.age == '36'",
        "principal.claims.email == null",
        "principal.claims.score != 0.5",
        "request.path.startsWith('/admin')",
        "principal.subject.matches('^d')",
        "principal.claims.groups == ['ops', 'dev']",
        "9007199254740993 == 9007199254740992.0",
        "true ? false : true",
    ] {
        assert_eq!(result(source), Ok(false), "{source}");
    }
}

#[test]
fn what_cannot_be_found_out_is_no_result() {
    for (source, expected) in [
        ("principal.tier == 'gold'", Failure::NoSuchKey),
        ("principal.tier != 'free'", Failure::NoSuchKey),
        ("!(principal.tier == 'free')", Failure::NoSuchKey),
        ("principal.claims.missing", Failure::NoSuchKey),
        ("principal.claims['missing'] != 'x'", Failure::NoSuchKey),
        ("principal.claims.email.x == 1", Failure::Type),
        ("principal.claims.email", Failure::Type),
        ("principal.claims.age && true", Failure::Type),
        ("principal.claims.age > 'a'", Failure::Type),
        ("principal.claims.age + 'a' == 'b'", Failure::Type),
        ("principal.claims.age + 0.5 > 1.0", Failure::Type),
        ("principal.claims.groups[2] == 'x'", Failure::OutOfBounds),
        ("principal.roles[-1] == 'x'", Failure::OutOfBounds),
        ("principal.claims.age / 0 == 1", Failure::DivisionByZero),
        ("principal.claims.age % 0 == 1", Failure::DivisionByZero),
        ("principal.claims.age + 9223372036854775807 > 0", Failure::Overflow),
        ("-9223372036854775807 - principal.claims.age < 0", Failure::Overflow),
        ("principal.claims.age * 9223372036854775807 > 0", Failure::Overflow),
        ("int(principal.claims.score * 1e300) > 0", Failure::Overflow),
        ("int(principal.claims.email) == 1", Failure::Conversion),
        ("double(principal.claims.email) == 1.0", Failure::Conversion),
        ("!(double('' + request.query['nan'][0]) > 1.0)", Failure::Conversion),
        ("int(principal.claims.email_verified) == 1", Failure::Type),
        ("request.headers['x-bytes'] == ['a']", Failure::NoText),
        ("request.query.bad == ['a']", Failure::NoText),
        ("request.headers['x-other'][0] == 'a'", Failure::NoSuchKey),
        ("route.id == 'a'", Failure::NoSuchKey),
        ("has(route.metadata.a)", Failure::NoSuchKey),
        ("request.params.id == 'a'", Failure::NoSuchKey),
        ("true && principal.claims.missing == 1", Failure::NoSuchKey),
        ("principal.claims.missing == 1 && true", Failure::NoSuchKey),
        ("false || principal.claims.missing == 1", Failure::NoSuchKey),
        ("principal.claims.missing == 1 || false", Failure::NoSuchKey),
        ("principal.claims.mixed.all(m, m >= 1)", Failure::Type),
        ("principal.claims.mixed.exists_one(m, m > 0)", Failure::Type),
        ("principal.claims.mixed.filter(m, m > 0) == [1]", Failure::Type),
        ("principal.claims.mixed.map(m, m + 1) == [1]", Failure::Type),
        ("principal.claims.email.exists(x, true)", Failure::Type),
        ("1 in principal.claims.email", Failure::Type),
        ("principal.claims.missing ? true : true", Failure::NoSuchKey),
    ] {
        assert_eq!(result(source), Err(expected), "{source}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (source, expected) in [
        (
            "principle.roles.exists(r, r == 'admin')",
            "line 1, column 1: there is no variable `principle`, expected one of `principal`, \
             `request`, `route`; near \"principle.roles.exists(r, r == '...\"",
        ),
        (
            "true &&\n principal.role == 'a'",
            "line 2, column 11: `principal` has no `role`, expected one of `subject`, `method`, \
             `issuer`, `tier`, `tenant`, `roles`, `scopes`, `claims`; near \".role == 'a'\"",
        ),
        (
            "request == 1",
            "line 1, column 1: `request` is no value, expected one of its fields `method`, `path`, \
             `host`, `scheme`, `query`, `headers`, `params`, `client_ip`; near \"request == 1\"",
        ),
        (
            "principal.subject",
            "line 1, column 10: the result is text, expected true or false; near \".subject\"",
        ),
        (
            "'ä' == principal.roles",
            "line 1, column 5: text is never equal to a list; near \"== principal.roles\"",
        ),
        ("1", "line 1, column 1: the result is a whole number, expected true or false; near \"1\""),
        ("1/0 == 1", "line 1, column 1: fails: a division by zero; near \"1/0 == 1\""),
        (
            "principal.roles.any(r, r == 'a')",
            "line 1, column 20: there is no function `any` of that, expected one of `has`, `size`, \
             `contains`, `startsWith`, `endsWith`, `matches`, `lowerAscii`, `upperAscii`, `int`, \
             `double`, `string`, `all`, `exists`, `exists_one`, `filter`, `map`; near \"(r, r == \
             'a')\"",
        ),
        ("", "line 1, column 1: nothing, expected an expression"),
        (" \n", "line 1, column 1: nothing, expected an expression; near \" \\n\""),
    ] {
        assert_eq!(error(source), expected, "{source}");
    }
}

#[test]
fn what_can_be_known_to_be_wrong_is_rejected_at_once() {
    for (source, expected) in [
        ("principal.subject == 1", "text is never equal to a whole number"),
        ("principal.roles == 'admin'", "a list is never equal to text"),
        ("principal.tier == null", "text is never equal to null"),
        ("principal.roles.exists(r, r)", "found text, expected a truth"),
        ("principal.roles.exists(r, s == 'a')", "there is no variable `s`"),
        ("principal.roles.exists(r, true) && r == 'a'", "there is no variable `r`"),
        ("principal.roles.exists(principal, true)", "`principal` is a variable already"),
        ("principal.roles.exists('r', true)", "expected the name of a variable"),
        ("principal.roles.exists(r)", "expected LIST.exists(variable, expression)"),
        ("exists(principal.roles, r, true)", "expected LIST.exists(variable, expression)"),
        ("principal.subject.exists(r, true)", "found text, expected a list or a map"),
        ("principal.subject.x == 1", "found text, which has no `x`"),
        ("principal.roles.admin", "found a list, which has no `admin`"),
        ("principal.roles['a'] == 'a'", "found text, expected a whole number"),
        ("request.headers[0] == 'a'", "found a whole number, expected text"),
        ("request.headers['x-a'] == 'a'", "a list is never equal to text"),
        ("principal.subject[0] == 'a'", "found text, expected a list or a map"),
        ("1 in principal.roles", "a whole number is never in a list whose elements are text"),
        ("'a' in principal.subject", "text is never in text"),
        ("principal.subject && true", "found text, expected a truth"),
        ("!principal.subject", "found text, expected a truth"),
        ("-principal.subject == 1", "found text, expected a number"),
        ("principal.subject < 1", "text is neither before nor behind a whole number"),
        ("principal.subject + 1 == 'a'", "text and a whole number do not go together here"),
        ("1 + 1.0 == 2.0", "a whole number and a number do not go together here"),
        ("principal.subject - 'a' == 'a'", "text and text do not go together here"),
        ("principal.roles.contains('admin')", "found a list and text, expected texts"),
        ("size(1) == 1", "found a whole number, expected text, a list or a map"),
        ("int(principal.roles) == 1", "found a list, expected a number or text"),
        ("principal.subject ? true : false", "found text, expected a truth"),
        ("has(principal)", "`has` takes a field"),
        ("has(principal.role)", "`principal` has no `role`"),
        ("has(principal.subject.x)", "found text, expected a map"),
        ("principal.subject.matches(principal.claims.p)", "expected a regular expression as it"),
        ("principal.subject.matches('(')", "no regular expression: unclosed group"),
        ("principal.subject.matches('(a{1000}){1000}')", "a regular expression of more than"),
        ("principal.subject.matches('\\\\w{500}')", "a regular expression of more than"),
        ("principal.roles.map(r, size(r) > 1, r) == []", "expected LIST.map(variable, expression)"),
        ("timestamp('2026-01-01T00:00:00Z') == 1", "there is no function `timestamp`"),
        ("type(1) == 1", "there is no function `type`"),
        ("1u == 1u", "numbers without a sign are not taken"),
        ("b'a' == b'a'", "bytes are not taken"),
        ("a.b.C{x: 1} == 1", "messages are not taken"),
        ("{1: 2} == {1: 2}", "the names of a map are texts as they stand"),
        ("{'a': 1, 'a': 2} == {}", "the map has this name already"),
        ("principal.?tier == 'a'", "no expression: unsupported syntax '.?'"),
        ("principal.roles.exists(r, r == 'admin'", "no expression: "),
        ("&&", "no expression: "),
        ("principal.subject == 'ada", "no expression: "),
        ("9223372036854775808 > 0", "no expression: "),
        ("true true", "no expression: "),
        ("true; false", "no expression: "),
        ("if (true) { true }", "no expression: "),
        ("9223372036854775807 + 1 > 0", "fails: a number is too large"),
        ("[1][1] == 1", "fails: the list is shorter"),
        ("{'a': true}['b']", "fails: there is no value of that name"),
    ] {
        let error = error(source);
        assert!(error.contains(expected), "{source}: {error}");
    }
}
