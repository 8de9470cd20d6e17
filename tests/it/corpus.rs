//! Lists of faults that several modules go through.

use std::time::Duration;

use gateway_tests::{Answer, Step};

/// A mark in bytes that no client may ever see.
pub(crate) const LEAK: &str = "LEAK";

/// Answers that are not HTTP, or not one message.
pub(crate) const NOT_HTTP: &[(&str, &[u8])] = &[
    ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46LEAK\r\n\r\n"),
    ("an SSH banner", b"SSH-2.0-OpenSSH_9.2 LEAK\r\n\r\n"),
    ("an SMTP banner", b"220 mail.test ESMTP LEAK\r\n\r\n"),
    ("HTTP/0.9", b"<html>LEAK</html>\r\n\r\n"),
    ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nLEAK"),
    ("an HTTP/2 settings frame", b"\0\0\0\x04\0\0\0\0\0LEAK\r\n\r\n"),
    ("only NUL", b"\0\0\0\0\0\0\0\0LEAK\r\n\r\n"),
    ("version 3.7", b"HTTP/3.7 200 OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a status of letters", b"HTTP/1.1 abc OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a status of two digits", b"HTTP/1.1 20 OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a status of zero", b"HTTP/1.1 000 OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a negative status", b"HTTP/1.1 -20 OK\r\ncontent-length: 4\r\n\r\nLEAK"),
    ("a request", b"GET /LEAK HTTP/1.1\r\nhost: x\r\n\r\n"),
    ("NUL in a field", b"HTTP/1.1 200 OK\r\nx-a: \0LEAK\r\ncontent-length: 0\r\n\r\n"),
    ("NUL in a name", b"HTTP/1.1 200 OK\r\nx\0a: LEAK\r\ncontent-length: 0\r\n\r\n"),
    ("a field without a colon", b"HTTP/1.1 200 OK\r\nLEAK\r\ncontent-length: 0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nLEAKx"),
    ("a list of two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 4, 5\r\n\r\nLEAKx"),
    ("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\nLEAK"),
    ("a length of letters", b"HTTP/1.1 200 OK\r\ncontent-length: four\r\n\r\nLEAK"),
    ("a length of 2^64", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nLEAK"),
    ("an unknown coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: xyz\r\n\r\nLEAK"),
    (
        "chunked not last",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, xyz\r\n\r\n4\r\nLEAK\r\n0\r\n\r\n",
    ),
];

/// Ways to die between the request and the first whole head.
pub(crate) fn deaths() -> Vec<(String, Answer)> {
    let mut list = Vec::new();
    let half = "HTTP/1.1 200 OK\r\nx-a: LEAK";
    let later = Duration::from_millis(50);
    for (how, end) in [("closed", Step::Close), ("reset", Step::Reset)] {
        let mut add = |what: &str, answer: Answer| {
            list.push((format!("{what}, {how}"), answer.then(end.clone())));
        };
        add("body unread", Answer::unread());
        add("body read", Answer::unread().then(Step::ReadBody));
        add("body read, later", Answer::unread().then(Step::ReadBody).pause(later));
        add("one byte", Answer::raw("H"));
        add("half a status line", Answer::raw("HTTP/1.1 2"));
        add("half a head", Answer::raw(half));
        add("half a head, later", Answer::raw(half).pause(later));
        add("a head without its end", Answer::raw(format!("{half}\r\ncontent-length: 0\r\n")));
    }
    list
}

/// Answers that end too early, after a whole head.
pub(crate) fn cuts() -> Vec<(String, Answer)> {
    let mut list = Vec::new();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "5\r\nabcde\r\n3;x=1\r\nfgh\r\n0\r\nx-t: 1\r\n\r\n";
    for (how, end) in [("closed", Step::Close), ("reset", Step::Reset)] {
        for sent in [0, 10, 999] {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
            let answer = Answer::raw(format!("{head}{}", "x".repeat(sent)));
            // With a pause the head is on its way before the cut is known.
            for (when, answer) in
                [("at once", answer.clone()), ("later", answer.pause(Duration::from_millis(60)))]
            {
                list.push((format!("{sent} of 1000, {how} {when}"), answer.then(end.clone())));
            }
        }
        for at in [0, 1, 2, 3, 5, 8, 9, 10, 13, 18, 23, 25, 26, 28, 34, body.len() - 1] {
            let answer = Answer::raw(format!("{chunked}{}", &body[..at]));
            let answer = answer.pause(Duration::from_millis(20)).then(end.clone());
            list.push((format!("chunked cut at {at}, {how}"), answer));
        }
    }
    for (what, text) in [("1.1", "HTTP/1.1 200 OK"), ("1.0", "HTTP/1.0 200 OK")] {
        let answer = Answer::raw(format!("{text}\r\nconnection: close\r\n\r\nhalf of it"));
        let answer = answer.pause(Duration::from_millis(60)).then(Step::Reset);
        list.push((format!("until close in {what}, reset"), answer));
    }
    list
}
