"""The rules of RFC 9110 and RFC 9112 as a table: what is sent, and what has to come back.

A refused request is followed on the same connection by one that must never be served; an accepted
one by one that must be. `statuses` lists what the rule (or the liberty it leaves) allows.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = b"Host: pyre.test\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Refused:
    """Breaks the framing or the grammar: one answer, then the connection ends."""

    name: str
    section: str
    request: bytes
    statuses: tuple[int, ...] = (400,)


@dataclass(frozen=True)
class Accepted:
    """Is to be understood: this answer, and the next request on the connection is served."""

    name: str
    section: str
    request: bytes
    statuses: tuple[int, ...] = (200,)
    body: bytes | None = None
    method: str = "GET"
    closes: bool = False


def head(*lines: bytes, start: bytes = GET, host: bytes = HOST) -> bytes:
    return start + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines: bytes, body: bytes = b"hello") -> bytes:
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def version(text: bytes) -> bytes:
    return b"GET / " + text + b"\r\n" + HOST + b"\r\n"


def host(*values: bytes) -> bytes:
    return GET + b"".join(b"Host: " + value + b"\r\n" for value in values) + b"\r\n"


def chunks(body: bytes) -> bytes:
    return CHUNKED + body


CL5 = b"Content-Length: 5"
TE = b"Transfer-Encoding: "
END = b"0\r\n\r\n"

SMUGGLING = [
    # Two lengths, or a length and a coding: whoever picks one of them disagrees with somebody.
    Refused("CL.TE", "9112 6.1", post(CL5, TE + b"chunked", body=END)),
    Refused("TE.CL", "9112 6.1", post(TE + b"chunked", CL5, body=END)),
    Refused("CL 0 with TE", "9112 6.1", post(b"Content-Length: 0", TE + b"chunked", body=END)),
    Refused("CL differ", "9112 6.3", post(CL5, b"Content-Length: 6")),
    Refused("CL repeated", "9112 6.3", post(CL5, CL5)),
    Refused("CL repeated in other case", "9112 6.3", post(CL5, b"content-LENGTH: 5")),
    Refused("CL list of equals", "9112 6.3", post(b"Content-Length: 5, 5")),
    Refused("CL list", "9112 6.3", post(b"Content-Length: 5, 6")),
    Refused("CL list with a gap", "9112 6.3", post(b"Content-Length: 5,")),
    Refused("CL plus", "9110 8.6", post(b"Content-Length: +5")),
    Refused("CL minus", "9110 8.6", post(b"Content-Length: -5")),
    Refused("CL minus zero", "9110 8.6", post(b"Content-Length: -0")),
    Refused("CL hex", "9110 8.6", post(b"Content-Length: 0x5")),
    Refused("CL hex digits", "9110 8.6", post(b"Content-Length: a")),
    Refused("CL fraction", "9110 8.6", post(b"Content-Length: 5.0")),
    Refused("CL exponent", "9110 8.6", post(b"Content-Length: 5e0")),
    Refused("CL underscore", "9110 8.6", post(b"Content-Length: 1_0")),
    Refused("CL quoted", "9110 8.6", post(b'Content-Length: "5"')),
    Refused("CL empty", "9110 8.6", post(b"Content-Length:")),
    Refused("CL blank", "9110 8.6", post(b"Content-Length:    ")),
    Refused("CL two numbers", "9110 8.6", post(b"Content-Length: 5 5")),
    Refused("CL with parameter", "9110 8.6", post(b"Content-Length: 5;a=b")),
    Refused("CL unicode digit", "9110 8.6", post("Content-Length: \u0665".encode())),
    Refused("CL 2^64", "9110 8.6", post(b"Content-Length: 18446744073709551616"), (400, 413)),
    Refused("CL 2^64 + 5", "9110 8.6", post(b"Content-Length: 18446744073709551621"), (400, 413)),
    Refused("CL 2^63", "9110 8.6", post(b"Content-Length: 9223372036854775808"), (400, 413)),
    Refused("CL 2^32 + 5", "9110 8.6", post(b"Content-Length: 4294967301"), (400, 413)),
    Refused("CL 400 digits", "9110 8.6", post(b"Content-Length: " + b"9" * 400), (400, 413)),
    Refused("CL on GET repeated", "9112 6.3", head(b"Content-Length: 0", b"Content-Length: 0")),
    Refused("CL space before colon", "9112 5.1", post(b"Content-Length : 5")),
    Refused("CL tab before colon", "9112 5.1", post(b"Content-Length\t: 5")),
    Refused("CL folded", "9112 5.2", post(b"Content-Length:\r\n 5")),
    Refused("TE gzip", "9112 6.1", post(TE + b"gzip", body=END), (400, 501)),
    Refused("TE identity", "9112 6.1", post(TE + b"identity", body=END), (400, 501)),
    Refused("TE unknown", "9112 6.1", post(TE + b"xchunked", body=END), (400, 501)),
    Refused("TE prefix", "9112 6.1", post(TE + b"chunke", body=END), (400, 501)),
    Refused("TE gzip, chunked", "9112 6.1", post(TE + b"gzip, chunked", body=END), (400, 501)),
    Refused("TE chunked, gzip", "9112 6.3", post(TE + b"chunked, gzip", body=END), (400, 501)),
    Refused("TE chunked twice", "9112 6.1", post(TE + b"chunked, chunked", body=END), (400, 501)),
    Refused(
        "TE repeated", "9112 6.1", post(TE + b"chunked", TE + b"chunked", body=END), (400, 501)
    ),
    Refused("TE two", "9112 6.1", post(TE + b"chunked", TE + b"identity", body=END), (400, 501)),
    Refused("TE two other", "9112 6.1", post(TE + b"x", TE + b"chunked", body=END), (400, 501)),
    Refused("TE empty", "9112 6.1", post(TE, body=END), (400, 501)),
    Refused("TE comma first", "9112 6.1", post(TE + b",chunked", body=END), (400, 501)),
    Refused("TE comma last", "9112 6.1", post(TE + b"chunked,", body=END), (400, 501)),
    Refused("TE quoted", "9112 6.1", post(TE + b'"chunked"', body=END), (400, 501)),
    Refused("TE parameter", "9112 7", post(TE + b"chunked;q=1", body=END), (400, 501)),
    Refused("TE two words", "9112 7", post(TE + b"chunked foo", body=END), (400, 501)),
    Refused("TE vertical tab", "9110 5.5", post(TE + b"\x0bchunked", body=END)),
    Refused("TE form feed", "9110 5.5", post(TE + b"chunked\x0c", body=END)),
    Refused("TE NUL", "9110 5.5", post(TE + b"chunked\x00", body=END)),
    Refused("TE non-breaking space", "9112 6.1", post(TE + b"\xa0chunked", body=END), (400, 501)),
    Refused("TE bare CR", "9112 2.2", post(TE + b"\rchunked", body=END)),
    Refused("TE bare LF", "9112 2.2", POST + b"Transfer-Encoding: chunked\n\r\n" + END),
    Refused(
        "TE bare LF before", "9112 2.2", POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + END
    ),
    Refused("TE folded", "9112 5.2", post(TE + b"\r\n chunked", body=END)),
    Refused("TE space before colon", "9112 5.1", post(b"Transfer-Encoding : chunked", body=END)),
    Refused("TE with leading space", "9112 5.2", post(b"X: y", b" Transfer-Encoding: chunked")),
    Refused("CL with TE list", "9112 6.1", post(CL5, TE + b"chunked,identity"), (400, 501)),
    Refused(
        "TE in 1.0",
        "9112 6.1",
        b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    ),
    Refused(
        "TE and CL in 1.0",
        "9112 6.1",
        b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        + END,
    ),
    Refused("TE on GET unknown", "9112 6.1", head(TE + b"cow"), (400, 501)),
]

LINES = [
    Refused("bare LF everywhere", "9112 2.2", b"GET / HTTP/1.1\nHost: a\n\n"),
    Refused("bare LF after request line", "9112 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    Refused("bare LF after field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    Refused("bare LF at end of head", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    Refused("bare CR in value", "9112 2.2", head(b"X: a\rb")),
    Refused("bare CR after request line", "9112 2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    Refused("CR CR LF", "9112 2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    Refused("bare CR at end of head", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    Refused("LF before request", "9112 2.2", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("CR before request", "9112 2.2", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("space before request", "9112 2.2", b" " + GET + HOST + b"\r\n"),
    Refused("obs-fold space", "9112 5.2", head(b"X: a", b" b")),
    Refused("obs-fold tab", "9112 5.2", head(b"X: a", b"\tb")),
    Refused("obs-fold empty", "9112 5.2", head(b"X: a", b" ")),
    Refused("space before first field", "9112 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    Refused("tab before first field", "9112 2.2", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n"),
    Refused("space line before fields", "9112 2.2", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
    Refused("space before colon", "9112 5.1", head(b"X : y")),
    Refused("tab before colon", "9112 5.1", head(b"X\t: y")),
    Refused("no colon", "9112 5", head(b"X")),
    Refused("no name", "9112 5", head(b": y")),
    Refused("space in name", "9110 5.1", head(b"X Y: z")),
    Refused("paren in name", "9110 5.1", head(b"X(Y: z")),
    Refused("slash in name", "9110 5.1", head(b"X/Y: z")),
    Refused("at in name", "9110 5.1", head(b"X@Y: z")),
    Refused("quote in name", "9110 5.1", head(b'"X": z')),
    Refused("high byte in name", "9110 5.1", head(b"X\xe9: z")),
    Refused("NUL in name", "9110 5.1", head(b"X\x00Y: z")),
    Refused("NUL in value", "9110 5.5", head(b"X: a\x00b")),
    Refused("NUL in request line", "9112 3", get(b"/\x00")),
    Refused("NUL in method", "9112 3", b"G\x00T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("bell in value", "9110 5.5", head(b"X: a\x07b")),
    Refused("escape in value", "9110 5.5", head(b"X: \x1b[31m")),
    Refused("delete in value", "9110 5.5", head(b"X: a\x7fb")),
    Accepted("one empty line first", "9112 2.2", b"\r\n" + head()),
    Accepted("two empty lines first", "9112 2.2", b"\r\n\r\n" + head()),
    Accepted("no space after colon", "9112 5", head(b"X:y")),
    Accepted("spaces around value", "9112 5", head(b"X: \t  y \t ")),
    Accepted("tab in value", "9110 5.5", head(b"X: a\tb")),
    Accepted("empty value", "9112 5", head(b"X:")),
    Accepted("obs-text in value", "9110 5.5", head(b"X: caf\xe9")),
    Accepted("every token character", "9110 5.6.2", head(b"!#$%&'*+-.^_`|~09azAZ: y")),
    Accepted("names in any case", "9110 5.1", b"GET / HTTP/1.1\r\nhOsT: a\r\n\r\n"),
]

REQUEST_LINE = [
    Refused("HTTP/0.9", "9112 3", b"GET /\r\n"),
    Refused("two spaces", "9112 3", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("two spaces before version", "9112 3", b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("tab between", "9112 3", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("space at end", "9112 3", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n"),
    Refused("word at end", "9112 3", b"GET / HTTP/1.1 x\r\n" + HOST + b"\r\n"),
    Refused("no target", "9112 3", b"GET HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("no method", "9112 3", b"/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("method not a token", "9110 9.1", b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("method with colon", "9110 9.1", b"GET: / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("method high byte", "9110 9.1", b"G\xc9T / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("HTTP/2.0", "9110 15.6.6", version(b"HTTP/2.0"), (505,)),
    Refused("HTTP/3.0", "9110 15.6.6", version(b"HTTP/3.0"), (505,)),
    Refused("HTTP/0.9 written out", "9110 15.6.6", version(b"HTTP/0.9"), (505, 400)),
    Refused("version without minor", "9112 2.3", version(b"HTTP/1")),
    Refused("version two digits", "9112 2.3", version(b"HTTP/1.10")),
    Refused("version leading zero", "9112 2.3", version(b"HTTP/01.1")),
    Refused("version comma", "9112 2.3", version(b"HTTP/1,1")),
    Refused("version lower case", "9112 2.3", version(b"http/1.1")),
    Refused("version no slash", "9112 2.3", version(b"HTTP1.1")),
    Refused("version letter", "9112 2.3", version(b"HTTP/1.x")),
    Refused("version sign", "9112 2.3", version(b"HTTP/+1.1")),
    Refused("version other protocol", "9112 2.3", version(b"HTTPS/1.1")),
    Refused("version ICY", "9112 2.3", version(b"ICY/1.1")),
    Refused("HTTP/2 preface", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    Refused(
        "TLS hello", "9112 3", bytes.fromhex("16030100a5010000a10303") + b"\x00" * 32 + b"\r\n\r\n"
    ),
    Refused("SSH hello", "9112 3", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    Accepted("unknown method", "9110 15.5.6", b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", (405, 501)),
    Accepted(
        "method in lower case", "9110 9.1", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", (405, 501)
    ),
    Accepted("TRACE", "9110 9.3.8", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", (405, 501)),
    Refused("long method", "9112 3", b"A" * 60 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", (501, 400)),
]

TARGETS = [
    Refused("fragment", "9112 3.2", get(b"/#top")),
    Refused("fragment after query", "9112 3.2", get(b"/?a=b#top")),
    Refused("high byte", "9112 3.2", get(b"/\xff")),
    Refused("UTF-8", "9112 3.2", get("/caf\u00e9".encode())),
    Refused("space in target", "9112 3.2", get(b"/a b")),
    Refused("control in target", "9112 3.2", get(b"/a\x01b")),
    Refused("delete in target", "9112 3.2", get(b"/a\x7fb")),
    Refused("tab in target", "9112 3.2", get(b"/a\tb")),
    Refused("relative", "9112 3.2", get(b"after")),
    Refused("query only", "9112 3.2", get(b"?a=b")),
    Refused("asterisk with GET", "9112 3.2.4", get(b"*")),
    Refused("asterisk and more", "9112 3.2.4", b"OPTIONS *x HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("other scheme", "9112 3.2.2", get(b"ftp://pyre.test/")),
    Refused("scheme without host", "9110 4.2.1", get(b"http:///after")),
    Refused("scheme without slashes", "9112 3.2.2", get(b"http:pyre.test/")),
    Refused("authority with GET", "9112 3.2.3", get(b"pyre.test:80")),
    Accepted("origin form with query", "9112 3.2.1", get(b"/after?x=/a?b&c"), (200,), b"after"),
    Accepted("empty query", "9112 3.2.1", get(b"/after?"), (200,), b"after"),
    Accepted("absolute form", "9112 3.2.2", get(b"http://other.test/after"), (200,), b"after"),
    Accepted(
        "absolute form with port", "9112 3.2.2", get(b"http://other.test:81/after"), body=b"after"
    ),
    Accepted(
        "absolute form, scheme case", "9110 4.2.3", get(b"HTTP://other.test/after"), body=b"after"
    ),
    Accepted("absolute form, no path", "9112 3.2.2", get(b"http://other.test"), (200,), b"hello"),
    Accepted(
        "absolute form https", "9112 3.2.2", get(b"https://other.test/after"), (200,), b"after"
    ),
    Accepted(
        "asterisk form",
        "9112 3.2.4",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        (200, 204),
        method="OPTIONS",
    ),
    Accepted("encoded unreserved", "9110 4.2.3", get(b"/%61fter"), (200,), b"after"),
    Accepted("encoded slash is no slash", "9110 4.2.3", get(b"/number%2F1"), (404,)),
    Accepted("broken escape", "3986 2.1", get(b"/number/%zz"), (404, 400), closes=False),
    Accepted("encoded NUL", "3986 2.1", get(b"/%00"), (404, 400), closes=False),
    Accepted("double slash", "9112 3.2.1", get(b"//"), (404,)),
    Accepted("dots", "9112 3.2.1", get(b"/../after"), (404, 200)),
]

HOSTS = [
    Refused("no Host", "9112 3.2", b"GET / HTTP/1.1\r\n\r\n"),
    Refused("no Host but others", "9112 3.2", b"GET / HTTP/1.1\r\nX: y\r\n\r\n"),
    Refused("two Hosts", "9112 3.2", host(b"a", b"b")),
    Refused("Host repeated", "9112 3.2", host(b"a", b"a")),
    Refused("Host list", "9110 7.2", host(b"a, b")),
    Refused("Host with space", "9110 7.2", host(b"a b")),
    Refused("Host with path", "9110 7.2", host(b"a/b")),
    Refused("Host with scheme", "9110 7.2", host(b"http://a")),
    Refused("Host with user", "9110 7.2", host(b"user@a")),
    Refused("Host with query", "9110 7.2", host(b"a?b")),
    Refused("Host with fragment", "9110 7.2", host(b"a#b")),
    Refused("Host port not a number", "9110 7.2", host(b"a:http")),
    Refused("Host port signed", "9110 7.2", host(b"a:+80")),
    Refused("Host two ports", "9110 7.2", host(b"a:80:80")),
    Refused("Host open bracket", "9110 7.2", host(b"[::1")),
    Refused("Host bracket and more", "9110 7.2", host(b"[::1]a")),
    Refused("Host backslash", "9110 7.2", host(b"a\\b")),
    Refused("Host angle", "9110 7.2", host(b"<a>")),
    Refused("absolute form, no Host", "9112 3.2", b"GET http://a/ HTTP/1.1\r\n\r\n"),
    Accepted("Host with port", "9110 7.2", host(b"pyre.test:8000")),
    Accepted("Host IPv4", "9110 7.2", host(b"127.0.0.1:80")),
    Accepted("Host IPv6", "9110 7.2", host(b"[::1]:80")),
    Accepted("Host underscore", "3986 3.2.2", host(b"my_service")),
    Accepted("no Host in 1.0", "9112 3.2", b"GET / HTTP/1.0\r\n\r\n", closes=True),
]

BODIES = [
    Accepted("content", "9112 6.2", post(CL5), body=b"hello"),
    Accepted("length zero", "9112 6.2", post(b"Content-Length: 0", body=b""), (200,), b""),
    Accepted("no length, no body", "9112 6.3", post(body=b""), (200,), b""),
    Accepted("content of a GET is skipped", "9110 9.3.1", head(CL5) + b"hello", body=b"hello"),
    Accepted(
        "content of a 404 is skipped",
        "9112 6.3",
        b"POST /no HTTP/1.1\r\n" + HOST + CL5 + b"\r\n\r\nhello",
        (404,),
    ),
    Accepted(
        "content of a 405 is skipped",
        "9112 6.3",
        b"POST /after HTTP/1.1\r\n" + HOST + CL5 + b"\r\n\r\nhello",
        (405,),
    ),
    Accepted(
        "looks like a request",
        "9112 6.3",
        post(b"Content-Length: 18", body=b"GET / HTTP/1.1\r\n\r\n"),
        body=b"GET / HTTP/1.1\r\n\r\n",
    ),
    Accepted("chunked", "9112 7.1", chunks(b"5\r\nhello\r\n0\r\n\r\n"), body=b"hello"),
    Accepted("chunked empty", "9112 7.1", chunks(END), (200,), b""),
    Accepted(
        "chunked in pieces", "9112 7.1", chunks(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), body=b"hello"
    ),
    Accepted(
        "chunk size hex",
        "9112 7.1",
        chunks(b"A\r\n0123456789\r\nb\r\n0123456789a\r\n" + END),
        body=b"01234567890123456789a",
    ),
    Accepted("chunk size zeros", "9112 7.1", chunks(b"005\r\nhello\r\n000\r\n\r\n"), body=b"hello"),
    Accepted("coding in any case", "9112 7", post(TE + b"ChUnKeD", body=END), (200,), b""),
    Accepted("CRLF in chunk", "9112 7.1", chunks(b"4\r\n\r\n\r\n\r\n" + END), body=b"\r\n\r\n"),
    Accepted("terminator in chunk", "9112 7.1", chunks(b"5\r\n0\r\n\r\n\r\n" + END), body=END),
    Accepted(
        "chunk extension", "9112 7.1.1", chunks(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), body=b"hello"
    ),
    Accepted(
        "chunk extension quoted",
        "9112 7.1.1",
        chunks(b'5;a="b;c"\r\nhello\r\n' + END),
        body=b"hello",
    ),
    Accepted(
        "trailer",
        "9112 7.1.2",
        chunks(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
        body=b"hello",
    ),
]

CHUNKS = [
    Refused(name, section, chunks(body), statuses)
    for name, section, body, statuses in [
        ("size empty", "9112 7.1", b"\r\nhello\r\n" + END, (400,)),
        ("size 0x", "9112 7.1", b"0x5\r\nhello\r\n" + END, (400,)),
        ("size plus", "9112 7.1", b"+5\r\nhello\r\n" + END, (400,)),
        ("size minus", "9112 7.1", b"-5\r\nhello\r\n" + END, (400,)),
        ("size minus zero", "9112 7.1", b"-0\r\n\r\n", (400,)),
        ("size underscore", "9112 7.1", b"0_5\r\nhello\r\n" + END, (400,)),
        ("size not hex", "9112 7.1", b"5g\r\nhello\r\n" + END, (400,)),
        ("size space first", "9112 7.1", b" 5\r\nhello\r\n" + END, (400,)),
        ("size space last", "9112 7.1", b"5 \r\nhello\r\n" + END, (400,)),
        ("size tab last", "9112 7.1", b"5\t\r\nhello\r\n" + END, (400,)),
        ("size two", "9112 7.1", b"5 5\r\nhello\r\n" + END, (400,)),
        ("size 2^64", "9112 7.1", b"10000000000000000\r\nhello\r\n" + END, (400, 413)),
        ("size 2^64 + 5", "9112 7.1", b"10000000000000005\r\nhello\r\n" + END, (400, 413)),
        ("size 2^64 - 1", "9112 7.1", b"ffffffffffffffff\r\nhello\r\n" + END, (400, 413)),
        ("size 2^63", "9112 7.1", b"8000000000000000\r\nhello\r\n" + END, (400, 413)),
        ("size 2^32 + 5", "9112 7.1", b"100000005\r\nhello\r\n" + END, (400, 413)),
        ("size 1000 zeros", "9112 7.1", b"0" * 1000 + b"5\r\nhello\r\n" + END, (400,)),
        ("size of non-ASCII", "9112 7.1", "\u0665\r\nhello\r\n".encode() + END, (400,)),
        ("size NUL", "9112 7.1", b"5\x00\r\nhello\r\n" + END, (400,)),
        ("bare LF after size", "9112 2.2", b"5\nhello\r\n" + END, (400,)),
        ("bare CR after size", "9112 2.2", b"5\rhello\r\n" + END, (400,)),
        ("bare LF after data", "9112 2.2", b"5\r\nhello\n" + END, (400,)),
        ("bare CR after data", "9112 2.2", b"5\r\nhello\r0\r\n\r\n", (400,)),
        ("bare LF at end", "9112 2.2", b"5\r\nhello\r\n0\n\n", (400,)),
        ("bare LF after last", "9112 2.2", b"5\r\nhello\r\n0\r\n\n", (400,)),
        ("data too long", "9112 7.1", b"4\r\nhello\r\n" + END, (400,)),
        ("data too short", "9112 7.1", b"6\r\nhello\r\n" + END, (400,)),
        ("no CRLF after data", "9112 7.1", b"5\r\nhello0\r\n\r\n", (400,)),
        ("extension bare LF", "9112 7.1.1", b"5;a\nb\r\nhello\r\n" + END, (400,)),
        ("extension bare CR", "9112 7.1.1", b"5;a\rb\r\nhello\r\n" + END, (400,)),
        ("extension NUL", "9112 7.1.1", b"5;a\x00\r\nhello\r\n" + END, (400,)),
        ("extension control", "9112 7.1.1", b"5;a=\x07\r\nhello\r\n" + END, (400,)),
        ("extension CR in quotes", "9112 7.1.1", b'5;a="\r\n"\r\nhello\r\n' + END, (400,)),
        (
            "extension too long",
            "9112 7.1.1",
            b"5;" + b"a" * 70_000 + b"\r\nhello\r\n" + END,
            (400, 413, 431),
        ),
        ("extension instead of size", "9112 7.1.1", b";a=b\r\nhello\r\n" + END, (400,)),
        ("trailer space before colon", "9112 7.1.2", b"0\r\nX : y\r\n\r\n", (400,)),
        ("trailer no colon", "9112 7.1.2", b"0\r\nX\r\n\r\n", (400,)),
        ("trailer no name", "9112 7.1.2", b"0\r\n: y\r\n\r\n", (400,)),
        ("trailer folded", "9112 7.1.2", b"0\r\nX: y\r\n z\r\n\r\n", (400,)),
        ("trailer bare LF", "9112 7.1.2", b"0\r\nX: y\n\r\n", (400,)),
        ("trailer NUL", "9112 7.1.2", b"0\r\nX: \x00\r\n\r\n", (400,)),
        (
            "trailer too long",
            "9112 7.1.2",
            b"0\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
            (400, 413, 431),
        ),
        (
            "trailers too many",
            "9112 7.1.2",
            b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
            (400, 413, 431),
        ),
        ("request as trailer", "9112 7.1.2", b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n", (400,)),
    ]
]

RULES = SMUGGLING + LINES + REQUEST_LINE + TARGETS + HOSTS + BODIES + CHUNKS
