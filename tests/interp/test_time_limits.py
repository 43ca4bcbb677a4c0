"""Handlers that take too long: interrupted, cancelled, answered 504, and given up if need be."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import Server, serve, wait_until

TOO_LONG = {"error": "request timeout"}
LIMIT_S = 0.8
"""Of the server; handlers have a fifth of a second more to end when they are interrupted."""

LARGE = "x" * 200_000
"""What `/large` answers: more than a client with a small buffer takes at once."""

PLACES: dict[str, dict[str, object]] = {
    "workers": {"threads": 2},
    "one-thread": {"threads": 1},
    "main": {"mode": "default", "gil_threads": 2},
    "gil": {"gil_threads": 2, "env": {"TEST_GIL": "1"}},
}


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    place = PLACES[request.param]
    with serve("limits", workers=1, request_timeout=LIMIT_S, **place) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


def expect_seen(server: Server, what: str) -> None:
    """The handler noted this, sooner or later."""
    noted: list[str] = []

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return what in noted

    wait_until(look, f"{what!r} was noted")


@pytest.mark.parametrize("path", ["/spin", "/async/spin", "/async/spin/later"])
def test_an_endless_loop_is_interrupted(server: Server, path: str) -> None:
    """504, and the log says where the handler was; its connection and its thread go on."""
    since = len(server.output.lines)
    with server.connect() as peer:
        begun = time.monotonic()
        reply = peer.get(path)
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        assert time.monotonic() - begun > LIMIT_S / 2
        if not reply.closes:
            assert peer.get("/").text == "hello"
    found = server.output.wait_for(r"GET (\S+) took longer than its request_timeout", since=since)
    assert found[1] == path
    name = {"/spin": "spin", "/async/spin": "spin_on_loop"}.get(path, "spin_on_loop_later")
    server.output.wait_for(rf"limits\.py\", line \d+, in {name}$", since=since)
    assert server.get("/").text == "hello"


def test_limit_of_a_route(server: Server) -> None:
    for path in ("/spin/own", "/async/wait/own"):
        begun = time.monotonic()
        assert server.get(path).status == 504
        assert time.monotonic() - begun < LIMIT_S


@pytest.mark.parametrize("path", ["/short", "/async/short"])
def test_no_limit_for_a_route(server: Server, path: str) -> None:
    assert server.get(f"{path}/{LIMIT_S * 1.6}").text == "took its time"


def test_handler_that_catches_it_answers(server: Server) -> None:
    assert server.get("/catch").text == "caught RequestTimeout, no Exception: True"


def test_handler_cleans_up(server: Server) -> None:
    assert server.get("/finally").status == 504
    expect_seen(server, "cleaned up")


def test_exception_handler(server: Server) -> None:
    reply = server.get("/spin/own?handled")
    assert (reply.status, reply.text) == (503, "took too long")


def test_handler_that_goes_on_is_interrupted_again(server: Server) -> None:
    """The client is told in time, and the thread comes back in the end."""
    with server.connect() as peer:
        reply = peer.get("/stubborn")
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        assert reply.closes
        peer.expect_end()
    expect_seen(server, "caught 5")


def test_coroutine_that_waits_is_cancelled(server: Server) -> None:
    with server.connect() as peer:
        reply = peer.get("/async/wait")
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        expect_seen(server, "cancelled")


def test_coroutine_that_answers_when_it_is_cancelled(server: Server) -> None:
    reply = server.get("/async/answer")
    assert (reply.status, reply.text) == (200, "instead")


def test_coroutine_that_will_not_be_cancelled(server: Server) -> None:
    """Its client is told without it, and what it comes to is dropped."""
    with Gate() as gate, server.connect() as peer:
        reply = peer.get(f"/async/swallow/{gate.port}/a")
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        peer.expect_end()
        assert gate.entered() == "a"
        expect_seen(server, "swallowed")
        gate.release("a")
    assert server.get("/async").text == "hello"


@pytest.mark.parametrize("path", ["/spin/own", "/async/wait/own"])
def test_head(server: Server, path: str) -> None:
    with server.connect() as peer:
        reply = peer.request("HEAD", path)
        assert reply.status == 504
        if not reply.closes:
            assert peer.get("/").text == "hello"


def test_head_of_a_handler_that_cannot_be_interrupted(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("HEAD", f"/hold/{gate.port}/a"))
        assert gate.entered() == "a"
        assert peer.reply("HEAD").status == 504
        peer.expect_end()
        gate.release("a")
    wait_until(lambda: server.get("/").status == 200, "the thread comes back")


@pytest.mark.parametrize("path", ["/spin/own", "/async/wait/own"])
def test_pipelines_keep_their_order(server: Server, path: str) -> None:
    """What cannot be told in its place is not told at all: the connection ends."""
    with server.connect() as peer:
        peer.send(request("GET", "/") + request("GET", path) + request("GET", "/"))
        rest = peer.received
        statuses = []
        for _ in range(3):
            reply = peer.reply()
            statuses.append(reply.status)
            if reply.closes:
                peer.expect_end()
                break
        assert statuses in ([200, 504, 200], [200, 504]), rest


def test_pipeline_behind_a_handler_that_cannot_be_interrupted(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/hold/{gate.port}/a") + request("GET", "/"))
        assert gate.entered() == "a"
        peer.expect_end()
        gate.release("a")
    wait_until(lambda: server.get("/").status == 200, "the thread comes back")


def test_what_was_answered_before_a_pipeline_that_is_given_up_arrives(server: Server) -> None:
    """The connection ends with requests unread, and an answer before them on its way still."""
    with Gate() as gate, server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", "/large"))
        peer.await_some()
        peer.send(request("GET", f"/hold/{gate.port}/a") + request("GET", "/"))
        assert gate.entered() == "a"
        # More than the system takes for a server that does not read: that it can be sent shows
        # that the server has done with the pipeline.
        peer.send_pieces([request("GET", "/") * 1000] * 200)
        reply = peer.reply()
        assert (reply.status, reply.text) == (200, LARGE)
        peer.expect_end()
        gate.release("a")
    wait_until(lambda: server.get("/").status == 200, "the thread comes back")


def lanes(server: Server, sample: str) -> int:
    """The sum of a metric over all interpreters, as the server shows it without Python."""
    page = server.get("/metrics").text
    return sum(int(value) for value in re.findall(rf"^{sample}\S* (\d+)$", page, re.MULTILINE))


def stick(stack: ExitStack, server: Server, gate: Gate, path: str, name: str) -> Peer:
    """A client whose handler sits at the gate."""
    peer = stack.enter_context(server.connect())
    peer.send(request("GET", f"{path}/{gate.port}/{name}"))
    assert gate.entered() == name
    return peer


@pytest.fixture(params=["workers", "main", "gil"])
def two_lanes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server whose handlers have two threads, which another may replace."""
    place = PLACES[request.param]
    with serve("limits", workers=1, request_timeout=0.4, **place) as server:  # type: ignore[arg-type]
        yield server


