"""Hooks, exceptions and the fallback: who runs, in which order, and what the client learns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import Reply
from places import in_both_modes
from serving import Server, serve, wait_until

INTERNAL = {"error": "internal server error"}


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("hooks", mode=request.param) as server:
        yield server
        assert server.get("/").text == "handled"


def ran(reply: Reply) -> str | None:
    return reply.header("x-ran")


def test_order(server: Server) -> None:
    reply = server.get("/")
    assert (reply.status, reply.text) == (200, "handled")
    assert ran(reply) == "first, second, third, after first, after second"
    assert reply.header("x-seen") == "200"
    assert reply.header("x-after") == "first"


@pytest.mark.parametrize(
    ("what", "status", "body"),
    [
        ("str", 200, b"from the hook"),
        ("dict", 200, b'{"from":"hook"}'),
        ("response", 403, b"no"),
        ("tuple", 410, b"gone"),
        ("empty", 200, b""),
        ("false", 200, b"false"),
    ],
)
def test_a_before_hook_answers(server: Server, what: str, status: int, body: bytes) -> None:
    """Anything but None is the answer; the handler and later before hooks are left out."""
    reply = server.get("/", [("X-Before", what), ("X-Mark", f"of {what}")])
    assert (reply.status, reply.body.replace(b" ", b"")) == (status, body.replace(b" ", b""))
    assert ran(reply) == "first, second, after first, after second"
    assert not has_run(server, f"of {what}")


def test_a_raising_before_hook_lets_nothing_through(server: Server) -> None:
    reply = server.get("/", [("X-Before", "raise"), ("X-Mark", "of raise")])
    assert (reply.status, reply.json()) == (500, INTERNAL)
    wait_until(lambda: "secret of the hook" in server.output.text(), "the log has the reason")
    assert not has_run(server, "of raise")


def has_run(server: Server, mark: str) -> bool:
    """Whether the handler of a request with a mark, which was answered, has run."""
    later = f"after {mark}"
    server.get("/", [("X-Mark", later)])
    server.output.wait_for(f"^HANDLER RAN {later}$")
    return f"HANDLER RAN {mark}\n" in server.output.text()


def test_http_error_in_a_before_hook(server: Server) -> None:
    reply = server.get("/", [("X-Before", "http")])
    assert (reply.status, reply.json()) == (401, {"error": "who are you"})
    assert reply.header("www-authenticate") == "Basic"
    assert reply.header("x-seen") == "401"


def test_an_after_hook_replaces(server: Server) -> None:
    reply = server.get("/", [("X-After", "replace")])
    assert (reply.status, reply.text) == (299, "replaced")


def test_a_raising_after_hook(server: Server) -> None:
    reply = server.get("/", [("X-After", "raise")])
    assert (reply.status, reply.json()) == (500, INTERNAL)
    reply = server.get("/", [("X-After", "http")])
    assert (reply.status, reply.json()) == (409, {"error": "too late"})


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("plain", 500, INTERNAL),
        ("value", 422, {"handled": "wrong value", "by": "value"}),
        ("key", 404, {"error": "no KeyError"}),
        ("lookup", 404, {"error": "no LookupError"}),
        ("http", 404, {"error": "not found"}),
        ("http-detail", 402, {"error": {"pay": 5}}),
        ("http-cause", 410, {"error": "gone"}),
        ("exit", 500, INTERNAL),
        ("interrupt", 500, INTERNAL),
        ("generator", 500, INTERNAL),
        ("base", 500, INTERNAL),
        ("stop", 500, INTERNAL),
        ("group", 500, INTERNAL),
        ("unprintable", 500, INTERNAL),
        ("runtime", 500, INTERNAL),
    ],
)
def test_exceptions(server: Server, kind: str, status: int, body: object) -> None:
    """Each is an answer; after hooks see it; the connection and the server go on."""
    with server.connect() as peer:
        reply = peer.get(f"/error/{kind}")
        assert (reply.status, reply.json()) == (status, body)
        assert reply.header("x-seen") == str(status)
        assert peer.get("/").text == "handled"


def test_recursion(server: Server) -> None:
    """A RecursionError is a RuntimeError, whose handler here fails too."""
    with server.connect() as peer:
        reply = peer.get("/error/recursion")
        assert (reply.status, reply.json()) == (500, INTERNAL)
        assert peer.get("/").text == "handled"


def test_the_most_specific_handler_wins(server: Server) -> None:
    reply = server.get("/error/specific")
    assert (reply.status, reply.text) == (418, "specific: very wrong")


def test_headers_of_an_http_error(server: Server) -> None:
    assert server.get("/error/http-detail").header("x-price") == "5"


def test_the_reason_is_in_the_log_only(server: Server) -> None:
    reply = server.get("/error/plain")
    assert b"secret" not in reply.body and b"Unhandled" not in reply.body
    wait_until(lambda: "secret of the handler" in server.output.text(), "the log has the reason")
    log = server.output.text()
    assert "Traceback (most recent call last)" in log
    assert "hooks.py" in log
    assert "/error/{kind}" in log


def test_fallback(server: Server) -> None:
    reply = server.get("/no/such?a=b")
    assert reply.status == 404
    assert reply.json() == {"fallback": "/no/such", "method": "GET", "params": {}}
    assert ran(reply) == "first, second, third, after first, after second"
    reply = server.request("POST", "/no", body=b"x")
    assert reply.json()["method"] == "POST"
    reply = server.get("/fallback/raise")
    assert (reply.status, reply.json()) == (500, INTERNAL)


def test_fallback_leaves_405_alone(server: Server) -> None:
    """The path is known, only the method is not."""
    reply = server.request("POST", "/")
    assert reply.status == 405
    assert reply.header("allow")


def test_head_of_an_error(server: Server) -> None:
    with server.connect() as peer:
        assert peer.request("HEAD", "/error/plain").status == 500
        assert peer.request("HEAD", "/no").status == 404
        assert peer.get("/").text == "handled"


@in_both_modes
def constants(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("constants", mode=request.param, workers=1) as server:
        yield server


@pytest.mark.parametrize(
    "path",
    ["/ok", "/read", "/home", "/async/ok", "/async/read", "/returned", "/before", "/refused"],
)
def test_response_that_is_kept_does_not_keep_what_hooks_do_for_one_client(
    constants: Server, path: str
) -> None:
    """A session's cookie on a constant would be sent to everybody from then on."""

    def seen(user: str | None) -> tuple[int, bytes, list[tuple[str, str]]]:
        reply = constants.get(path, [("X-User", user)] if user else [])
        headers = [(name, value) for name, value in reply.headers if name != "date"]
        return reply.status, reply.body, headers

    first = seen(None)
    assert "session" not in str(first)
    for user in ("alice", "bob", "alice"):
        status, body, headers = seen(user)
        assert (status, body) == (202, f"for {user}".encode())
        assert f"session={user}" in str(headers)
        assert {"alice": "bob", "bob": "alice"}[user] not in str((body, headers))
        assert seen(None) == first
