//! Tokens that are almost right.

use proptest::prelude::*;

use super::super::jws::Jws;
use super::*;

#[test]
fn no_token_with_one_letter_changed_or_gone_is_taken() {
    let signer = Signer::ed();
    let verifier = verifier(provider(Keys::inline(set(&[signer.jwk("a")]))));
    let token = signer.sign("a", &claims());
    assert!(said(&verifier, &token).is_ok());
    for place in 0..token.len() {
        let (before, after) = (&token[..place], &token[place + 1..]);
        assert!(said(&verifier, &format!("{before}{after}")).is_err(), "without {place}");
        for letter in ["A", "B", "_", ".", "=", " ", "+", "\0", "é"] {
            let changed = format!("{before}{letter}{after}");
            let same = changed == token;
            assert_eq!(said(&verifier, &changed).is_ok(), same, "{letter:?} at {place}");
        }
    }
    assert_eq!(verifier.cached(), 1);
}

proptest! {
    #[test]
    fn any_text_is_read_or_rejected(text in "\\PC*", parts in prop::array::uniform3("[A-Za-z0-9_-]*")) {
        prop_assert!(Jws::parse(&text).is_err());
        let _ = Jws::parse(&parts.join("."));
    }
}
