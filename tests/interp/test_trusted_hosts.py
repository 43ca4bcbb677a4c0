"""Who is answered: hosts that are served, and requests that have come by https."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from dialogue import Reply, request
from gate import Gate
from places import in_both_modes
from serving import Server, serve

from pyreframework import Pyre, PyreRequest
from pyreframework.testing import TestClient

HOSTS = ["example.com", "*.api.example", "bücher.example", "10.0.0.0/8", "[::1]"]
HTTPS = [("X-Forwarded-Proto", "https")]
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

mode = in_both_modes


def served(mode: str | None, **given: object) -> Iterator[Server]:
    env = {"TEST_SECURITY": json.dumps(given)}
    options = {} if mode is None else {"mode": mode}
    with serve("protected", workers=1, env=env, **options) as server:
        yield server


@pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
def hosts(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from served(request.param, hosts=HOSTS, headers={}, cors={})


@pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
def https(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from served(request.param, https={}, headers={}, cors={})


def ask(server: Server, text: str) -> Reply:
    with server.connect() as peer:
        peer.send(text.replace("\n", "\r\n").replace("\r\r", "\r").encode())
        return peer.reply(text.split(" ", 1)[0])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("EXAMPLE.com:8000", 200),
        ("example.com.", 200),
        ("a.b.api.example:1", 200),
        ("xn--bcher-kva.example", 200),
        ("10.9.8.7:80", 200),
        ("[0:0::1]:80", 200),
        ("a.example.com", 421),
        ("api.example", 421),
        ("example.com.evil.example", 421),
        ("11.0.0.1", 421),
        ("127.0.0.1", 421),
        ("[::2]", 421),
        ("", 400),
        ("exam ple.com", 400),
        ("example.com/evil", 400),
    ],
)
@pytest.mark.parametrize("path", ["/text", "/json", "/folder/protected.py", "/metrics"])
def test_hosts(hosts: Server, path: str, host: str, status: int) -> None:
    reply = ask(hosts, f"GET {path} HTTP/1.1\nHost: {host}\n\n")
    assert reply.status == status
    assert reply.all("x-frame-options") == ["DENY"]
    if status == 421:
        assert reply.json() == {"error": "misdirected request"}
        assert reply.reason == "Misdirected Request"
        assert not reply.closes


@pytest.mark.parametrize(
    ("text", "status"),
    [
        # The authority in the target wins (RFC 9112 section 3.2.2).
        ("GET http://example.com/text HTTP/1.1\nHost: evil\n\n", 421),
        ("GET http://evil/text HTTP/1.1\nHost: example.com\n\n", 421),
        ("GET /text HTTP/1.1\nHost: example.com\nX-Forwarded-Host: evil\n\n", 200),
        ("GET /text HTTP/1.1\nHost: evil\nX-Forwarded-Host: example.com\n\n", 421),
        ("GET /text HTTP/1.1\nHost: example.com\nHost: example.com\n\n", 400),
        ("GET /text HTTP/1.1\n\n", 400),
        ("GET /text HTTP/1.0\n\n", 400),
        ("GET /text HTTP/1.0\nHost: example.com\n\n", 200),
        ("GET /nowhere HTTP/1.1\nHost: evil\n\n", 421),
        ("OPTIONS * HTTP/1.1\nHost: evil\n\n", 421),
        ("DELETE /text HTTP/1.1\nHost: evil\n\n", 421),
        ("HEAD /text HTTP/1.1\nHost: evil\n\n", 421),
        (f"GET /ws HTTP/1.1\nHost: evil\n{HANDSHAKE}\n", 421),
        (
            (
                "OPTIONS /text HTTP/1.1\nHost: evil\nOrigin: https://a.example\n"
                "Access-Control-Request-Method: PUT\n\n"
            ),
            421,
        ),
        ("POST /text HTTP/1.1\nHost: evil\nContent-Length: 3\nExpect: 100-continue\n\n", 421),
        # Who looks after a process asks its address.
        ("GET /livez HTTP/1.1\nHost: 172.16.0.1:8000\n\n", 200),
        ("GET /readyz HTTP/1.0\n\n", 200),
    ],
)
def test_what_a_request_asks_for(hosts: Server, text: str, status: int) -> None:
    assert ask(hosts, text).status == status


def test_a_target_with_a_host_lets_no_other_one_in(hosts: Server) -> None:
    """Handlers read the field."""
    for named, status in (("example.com", 200), ("a.api.example", 200), ("evil.example", 421)):
        text = f"GET http://example.com/text HTTP/1.1\nHost: {named}\n\n"
        assert ask(hosts, text).status == status


def test_the_connection_goes_on(hosts: Server) -> None:
    """What belongs to a request that is refused is read, and the next one is answered."""
    with hosts.connect() as peer:
        for body in (b"", b"x" * 100_000):
            for path in ("/text", "/pieces"):
                peer.send(request("POST", path, [("Host", "evil")], body))
                assert peer.reply().status == 421
        asked = ["evil", "example.com", "evil", "10.0.0.1"]
        peer.send(
            b"".join(f"GET /text HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host in asked)
        )
        assert [peer.reply().status for _ in asked] == [421, 200, 421, 200]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_host_that_is_refused_is_in_the_log(form: str) -> None:
    """Once, however many there are: a client can send as many as it likes."""
    env = {"TEST_SECURITY": json.dumps({"hosts": ["example.com"]})}
    with serve("protected", workers=1, env=env, log_format=form) as server:
        for host in ("example.com", "evil.example:81", "other.example", "x" * 3000):
            ask(server, f"GET /text HTTP/1.1\nHost: {host}\n\n")
        server.output.wait_for(r"evil\.example:81.*421.*trusted_hosts")
        server.stop()
        assert "other.example" not in server.output.text()
    with serve("protected", workers=1, env=env) as server:
        ask(server, f"GET http://{'x' * 3000}/ HTTP/1.1\nHost: example.com\n\n")
        assert len(server.output.wait_for("pyre: .*x{100}.*").string) < 500


def test_a_gate_needs_no_handler() -> None:
    """While the only thread is busy, and nobody more is let in."""
    env = {"TEST_SECURITY": json.dumps({"hosts": ["example.com"]})}
    ok = [("Host", "example.com")]
    with serve("protected", workers=1, threads=1, max_in_flight=1, env=env) as server:
        with Gate() as gate, server.connect() as first, server.connect() as second:
            first.send(request("GET", f"/hold/{gate.port}", ok))
            gate.entered()
            assert second.get("/text", [("Host", "evil")]).status == 421
            assert second.get("/text", ok).status == 503
            gate.release_all()
            assert first.reply().status == 200


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("GET /text?a=b%20c HTTP/1.1\nHost: h.example:8000\n\n", "https://h.example/text?a=b%20c"),
        ("POST /text HTTP/1.1\nHost: h\nContent-Length: 2\n\nab", "https://h/text"),
        ("HEAD /folder/protected.py HTTP/1.1\nHost: h\n\n", "https://h/folder/protected.py"),
        ("GET /nowhere HTTP/1.1\nHost: [::1]:8000\n\n", "https://[::1]/nowhere"),
        ("GET http://a.example/x HTTP/1.1\nHost: b\n\n", "https://a.example/x"),
        ("GET //evil.example HTTP/1.1\nHost: h\n\n", "https://h//evil.example"),
        ("GET /metrics HTTP/1.1\nHost: h\n\n", "https://h/metrics"),
        ("GET /text HTTP/1.0\nHost: h\n\n", "https://h/text"),
        (f"GET /ws?a HTTP/1.1\nHost: h\n{HANDSHAKE}\n", "wss://h/ws?a"),
        (
            (
                "OPTIONS /text HTTP/1.1\nHost: h\nOrigin: https://a\n"
                "Access-Control-Request-Method: PUT\n\n"
            ),
            "https://h/text",
        ),
        ("GET /text HTTP/1.1\nHost: h\nX-Forwarded-Proto: http, https\n\n", "https://h/text"),
        ("GET /text HTTP/1.1\nHost: h\nForwarded: proto=http\n\n", "https://h/text"),
    ],
)
def test_plain_http_is_sent_on(https: Server, text: str, location: str) -> None:
    reply = ask(https, text)
    assert (reply.status, reply.all("location"), reply.body) == (308, [location], b"")
    assert reply.all("x-frame-options") == ["DENY"]
    # RFC 6797 section 7.2.
    assert reply.all("strict-transport-security") == []
    assert reply.all("access-control-allow-origin") == ["*"]
    # RFC 9110 section 12.5.5: a cache must not send on what has come by https.
    depends = ["X-Forwarded-Proto"] if "X-Forwarded-Proto" in text else []
    assert reply.all("vary") == (depends or ["X-Forwarded-Proto, Forwarded"])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET /text HTTP/1.1\nHost: h\nX-Forwarded-Proto: https\n\n", 200),
        ("GET /json HTTP/1.1\nHost: h\nX-Forwarded-Proto: HTTPS, http\n\n", 200),
        ('GET /text HTTP/1.1\nHost: h\nForwarded: for="[::1]";proto=https\n\n', 200),
        (f"GET /ws HTTP/1.1\nHost: h\nX-Forwarded-Proto: https\n{HANDSHAKE}\n", 101),
        ("GET /livez HTTP/1.1\nHost: h\n\n", 200),
        ("GET /readyz HTTP/1.1\nHost: h\n\n", 200),
        ("OPTIONS * HTTP/1.1\nHost: h\n\n", 204),
        ("GET /text HTTP/1.0\n\n", 400),
        ("GET /text HTTP/1.1\nHost: a/b\n\n", 400),
    ],
)
def test_what_is_not_sent_on(https: Server, text: str, status: int) -> None:
    if status == 101:
        with https.connect() as peer:
            peer.send(text.replace("\n", "\r\n").replace("\r\r", "\r").encode())
            peer.await_some()
            assert peer.received.startswith(b"HTTP/1.1 101 ")
            return
    reply = ask(https, text)
    assert reply.status == status
    assert reply.all("location") == reply.all("vary") == []


def test_connections_go_on_behind_a_redirect(https: Server) -> None:
    with https.connect() as peer:
        for body in (b"", b"x" * 100_000):
            for path in ("/text", "/pieces"):
                peer.send(request("POST", path, [], body))
                assert peer.reply().status == 308
        peer.send(
            request("GET", "/text") + request("GET", "/text", HTTPS) + request("GET", "/json")
        )
        assert [peer.reply().status for _ in range(3)] == [308, 200, 308]


@pytest.mark.parametrize("path", ["/echo", "/pieces"])
def test_whoever_asks_before_he_sends_has_come_by_https_too(https: Server, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n"
        "Expect: 100-continue\r\n"
    )
    with https.connect() as peer:
        for body in (b"abcd", b"efgh"):
            peer.send(f"{head}X-Forwarded-Proto: https\r\n\r\n".encode())
            peer.await_some()
            peer.send(body)
            reply = peer.reply()
            expected = body if path == "/echo" else b"4"
            assert (reply.interim, reply.status, reply.body) == ([100], 200, expected)
        peer.send(f"{head}Origin: https://page.example\r\n\r\n".encode())
        reply = peer.reply()
        assert (reply.status, reply.header("connection")) == (308, "close")
        assert reply.header("location") == f"https://example.com{path}"


def test_where_it_is_sent_can_be_set() -> None:
    options = {"status": 301, "port": 8443, "host": "bücher.example"}
    for server in served(None, https=options, hosts=["old.example"]):
        reply = ask(server, "GET /a HTTP/1.1\nHost: old.example\n\n")
        assert reply.status == 301
        assert reply.all("location") == ["https://xn--bcher-kva.example:8443/a"]
        # Who is not served is not sent anywhere.
        assert ask(server, "GET /a HTTP/1.1\nHost: evil.example\n\n").status == 421


def test_a_test_client_names_the_host_that_it_is_told() -> None:
    app = Pyre(trusted_hosts=["example.com"])

    @app.get("/")
    def index(req: PyreRequest) -> str | None:
        return req.header("host")

    with TestClient(app) as client:
        assert client.get("/").status_code == 421
        assert client.get("/", headers={"Host": "example.com"}).text == "example.com"
    app.trusted_hosts = ["127.0.0.1"]
    with TestClient(app) as client:
        assert client.get("/").text.startswith("127.0.0.1:")
