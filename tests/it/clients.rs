//! Clients of other makes, as they are installed.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use gateway_tests::{Answer, Gateway, Pattern, Step, Stream, Upstream, within};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(30);
const LARGE: usize = 3 << 20;

/// The ways in which curl speaks to us.
const PROTOCOLS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

/// What `program` said, when it succeeds.
async fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(PATIENCE, program, command.output()).await;
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{said}\n{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Whether `program` is there and says that it has `feature`; says so when not.
async fn is_missing(program: &str, feature: &str) -> bool {
    let version = run(program, &["--version"]).await;
    let missing = !version.is_ok_and(|said| said.contains(feature));
    if missing {
        eprintln!("skipped: there is no {program} with {feature}");
    }
    missing
}

/// Runs curl, which must come to its end by itself.
async fn curl(gateway: &Gateway, path: &str, arguments: &[&str]) -> String {
    let url = format!("http://{}{path}", gateway.addr());
    let mut all = vec!["--silent", "--show-error", "--max-time", "10"];
    all.extend(arguments);
    all.push(&url);
    match run("curl", &all).await {
        Ok(said) => said,
        Err(said) => panic!("curl {arguments:?}: {said}"),
    }
}

async fn upstreams() -> [Upstream; 2] {
    [Upstream::http1().start().await, Upstream::http2().start().await]
}

#[tokio::test]
async fn curl_gets() {
    if is_missing("curl", "HTTP2").await {
        return;
    }
    for upstream in upstreams().await {
        let gateway = Gateway::to(&upstream).start().await;
        for (protocol, version) in PROTOCOLS {
            let format = "\n%{http_code} %{http_version} %{num_connects}";
            let said = curl(&gateway, "/a/../b?q=1", &[protocol, "--write-out", format]).await;
            assert_eq!(said, format!("ok\n200 {version} 1"));
            assert_eq!(upstream.seen().last().expect("a request").target, "/b?q=1");
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn curl_asks_for_heads() {
    if is_missing("curl", "HTTP2").await {
        return;
    }
    let upstream = Upstream::http1().answer(Answer::ok("four")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (protocol, _) in PROTOCOLS {
        let said = curl(&gateway, "/", &["--head", protocol]).await.to_lowercase();
        let start = said.lines().next().unwrap_or_default();
        assert!(start.contains(" 200"), "{said}");
        assert!(said.contains("\ncontent-length: 4\r\n"), "{said}");
        assert!(!said.contains("four"), "{said}");
        assert_eq!(upstream.seen().last().expect("a request").method, "HEAD");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn curl_uploads() {
    if is_missing("curl", "HTTP2").await {
        return;
    }
    for upstream in upstreams().await {
        let gateway = Gateway::to(&upstream).start().await;
        let file = gateway.document_path().with_file_name("upload");
        let content = Pattern::new(1).bytes(LARGE);
        std::fs::write(&file, &content).expect("write a file");
        for (protocol, _) in PROTOCOLS {
            for more in [&[][..], &["--header", "Transfer-Encoding: chunked"]] {
                if !more.is_empty() && protocol != "--http1.1" {
                    continue;
                }
                let mut arguments = vec![protocol, "-T", text(file.as_os_str())];
                arguments.extend(more);
                assert_eq!(curl(&gateway, "/upload", &arguments).await, "ok");
                let seen = upstream.seen().pop().expect("a request");
                assert_eq!((seen.method.as_str(), seen.body_length), ("PUT", LARGE as u64));
                assert!(seen.exact && seen.complete, "{protocol} {more:?}");
            }
        }
        gateway.assert_quiet().await;
    }
}

fn text(path: &OsStr) -> &str {
    path.to_str().expect("a path that is text")
}

#[tokio::test]
async fn curl_waits_until_the_upstream_asks_for_the_body() {
    if is_missing("curl", "HTTP2").await {
        return;
    }
    let answer = Answer::unread().send("HTTP/1.1 100 Continue\r\n\r\n").then(Step::ReadBody);
    let answer = answer.then(Step::Reply(200, Vec::new(), "taken".into()));
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).timeout("30s").start().await;
    // Over HTTP/1.1 curl is told to go on, or its time is over; over HTTP/2 it goes on by itself.
    for ((protocol, _), wait) in PROTOCOLS.into_iter().zip(["20", "0.2"]) {
        let expect = ["--expect100-timeout", wait, "--header", "Expect: 100-continue"];
        let mut arguments = vec![protocol, "--data", "body"];
        arguments.extend(expect);
        assert_eq!(curl(&gateway, "/", &arguments).await, "taken", "{protocol}");
        assert_eq!(upstream.seen().last().expect("a request").body, b"body");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn curl_takes_large_answers() {
    if is_missing("curl", "HTTP2").await {
        return;
    }
    let upstream = Upstream::http2().answer(Stream::Pattern(LARGE as u64)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let file = gateway.document_path().with_file_name("answer");
    for (protocol, _) in PROTOCOLS {
        curl(&gateway, "/", &[protocol, "--output", text(file.as_os_str())]).await;
        let taken = std::fs::read(&file).expect("the answer");
        assert!(taken == Pattern::new(1).bytes(LARGE), "{protocol}: {} bytes", taken.len());
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn h2load_loses_nothing() {
    if is_missing("h2load", "nghttp2").await {
        return;
    }
    for upstream in upstreams().await {
        let gateway = Gateway::to(&upstream).start().await;
        let url = format!("http://{}/", gateway.addr());
        for protocol in [&[][..], &["--h1"]] {
            let mut arguments = vec!["-n", "1000", "-c", "8", "-m", "10"];
            arguments.extend(protocol);
            arguments.push(&url);
            let said = run("h2load", &arguments).await;
            let said = said.unwrap_or_else(|said| panic!("h2load {protocol:?}: {said}"));
            assert!(said.contains("1000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
        }
        assert_eq!(upstream.seen().len(), 2_000);
        gateway.assert_quiet().await;
    }
}
