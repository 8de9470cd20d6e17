//! The binary as somebody at a terminal sees it: what it prints and how it exits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = gateway(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
fn check_says_good() {
    let (code, out, err) = output(&["check", "--config", "examples/config/full.toml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "examples/config/full.toml: good (4 listeners, 12 clusters, 14 routes)\n");
}

#[test]
fn check_and_run_say_the_same_about_a_bad_document() {
    let check = ["check", "--config", "examples/config/minimal.toml"];
    let checked = gateway(&check).env("GATEWAY__WORKERS", "many").output().unwrap();
    let run = ["run", "--config", "examples/config/minimal.toml"];
    let ran = gateway(&run).env("GATEWAY__WORKERS", "many").output().unwrap();
    let problem = "GATEWAY__WORKERS: workers: found \"many\", expected a number from 0 to 1024\n";
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), problem);
    assert_eq!(checked.status.code(), Some(1));
    let checked = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked, format!("{problem}1 problem; nothing would start\n"));
}

#[test]
fn strict_check_fails_on_warnings() {
    let plain = ["check", "--config", "examples/config/minimal.toml"];
    let strict = ["check", "--strict", "--config", "examples/config/minimal.toml"];
    let run = |arguments: &[&str]| {
        gateway(arguments).env("GATEWAY__ROUTES__0__MATCH__PREFIX", "/a/*").output().unwrap()
    };
    assert_eq!(run(&plain).status.code(), Some(0));
    let failed = run(&strict);
    assert_eq!(failed.status.code(), Some(1));
    let told = String::from_utf8(failed.stderr).unwrap();
    assert!(told.ends_with("1 warning; not allowed with --strict\n"), "{told}");
    assert_eq!(output(&strict).0, Some(0));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    assert_eq!(output(&["proxy", "--listen", "here", "--to", "http://a"]).0, Some(2));
    assert_eq!(output(&[]).0, Some(2));
}

#[test]
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
fn explain_names_the_route_and_what_stands_around_it() {
    let url = "http://pictures.example.com/pictures/1";
    let arguments = ["explain", "GET", url, "--config", "examples/config/full.toml"];
    let (code, out, _) = output(&arguments);
    assert_eq!(code, Some(0));
    assert!(out.contains("goes to route `pictures`"), "{out}");
    assert!(out.contains("  body_limit 10MiB, except for gRPC\n"), "{out}");
    assert!(out.contains("\n  timeout off\n"), "{out}");
    assert!(out.contains("  target: cluster pictures\ncluster `pictures`: round_robin"), "{out}");
    assert!(out.contains("  unix:/run/pictures.sock: picked"), "{out}");
    assert!(out.contains("  connect 3s, try off, response_head 30s\n"), "{out}");
}

#[test]
fn explain_tells_when_no_listener_speaks_the_scheme() {
    let config = "examples/config/minimal.toml";
    let url = "https://api.example.com/";
    let (code, out, err) = output(&["explain", "GET", url, "--config", config]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no listener speaks TLS; expected one of `http`"), "{err}");
    let name = err.trim_end().rsplit(": ").next().unwrap();
    assert!(!name.is_empty(), "{err}");
    let behind = ["explain", "GET", url, "--config", config, "--listener", name];
    assert_eq!(output(&behind).0, Some(0), "TLS may end in front of the gateway");
}

#[test]
fn reasons_as_json() {
    let (code, out, _) = output(&["reasons", "--json"]);
    assert_eq!(code, Some(0));
    let reasons: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(reasons[0]["code"], "route_not_found");
    assert_eq!(reasons[0]["status"], 404);
}

#[test]
fn demo_serves_until_sigterm_and_exits_with_0() {
    let mut demo = gateway(&["demo", "--listen", "127.0.0.1:0"]);
    let mut demo = demo.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on http://").unwrap();
    let address = address.strip_suffix(" (demo)").unwrap();
    // The second line comes after every worker was started with its sockets.
    lines.next().unwrap().unwrap();

    let mut client = TcpStream::connect(address).unwrap();
    let head = format!("GET /remote/a?b HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"target\":\"/a?b\""), "{answer}");

    let kill = Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(demo.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("stopped"));
}
