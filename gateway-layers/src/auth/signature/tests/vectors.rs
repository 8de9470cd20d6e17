//! RFC 9421, appendix B, and RFC 9530.

use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

use super::super::digest::Digests;
use super::*;

const VECTORS: &str = include_str!("../../../../tests/vectors/rfc9421.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn key(vectors: &Value, vector: &Value) -> SignatureKey {
    let key = &vectors["keys"][vector["key"].as_str().unwrap()];
    if let Some(secret) = key["secret_base64"].as_str() {
        use base64::Engine as _;
        let secret = base64::engine::general_purpose::STANDARD.decode(secret).unwrap();
        return SignatureKey::secret(&secret).unwrap();
    }
    let algorithm = vector["alg"].as_str().unwrap().parse().unwrap();
    SignatureKey::jwk(algorithm, &key["jwk"].to_string()).unwrap()
}

/// A message as the document prints it.
struct Printed {
    method: Method,
    target: Uri,
    status: Option<StatusCode>,
    headers: HeaderMap,
    body: String,
}

fn printed(text: &str) -> Printed {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first: Vec<_> = lines.next().unwrap().split(' ').collect();
    let status = first[0].starts_with("HTTP/").then(|| first[1].parse().unwrap());
    let (method, target) = match status {
        Some(_) => (Method::GET, Uri::from_static("/")),
        None => (first[0].parse().unwrap(), first[1].parse().unwrap()),
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.trim().parse().unwrap());
    }
    Printed { method, target, status, headers, body: body.to_owned() }
}

impl Printed {
    fn message(&self) -> Message<'_> {
        Message {
            method: &self.method,
            scheme: "http",
            host: self.headers.get("host"),
            target: &self.target,
            headers: &self.headers,
            status: self.status,
        }
    }

    fn request(&self) -> Request {
        let mut request = request(self.method.clone(), "/", self.body.clone());
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// The covered components and the bytes of a vector's signature.
fn taken_apart(vector: &Value) -> (Vec<Component>, String, Vec<u8>) {
    let mut headers = HeaderMap::new();
    let input = vector["signature_input"].as_str().unwrap();
    headers.insert("signature-input", input.parse().unwrap());
    headers.insert("signature", vector["signature"].as_str().unwrap().parse().unwrap());
    let fields = super::super::input::Fields::find(&headers).unwrap().unwrap();
    let signatures = fields.signatures().unwrap();
    let input = signatures[0].input().unwrap();
    (input.covered, input.text, signatures[0].bytes.clone())
}

#[test]
fn signatures_of_the_appendix_are_verified_and_made_again() {
    let vectors = vectors();
    let mut made = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let message = vectors["messages"][vector["message"].as_str().unwrap()].as_str().unwrap();
        let message = printed(message);
        let (covered, text, signature) = taken_apart(vector);
        let base = message.message().base(&covered, &text).unwrap();
        assert_eq!(base, vector["base"].as_str().unwrap(), "{id}");
        let key = key(&vectors, vector);
        assert!(key.verifies(base.as_bytes(), &signature), "{id}");
        assert!(!key.verifies(format!("{base} ").as_bytes(), &signature), "{id}");
        if key.can_sign() {
            // HMAC and Ed25519 have one signature of a text.
            assert_eq!(key.sign(base.as_bytes()).unwrap(), signature, "{id}");
            made += 1;
        }
    }
    assert_eq!((vectors["vectors"].as_array().unwrap().len(), made), (7, 2));
}

#[tokio::test]
async fn what_proxies_do_to_a_message_is_told_from_what_they_must_not() {
    let vectors = vectors();
    let created = 1_618_884_473;
    for vector in vectors["transforms"].as_array().unwrap() {
        let clock = FakeClock::at(created);
        let verifier = SignatureVerifier::builder("appendix")
            .key(TrustedKey::new("test-key-ed25519", key(&vectors, vector)))
            .covered([Component::METHOD, Component::PATH, Component::AUTHORITY])
            .nonce(NonceRule::Optional)
            .with_clock(clock)
            .build()
            .unwrap();
        let request = printed(vector["message_text"].as_str().unwrap()).request();
        let taken = said(&verifier, &request).await;
        let id = vector["id"].as_str().unwrap();
        if vector["valid"].as_bool().unwrap() {
            assert_eq!(taken, Ok("test-key-ed25519".to_owned()), "{id}");
        } else {
            assert_eq!(taken, fault(SignatureRejection::Wrong), "{id}");
        }
    }
    assert_eq!(vectors["transforms"].as_array().unwrap().len(), 6);
}

