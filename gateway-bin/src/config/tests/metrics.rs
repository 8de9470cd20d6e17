//! `[metrics]`.

use gateway_layers::metrics::DEFAULT_BUCKETS;

use super::*;

fn metrics(text: &str) -> Metrics {
    read(&format!("{LISTENER}[metrics]\n{text}\n")).document.metrics.unwrap()
}

#[test]
fn what_is_not_said_is_as_usual() {
    assert_eq!(metrics(""), Metrics::default());
    assert_eq!(metrics("").buckets, DEFAULT_BUCKETS);
    assert!(read(LISTENER).document.metrics.is_none());
    let found = metrics("address = \"[::]:9464\"\nbuckets = \"1s\"\nnames = 5");
    assert_eq!(found.address, Some("[::]:9464".parse().unwrap()));
    assert_eq!((found.buckets.as_slice(), found.names), (&[Duration::from_secs(1)][..], 5));
}

#[test]
fn what_cannot_be_meant_is_rejected_with_its_place() {
    let cases = [
        (
            "address = \"9464\"",
            "g.toml:4:11: metrics.address: found \"9464\", expected an address such as \
             \"0.0.0.0:9464\"",
        ),
        (
            "buckets = []",
            "g.toml:4:11: metrics.buckets: found an empty list, expected at least one time such as \
             \"100ms\"",
        ),
        ("names = 0", "g.toml:4:9: metrics.names: found 0, expected a number from 1 to 1000000"),
        (
            "path = \"/m\"",
            "g.toml:4:1: metrics.path: unknown key, expected one of `address`, `buckets`, `names`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&format!("{LISTENER}[metrics]\n{text}\n")), [expected], "{text}");
    }
    let many = format!("buckets = [{}]", "\"1s\", ".repeat(101));
    let found = errors(&format!("{LISTENER}[metrics]\n{many}\n"));
    assert_eq!(found, ["g.toml:4:11: metrics.buckets: found 101 times, expected 100 at most"]);
}
