"""Answers in pieces that fail, before their first piece and behind it; what hooks see of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import request
from places import PLACES
from serving import Server, serve, wait_until
from streaming import INTERNAL, expect_nothing_in_flight, expect_seen, framed, whole

KINDS = pytest.mark.parametrize("kind", ["def", "async", "mixed", "crossed"])
"""Whether handler and generator are coroutines: neither, both, the generator, the handler."""

SECRET = "ValueError: secret of the generator"


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"
        expect_nothing_in_flight(server)


def logged(server: Server, text: str, times: int) -> None:
    """Come so often and no more."""
    wait_until(lambda: server.output.text().count(text) >= times, f"{text!r} {times} times")
    # Whatever came behind the request is logged by now.
    assert server.get("/").text == "hello"
    assert server.output.text().count(text) == times


@KINDS
def test_failure_before_the_first_piece(server: Server, kind: str) -> None:
    before = server.output.text().count(SECRET)
    with server.connect() as peer:
        reply = peer.get(f"/fails/{kind}/error/0")
        assert (reply.status, reply.json()) == (500, INTERNAL)
        assert reply.header("x-fails") is None
        assert peer.get("/").text == "hello"
    logged(server, SECRET, before + 1)
    expect_seen(server, "error raised")


@KINDS
def test_http_error_before_the_first_piece(server: Server, kind: str) -> None:
    with server.connect() as peer:
        reply = peer.get(f"/fails/{kind}/http/0")
        assert (reply.status, reply.json()) == (404, {"error": "there is none"})
        assert peer.get("/").text == "hello"
    expect_seen(server, "http raised")


@KINDS
def test_exception_handler_before_the_first_piece(server: Server, kind: str) -> None:
    reply = server.get(f"/fails/{kind}/handled/0")
    assert (reply.status, reply.json()) == (418, {"refused": "not today"})
    expect_seen(server, "handled raised")


@pytest.mark.parametrize("kind", ["def", "async"])
def test_an_exception_handler_whose_own_answer_fails(server: Server, kind: str) -> None:
    """It is asked a few times, and then no more."""
    server.get("/tries")
    reply = server.get(f"/fails-again/{kind}")
    assert (reply.status, reply.json()) == (500, INTERNAL)
    assert 1 <= server.get("/tries").json() <= 8


@KINDS
@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("error", SECRET),
        ("http", "HTTPError: "),
        ("handled", "Refused: not today"),
        ("exit", "SystemExit: 3"),
    ],
)
def test_failure_in_the_middle(
    server: Server, kind: str, what: str, shown: str, after: int
) -> None:
    """What has been sent has been sent: the client sees that it is not whole."""
    before = server.output.text().count(shown)
    head, rest = whole(server, f"/fails/{kind}/{what}/{after}")
    assert head.startswith(b"http/1.1 200")
    assert rest == framed(*[b"piece %d " % number for number in range(after)])
    logged(server, shown, before + 1)
    expect_seen(server, f"{what} raised")
    assert server.get(f"/is/{'def' if kind == 'def' else 'async'}/text").text == "onetwo three"
    expect_seen(server, "text left")


@KINDS
def test_failure_in_the_middle_ends_the_connection(server: Server, kind: str) -> None:
    """Requests behind it are not answered: nobody could tell where their answers begin."""
    with server.connect() as peer:
        peer.send(request("GET", f"/fails/{kind}/error/1") + request("GET", "/"))
        assert peer.rest().endswith(framed(b"piece 0 "))
    expect_seen(server, "error raised")


def test_failures_are_logged_with_their_request(server: Server) -> None:
    since = len(server.output.lines)
    whole(server, "/fails/def/error/1")
    where = r"GET /fails/def/\{what\}/\{after:int\} \(request [0-9a-f]+\) raised ValueError"
    server.output.wait_for(where, since=since)
    expect_seen(server, "error raised")


@pytest.mark.parametrize("path", ["/is/def/text", "/is/async/text", "/makes/def/stream/text"])
def test_after_hook_changes_the_head(server: Server, path: str) -> None:
    reply = server.get(path, [("X-Mark", "1")])
    assert (reply.status, reply.text) == (299, "onetwo three")
    status, kind = (reply.header("x-marked") or "").split()
    assert status == ("203" if "stream" in path else "200")
    expected = {"def": "generator", "async": "async_generator"}[path.split("/")[2]]
    assert kind == ("PyreStream" if "stream" in path else expected)
    if "stream" in path:
        assert reply.header("x-kind") == "stream"
        assert (reply.header("content-type") or "").startswith("text/plain")
    else:
        expect_seen(server, "text left")


@pytest.mark.parametrize("path", ["/is/def/text", "/is/async/text"])
def test_after_hook_has_another_answer(server: Server, path: str) -> None:
    """The generator has not begun, and never does."""
    reply = server.get(path, [("X-Replace", "1")])
    assert (reply.status, reply.text) == (200, "replaced")
    expect_seen(server)


@pytest.mark.parametrize("path", ["/is/def/text", "/is/async/text"])
def test_before_hook_answers_instead(server: Server, path: str) -> None:
    reply = server.get(path, [("X-Stop", "1")])
    assert (reply.status, reply.text) == (403, "stopped")
    expect_seen(server)
