//! Expressions that mean harm, or whose requests do.

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

/// An expression that looks at the request, so that it is not tried at once.
fn late(source: &str) -> String {
    format!("principal.subject == 'ada' && {source}")
}

#[test]
fn what_is_long_or_deep_is_rejected() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}true{}", open.repeat(count), close.repeat(count))
    };
    for (source, expected) in [
        (" ".repeat(MOST_BYTES + 1), "4097 bytes, expected 4096 at most"),
        (nested("(", ")", MOST_DEPTH + 1), "nested more than 64 deep"),
        (nested("[", "]", 2000), "nested more than 64 deep"),
        (nested("[true].all(x, ", ")", 5), "more than 4 variables in use at one place"),
        (nested("(true ? ", " : false)", 65), "nested more than 64 deep"),
        (nested("true ? ", " : false", 250), "no expression: something is missing"),
        (nested("true ? true : ", "", 250), "nested more than 64 deep"),
        (format!("{} == 1", vec!["1"; 1000].join("+")), "nested more than 64 deep"),
        (format!("principal.claims{} == 1", ".a".repeat(1000)), "nested more than 64 deep"),
        (format!("principal.claims{} == 1", "['a']".repeat(500)), "nested more than 64 deep"),
        (format!("'a'{} == 'a'", ".lowerAscii()".repeat(300)), "nested more than 64 deep"),
        (format!("{}principal.subject == 'ada'", "(".repeat(4000)), "nested more than 64 deep"),
    ] {
        let error = error(&source);
        assert!(error.contains(expected), "{source}: {error}");
    }
    assert_eq!(result(&late(&nested("(", ")", 20))), Ok(true));
    assert_eq!(result(&nested("!", "", 2000)), Ok(true));
    // Truths in a row are a balanced tree, however many there are.
    assert_eq!(result(&late(&vec!["true"; 500].join("&&"))), Ok(true));
    let many = late(&format!("1300 == size([{}])", vec!["1"; 1300].join(",")));
    assert_eq!(result(&many), Ok(true));
}

#[test]
fn what_takes_too_long_is_given_up() {
    let list = format!("[{}]", vec!["1"; 500].join(","));
    let nested = format!("{list}.all(a, {list}.all(b, {list}.all(c, a == b)))");
    let text = format!("size(['ab']{}[0]) > 0", ".map(a, a + a)".repeat(40));
    let lists = format!("size([[1]]{}[0]) > 0", ".map(a, a + a)".repeat(40));
    let compared = format!("[[1]]{0} == [[1]]{0}", ".map(a, [a, a, a, a])".repeat(25));
    for source in [nested, text, lists, compared] {
        let begun = Instant::now();
        assert_eq!(result(&late(&source)), Err(Failure::TooLong), "{source}");
        // That nothing decides in spite of it.
        assert_eq!(result(&format!("{} || true", late(&source))), Err(Failure::TooLong));
        assert_eq!(result(&format!("!({} && false)", late(&source))), Err(Failure::TooLong));
        let took = begun.elapsed();
        assert!(took.as_secs() < 5, "{took:?}: {source}");
        assert!(error(&source).contains("fails: it takes too many steps"), "{source}");
    }
}

/// What an attacker sends is gone through once for each step that is paid for.
#[test]
fn a_request_cannot_make_it_slow() {
    let query = vec!["a=%41"; 1400].join("&");
    let mut request = http::Request::builder().uri(format!("/?{query}"));
    for number in 0..100 {
        request = request.header(format!("x-{number}"), "v".repeat(500));
    }
    let head = request.body(()).unwrap().into_parts().0;
    let mut principal = principal();
    principal.roles = (0..5000).map(|number| format!("role-{number}").into()).collect();
    let subject = Subject { principal: &principal, head: &head, context: None };
    for source in [
        "request.query.a.all(v, request.query.a.all(w, v == w))",
        "principal.roles.all(r, request.headers.all(h, size(h) > 0))",
        "principal.roles.all(r, principal.roles.exists(s, s == r))",
        "request.query.a.all(v, 'a' in request.query)",
        "principal.roles.all(r, request.headers['x-1'].all(v, v.matches('^(v|w)*$')))",
        "principal.roles.all(r, r in principal.roles)",
        "request.query.a.all(v, request.query == request.query)",
    ] {
        let expression = Expression::new(source).unwrap();
        let begun = Instant::now();
        assert_eq!(expression.allows(&subject), Err(Failure::TooLong), "{source}");
        assert!(begun.elapsed().as_secs() < 5, "{:?}: {source}", begun.elapsed());
    }
    for (source, expected) in [
        ("request.query.a.all(v, v == 'A')", Ok(true)),
        ("request.headers.exists(h, h == 'x-99')", Ok(true)),
        ("'role-4999' in principal.roles", Ok(true)),
        ("request.query.a[0].matches('^A$')", Ok(true)),
    ] {
        assert_eq!(Expression::new(source).unwrap().allows(&subject), expected, "{source}");
    }
}

#[test]
fn a_pattern_is_not_let_loose_on_any_text() {
    let mut principal = principal();
    let pattern = "principal.claims.text.matches('^(a+)+$')";
    principal.claims.insert("text".to_owned(), ("a".repeat(8000) + "b").into());
    assert_eq!(of(&principal, pattern), Ok(false));
    principal.claims.insert("text".to_owned(), "a".repeat(9000).into());
    assert_eq!(of(&principal, pattern), Err(Failure::TextTooLong));
    assert_eq!(of(&principal, &format!("!{pattern}")), Err(Failure::TextTooLong));
}

fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "principal",
        "request",
        "route",
        ".",
        "roles",
        "claims",
        "headers",
        "exists",
        "all",
        "map",
        "has",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "?",
        ":",
        "&&",
        "||",
        "!",
        "==",
        "<",
        "+",
        "-",
        "%",
        "in",
        "r",
        "'a'",
        "\"",
        "'",
        "1",
        "1.5",
        "0x",
        "1u",
        "b'",
        "null",
        "true",
        "\\",
        "`",
        "\n",
        "//",
        "ä",
        "\u{1F600}",
        "matches",
        "'('",
        "@in",
        "_==_",
        " ",
    ]);
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is written: an expression or an error, and one that can be evaluated.
    #[test]
    fn whatever_is_written_is_judged(source in prop_oneof![tokens(), any::<String>()]) {
        match Expression::new(&source) {
            Ok(expression) => {
                let (principal, head, context) = (principal(), head(), context());
                let subject =
                    Subject { principal: &principal, head: &head, context: Some(&context) };
                let _ = expression.allows(&subject);
            }
            Err(error) => {
                prop_assert!(error.message != "the parser failed", "{source:?}");
                prop_assert!(!error.to_string().contains('\n'), "{source:?}: {error}");
            }
        }
    }
}
