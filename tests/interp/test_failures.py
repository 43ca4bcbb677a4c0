"""Whatever a handler, a hook or a result does wrong costs its own request, and nothing else.

Each failure is answered 500 without a word of its reason, told to the log once, with traceback and
request id, and the next request is served: of the same batch, of the same connection, and of
others. There is one thread for each kind of handler, so that a lost one would be missed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogue import request
from places import in_both_modes
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
    "http-error-of-wrong-detail": "TypeError",
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
# Hooks go the same way, so that one of each sort will do.
IN_HOOKS = {
    failure: FAILURES[failure]
    for failure in (
        "exception",
        "unprintable",
        "http-error-of-wrong-detail",
        "exit",
        "interrupt",
        "cancelled",
        "generator-exit",
        "stop-iteration",
        "bare",
        "memory-list",
        "recursion",
        "result-nasty",
        "result-deep",
        "result-status-nasty",
        "default-exit",
    )
}
FINE = ("/fine", "/gil-fine", "/async-fine")
KINDS = ("def", "gil", "async", "async-later", "async-gil", "async-gil-later")
# A coroutine must not raise StopIteration, so Python makes another exception of it.
IN_COROUTINES = {"stop-iteration": "RuntimeError"}


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("failures", mode=request.param, **ONE_OF_EACH) as server:
        yield server
        assert "Exception ignored in: 'GET" not in server.output.text()


@pytest.fixture(
    scope="module",
    params=[(mode, hooks) for mode in (None, "default") for hooks in ("def", "async")],
    ids=["workers-def", "workers-async", "main-def", "main-async"],
)
def hooked(request: pytest.FixtureRequest) -> Iterator[Server]:
    mode, hooks = request.param
    with serve("failures", mode=mode, env={"HOOKS": hooks}, **ONE_OF_EACH) as server:
        yield server
        assert "Exception ignored in: 'GET" not in server.output.text()


def check(server: Server, failure: str, name: str, wire: bytes) -> None:
    """The request fails as it should, and leaves everything else as it was."""
    seen = len(server.output.lines)
    with server.connect() as peer, server.connect() as other:
        peer.send(wire + b"".join(request("GET", path) for path in FINE))
        reply = peer.reply()
        assert (reply.status, reply.json()) == (500, INTERNAL)
        assert not reply.closes
        assert reply.header("content-type") == "application/json"
        assert [peer.reply().text for _ in FINE] == ["fine"] * len(FINE)
        assert [peer.get(path).text for path in FINE] == ["fine"] * len(FINE)
        assert [other.get(path).text for path in FINE] == ["fine"] * len(FINE)
    number = server.output.wait_for(rf"^{failure} fails in (\w+)$", since=seen)[1]
    told = rf"\(request {number}\) raised ({name})$"
    name = server.output.wait_for(told, since=seen)[1]
    server.output.wait_for(rf"^[ |]*(\w+\.)*{name}\b", since=seen)
    text = "\n".join(server.output.lines[seen:])
    assert len(server.output.lines) - seen < 1000, "the log of one request has a bound"
    assert text.count(f"request {number}") == 1, text
    # What the encoder itself raises has no line of Python to show.
    assert failure in RESULTS or "Traceback (most recent call last):" in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("failure", "name"), FAILURES.items())
def test_in_a_handler(server: Server, kind: str, failure: str, name: str) -> None:
    if kind.startswith("async"):
        name = IN_COROUTINES.get(failure, name)
    check(server, failure, name, request("GET", f"/{kind}/{failure}"))


def in_a_hook(failure: str, name: str) -> str:
    """What the log says, be the hook a coroutine or not."""
    return f"{name}|{IN_COROUTINES[failure]}" if failure in IN_COROUTINES else name


@pytest.mark.parametrize("path", ["/fine", "/gil-fine"])
@pytest.mark.parametrize(("failure", "name"), IN_HOOKS.items())
def test_in_a_before_hook(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, in_a_hook(failure, name), request("GET", path, [("X-Before", failure)]))


@pytest.mark.parametrize("path", ["/fine", "/gil-fine"])
@pytest.mark.parametrize(("failure", "name"), IN_HOOKS.items())
def test_in_an_after_hook(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, in_a_hook(failure, name), request("GET", path, [("X-After", failure)]))


@pytest.mark.parametrize("path", ["/handled", "/gil-handled"])
@pytest.mark.parametrize(("failure", "name"), IN_HOOKS.items())
def test_in_an_exception_handler(hooked: Server, path: str, failure: str, name: str) -> None:
    check(hooked, failure, in_a_hook(failure, name), request("GET", path, [("X-Handler", failure)]))


@pytest.mark.parametrize(("failure", "name"), IN_HOOKS.items())
def test_in_a_fallback(hooked: Server, failure: str, name: str) -> None:
    check(
        hooked,
        failure,
        in_a_hook(failure, name),
        request("GET", "/nowhere", [("X-Fallback", failure)]),
    )


IN_TASKS = ("exception", "exit", "interrupt", "generator-exit", "bare", "memory-list", "recursion")


def check_fine(server: Server) -> None:
    with server.connect() as peer:
        assert [peer.get(path).text for path in FINE] == ["fine"] * len(FINE)


@pytest.mark.parametrize("place", ["task", "callback"])
@pytest.mark.parametrize("failure", [*IN_TASKS, "cancelled", "stop-iteration"])
def test_in_what_a_handler_leaves_on_the_loop(server: Server, place: str, failure: str) -> None:
    """The answer is out already; the loop goes on for the others, also after SystemExit."""
    assert server.get(f"/{place}/{failure}").text == "left"
    check_fine(server)


@pytest.mark.parametrize("failure", [*IN_TASKS, "cancelled", "stop-iteration"])
def test_in_a_task_that_is_awaited(server: Server, failure: str) -> None:
    name = IN_COROUTINES.get(failure, FAILURES[failure])
    check(server, failure, name, request("GET", f"/awaited-task/{failure}"))


@pytest.mark.parametrize("failure", IN_TASKS)
def test_in_a_task_of_a_group(server: Server, failure: str) -> None:
    name = FAILURES[failure]
    kind = {"generator-exit": "BaseExceptionGroup", "bare": "BaseExceptionGroup"}
    if failure not in ("exit", "interrupt"):
        name = kind.get(failure, "ExceptionGroup")
    check(server, failure, name, request("GET", f"/group/{failure}"))


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("bad-yield", "RuntimeError"),
        ("cancel-itself", "CancelledError"),
        ("run", "RuntimeError"),
        ("until-complete", "RuntimeError"),
        ("close", "RuntimeError"),
        ("stop", "LookupError"),
    ],
)
def test_the_loop_of_others(server: Server, what: str, name: str) -> None:
    check(server, what, name, request("GET", f"/loop/{what}"))


WITHOUT = """
    from pyreframework import Pyre
    from pyreframework.program import outline

    # Nothing else lets an app be served that lacks something in workers.
    outline.compare = lambda here, there: None
    app = Pyre()

    @app.get("/")
    def index():
        return __name__

    @app.get("/async")
    async def later():
        return __name__

    if __name__ == "__main__":
        @app.fallback
        {kind} missing(req):
            return "never"

        app.run()
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_url_for_which_a_worker_has_no_handler_ends_no_process(
    tmp_path: Path, kind: str, threads: int
) -> None:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(WITHOUT).format(kind=kind))
    with serve(file, workers=1, threads=threads) as server, server.connect() as peer:
        for _ in range(3):
            peer.send(request("GET", "/") + request("GET", "/nowhere") + request("GET", "/async"))
            assert peer.reply().text == "__mp_main__"
            reply = peer.reply()
            assert (reply.status, reply.json()) == (500, INTERNAL)
            assert peer.reply().text == "__mp_main__"
        server.output.wait_for("this interpreter has no handler for a request")
