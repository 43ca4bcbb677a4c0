"""Every rule of the table, sent whole and byte by byte, on a connection of its own.

Behind each refused request stands one that a confused server would serve: it prints a line when it
runs, which must not be there at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rules import RULES, Accepted, Refused
from serving import Server, serve

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: pyre.test\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: pyre.test\r\nConnection: close\r\n\r\n"
LONGEST_BYTEWISE = 4096


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("plain") as server:
        yield server
        assert server.get("/").text == "hello"
        assert "SMUGGLED" not in server.output.text()


@pytest.fixture(scope="module", params=["def", "async"])
def taking(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Its handlers read bodies as they come."""
    with serve("taking", env={"TEST_KIND": request.param}) as server:
        yield server
        assert server.get("/").text == "hello"
        assert "SMUGGLED" not in server.output.text()


def dialogue(server: Server, rule: Refused | Accepted, pieces: list[bytes]) -> None:
    with server.connect() as peer:
        peer.send_pieces(pieces)
        if isinstance(rule, Refused):
            peer.send_pieces([SMUGGLED])
            reply = peer.reply()
            assert reply.status in rule.statuses
            assert reply.closes
            assert isinstance(reply.json()["error"], str)
            peer.expect_end()
            return
        reply = peer.reply(rule.method)
        assert reply.status in rule.statuses
        if rule.body is not None and rule.request.startswith(b"POST"):
            assert reply.body == rule.body
        if rule.closes:
            peer.send_pieces([SMUGGLED])
        else:
            peer.send(AFTER)
            assert not reply.closes
            assert peer.reply().text == "after"
        peer.expect_end()


def name(rule: Refused | Accepted) -> str:
    return f"{rule.section}: {rule.name}"


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_rule_whole(server: Server, rule: Refused | Accepted) -> None:
    dialogue(server, rule, [rule.request])


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if len(rule.request) <= LONGEST_BYTEWISE], ids=name
)
def test_rule_byte_by_byte(server: Server, rule: Refused | Accepted) -> None:
    dialogue(server, rule, [bytes([byte]) for byte in rule.request])


BODIES = [rule for rule in RULES if rule.request.startswith(b"POST /echo ")]


@pytest.mark.parametrize("rule", BODIES, ids=name)
def test_rule_of_a_body_that_is_read_as_it_comes(taking: Server, rule: Refused | Accepted) -> None:
    """With its head, and behind it: then it is the handler that meets what is wrong."""
    dialogue(taking, rule, [rule.request])
    if len(rule.request) <= LONGEST_BYTEWISE:
        dialogue(taking, rule, [bytes([byte]) for byte in rule.request])
    else:
        end = rule.request.find(b"\r\n\r\n") + 4
        dialogue(taking, rule, [rule.request[:end], rule.request[end:]])


def test_names_of_rules_are_unique() -> None:
    names = [name(rule) for rule in RULES]
    assert len(names) == len(set(names))


def test_error_texts(server: Server) -> None:
    for request, status, error in [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad request"),
        (b"GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not found"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405, "method not allowed"),
    ]:
        with server.connect() as peer:
            peer.send(request)
            reply = peer.reply()
            assert (reply.status, reply.json()) == (status, {"error": error})
            assert reply.header("content-type") == "application/json"
            peer.expect_end()


def test_absolute_form_wins_over_host(server: Server) -> None:
    """RFC 9112 section 3.2.2: the Host field is ignored when the target names an authority."""
    with server.connect() as peer:
        peer.send(b"GET http://right.test:81/seen?q HTTP/1.1\r\nHost: wrong.test\r\n\r\n")
        seen = peer.reply().json()
    assert (seen["path"], seen["query"]) == ("/seen", "q")
    assert seen["headers"]["host"] in ("right.test:81", "wrong.test")


def test_connect_is_refused(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"CONNECT pyre.test:443 HTTP/1.1\r\nHost: pyre.test:443\r\n\r\n")
        assert peer.reply().status in (400, 404, 405, 501)


def test_options_asterisk_allows(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = peer.reply("OPTIONS")
        assert reply.status in (200, 204)
        assert "GET" in (reply.header("allow") or "")


def test_values_arrive_trimmed_and_whole(server: Server) -> None:
    headers = [
        ("X-Spaces", "  a  b \t"),
        ("X-Latin", "caf\xe9"),
        ("X-Tab", "a\tb"),
        ("X-Empty", ""),
    ]
    seen = server.get("/seen", headers).json()["headers"]
    assert seen["x-spaces"] == "a  b"
    assert seen["x-tab"] == "a\tb"
    assert seen["x-empty"] == ""
    assert seen["x-latin"].startswith("caf")


def test_trailers_are_dropped(server: Server) -> None:
    """RFC 9112 section 7.1.2: a trailer never turns into a header or frames anything."""
    with server.connect() as peer:
        peer.send(
            b"POST /seen HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n" + AFTER
        )
        seen = peer.reply().json()
        assert seen["body"] == "hello"
        assert "x-late" not in seen["headers"]
        assert peer.reply().text == "after"
        peer.expect_end()


@pytest.mark.parametrize("trailer", ["Content-Length: 40", "Transfer-Encoding: chunked", "Host: b"])
def test_framing_in_trailers_frames_nothing(server: Server, trailer: str) -> None:
    with server.connect() as peer:
        peer.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n" + trailer.encode() + b"\r\n\r\n" + AFTER
        )
        reply = peer.reply()
        if reply.status == 200:
            assert reply.body == b"hello"
            assert peer.reply().text == "after"
        else:
            assert reply.status == 400
        peer.expect_end()


def test_empty_lines_before_a_request_are_bounded(server: Server) -> None:
    with server.connect() as peer:
        peer.send_pieces([b"\r\n" * 1000] * 1000)
        reply = peer.reply()
        assert reply.status == 400
        peer.expect_end()


def test_error_after_good_requests(server: Server) -> None:
    """Replies that are due come first; then the one answer; then the end."""
    good = b"GET /number/%d HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.connect() as peer:
        peer.send(b"".join(good % n for n in range(20)) + b"BROKEN\r\n\r\n" + SMUGGLED * 20)
        for n in range(20):
            assert peer.reply().text == str(n)
        assert peer.reply().status == 400
        peer.expect_end()


def test_error_behind_a_slow_request(server: Server) -> None:
    """The refusal waits for the handler in front of it, even when it is known earlier."""
    from gate import Gate

    with Gate() as gate, server.connect() as peer:
        peer.send(b"GET /wait/%d/slow HTTP/1.1\r\nHost: a\r\n\r\n" % gate.port)
        assert gate.entered() == "slow"
        peer.send(b"BROKEN\r\n\r\n" + SMUGGLED)
        peer.expect_silence(0.1)
        gate.release("slow")
        assert peer.reply().text == "released"
        assert peer.reply().status == 400
        peer.expect_end()
