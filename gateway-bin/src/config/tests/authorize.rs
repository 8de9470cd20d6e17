//! `policy.authorize`.

use gateway_layers::auth::authorize::{ClaimTest, Expression, Requirements};

use super::*;

fn route(line: &str) -> String {
    let identity = "[identity.jwt.main]\nissuer = \"https://i.example\"\naudience = [\"a\"]\n\
                    keys = { url = \"http://i.example/keys\" }\n";
    let target = "target = { module = \"users\" }";
    format!(
        "{LISTENER}[[routes]]\nid = \"a\"\n{target}\nmatch = {{}}\npolicy.jwt = \"main\"\n{line}\n{identity}"
    )
}

fn read_policy(line: &str) -> Option<Requirements> {
    read(&route(line)).document.routes.remove(0).policy.authorize
}

#[test]
fn an_expression_or_a_table() {
    assert_eq!(read_policy(""), None);
    let admin = "principal.roles.exists(r, r == 'admin')";
    let expression = || Expression::new(admin).unwrap();
    let expected = Requirements::new().expression(expression());
    assert_eq!(read_policy(&format!("policy.authorize = \"{admin}\"")), Some(expected.clone()));
    let table = format!("policy.authorize = {{ expression = \"{admin}\" }}");
    assert_eq!(read_policy(&table), Some(expected));
    let names = "policy.authorize = { roles_any = [\"a\", \"b\"], roles_all = \"c\", \
                 scopes_any = [\"d\"], scopes_all = [] }";
    let expected = Requirements::new().roles_any(["a", "b"]).roles_all(["c"]).scopes_any(["d"]);
    assert_eq!(read_policy(names), Some(expected));
    let claims = "policy.authorize.claims = { email_verified = true, \"a.b\" = [\"x\", 1, 1.5], \
                  groups = { contains = [\"dev\"] }, banned = { present = false } }";
    let values = ClaimTest::OneOf(vec!["x".into(), 1.into(), 1.5.into()]);
    let expected = Requirements::new()
        .claim("email_verified", ClaimTest::one_of([true]))
        .claim("a.b", values)
        .claim("groups", ClaimTest::contains(["dev"]))
        .claim("banned", ClaimTest::Present(false));
    assert_eq!(read_policy(claims), Some(expected));
}

#[test]
fn what_is_wrong_with_requirements() {
    for (line, expected) in [
        (
            "policy.authorize = \"principle.roles == []\"",
            "g.toml:8:20: routes[0].policy.authorize: line 1, column 1: there is no variable \
             `principle`, expected one of `principal`, `request`, `route`; near \
             \"principle.roles == []\"",
        ),
        (
            "policy.authorize = { expression = \"principal.subject\" }",
            "g.toml:8:35: routes[0].policy.authorize.expression: line 1, column 10: the result is \
             text, expected true or false; near \".subject\"",
        ),
        (
            "policy.authorize = \"\"",
            "g.toml:8:20: routes[0].policy.authorize: found \"\", expected an expression such as \
             \"principal.roles.exists(r, r == 'admin')\"",
        ),
        (
            "policy.authorize = {}",
            "g.toml:8:20: routes[0].policy.authorize: asks for nothing, expected at least one \
             requirement",
        ),
        (
            "policy.authorize = { roles_all = [] }",
            "g.toml:8:20: routes[0].policy.authorize: asks for nothing, expected at least one \
             requirement",
        ),
        (
            "policy.authorize = { roles_any = [] }",
            "g.toml:8:34: routes[0].policy.authorize.roles_any: found an empty list, expected at \
             least one name",
        ),
        (
            "policy.authorize = { roles_any = [\"\"], roles_all = [\"a\"] }",
            "g.toml:8:35: routes[0].policy.authorize.roles_any[0]: found \"\", expected a name",
        ),
        (
            "policy.authorize = { roles = [\"a\"], scopes_all = [\"a\"] }",
            "g.toml:8:22: routes[0].policy.authorize.roles: unknown key, expected one of \
             `roles_any`, `roles_all`, `scopes_any`, `scopes_all`, `claims`, `expression`",
        ),
        (
            "policy.authorize.claims = { a = [] }",
            "g.toml:8:33: routes[0].policy.authorize.claims.a: found an empty list, expected at \
             least one value",
        ),
        (
            "policy.authorize.claims = { a = {} }",
            "g.toml:8:33: routes[0].policy.authorize.claims.a: says nothing, expected `contains` \
             or `present`",
        ),
        (
            "policy.authorize.claims = { a = { present = true, contains = \"b\" } }",
            "g.toml:8:45: routes[0].policy.authorize.claims.a.present: `present` together with \
             `contains`, expected only one",
        ),
    ] {
        assert_eq!(errors(&route(line)), [expected], "{line}");
    }
    let many: Vec<_> = (0..101).map(|number| format!("\"r{number}\"")).collect();
    let line = format!("policy.authorize = {{ roles_any = [{}] }}", many.join(", "));
    let expected = "g.toml:8:34: routes[0].policy.authorize.roles_any: found 101 names, expected \
                    100 at most";
    assert_eq!(errors(&route(&line)), [expected]);
}

#[test]
fn credentials_of_one_kind_ask_everybody() {
    let text = route("").replace(
        "policy.jwt = \"main\"",
        "policy.jwt = { provider = \"main\", scopes = [\"s\"], roles = [\"r\"] }\n\
         policy.authorize = { scopes_all = [\"t\"] }",
    );
    let policy = read(&text).document.routes.remove(0).policy;
    let asked = Requirements::new().scopes_all(["s"]).roles_any(["r"]);
    let more = Requirements::new().scopes_all(["t"]);
    assert_eq!(policy.requirements(), [asked, more]);
}
