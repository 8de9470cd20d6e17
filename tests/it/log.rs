//! The log, and who reads it.

use gateway_tests::{Answer, Client, Gateway, Upstream};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_log_that_nobody_reads_holds_no_request_up_and_says_what_it_lost() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).log_unread().start().await;
    // Lines of a KiB and more, as long as they get: more than a pipe and what waits for it hold.
    let path = format!("/{}", "a".repeat(1_000));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let (mut client, path) = (Client::http1(gateway.addr()), path.clone());
        clients.spawn(async move {
            for _ in 0..1_250 {
                client.get(&path).await.assert_ok("hello");
            }
        });
    }
    clients.join_all().await;
    let log = gateway.read_log("lines of the log were dropped").await;
    let lines = log.lines().filter(|line| line.contains(&path)).count();
    assert!((2_500..5_000).contains(&lines), "{lines}");
    Client::http1(gateway.addr()).get("/heard").await.assert_ok("hello");
}