def test_stuck_threads_are_replaced_and_come_back(two_lanes: Server) -> None:
    """With all of them stuck, others answer; and when they end, there are as many as before."""
    server = two_lanes
    with Gate() as gate:
        for turn in "ab":
            with ExitStack() as stack:
                peers = [
                    stick(stack, server, gate, "/hold", f"{turn}{number}") for number in range(2)
                ]
                assert server.get("/livez").status == 200
                for peer in peers:
                    reply = peer.reply()
                    assert (reply.status, reply.json()) == (504, TOO_LONG)
                    peer.expect_end()
                # The two are still stuck, and others have taken their places.
                assert server.get("/").text == "hello"
                gate.release_all()
            wait_until(lambda: lanes(server, "pyre_jobs_in_flight") == 0, "all have come back")
        assert server.get("/").text == "hello"
        # Of four threads two have retired: a third handler waits for one of the two.
        with ExitStack() as stack:
            for number in range(2):
                stick(stack, server, gate, "/hold", f"c{number}")
            with server.connect() as third:
                third.send(request("GET", f"/hold/{gate.port}/third"))
                assert gate.is_empty(0.05)
            gate.release_all()
    page = server.get("/metrics").text
    assert re.search(
        r'^pyre_requests_total\{.*route="/hold/.*status="504"\} 4$', page, re.MULTILINE
    ), page
    assert re.search(r"^pyre_timeouts_total 4$", page, re.MULTILINE), page


def test_everything_is_stuck(two_lanes: Server, request: pytest.FixtureRequest) -> None:
    """There are 32 threads at most. Beyond that clients get 504, and pages without Python 200.

    In a worker one of them is kept for short handlers.
    """
    server = two_lanes
    threads = 31 if "workers" in request.node.name else 32
    with Gate() as gate, ExitStack() as stack:
        for number in range(threads):
            stick(stack, server, gate, "/hold", str(number))
        waiting = stack.enter_context(server.connect())
        waiting.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert server.get("/livez").status == 200
        assert server.get("/metrics").status == 200
        assert server.request("POST", "/").status == 405
        reply = waiting.reply()
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        assert gate.is_empty(0.05)
        gate.release_all()
        wait_until(lambda: server.get("/").status == 200, "they come back")
        wait_until(lambda: lanes(server, "pyre_jobs_in_flight") == 0, "all have come back")


def test_requests_behind_stuck_threads_are_told(server: Server) -> None:
    """Queued requests do not wait for ever, and are not run once nobody waits for them."""
    with Gate() as gate, ExitStack() as stack:
        stick(stack, server, gate, "/async/block", "loop")
        behind = stack.enter_context(server.connect())
        behind.send(request("GET", f"/async/block/{gate.port}/behind"))
        reply = behind.reply()
        assert (reply.status, reply.json()) == (504, TOO_LONG)
        behind.expect_end()
        gate.release("loop")
        wait_until(lambda: server.get("/async").status == 200, "the loop goes on")
        assert gate.is_empty(0.05)


