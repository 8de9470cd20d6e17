//! The tables: one line for each way to be read twice.

/// A request that is refused by its head alone.
pub(super) struct Case(pub(super) &'static str, pub(super) &'static [u8]);

/// Everything between the request line and the empty line, after a good Host.
pub(super) const FIELDS: &[Case] = &[
    Case(
        "content-length and transfer-encoding",
        b"Content-Length: 6\r\nTransfer-Encoding: chunked",
    ),
    Case(
        "transfer-encoding and content-length",
        b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    ),
    Case(
        "two different lengths",
        b"Content-Length: 5\r\nContent-Length: 6",
    ),
    Case(
        "two equal lengths",
        b"Content-Length: 5\r\nContent-Length: 5",
    ),
    Case("a list of lengths", b"Content-Length: 5, 5"),
    Case("a length with plus", b"Content-Length: +5"),
    Case("a negative length", b"Content-Length: -5"),
    Case("a hexadecimal length", b"Content-Length: 0x5"),
    Case("a length with a blank inside", b"Content-Length: 5 5"),
    Case("a length with a letter", b"Content-Length: 5a"),
    Case("a length with a decimal point", b"Content-Length: 5.0"),
    Case("an empty length", b"Content-Length:"),
    Case("a length of 2^64", b"Content-Length: 18446744073709551616"),
    Case(
        "a length of 30 digits",
        b"Content-Length: 100000000000000000000000000000",
    ),
    Case("an unknown coding", b"Transfer-Encoding: xchunked"),
    Case("identity", b"Transfer-Encoding: identity"),
    Case("chunked not last", b"Transfer-Encoding: chunked, identity"),
    Case("chunked twice", b"Transfer-Encoding: chunked, chunked"),
    Case(
        "chunked on two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ),
    Case(
        "two codings on two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    ),
    Case(
        "a coding before chunked",
        b"Transfer-Encoding: gzip, chunked",
    ),
    Case("an empty coding", b"Transfer-Encoding:"),
    Case(
        "a vertical tab before chunked",
        b"Transfer-Encoding: \x0bchunked",
    ),
    Case("chunked in quotes", b"Transfer-Encoding: \"chunked\""),
    Case("a blank before the colon", b"X-A : 1"),
    Case("a tab before the colon", b"X-A\t: 1"),
    Case(
        "a blank before the colon of a length",
        b"Content-Length : 5",
    ),
    Case(
        "a blank before the colon of a coding",
        b"Transfer-Encoding : chunked",
    ),
    Case("a folded line", b"X-A: 1\r\n  2"),
    Case("a folded line with a tab", b"X-A: 1\r\n\t2"),
    Case("a folded coding", b"Transfer-Encoding:\r\n chunked"),
    Case("NUL in a value", b"X-A: 1\x002"),
    Case("NUL in a name", b"X-\0A: 1"),
    Case("a bare CR in a value", b"X-A: 1\r2"),
    Case(
        "a bare CR before a coding",
        b"X-A: 1\rTransfer-Encoding: chunked",
    ),
    Case("a bare LF as a line end", b"X-A: 1\nX-B: 2"),
    Case(
        "a bare LF before a coding",
        b"X-A: 1\nTransfer-Encoding: chunked",
    ),
    Case("a line without a colon", b"X-A"),
    Case("an empty name", b": 1"),
    Case("a control character in a name", b"X-\x01A: 1"),
    Case("a byte above ASCII in a name", b"X-\xc3\xa4: 1"),
    Case("a comma in a name", b"X,A: 1"),
    Case("a delete character in a value", b"X-A: \x7f"),
    Case("a second Host", b"Host: gateway.test"),
    Case("another second Host", b"Host: other.test"),
];

/// Whole heads.
pub(super) const HEADS: &[Case] = &[
    Case("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    Case(
        "a Host with a blank",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ),
    Case(
        "a Host with a slash",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ),
    Case(
        "a Host with a user",
        b"GET / HTTP/1.1\r\nHost: user@gateway.test\r\n\r\n",
    ),
    Case(
        "a Host that is a list",
        b"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
    ),
    Case(
        "a Host with a bad port",
        b"GET / HTTP/1.1\r\nHost: gateway.test:x\r\n\r\n",
    ),
    Case(
        "a Host with a huge port",
        b"GET / HTTP/1.1\r\nHost: gateway.test:99999\r\n\r\n",
    ),
    Case(
        "a Host with a query",
        b"GET / HTTP/1.1\r\nHost: gateway.test?x\r\n\r\n",
    ),
    Case(
        "a Host before a blank line start",
        b"GET / HTTP/1.1\r\n Host: gateway.test\r\n\r\n",
    ),
    Case(
        "bare LF everywhere",
        b"GET / HTTP/1.1\nHost: gateway.test\n\n",
    ),
    Case(
        "bare CR everywhere",
        b"GET / HTTP/1.1\rHost: gateway.test\r\r\n\r\n",
    ),
    Case(
        "LF after the request line",
        b"GET / HTTP/1.1\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "LF as the empty line",
        b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\n",
    ),
    Case(
        "absolute form of another host",
        b"GET http://other.test/ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "absolute form of another port",
        b"GET http://gateway.test:81/ HTTP/1.1\r\nHost: gateway.test:82\r\n\r\n",
    ),
    Case(
        "absolute form with a user",
        b"GET http://u@gateway.test/ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "absolute form of another scheme",
        b"GET ftp://gateway.test/ HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "authority form",
        b"GET gateway.test:80 HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "CONNECT",
        b"CONNECT gateway.test:80 HTTP/1.1\r\nHost: gateway.test:80\r\n\r\n",
    ),
    Case(
        "CONNECT to a path",
        b"CONNECT / HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "asterisk with GET",
        b"GET * HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a relative target",
        b"GET x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case("no target", b"GET  HTTP/1.1\r\nHost: gateway.test\r\n\r\n"),
    Case(
        "two blanks",
        b"GET  / HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a tab as a blank",
        b"GET\t/\tHTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a blank in the target",
        b"GET /a b HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a blank before the method",
        b" GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a bad method",
        b"G(T / HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case("no version", b"GET /\r\nHost: gateway.test\r\n\r\n"),
    Case(
        "version 2.0",
        b"GET / HTTP/2.0\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "version 9.9",
        b"GET / HTTP/9.9\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "version 1.10",
        b"GET / HTTP/1.10\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "a lower case version",
        b"GET / http/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "another protocol",
        b"GET / HTCPCP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
    Case(
        "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    Case(
        "NUL in the request line",
        b"GET /\0 HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    ),
];

/// Targets that cannot be normalised in one way.
pub(super) const TARGETS: &[Case] = &[
    Case("a lone percent", b"/%"),
    Case("half an escape", b"/a%2"),
    Case("not an escape", b"/%zz"),
    Case("an escaped NUL", b"/%00"),
    Case("an escaped NUL after a name", b"/a%00.html"),
    Case("an escaped control character", b"/%0d%0a"),
    Case("an escaped delete", b"/%7f"),
    Case("a backslash", b"/a\\b"),
    Case("dots and a backslash", b"/..\\x"),
    Case("an escaped backslash", b"/a%5Cb"),
    Case("an escaped slash", b"/a%2Fb"),
    Case("an escaped slash, lower case", b"/a%2fb"),
    Case("an escaped slash and dots", b"/a%2f..%2fb"),
    Case("an overlong slash", b"/%c0%af"),
    Case("an overlong dot", b"/%c0%ae%c0%ae/"),
    Case("a three byte overlong slash", b"/%e0%80%af"),
    Case("an escape that is not UTF-8", b"/%ff"),
    Case("half a UTF-8 character", b"/%c3/"),
    Case("an escaped surrogate", b"/%ed%a0%80"),
    Case("above the root", b"/.."),
    Case("above the root by name", b"/../x"),
    Case("above the root, deeper", b"/a/../../x"),
    Case("above the root, escaped", b"/%2e%2e/x"),
    Case("above the root, half escaped", b"/.%2E/x"),
    Case("dots with parameters", b"/..;x/y"),
    Case("dots with an empty parameter", b"/a/..;/b"),
    Case("one dot with a parameter", b"/.;x/y"),
    Case("escaped dots with parameters", b"/%2e%2e;x/y"),
    Case("a fragment", b"/a#b"),
    Case("an empty fragment", b"/a#"),
    Case("a tab", b"/a\tb"),
    Case("a control character", b"/a\x01b"),
];

/// Chunked bodies that break somewhere; the head alone was good.
pub(super) const BODIES: &[Case] = &[
    Case("a size of 2^64", b"10000000000000000\r\nabc\r\n0\r\n\r\n"),
    Case(
        "a size that wraps to 3",
        b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    ),
    Case(
        "a size of 40 digits",
        b"0000000000000000000000000000000000000003;\r\nabcd\r\n0\r\n\r\n",
    ),
    Case("a negative size", b"-3\r\nabc\r\n0\r\n\r\n"),
    Case("a size with plus", b"+3\r\nabc\r\n0\r\n\r\n"),
    Case("a size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    Case("an empty size", b"\r\nabc\r\n0\r\n\r\n"),
    Case("a size of one blank", b" \r\nabc\r\n0\r\n\r\n"),
    Case("a blank before the size", b" 3\r\nabc\r\n0\r\n\r\n"),
    Case(
        "a blank inside the size",
        b"1 0\r\n0123456789abcdef\r\n0\r\n\r\n",
    ),
    Case("a size that is no number", b"xyz\r\nabc\r\n0\r\n\r\n"),
    Case("only an extension", b";x=1\r\nabc\r\n0\r\n\r\n"),
    Case("a bare LF after the size", b"3\nabc\r\n0\r\n\r\n"),
    Case("a bare CR after the size", b"3\rabc\r\n0\r\n\r\n"),
    Case("a bare LF in an extension", b"3;x=1\nabc\r\n0\r\n\r\n"),
    Case("a bare CR in an extension", b"3;x\ry\r\nabc\r\n0\r\n\r\n"),
    Case("no line end after the data", b"3\r\nabc0\r\n\r\n"),
    Case("a bare LF after the data", b"3\r\nabc\n0\r\n\r\n"),
    Case("more data than said", b"3\r\nabcdef\r\n0\r\n\r\n"),
    Case("less data than said", b"5\r\nabc\r\n0\r\n\r\n"),
    Case("a trailer without a colon", b"3\r\nabc\r\n0\r\nx\r\n\r\n"),
    Case(
        "a trailer with a blank before the colon",
        b"3\r\nabc\r\n0\r\nx : 1\r\n\r\n",
    ),
    Case("a folded trailer", b"3\r\nabc\r\n0\r\nx: 1\r\n 2\r\n\r\n"),
    Case("a bare LF in trailers", b"3\r\nabc\r\n0\r\nx: 1\n\n"),
];

/// What looks odd and is good HTTP: the request, and the target upstream.
pub(super) const ODD: &[(&str, &str, &str)] = &[
    (
        "plain",
        "GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "/x",
    ),
    (
        "an empty line before",
        "\r\nGET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "/x",
    ),
    (
        "a port",
        "GET /x HTTP/1.1\r\nHost: gateway.test:8080\r\n\r\n",
        "/x",
    ),
    (
        "an IPv6 host",
        "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "/x",
    ),
    (
        "blanks around a value",
        "GET /x HTTP/1.1\r\nHost: \t gateway.test \t\r\n\r\n",
        "/x",
    ),
    (
        "absolute form",
        "GET http://gateway.test/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "/x",
    ),
    (
        "absolute form, another case",
        "GET http://GATEWAY.test/x HTTP/1.1\r\nHost: gateway.TEST\r\n\r\n",
        "/x",
    ),
    (
        "HTTP/1.0",
        "GET /x HTTP/1.0\r\nHost: gateway.test\r\n\r\n",
        "/x",
    ),
    (
        "a length with zeros",
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0003\r\n\r\nabc",
        "/x",
    ),
    (
        "chunked in upper case",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
        "/x",
    ),
    (
        "a chunk extension",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;a=b;c=\"d\"\r\nabc\r\n0\r\n\r\n",
        "/x",
    ),
    (
        "an escaped letter",
        "GET /%61%7e HTTP/1.1\r\nHost: a\r\n\r\n",
        "/a~",
    ),
    (
        "lower case escapes",
        "GET /%c3%a4 HTTP/1.1\r\nHost: a\r\n\r\n",
        "/%C3%A4",
    ),
    (
        "dot segments",
        "GET /a/./b/../c HTTP/1.1\r\nHost: a\r\n\r\n",
        "/a/c",
    ),
    (
        "escaped dot segments",
        "GET /a/%2e/b/%2e%2e/c HTTP/1.1\r\nHost: a\r\n\r\n",
        "/a/c",
    ),
    (
        "doubled slashes",
        "GET //a///b HTTP/1.1\r\nHost: a\r\n\r\n",
        "/a/b",
    ),
    (
        "parameters",
        "GET /a;x=1/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "/a;x=1/b",
    ),
    (
        "three dots",
        "GET /.../x HTTP/1.1\r\nHost: a\r\n\r\n",
        "/.../x",
    ),
    (
        "a query as it came",
        "GET /x?a=%2f..%5c&b=//../%61 HTTP/1.1\r\nHost: a\r\n\r\n",
        "/x?a=%2f..%5c&b=//../%61",
    ),
    (
        "a long URI",
        "GET /x?LONG HTTP/1.1\r\nHost: a\r\n\r\n",
        "/x?LONG",
    ),
];
