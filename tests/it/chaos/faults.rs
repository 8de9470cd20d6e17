//! The faults.

use std::time::Duration;

use gateway_tests::{Answer, Http1Builder, Seen, Step, Upstream};

/// What the upstream's own rejection says.
pub(super) const BUSY: &str = "busy";

/// What is in answers that nobody may see.
pub(super) const LEAK: &str = "LEAK";

/// How many bytes a good answer has.
pub(super) const LENGTH: usize = 3_000;

/// How an endpoint is bad.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Nothing reaches it.
    Rejects,
    /// Connections are accepted and end, or hang, before anything is read.
    OnAccept(fn() -> Answer),
    /// Requests are read and this happens.
    Answers(fn(&Seen) -> Answer),
    /// Only what comes second on a connection.
    WhenUsed(fn(&Seen) -> Answer),
}

/// What a client may be told by an endpoint with the fault, if nothing else helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// 502 or 503.
    BadGateway,
    /// 504, or 502 where it ends later.
    Late,
    /// A part of the answer that is seen to be one, or 502.
    Cut,
    /// The whole answer.
    Whole,
    /// The upstream's own 503.
    Busy,
}

/// Who gets an answer of another endpoint, where the request may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// Every cluster does: nothing of an answer had come.
    Cluster,
    /// A retry does.
    Retry,
    /// Who does not wait for the end of the request's time does.
    Hurry,
    /// Nobody does, or nothing is wrong.
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) told: &'static [Told],
    pub(super) mended: Mended,
}

impl Fault {
    pub(super) fn dies_when_used(&self) -> bool {
        matches!(self.kind, Kind::WhenUsed(_))
    }

    /// Whether it takes all of the time that a request has.
    pub(super) fn is_slow(&self) -> bool {
        self.told.contains(&Told::Late) || self.name == "stops in the body"
    }

    pub(super) async fn upstream(&self) -> Upstream {
        match self.kind {
            Kind::Rejects => Upstream::rejecting(),
            Kind::OnAccept(steps) => Upstream::http1().on_accept(steps()).start().await,
            Kind::Answers(script) => Upstream::http1().script(script).start().await,
            Kind::WhenUsed(script) => {
                let first = move |seen: &Seen| match seen.request {
                    0 => good(seen),
                    _ => script(seen),
                };
                Upstream::http1().script(first).start().await
            }
        }
    }
}

