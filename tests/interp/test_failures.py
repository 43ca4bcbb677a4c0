"""Whatever a handler, a hook or a result does wrong costs its own request, and nothing else.

Each failure is answered 500 without a word of its reason, told to the log once, with traceback and
request id, and the next request is served: of the same batch, of the same connection, and of
others. There is one thread for each kind of handler, so that a lost one would be missed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import request
from serving import Server, serve

INTERNAL = {"error": "internal server error"}
ONE_OF_EACH = {"workers": 1, "threads": 1, "gil_threads": 1, "io_workers": 1}

# What `tests/apps/failures.py` can do wrong, and what the log calls it.
EXCEPTIONS = {
    "exception": "LookupError",
    "assertion": "AssertionError",
    "group": "ExceptionGroup",
    "chained": "Unprintable",
    "unprintable": "Unprintable",
    "exits-when-printed": "Exits",
    "exit": "SystemExit",
    "exit-zero": "SystemExit",
    "exit-builtin": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "cancelled": "CancelledError",
    "generator-exit": "GeneratorExit",
    "stop-iteration": "StopIteration",
    "stop-async-iteration": "StopAsyncIteration",
    "bare": "Bare",
    "base": "BaseException",
    "base-group": "BaseExceptionGroup",
    "memory-bytes": "MemoryError",
    "memory-list": "MemoryError",
    "recursion": "RecursionError",
    "recursion-add": "RecursionError",
    "recursion-getattr": "RecursionError",
    "recursion-compare": "RecursionError",
    "recursion-repr": "RecursionError",
    "recursion-compare-lists": "RecursionError",
    "recursion-json": "RecursionError",
    "recursion-partial": "RecursionError",
}
RESULTS = {
    "result-object": "TypeError",
    "result-nasty": "TypeError",
    "result-slippery": "KeyError",
    "result-type": "TypeError",
    "result-exception": "TypeError",
    "result-nasty-str-in-json": "TypeError",
    "result-nasty-key": "TypeError",
    "result-slippery-in-json": "KeyError",
    "result-complex": "TypeError",
    "result-nan": "ValueError",
    "result-model-dump": "SystemExit",
    "result-mapping": "KeyError",
    "result-decimal": "ArithmeticError",
    "result-date": "KeyboardInterrupt",
    "result-enum": "TypeError",
    "result-dataclass": "TypeError",
    "result-deep": "ValueError",
    "result-very-deep": "ValueError",
    "result-deep-mappings": "ValueError",
    "result-cycle": "ValueError",
    "result-generator": "SystemExit",
    "result-status-nasty": "TypeError",
    "result-headers": "TypeError",
    "result-response": "TypeError",
    "result-response-status": "ValueError",
    "default-exception": "LookupError",
    "default-exit": "SystemExit",
    "default-interrupt": "KeyboardInterrupt",
    "default-recursion": "RecursionError",
    "default-unknown": "TypeError",
    "default-endless": "ValueError",
}
FAILURES = EXCEPTIONS | RESULTS
KINDS = ("def", "gil")


@pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("failures", mode=request.param, **ONE_OF_EACH) as server:
        yield server
        assert "Exception ignored" not in server.output.text()


@pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
def hooked(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("failures", mode=request.param, env={"HOOKS": "1"}, **ONE_OF_EACH) as server:
        yield server
        assert "Exception ignored" not in server.output.text()


def check(server: Server, failure: str, name: str, wire: bytes) -> None:
    """The request fails as it should, and leaves everything else as it was."""
    seen = len(server.output.lines)
    with server.connect() as peer, server.connect() as other:
        peer.send(wire + request("GET", "/fine") + request("GET", "/gil-fine"))
        reply = peer.reply()
        assert (reply.status, reply.json()) == (500, INTERNAL)
        assert not reply.closes
        assert reply.header("content-type") == "application/json"
        assert [peer.reply().text, peer.reply().text] == ["fine", "fine"]
        assert [peer.get("/fine").text, peer.get("/gil-fine").text] == ["fine", "fine"]
        assert [other.get("/fine").text, other.get("/gil-fine").text] == ["fine", "fine"]
    number = server.output.wait_for(rf"^{failure} fails in (\w+)$", since=seen)[1]
    server.output.wait_for(rf"\(request {number}\) raised {name}$", since=seen)
    server.output.wait_for(rf"^[ |]*(\w+\.)*{name}\b", since=seen)
    text = "\n".join(server.output.lines[seen:])
    assert text.count(f"request {number}") == 1, text
    # What the encoder itself raises has no line of Python to show.
    assert failure not in EXCEPTIONS or "Traceback (most recent call last):" in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_a_handler(server: Server, kind: str, failure: str, name: str) -> None:
    check(server, failure, name, request("GET", f"/{kind}/{failure}"))


@pytest.mark.parametrize("path", ["/fine", "/gil-fine"])
@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_a_before_hook(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, name, request("GET", path, [("X-Before", failure)]))


@pytest.mark.parametrize("path", ["/fine", "/gil-fine"])
@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_an_after_hook(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, name, request("GET", path, [("X-After", failure)]))


@pytest.mark.parametrize("path", ["/handled", "/gil-handled"])
@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_an_exception_handler(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, name, request("GET", path, [("X-Handler", failure)]))


@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_a_fallback(hooked: Server, failure: str, name: str) -> None:
    check(hooked, failure, name, request("GET", "/nowhere", [("X-Fallback", failure)]))