#[test]
fn digests_of_the_examples_are_those_of_their_bodies() {
    let vectors = vectors();
    for name in ["test-request", "test-response"] {
        let message = printed(vectors["messages"][name].as_str().unwrap());
        let mut hashing = Digests::read(&message.headers).unwrap().unwrap().start();
        hashing.update(message.body.as_bytes());
        assert!(hashing.finish(), "{name}");
    }
    // RFC 9530, appendix B.1 and section 2.
    let whole = "{\"hello\": \"world\"}\n";
    let examples = [
        (whole, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
        (
            whole,
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, \
             sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
        ),
        (
            "{\"hello\": \"world\"}",
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, md5=:AA==:",
        ),
        ("", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    ];
    for (body, field) in examples {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", field.parse().unwrap());
        let mut hashing = Digests::read(&headers).unwrap().unwrap().start();
        hashing.update(body.as_bytes());
        assert!(hashing.finish(), "{field}");
    }
}

const TARGET: &str = "/path?param=value&foo=bar&baz=batman&qux=\
    &var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
    &fa%C3%A7ade%22%3A%20=something";

#[test]
fn components_have_the_values_of_the_standard() {
    let mut headers = HeaderMap::new();
    let lines = [
        ("host", "WWW.Example.com:80"),
        ("x-ows-header", "  Leading and trailing whitespace.   "),
        ("x-obs-fold-header", "Obsolete line folding."),
        ("cache-control", "max-age=60"),
        ("cache-control", "   must-revalidate"),
        ("example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("example-dict", "d"),
        ("priority", "u=1,   i"),
        ("client-cert", ":AAAA:"),
        ("proxy-status", "a;x=1.50 ,  b"),
        ("x-empty", ""),
        ("example-header", "value, with, lots"),
        ("example-header", "of, commas"),
    ];
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let target: Uri = TARGET.parse().unwrap();
    let method = Method::POST;
    let message = Message {
        method: &method,
        scheme: "http",
        host: headers.get("host"),
        target: &target,
        headers: &headers,
        status: None,
    };
    let cases = [
        ("@method", "POST"),
        ("@authority", "www.example.com"),
        ("@scheme", "http"),
        ("@path", "/path"),
        ("@request-target", TARGET),
        (r#"@query-param;name="baz""#, "batman"),
        (r#"@query-param;name="qux""#, ""),
        (r#"@query-param;name="var""#, "this%20is%20a%20big%0Amultiline%20value"),
        (r#"@query-param;name="bar""#, "with%20plus%20whitespace"),
        (r#"@query-param;name="fa%C3%A7ade%22%3A%20""#, "something"),
        ("x-ows-header", "Leading and trailing whitespace."),
        ("cache-control", "max-age=60, must-revalidate"),
        ("x-empty", ""),
        ("example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        (r#"example-dict;key="a""#, "1"),
        (r#"example-dict;key="d""#, "?1"),
        (r#"example-dict;key="b""#, "2;x=1;y=2"),
        (r#"example-dict;key="c""#, "(a b c)"),
        ("priority;sf", "u=1, i"),
        ("client-cert;sf", ":AAAA:"),
        ("proxy-status;sf", "a;x=1.5, b"),
        ("example-header;bs", ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"),
    ];
    for (name, expected) in cases {
        let component: Component = name.parse().unwrap();
        let base = message.base(std::slice::from_ref(&component), "()").unwrap();
        let line = base.lines().next().unwrap();
        let (_, found) = line.split_once(": ").unwrap();
        assert_eq!(found, expected, "{name}");
        assert_eq!(component.to_string(), name);
    }
    let absent = ["x-none", "cache-control;sf", r#"priority;key="z""#, r#"@query-param;name="z""#];
    for name in absent {
        let component: Component = name.parse().unwrap();
        let found = message.base(&[component], "()");
        assert_eq!(found, Err(SignatureRejection::ComponentMissing), "{name}");
    }
}

#[test]
fn of_a_parameter_that_comes_twice_none_is_covered() {
    let request = get("/a?id=1&%69d=2&other=3");
    let component = Component::query_param("id");
    let found = Message::received(&request).base(&[component], "()");
    assert_eq!(found, Err(SignatureRejection::ComponentMissing));
    let other = Component::query_param("other");
    assert!(Message::received(&request).base(&[other], "()").is_ok());
}

#[test]
fn what_is_no_component_is_rejected() {
    let none = [
        "",
        "@",
        "@method;sf",
        "@METHOD",
        "Content-Type",
        "@query-param",
        "@query-param;name=a",
        "@status",
        "x-a;sf;bs",
        "x-a;tr",
        "x-a;req",
        "x-a;key=b",
        "x-a;unknown",
        "x-a;sf=?0",
        "x-a;name=\"b\"",
        "x a",
        "x-a;key=\"\u{e9}\"",
    ];
    for text in none {
        assert!(text.parse::<Component>().is_err(), "{text}");
    }
}