/// The body of the only good answer to a request.
pub(super) fn body(target: &str) -> Vec<u8> {
    let mut body = format!("{target}:").into_bytes();
    let seed = target.bytes().fold(7_u64, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
    body.extend_from_slice(&gateway_tests::Pattern::new(seed).bytes(LENGTH - body.len()));
    body
}

fn good(seen: &Seen) -> Answer {
    Answer::ok(body(&seen.target))
}

/// An upstream without a fault.
pub(super) async fn well() -> Upstream {
    let builder: Http1Builder = Upstream::http1().script(good);
    builder.start().await
}

/// The bytes of a good answer, or more of them than there should be.
fn wire(seen: &Seen, length: usize) -> Vec<u8> {
    let mut wire = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    wire.extend_from_slice(&body(&seen.target));
    wire
}

fn cut_at(seen: &Seen, at: usize, end: Step) -> Answer {
    let mut wire = wire(seen, LENGTH);
    wire.truncate(at);
    Answer::raw(wire).pause(Duration::from_millis(20)).then(end)
}

fn chunked_cut(seen: &Seen, end: Step) -> Answer {
    let body = body(&seen.target);
    let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5dc\r\n".to_vec();
    wire.extend_from_slice(&body[..1_500]);
    wire.extend_from_slice(b"\r\n5dc\r\n");
    Answer::raw(wire).pause(Duration::from_millis(20)).then(end)
}

const BAD: &[Told] = &[Told::BadGateway];
const LATE: &[Told] = &[Told::Late];
const CUT: &[Told] = &[Told::Cut];

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "rejects", kind: Kind::Rejects, told: BAD, mended: Mended::Cluster },
    Fault {
        name: "accepts and closes",
        kind: Kind::OnAccept(|| Answer::unread().then(Step::Close)),
        told: BAD,
        mended: Mended::Cluster,
    },
    Fault {
        name: "accepts and resets",
        kind: Kind::OnAccept(|| Answer::unread().then(Step::Reset)),
        told: BAD,
        mended: Mended::Cluster,
    },
    Fault {
        name: "accepts and hangs",
        kind: Kind::OnAccept(Answer::hang),
        told: LATE,
        mended: Mended::Hurry,
    },
    Fault {
        name: "resets without reading the body",
        kind: Kind::Answers(|_| Answer::unread().then(Step::Reset)),
        told: BAD,
        mended: Mended::Cluster,
    },
    Fault {
        name: "resets before the head",
        kind: Kind::Answers(|_| Answer::unread().then(Step::ReadBody).then(Step::Reset)),
        told: BAD,
        mended: Mended::Cluster,
    },
    Fault {
        name: "resets in the head",
        kind: Kind::Answers(|_| Answer::raw("HTTP/1.1 200 OK\r\nx-a: LEAK").then(Step::Reset)),
        told: BAD,
        mended: Mended::Retry,
    },
    Fault {
        name: "finishes in the head",
        kind: Kind::Answers(|_| Answer::raw("HTTP/1.1 200 OK\r\nx-a: LEAK").then(Step::Finish)),
        told: BAD,
        mended: Mended::Retry,
    },
    Fault {
        name: "resets in the body",
        kind: Kind::Answers(|seen| cut_at(seen, 1_000, Step::Reset)),
        told: CUT,
        mended: Mended::Never,
    },
    Fault {
        name: "finishes in the body",
        kind: Kind::Answers(|seen| cut_at(seen, 1_000, Step::Finish)),
        told: CUT,
        mended: Mended::Never,
    },
    Fault {
        name: "resets a byte before the end",
        kind: Kind::Answers(|seen| cut_at(seen, wire(seen, LENGTH).len() - 1, Step::Reset)),
        told: CUT,
        mended: Mended::Never,
    },
    Fault {
        name: "dies in the second chunk",
        kind: Kind::Answers(|seen| chunked_cut(seen, Step::Close)),
        told: CUT,
        mended: Mended::Never,
    },
    Fault {
        name: "hangs after the request",
        kind: Kind::Answers(|_| Answer::hang()),
        told: LATE,
        mended: Mended::Hurry,
    },
    Fault {
        name: "stops in the body",
        kind: Kind::Answers(|seen| cut_at(seen, 1_000, Step::Hang)),
        told: CUT,
        mended: Mended::Never,
    },
    Fault {
        name: "drips its head",
        kind: Kind::Answers(|_| {
            let head = "HTTP/1.1 200 OK\r\nx-a: LEAK LEAK LEAK LEAK LEAK LEAK LEAK LEAK LEAK LEAK";
            Answer::unread()
                .then(Step::Drip(head.into(), Duration::from_millis(40)))
                .then(Step::Hang)
        }),
        told: LATE,
        mended: Mended::Hurry,
    },
    Fault {
        name: "is no HTTP",
        kind: Kind::Answers(|_| Answer::raw("SSH-2.0-OpenSSH_9.2 LEAK\r\n\r\n").then(Step::Finish)),
        told: BAD,
        mended: Mended::Retry,
    },
    Fault {
        name: "never ends its interim answers",
        kind: Kind::Answers(|_| {
            let hint = "HTTP/1.1 103 Early Hints\r\nlink: </LEAK>\r\n\r\n";
            Answer::raw("").then(Step::Endless(hint.into()))
        }),
        told: &[Told::BadGateway, Told::Late],
        mended: Mended::Never,
    },
    Fault {
        name: "says 100 and 103 and then answers",
        kind: Kind::Answers(|seen| {
            let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-a: 1\r\n\r\n";
            Answer::raw(interim).send(wire(seen, LENGTH))
        }),
        told: &[Told::Whole],
        mended: Mended::Never,
    },
    Fault {
        name: "drips its body",
        kind: Kind::Answers(|seen| {
            let wire = wire(seen, LENGTH);
            let pieces = wire.chunks(1_000).map(<[u8]>::to_vec);
            let pause = Duration::from_millis(5);
            pieces.fold(Answer::raw(""), |answer, piece| answer.send(piece).pause(pause))
        }),
        told: &[Told::Whole],
        mended: Mended::Never,
    },
    Fault {
        name: "answers before it reads, and closes",
        kind: Kind::Answers(|seen| {
            let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n".to_vec();
            answer.extend_from_slice(&wire(seen, LENGTH)[17..]);
            Answer::unread().send(answer).then(Step::Finish)
        }),
        told: &[Told::Whole],
        mended: Mended::Never,
    },
    Fault {
        name: "answers twice",
        kind: Kind::Answers(|seen| {
            let mut twice = wire(seen, LENGTH);
            twice.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nLEAK");
            Answer::raw(twice)
        }),
        told: &[Told::Whole, Told::BadGateway],
        mended: Mended::Never,
    },
    Fault {
        name: "is busy",
        kind: Kind::Answers(|_| Answer::status(503, BUSY)),
        told: &[Told::Busy],
        mended: Mended::Retry,
    },
    Fault {
        name: "is busy for long",
        kind: Kind::Answers(|_| Answer::status(503, BUSY).header("retry-after", "60")),
        told: &[Told::Busy],
        mended: Mended::Never,
    },
    Fault {
        name: "closes connections when they are used again",
        kind: Kind::WhenUsed(|_| Answer::unread().then(Step::Close)),
        told: &[Told::Whole, Told::BadGateway],
        mended: Mended::Cluster,
    },
    Fault {
        name: "resets connections when they are used again",
        kind: Kind::WhenUsed(|_| Answer::unread().then(Step::ReadBody).then(Step::Reset)),
        told: &[Told::Whole, Told::BadGateway],
        mended: Mended::Cluster,
    },
];