def test_blocked_loop_of_one_of_two_workers() -> None:
    """Requests for the loop go to the other one meanwhile."""
    with serve("limits", workers=2, request_timeout=30) as server, Gate() as gate:
        with ExitStack() as stack:
            peer = stick(stack, server, gate, "/async/block", "a")
            for _ in range(8):
                assert server.get("/async").text == "hello"
                assert server.get("/").text == "hello"
            gate.release("a")
            assert peer.reply().text == "released"


def test_one_thread_that_is_stuck_is_replaced(tmp_path: Path) -> None:
    """The one exception to what `threads=1` promises: a handler that was given up may still run."""
    program = tmp_path / "program.py"
    program.write_text("""
import socket
from pyreframework import Pyre
app = Pyre()

@app.get("/")
def hello():
    return "hello"

def hold(port, name):
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(name.encode() + b"\\n")
        return gate.makefile().readline().strip()

app.get("/hold/{port:int}/{name}", hold)
# It waits behind the one that is stuck, and that counts.
app.get("/patient/{port:int}/{name}", hold, request_timeout=30)
app.run()
""")
    options: dict[str, object] = {"workers": 1, "threads": 1, "request_timeout": 0.4}
    with serve(program, **options) as server, Gate() as gate:  # type: ignore[arg-type]
        with ExitStack() as stack:
            peer = stick(stack, server, gate, "/hold", "a")
            behind = stack.enter_context(server.connect())
            behind.send(request("GET", f"/patient/{gate.port}/b"))
            assert gate.is_empty(0.05), "two handlers of one thread overlap"
            assert peer.reply().status == 504
            assert gate.entered() == "b"
            gate.release("b")
            assert behind.reply().text == "released"
            gate.release("a")
        assert server.get("/").text == "hello"


HOOKS = """
import asyncio, os
from pyreframework import Pyre
app = Pyre()
cancelled = []

async def wait(what):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        cancelled.append(what)
        raise

@app.before_request
async def before(req):
    if req.query == "before":
        await wait("before")

@app.after_request
async def after(req, resp):
    if req.query == "after":
        await wait("after")

@app.exception_handler(ValueError)
async def on_value(req, exc):
    await wait("value")

@app.get("/def")
def plain(req):
    if req.query == "value":
        raise ValueError
    return "answered"

@app.get("/async")
async def later(req):
    return plain(req)

@app.get("/cancelled")
def show():
    shown = list(cancelled)
    cancelled.clear()
    return shown

app.run()
"""


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("place", ["workers", "one-thread", "main"])
def test_hooks_that_wait_too_long(tmp_path: Path, place: str, path: str) -> None:
    """The limit holds for all of a request, and what waits is cancelled."""
    program = tmp_path / "program.py"
    program.write_text(HOOKS)
    options = PLACES[place] | {"workers": 1, "request_timeout": 0.3}
    with serve(program, **options) as server:  # type: ignore[arg-type]
        for where in ("before", "after", "value"):
            reply = server.get(f"{path}?{where}")
            assert (reply.status, reply.json()) == (504, TOO_LONG)
            wait_until(lambda: server.get("/cancelled").json(), "it was cancelled")
        assert server.get(path).text == "answered"


def test_only_a_route_has_a_limit() -> None:
    with serve("limits", workers=1, request_timeout=0) as server:
        assert server.get("/spin/own").status == 504
        assert server.get("/async/wait/own").status == 504
        assert server.get("/short/0.3").text == "took its time"


def test_stop_while_a_handler_is_interrupted() -> None:
    with serve("limits", workers=1, request_timeout=LIMIT_S) as server, server.connect() as peer:
        peer.send(request("GET", "/spin"))
        wait_until(lambda: lanes(server, "pyre_lanes_busy") == 1, "it runs")
        server.signal(15)
        assert peer.reply().status == 504
        assert server.wait() == 0


def test_handlers_that_overrun_together_are_interrupted_together(tmp_path: Path) -> None:
    """One that is found late does not wait for a look a grace later."""
    file = tmp_path / "program.py"
    file.write_text(
        textwrap.dedent(
            """
            import time
            from pyreframework import Pyre, RequestTimeout

            app = Pyre()

            @app.get("/")
            def spin(req):
                try:
                    while True:
                        time.sleep(0.001)
                except RequestTimeout:
                    return str(time.monotonic())

            app.run()
            """
        )
    )
    limit_s, grace_s, count = 4.0, 1.0, 4
    with serve(file, workers=1, threads=count, request_timeout=limit_s) as server, ExitStack() as s:
        peers = [s.enter_context(server.connect()) for _ in range(count)]
        for peer in peers:
            peer.send(request("GET", "/"))
        ends = [float(peer.reply().text) for peer in peers]
    # One after the other, a grace apart, they would take three.
    assert max(ends) - min(ends) < grace_s
