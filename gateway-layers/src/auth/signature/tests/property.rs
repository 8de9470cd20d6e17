//! For any request.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::input::Fields;
use super::*;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Text that looks like structured fields, so that some of it is.
fn structured_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("sig=(".to_owned()),
        Just("\"@method\"".to_owned()),
        Just(" ".to_owned()),
        Just(")".to_owned()),
        Just(";created=1".to_owned()),
        Just(";a".to_owned()),
        Just(", ".to_owned()),
        Just("b=:AAAA:".to_owned()),
        Just("c=?1".to_owned()),
        Just("-12.50".to_owned()),
        Just("d=".to_owned()),
        "[ -~]{0,3}",
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn header() -> impl Strategy<Value = (String, String)> {
    let names = prop_oneof!["x-[a-z]{1,8}", Just("accept".to_owned()), Just("date".to_owned())];
    (names, "[ -~]{0,40}")
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        path in "(/[a-zA-Z0-9._-]{1,8}){1,4}",
        query in proptest::option::of("[a-z]{1,4}=[a-zA-Z0-9%20+]{0,8}(&[A-Z]=[0-9]{1,3})?"),
        headers in vec(header(), 0..6),
        host in "[a-z]{1,10}(\\.[a-z]{2,5}){0,2}(:[1-9][0-9]{0,3})?",
        extra in "[a-z]{1,6}",
    ) {
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let Ok(uri) = target.parse::<http::Uri>() else { return Ok(()) };
        let mut request = get("/");
        *request.uri_mut() = uri;
        set(&mut request, "host", &host);
        let mut covered = COVERED.to_owned();
        for (name, value) in &headers {
            if !request.headers().contains_key(name.as_str()) {
                covered.push_str(&format!(" \"{name}\""));
            }
            add(&mut request, name, value);
        }
        sign_as(&mut request, "sig", &secret(), &format!("({covered}){}", params()));
        let verifier = verifier();
        for (name, _) in &headers {
            let mut changed = copy(&request);
            add(&mut changed, name, &extra);
            prop_assert_eq!(run(said(&verifier, &changed)), fault(SignatureRejection::Wrong));
            changed.headers_mut().remove(name.as_str());
            let missing = fault(SignatureRejection::ComponentMissing);
            prop_assert_eq!(run(said(&verifier, &changed)), missing);
        }
        prop_assert_eq!(run(said(&verifier, &request)), ada());
        prop_assert_eq!(run(said(&verifier, &request)), fault(SignatureRejection::NonceUsed));
    }

    #[test]
    fn nothing_that_is_sent_breaks_the_reader(
        input in structured_text(),
        signature in structured_text(),
        digest in structured_text(),
    ) {
        let mut request = post("hello");
        for (name, text) in
            [("signature-input", &input), ("signature", &signature), ("content-digest", &digest)]
        {
            set(&mut request, name, text);
        }
        prop_assert!(run(said(&verifier(), &request)).is_err());
        verifier().admit(&mut request);
        if let Ok(Some(fields)) = Fields::find(request.headers())
            && let Ok(signatures) = fields.signatures()
        {
            signatures.iter().for_each(|signed| drop(signed.input()));
        }
    }

    #[test]
    fn any_bytes_are_survived(input in vec(any::<u8>(), 0..80), signature in vec(any::<u8>(), 0..40)) {
        let mut request = get("/");
        for (name, bytes) in [("signature-input", input), ("signature", signature)] {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        prop_assert!(run(said(&verifier(), &request)).is_err());
    }

    /// Against another reader of structured fields: what is read here is read there, and written
    /// the same.
    #[test]
    fn structures_are_what_others_take_them_for(text in structured_text()) {
        if let Some(found) = structured::dictionary(&text) {
            let other: sfv::Dictionary = sfv::Parser::new(&text).parse().unwrap();
            prop_assert_eq!(found.len(), other.len());
            let mut written = String::new();
            structured::write_dictionary(&found, &mut written);
            use sfv::FieldType as _;
            prop_assert_eq!(written, other.serialize().unwrap_or_default());
        }
        if let Some(found) = structured::list(&text) {
            let other: sfv::List = sfv::Parser::new(&text).parse().unwrap();
            let mut written = String::new();
            structured::write_list(&found, &mut written);
            use sfv::FieldType as _;
            prop_assert_eq!(written, other.serialize().unwrap_or_default());
        }
        if let Some(found) = structured::item(&text) {
            let other: sfv::Item = sfv::Parser::new(&text).parse().unwrap();
            let mut written = String::new();
            found.write(&mut written);
            use sfv::FieldType as _;
            prop_assert_eq!(written, other.serialize());
        }
    }

    #[test]
    fn what_others_write_is_read(
        number in -999_999_999_999_999_i64..=999_999_999_999_999,
        text in "[ -~]{0,12}",
        bytes in vec(any::<u8>(), 0..12),
        decimal in -999_999_999_999_i64..999_999_999_999,
        flag in any::<bool>(),
    ) {
        use sfv::FieldType as _;
        let string = sfv::String::from_string(text).unwrap();
        let integer = sfv::Integer::try_from(number).unwrap();
        let decimal = sfv::Decimal::try_from(decimal as f64 / 1000.0).unwrap();
        let bare: [sfv::BareItem; 5] =
            [string.into(), integer.into(), sfv::BareItem::ByteSequence(bytes), decimal.into(), flag.into()];
        let list: sfv::List = bare.into_iter().map(|bare| sfv::Item::new(bare).into()).collect();
        let written = list.serialize().unwrap();
        let found = structured::list(&written);
        prop_assert!(found.is_some(), "{}", written);
        let mut again = String::new();
        structured::write_list(&found.unwrap(), &mut again);
        prop_assert_eq!(again, written);
    }
}
