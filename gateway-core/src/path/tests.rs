//! One form for every path, and none for what has two readings.

use proptest::prelude::*;

use super::steps::is_dots;
use super::*;

fn normal(path: &str) -> Result<String, PathError> {
    normalize(path, &PathOptions::default()).map(Cow::into_owned)
}

fn kept(path: &str) -> Result<String, PathError> {
    let options = PathOptions::new().encoded_slashes(EncodedSlashes::Keep);
    normalize(path, &options).map(Cow::into_owned)
}

#[track_caller]
fn assert_forms(forms: &[(&str, &str)]) {
    for (path, expected) in forms {
        assert_eq!(normal(path).as_deref(), Ok(*expected), "{path}");
    }
}

#[test]
fn unreserved_characters_are_decoded_and_other_escapes_upper_cased() {
    assert_forms(&[
        ("/%41%7a%30%2d%2E%5f%7E", "/Az0-._~"),
        ("/a%3ab%c3%a9", "/a%3Ab%C3%A9"),
        ("/%25%32%65", "/%252e"),
        ("/%23%3f%20", "/%23%3F%20"),
        ("/%f0%9f%a6%80", "/%F0%9F%A6%80"),
    ]);
}

#[test]
fn raw_characters_that_no_path_may_have_are_encoded() {
    assert_forms(&[
        ("/a/\"", "/a/%22"),
        ("/<b>/`c`", "/%3Cb%3E/%60c%60"),
        ("/%22%3c%3e%60", "/%22%3C%3E%60"),
        ("/a^{b}|c", "/a^{b}|c"),
    ]);
}

#[test]
fn dot_segments_are_removed() {
    assert_forms(&[
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b", "/a/..b"),
        ("/a;x/../b", "/b"),
    ]);
    for path in ["/..", "/a/../..", "/%2e%2e/a", "/./../a", "/a/../../b"] {
        assert_eq!(normal(path), Err(PathError::AboveRoot), "{path}");
    }
}

#[test]
fn dot_segments_are_removed_before_slashes_are_merged() {
    assert_forms(&[("/a//b///c/", "/a/b/c/"), ("//", "/"), ("/a//../b", "/a/b")]);
    let options = PathOptions::new().merge_slashes(false);
    assert_eq!(normalize("/a//b/", &options), Ok(Cow::Borrowed("/a//b/")));
    assert_eq!(normalize("/a//../b", &options), Ok(Cow::Borrowed("/a/b")));
}

