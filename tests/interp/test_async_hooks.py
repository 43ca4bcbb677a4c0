"""Hooks made with `async def`: the same rules, whoever waits and whatever they surround."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import Reply
from places import PLACES
from serving import Server, serve

INTERNAL = {"error": "internal server error"}
ALL = "first, first went on, second, third, after first, after second"

LOOPS = PLACES | {"main-one-thread": {"mode": "default", "gil_threads": 1}}


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("async_hooks", workers=1, **LOOPS[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/sync").status == 200


@pytest.fixture(params=["waiting", "at-once"])
def pause(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    """Whether the hooks wait for something."""
    return [("X-Pause", "no")] if request.param == "at-once" else []


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
type Headers = list[tuple[str, str]]


def ran(reply: Reply) -> str | None:
    return reply.header("x-ran")


@KINDS
def test_order(server: Server, kind: str, pause: Headers) -> None:
    for _ in range(3):
        reply = server.get(f"/{kind}", pause)
        assert reply.status == 200
        assert ran(reply) == ALL
        assert reply.header("x-seen") == "200"


def test_context_variables_of_hooks(server: Server, pause: Headers) -> None:
    """What an async hook sets, an async handler and async after hooks see; the next request not."""
    with server.connect() as peer:
        for _ in range(4):
            reply = peer.get("/async", pause)
            assert reply.text == "async set for /async"
            assert reply.header("x-variable") == "set for /async"
            assert reply.header("x-before") == "unset"


@KINDS
@pytest.mark.parametrize(
    ("what", "status", "body", "shown"),
    [
        ("sync", 202, b"from the second", "first, first went on, second"),
        ("answer", 200, b'{"from":"third"}', "first, first went on, second, third"),
        ("false", 200, b"false", "first, first went on, second, third"),
    ],
)
def test_a_before_hook_answers(
    server: Server, kind: str, pause: Headers, what: str, status: int, body: bytes, shown: str
) -> None:
    reply = server.get(f"/{kind}", [*pause, ("X-Before", what)])
    assert (reply.status, reply.body.replace(b" ", b"")) == (status, body.replace(b" ", b""))
    assert ran(reply) == f"{shown}, after first, after second"


@KINDS
def test_a_before_hook_raises(server: Server, kind: str, pause: Headers) -> None:
    reply = server.get(f"/{kind}", [*pause, ("X-Before", "raise")])
    assert (reply.status, reply.json()) == (500, INTERNAL)
    assert reply.header("x-seen") == "500"
    reply = server.get(f"/{kind}", [*pause, ("X-Before", "http")])
    assert (reply.status, reply.json()) == (401, {"error": "who are you"})
    assert reply.header("x-seen") == "401"
    server.output.wait_for("secret of the third")


@KINDS
def test_an_after_hook_raises_or_replaces(server: Server, kind: str, pause: Headers) -> None:
    reply = server.get(f"/{kind}", [*pause, ("X-After", "replace")])
    assert (reply.status, reply.text) == (299, "replaced")
    assert reply.header("x-seen") == "299"
    reply = server.get(f"/{kind}", [*pause, ("X-After", "raise")])
    assert (reply.status, reply.json()) == (500, INTERNAL)
    # The hooks behind it see what it came to.
    assert reply.header("x-seen") == "500"


@KINDS
@pytest.mark.parametrize(
    ("what", "status", "body"),
    [
        ("value", 422, {"handled": "wrong value"}),
        ("lookup", 404, {"error": "no page"}),
        ("os", 500, INTERNAL),
        ("wrong", 500, INTERNAL),
        ("http", 410, {"error": "gone"}),
    ],
)
def test_exception_handlers(
    server: Server, kind: str, pause: Headers, what: str, status: int, body: object
) -> None:
    with server.connect() as peer:
        reply = peer.get(f"/{kind}/error/{what}", pause)
        assert (reply.status, reply.json()) == (status, body)
        assert ran(reply) == ALL
        assert reply.header("x-seen") == str(status)
        assert peer.get(f"/{kind}", pause).status == 200


def test_fallback(server: Server, pause: Headers) -> None:
    reply = server.get("/no/such", pause)
    assert (reply.status, reply.text) == (404, "fallback /no/such")
    assert ran(reply) == ALL
