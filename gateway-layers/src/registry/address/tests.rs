use std::collections::HashMap;
use std::io;

use super::*;

/// Knows a few names.
struct Names(HashMap<&'static str, Vec<&'static str>>);

impl Resolve for Names {
    async fn resolve(&self, name: &str, _: u16) -> io::Result<Vec<IpAddr>> {
        let found = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

fn names() -> Names {
    Names(HashMap::from([
        ("orders.internal", vec!["10.0.0.7", "10.0.0.8"]),
        ("mixed.internal", vec!["10.0.0.7", "127.0.0.1"]),
        ("mapped.internal", vec!["::ffff:169.254.169.254"]),
        ("far.internal", vec!["192.0.2.1"]),
        ("listed.example", vec!["203.0.113.9"]),
        ("rebound.example", vec!["127.0.0.1"]),
        ("localhost", vec!["127.0.0.1", "::1"]),
        ("nothing.internal", vec![]),
    ]))
}

async fn check(text: &str, allow: &AllowList) -> Result<String, String> {
    let checked = checked(text, allow, &names()).await;
    checked.map(|address| address.to_string()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn what_is_stored_is_the_address_that_was_judged() {
    let allow = AllowList::new(["10.0.0.0/8", "fd00:1::/32", "listed.example"]).unwrap();
    for (text, stored) in [
        ("http://10.1.2.3:9000", "http://10.1.2.3:9000"),
        ("h2c://10.1.2.3", "h2c://10.1.2.3:80"),
        ("http://[fd00:1::7]:9000", "http://[fd00:1::7]:9000"),
        ("http://[::ffff:10.1.2.3]:9000", "http://10.1.2.3:9000"),
        ("http://orders.internal:9000", "http://10.0.0.7:9000"),
        ("http://Orders.Internal.:9000", "http://10.0.0.7:9000"),
        ("http://listed.example", "http://203.0.113.9:80"),
    ] {
        assert_eq!(check(text, &allow).await.as_deref(), Ok(stored), "{text}");
    }
}

#[tokio::test]
async fn tricky_spellings_are_rejected() {
    // Everything is allowed but what must be listed by itself.
    let allow = AllowList::new(["0.0.0.0/0", "::/0", "rebound.example", "localhost"]).unwrap();
    for (text, problem) in [
        ("http://127.0.0.1", "loopback"),
        ("http://127.255.255.254:80", "loopback"),
        ("http://[::1]:80", "loopback"),
        ("http://[0:0:0:0:0:0:0:1]", "loopback"),
        ("http://[::ffff:127.0.0.1]", "loopback"),
        ("http://[::ffff:7f00:1]", "loopback"),
        ("http://[::127.0.0.1]", "loopback"),
        ("http://[64:ff9b::127.0.0.1]", "loopback"),
        ("http://[64:ff9b::a9fe:a9fe]", "link-local"),
        ("http://[2002:7f00:1::]", "loopback"),
        ("http://[2002:a9fe:a9fe::1]", "link-local"),
        ("http://169.254.169.254", "link-local"),
        ("http://[fe80::1]", "link-local"),
        ("http://[febf::1]", "link-local"),
        ("http://[fd00:ec2::254]", "metadata"),
        ("http://100.100.100.200", "metadata"),
        ("http://168.63.129.16", "metadata"),
        ("http://0.0.0.0", "unspecified"),
        ("http://0.1.2.3", "unspecified"),
        ("http://[::]", "unspecified"),
        ("http://224.0.0.1", "multicast"),
        ("http://[ff02::1]", "multicast"),
        ("http://255.255.255.255", "reserved"),
        ("http://2130706433", "number"),
        ("http://017700000001", "number"),
        ("http://0x7f000001", "number"),
        ("http://0x7f.1", "number"),
        ("http://127.1", "number"),
        ("http://0177.0.0.1", "number"),
        ("http://127.0.0.01", "number"),
        ("http://127.0.0.1.", "number"),
        ("http://127.0.0.0x1", "number"),
        ("http://localhost", "loopback"),
        ("http://LOCALHOST.", "loopback"),
        ("http://rebound.example", "loopback"),
        ("http://mixed.internal", "loopback"),
        ("http://mapped.internal", "link-local"),
        ("http://user@10.0.0.1", "user information"),
        ("http://10.0.0.1@127.0.0.1", "user information"),
        ("http://10.0.0.1:80@127.0.0.1", "user information"),
        ("http://10.0.0.1/path", "a path"),
        ("http://10.0.0.1?x", "a path"),
        ("http://10.0.0.1:0", "an invalid port"),
        ("http://10.0.0.1:99999", "port"),
        ("http://[fe80::1%25eth0]", ""),
        ("http://10.0.0.1\\@127.0.0.1", ""),
        ("http://a..b", "no host"),
        ("http://", ""),
        ("//10.0.0.1", ""),
        ("10.0.0.1:80", ""),
        ("https://10.0.0.1", "https"),
        ("unix:/run/docker.sock", "unix"),
        ("ftp://10.0.0.1", "scheme"),
        ("http://nothing.internal", "not found"),
        ("http://unknown.internal", "not found"),
    ] {
        match check(text, &allow).await {
            Ok(stored) => panic!("{text} is taken as {stored}"),
            Err(error) => assert!(error.contains(problem), "{text}: {error}"),
        }
    }
}

#[tokio::test]
async fn what_is_not_listed_is_rejected() {
    let nothing = AllowList::default();
    let some = AllowList::new(["10.0.0.0/8", "listed.example"]).unwrap();
    for (text, allow) in [
        ("http://10.0.0.1", &nothing),
        ("http://orders.internal", &nothing),
        ("http://11.0.0.1", &some),
        ("http://far.internal", &some),
        ("http://[::ffff:11.0.0.1]", &some),
    ] {
        let error = check(text, allow).await.unwrap_err();
        assert!(error.contains("not among the allowed addresses"), "{text}: {error}");
    }
}

#[tokio::test]
async fn special_addresses_are_taken_where_they_are_listed() {
    let allow = AllowList::new(["127.0.0.1", "::1/128", "169.254.7.7/32"]).unwrap();
    for text in ["http://127.0.0.1:1", "http://[::1]:1", "http://169.254.7.7:1"] {
        assert_eq!(check(text, &allow).await.as_deref(), Ok(text));
    }
    let mapped = check("http://[::ffff:127.0.0.1]:1", &allow).await;
    assert_eq!(mapped.as_deref(), Ok("http://127.0.0.1:1"));
    assert!(check("http://127.0.0.2:1", &allow).await.is_err());
    assert_eq!(check("http://localhost:1", &allow).await.as_deref(), Ok("http://127.0.0.1:1"));
}

#[tokio::test]
async fn ports_can_be_limited() {
    let allow = AllowList::new(["10.0.0.0/8"]).unwrap().ports(80..=80).ports(8000..=8999);
    for (port, taken) in [(80, true), (8000, true), (8999, true), (22, false), (9000, false)] {
        assert_eq!(check(&format!("http://10.0.0.1:{port}"), &allow).await.is_ok(), taken);
    }
}

#[test]
fn entries_that_allow_nothing_are_rejected() {
    for entry in ["", "10.0.0.0/33", "a b", "127.0.0.0/8", "169.254.0.0/16", "fe80::/10", "1.2.3"] {
        assert!(AllowList::new([entry]).is_err(), "{entry}");
    }
}
