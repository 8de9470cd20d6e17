//! The receiver, over real connections.

use gateway_core::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// What a receiver got: the head, and the body as JSON.
type Got = (String, Value);

/// Answers each POST with the next of `answers`; an empty one is none at all.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    accepted: Arc<Mutex<usize>>,
    _tasks: Tasks,
}

impl Receiver {
    async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events?key=planted", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let accepted = Arc::<Mutex<usize>>::default();
        let mut answers: VecDeque<_> = answers.to_vec().into();
        let (into, count) = (Arc::clone(&got), Arc::clone(&accepted));
        let tasks = Tasks::new();
        tasks.spawn("receiver", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                while let Some(post) = post(&mut stream).await {
                    into.lock().unwrap().push(post);
                    let answer = answers.pop_front().unwrap_or("204 No Content\r\n\r\n");
                    if answer.is_empty() {
                        break;
                    }
                    stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
                }
            }
        });
        Self { url, got, accepted, _tasks: tasks }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn post(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.split_once("content-length: ").unwrap().1;
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if bytes.len() == end + 4 + length {
            let body = read(std::str::from_utf8(&bytes[end + 4..]).unwrap());
            return Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), body));
        }
    }
}

fn quick() -> SinkConfig {
    settings(|settings| {
        settings.interval = Duration::from_millis(5);
        settings.backoff = Duration::from_millis(5);
        settings.max_backoff = Duration::from_millis(20);
        settings.timeout = Duration::from_millis(300);
    })
}

fn to(receiver: &Receiver) -> Audit {
    let sink = HttpSink::builder(&*receiver.url).token("planted-token".into()).settings(quick());
    let audit = Audit::builder().sink(sink.build().unwrap()).build().unwrap();
    audit.start();
    audit
}

async fn until(audit: &Audit, wanted: impl Fn(&[u64; 5]) -> bool) {
    let waited = timeout(Duration::from_secs(10), async {
        while !wanted(&counts(audit)) {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{:?}", audit.status());
}

#[tokio::test]
async fn a_batch_is_an_array_behind_a_token_on_one_connection() {
    let receiver = Receiver::start(&["200 OK\r\ncontent-length: 2\r\n\r\nok"]).await;
    let audit = to(&receiver);
    reject(&audit, 3);
    until(&audit, |[_, sent, ..]| *sent == 3).await;
    reject(&audit, 1);
    until(&audit, |[_, sent, ..]| *sent == 4).await;
    let got = receiver.got();
    let head = got[0].0.to_lowercase();
    assert!(head.starts_with("post /events?key=planted http/1.1\r\n"), "{head}");
    for field in ["content-type: application/json", "authorization: bearer planted-token"] {
        assert!(head.contains(field), "{head}");
    }
    let batches: Vec<_> = got.iter().map(|(_, body)| body.as_array().unwrap().len()).collect();
    assert_eq!((batches, *receiver.accepted.lock().unwrap()), (vec![3, 1], 1));
    let shown = format!("{audit:?} {:?}", audit.status());
    assert!(!shown.contains("planted"), "{shown}");
}

#[tokio::test]
async fn what_did_not_arrive_for_sure_is_sent_again_with_the_same_ids() {
    const FAILS: &str = "500 Oh\r\ncontent-length: 0\r\n\r\n";
    const LIMITED: &str = "429 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    const SLOW: &str = "408 Slow\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(&[FAILS, "", LIMITED, SLOW]).await;
    let audit = to(&receiver);
    reject(&audit, 2);
    until(&audit, |[_, sent, ..]| *sent == 2).await;
    let got = receiver.got();
    assert_eq!(got.len(), 5);
    assert!(got.iter().all(|(_, body)| *body == got[0].1), "{got:?}");
    assert_eq!(counts(&audit), [2, 2, 0, 0, 0]);
}

#[tokio::test]
async fn what_is_rejected_or_led_elsewhere_is_not_sent_again() {
    for answer in [
        "400 Bad\r\ncontent-length: 0\r\n\r\n",
        "401 Who\r\ncontent-length: 0\r\n\r\n",
        "307 There\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::start(&[answer]).await;
        let audit = to(&receiver);
        reject(&audit, 2);
        until(&audit, |[.., failed]| *failed == 2).await;
        assert_eq!(receiver.got().len(), 1, "{answer}");
        reject(&audit, 1);
        until(&audit, |[_, sent, ..]| *sent == 2).await;
        let last = receiver.got().pop().unwrap().1;
        assert_eq!(last[0]["dropped"], 2, "{last}");
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up_in_time() {
    // It takes the connection, and never an answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sink = HttpSink::builder(url).settings(quick()).build().unwrap();
    let audit = Audit::builder().sink(sink).build().unwrap();
    audit.start();
    reject(&audit, 2);
    let began = Instant::now();
    assert_eq!(audit.drain(Duration::from_secs(1)).await, 2);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_cannot_be_sent_is_rejected_without_the_secret() {
    let token = HttpSink::builder("http://a.test/").token("planted\ntoken".into()).build();
    assert_eq!(token.unwrap_err(), HttpSinkError::Token);
    for url in ["a.test", "ftp://a.test/", "http://gateway:planted@a.test/", "https://a.test/"] {
        let error = HttpSink::builder(url).build().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
    let builder = HttpSink::builder("http://a.test/?key=planted").token("planted".into());
    assert!(!format!("{builder:?}").contains("planted"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("planted"));
}