#[test]
fn what_could_be_read_in_two_ways_is_rejected() {
    let cases = [
        ("", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("a/b", PathError::NotAbsolute),
        ("/a%", PathError::BadEscape { at: 2 }),
        ("/a%4", PathError::BadEscape { at: 2 }),
        ("/%g0", PathError::BadEscape { at: 1 }),
        ("/%+1", PathError::BadEscape { at: 1 }),
        ("/%00", PathError::Control { at: 1 }),
        ("/a%0d%0a", PathError::Control { at: 2 }),
        ("/a\tb", PathError::Control { at: 2 }),
        ("/a\x7f", PathError::Control { at: 2 }),
        ("/%7F", PathError::Control { at: 1 }),
        ("/%C2%85", PathError::Control { at: 1 }),
        ("/a\\b", PathError::Backslash { at: 2 }),
        ("/a%5cb", PathError::Backslash { at: 2 }),
        ("/a#b", PathError::Fragment { at: 2 }),
        ("/a b", PathError::Forbidden { at: 2 }),
        ("/a?b", PathError::Forbidden { at: 2 }),
        ("/\u{e9}", PathError::NotAscii { at: 1 }),
        ("/a%2fb", PathError::EncodedSlash { at: 2 }),
    ];
    for (path, expected) in cases {
        assert_eq!(normal(path), Err(expected), "{path}");
    }
}

#[test]
fn escapes_must_decode_to_utf8() {
    for path in ["/%ff", "/%c0%af", "/%c3", "/%c3x", "/%c3%41", "/%e0%80%af", "/%ed%a0%80"] {
        assert_eq!(normal(path), Err(PathError::NotUtf8 { at: 1 }), "{path}");
    }
    assert_eq!(normal("/%c3%zz"), Err(PathError::BadEscape { at: 4 }));
    assert_eq!(normal("/%f4%90%80%80"), Err(PathError::NotUtf8 { at: 1 }));
}

#[test]
fn octets_that_are_not_utf8_may_be_kept() {
    let options = PathOptions::new().allow_non_utf8(true);
    let normal = |path| normalize(path, &options).map(Cow::into_owned);
    for (path, expected) in [
        ("/caf%e9", "/caf%E9"),
        ("/%e9x/%c3%a9", "/%E9x/%C3%A9"),
        ("/%c3%41", "/%C3A"),
        ("/%ff/../a", "/a"),
        ("/%c0", "/%C0"),
        ("/%ed%a0%80", "/%ED%A0%80"),
    ] {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        assert_eq!(normal(expected).as_deref(), Ok(expected), "{path}");
    }
    for path in ["/%c0%af", "/%c1%9c", "/%e0%80%af", "/%f0%80%80%af"] {
        assert_eq!(normal(path), Err(PathError::NotUtf8 { at: 1 }), "{path}");
    }
    assert_eq!(normal("/%e9%zz"), Err(PathError::BadEscape { at: 4 }));
    assert_eq!(normal("/%e9%2f"), Err(PathError::EncodedSlash { at: 4 }));
    assert_eq!(normal("/%c2%85"), Err(PathError::Control { at: 1 }));
}

#[test]
fn dot_segments_with_parameters_are_rejected_others_are_text() {
    for path in ["/a/..;x/b", "/..;", "/.;x", "/a/%2e%2e;/b", "/a/..%3bx", "/.;x;y/"] {
        assert_eq!(normal(path), Err(PathError::DotParameters), "{path}");
    }
    assert_forms(&[("/a;x=1/b;y", "/a;x=1/b;y"), ("/...;x", "/...;x"), ("/a.;x", "/a.;x")]);
}

#[test]
fn a_kept_encoded_slash_is_never_a_separator() {
    assert_eq!(kept("/a%2fb").as_deref(), Ok("/a%2Fb"));
    assert_eq!(kept("/a%2Fb/../c").as_deref(), Ok("/c"));
    assert_eq!(kept("/a%2F%2Fb").as_deref(), Ok("/a%2F%2Fb"));
    assert_eq!(kept("/a/..%2fb"), Err(PathError::DotEncodedSlash));
    assert_eq!(kept("/a%2f.%2fb"), Err(PathError::DotEncodedSlash));
    assert_eq!(kept("/a%2f..;x"), Err(PathError::DotParameters));
}

#[test]
fn nothing_is_allocated_when_nothing_changes() {
    for path in ["/", "/a/b/", "/.well-known/x", "/a%20b", "/%C3%A9", "/a/{b}", "/a;x=1"] {
        let result = normalize(path, &PathOptions::default());
        assert!(matches!(result, Ok(Cow::Borrowed(_))), "{path}");
    }
}

#[test]
fn an_error_says_what_was_found() {
    assert_eq!(PathError::BadEscape { at: 2 }.to_string(), "bad percent escape at byte 2");
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "/", ".", "..", "a", "B", ";", "%2e", "%2F", "%3b", "%25", "%c3%a9", "%41",
                "//", "/../", "%20", "{", "%2", "~", "%e9", "%80",
            ]), 0..12),
        keep: bool,
        merge: bool,
        allow: bool,
    ) {
        let slashes = if keep { EncodedSlashes::Keep } else { EncodedSlashes::Reject };
        let options = PathOptions::new().encoded_slashes(slashes).merge_slashes(merge).allow_non_utf8(allow);
        let path = format!("/{}", parts.concat());
        if let Ok(once) = normalize(&path, &options) {
            let twice = normalize(&once, &options);
            prop_assert_eq!(twice, Ok(Cow::Borrowed(&*once)));
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(is_dots));
            prop_assert!(!merge || !once.contains("//"));
        }
    }

    #[test]
    fn any_text_gives_a_path_or_an_error(text in "\\PC*", merge: bool) {
        let options = PathOptions::new().merge_slashes(merge);
        if let Ok(once) = normalize(&text, &options) {
            prop_assert_eq!(normalize(&once, &options), Ok(Cow::Borrowed(&*once)));
        }
    }
}
