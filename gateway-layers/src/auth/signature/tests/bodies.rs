//! Bodies, by their digests.

use crate::auth::credentials::CredentialHandling;
use aws_lc_rs::digest::SHA512;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::super::body::CheckedBody;
use super::super::digest::Digests;
use super::*;

/// A body that comes in these pieces; of unknown length.
fn pieces(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

/// What a reader gets of `body`: bytes, and whether it ended well.
async fn read(mut body: Body) -> (String, Result<(), Error>) {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend(frame.into_data().unwrap_or_default()),
            Err(error) => return (String::from_utf8(read).unwrap(), Err(error)),
        }
    }
    (String::from_utf8(read).unwrap(), Ok(()))
}

/// A request for `signed_for` that arrives with `body`.
async fn arrives(signed_for: &'static str, body: Body) -> (String, Result<(), Error>) {
    let verifier = verifier();
    let mut request = signed(post(signed_for));
    *request.body_mut() = body;
    assert_eq!(said(&verifier, &request).await, ada());
    verifier.admit(&mut request);
    read(request.into_body()).await
}

#[tokio::test]
async fn a_body_as_it_was_signed_passes() {
    for body in [
        pieces(&["hello ", "world"]),
        pieces(&["", "hello", "", " world", ""]),
        Body::full("hello world"),
    ] {
        let (read, end) = arrives("hello world", body).await;
        assert_eq!(read, "hello world");
        end.unwrap();
    }
}

#[tokio::test]
async fn another_body_breaks_off_before_its_end() {
    for (what, body) in [
        ("changed", pieces(&["hello ", "wOrld"])),
        ("changed early", pieces(&["Hello ", "world"])),
        ("truncated", pieces(&["hello ", "worl"])),
        ("extended", pieces(&["hello ", "world", "!"])),
        ("in one piece", Body::full("hello there")),
        ("empty pieces at its end", pieces(&["hello there", "", ""])),
    ] {
        let whole: usize = match what {
            "truncated" => 10,
            "extended" => 12,
            _ => 11,
        };
        let (read, end) = arrives("hello world", body).await;
        assert!(broken(&end.unwrap_err()), "{what}");
        assert!(read.len() < whole, "{what}: all of it was read");
    }
}

#[tokio::test]
async fn a_body_that_is_not_there_is_not_the_one_that_was_signed() {
    let mut request = signed(post("hello world"));
    *request.body_mut() = Body::empty();
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::DigestWrong));
    // One that only turns out to be empty.
    let (read, end) = arrives("hello world", pieces(&[])).await;
    assert_eq!(read, "");
    assert!(broken(&end.unwrap_err()));
}

#[tokio::test]
async fn a_body_needs_its_digest() {
    let verifier = verifier();
    let mut bare = request(Method::POST, "/orders", "hello");
    sign_as(&mut bare, "sig", &secret(), &format!("({COVERED}){}", params()));
    assert_eq!(said(&verifier, &bare).await, fault(SignatureRejection::DigestMissing));
    // There, and not signed.
    set(&mut bare, "content-digest", &sha256("hello"));
    assert_eq!(said(&verifier, &bare).await, fault(SignatureRejection::NotCovered));
    // Signed, and taken away on the way.
    let mut removed = signed(post("hello"));
    removed.headers_mut().remove("content-digest");
    assert_eq!(said(&verifier, &removed).await, fault(SignatureRejection::DigestMissing));
    // A body that was put to a request without one.
    let mut added = signed(get("/orders"));
    *added.body_mut() = Body::full("hello");
    assert_eq!(said(&verifier, &added).await, fault(SignatureRejection::DigestMissing));
    // Of a member only.
    let mut member = post("hello");
    let covered = format!(r#"{COVERED} "content-digest";key="sha-256""#);
    sign_as(&mut member, "sig", &secret(), &format!("({covered}){}", params()));
    assert_eq!(said(&verifier, &member).await, fault(SignatureRejection::NotCovered));
}

#[tokio::test]
async fn digests_must_be_of_a_known_kind_and_well_formed() {
    for field in [
        "md5=:AAAA:",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-256",
        "sha-256=\"x\"",
        "",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    ] {
        let mut request = request(Method::POST, "/orders", "hello");
        set(&mut request, "content-digest", field);
        let request = signed(request);
        let found = said(&verifier(), &request).await;
        assert_eq!(found, fault(SignatureRejection::DigestUnknown), "{field}");
    }
}

#[tokio::test]
async fn all_digests_must_be_right() {
    let verifier = verifier();
    let both = |other: &str| {
        let mut request = request(Method::POST, "/orders", "hello");
        let other = hashed("sha-512", &SHA512, other);
        set(&mut request, "content-digest", &format!("{}, {other}, md5=:AA==:", sha256("hello")));
        signed(request)
    };
    for (other, passes) in [("hello", true), ("jello", false)] {
        let mut request = both(other);
        assert_eq!(said(&verifier, &request).await, ada());
        verifier.admit(&mut request);
        let (_, end) = read(request.into_body()).await;
        assert_eq!(end.is_ok(), passes, "{other}");
    }
}

#[tokio::test]
async fn trailers_come_when_the_body_was_right() {
    let with_trailers = |body: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        let frames = [
            Ok::<_, Error>(Frame::data(Bytes::from_static(body.as_bytes()))),
            Ok(Frame::trailers(trailers)),
        ];
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    };
    let checked = |body| {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", sha256("hello").parse().unwrap());
        let digests = Digests::read(&headers).unwrap().unwrap();
        Body::from_boxed(Box::pin(CheckedBody::new(body, digests, wrong)))
    };
    let whole = checked(with_trailers("hello")).collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["x-sum"], "1");
    assert_eq!(whole.to_bytes(), "hello");
    assert!(broken(&checked(with_trailers("jello")).collect().await.unwrap_err()));
}

fn wrong() -> Error {
    SignatureRejection::DigestWrong.into()
}

#[tokio::test]
async fn the_length_of_a_body_stays_known() {
    let mut headers = HeaderMap::new();
    headers.insert("content-digest", sha256("hello world").parse().unwrap());
    let digests = Digests::read(&headers).unwrap().unwrap();
    let body = CheckedBody::new(Body::full("hello world"), digests, wrong);
    let mut body = Body::from_boxed(Box::pin(body));
    assert_eq!(body.size_hint().exact(), Some(11));
    assert!(!body.is_end_stream());
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "hello world");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[tokio::test]
async fn a_body_that_breaks_off_says_why_it_did() {
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"hello "))),
        Err(Error::new(Reason::RequestIncomplete)),
    ];
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let (read, end) = arrives("hello world", body).await;
    assert_eq!((read.as_str(), end.unwrap_err().reason()), ("", Reason::RequestIncomplete));
}

#[tokio::test]
async fn the_signature_goes_no_further_where_that_is_said() {
    let keeps = verifier();
    let mut request = signed(get("/"));
    keeps.admit(&mut request);
    assert!(request.headers().contains_key("signature"));
    let drops = builder().credentials(CredentialHandling::Drop).build().unwrap();
    drops.admit(&mut request);
    assert!(!request.headers().contains_key("signature"));
    assert!(!request.headers().contains_key("signature-input"));
}
