"""Signals: what runs is finished, what does not finish is left, a second signal does not wait."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from dialogue import request
from gate import Gate, stop_beside_held_requests
from places import MODES
from serving import APPS, child_environment, run_to_end, serve, wait_until


@MODES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_idle_server_stops(number: signal.Signals, mode: str | None) -> None:
    with serve("plain", mode=mode) as server, server.connect() as idle:
        assert idle.get("/").text == "hello"
        server.signal(number)
        assert server.wait() == 0
        idle.expect_end()
        assert "Traceback" not in server.output.text()
        assert "KeyboardInterrupt" not in server.output.text()


@MODES
@pytest.mark.parametrize("io_workers", [1, 4])
def test_idle_server_stops_without_any_patience(mode: str | None, io_workers: int) -> None:
    """Whether something is left is known when the io threads have looked, and not before."""
    for _ in range(3):
        with (
            serve("plain", mode=mode, shutdown_timeout=0, io_workers=io_workers) as server,
            server.connect() as idle,
        ):
            assert idle.get("/").text == "hello"
            server.signal(signal.SIGTERM)
            assert server.wait() == 0, server.output.text()
            idle.expect_end()
            assert "gave up" not in server.output.text()


@MODES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_running_requests_are_finished(number: signal.Signals, mode: str | None) -> None:
    with serve("plain", mode=mode) as server:
        stop_beside_held_requests(server, number)


@MODES
def test_signal_handler_of_the_program_raises(tmp_path: Path, mode: str | None) -> None:
    """The exception comes out of `run()`, once everything has ended."""
    program = tmp_path / "program.py"
    program.write_text("""
import signal
from pyreframework import Pyre
app = Pyre()
app.get("/")(lambda req: "hello")

def fail(number, frame):
    raise LookupError("the program's own")

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, fail)
app.run()
""")
    with serve(program, mode=mode) as server:
        assert server.get("/").text == "hello"
        server.signal(signal.SIGUSR1)
        assert server.wait() == 1
        assert "LookupError: the program's own" in server.output.text()


def test_thread_started_at_the_exit_of_a_worker(tmp_path: Path) -> None:
    """`atexit` functions of a worker may start threads, which are waited for."""
    program = tmp_path / "program.py"
    program.write_text("""
import _thread, atexit, time
from pyreframework import Pyre
app = Pyre()
app.get("/")(lambda req: "hello")
if __name__ != "__main__":
    atexit.register(_thread.start_new_thread, time.sleep, (0.1,))
app.run()
""")
    with serve(program) as server:
        assert server.get("/").text == "hello"


@MODES
@pytest.mark.parametrize("count", [1, 10, 700])
@pytest.mark.parametrize("sends", [1, 2], ids=["in one batch", "behind the batch"])
def test_requests_behind_the_running_one(mode: str | None, sends: int, count: int) -> None:
    """They had been received, though perhaps by the kernel only: each is answered."""
    with serve("plain", mode=mode) as server, Gate() as gate, server.connect() as peer:
        held = request("GET", f"/wait/{gate.port}/a")
        behind = b"".join(request("GET", f"/number/{n}") for n in range(count))
        if sends == 1:
            peer.send(held + behind)
            assert gate.entered() == "a"
        else:
            peer.send(held)
            assert gate.entered() == "a"
            peer.send(behind)
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        gate.release("a")
        replies = [peer.reply() for _ in range(1 + count)]
        assert [reply.status for reply in replies] == [200] * (1 + count)
        assert [reply.text for reply in replies] == ["released", *map(str, range(count))]
        assert [reply.closes for reply in replies] == [False] * count + [True]
        peer.expect_end()
        assert server.wait() == 0


def test_a_client_that_never_pauses_does_not_hold_the_drain() -> None:
    """What it sends after the signal is answered only if it came with what it sent before.

    The last answer says so, unless nothing of it was unanswered when the signal came. No answer
    is cut short by what it goes on sending.
    """
    with serve("plain") as server, server.connect() as peer:
        batches = itertools.repeat(request("GET", "/") * 500)
        sending = threading.Thread(target=peer.send_pieces, args=(batches,))
        sending.start()
        assert peer.reply().status == 200
        server.signal(signal.SIGTERM)
        while peer.has_more():
            reply = peer.reply()
            assert reply.status == 200
            if reply.closes:
                peer.expect_end()
                break
        sending.join()
        assert server.wait() == 0


@MODES
@pytest.mark.parametrize("size", [20_000, 200_000])
def test_an_answer_on_its_way_survives_what_is_sent_after_the_signal(
    mode: str | None, size: int
) -> None:
    """The server has written it, the client has not received it, and asks for more meanwhile."""
    with serve("plain", mode=mode) as server, server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", f"/big/{size}"))
        peer.await_some()
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        assert peer.send_pieces(itertools.repeat(request("GET", "/"), 50))
        assert len(peer.reply().body) == size
        peer.expect_end()
        assert server.wait() == 0


@MODES
@pytest.mark.parametrize("size", [200_000, 20_000_000], ids=["sent", "half sent"])
@pytest.mark.parametrize("close", [False, True], ids=["kept", "closed"])
@pytest.mark.parametrize("patience", [0.3, 600], ids=["short", "long"])
def test_a_peer_that_does_not_take_its_last_answer(
    mode: str | None, close: bool, patience: float, size: int
) -> None:
    """It is waited for a while, also if the answer was given long before; nothing is given up."""
    headers = [("Connection", "close")] if close else []
    with (
        serve("plain", mode=mode, shutdown_timeout=patience) as server,
        server.connect(receive_bytes=4096) as peer,
    ):
        peer.send(request("GET", f"/big/{size}", headers))
        peer.await_some()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0, server.output.text()
        assert "gave up" not in server.output.text()


def test_big_answer_under_way_is_finished() -> None:
    with serve("plain") as server, server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", "/big/8000000"))
        first = peer.socket.recv(1000)
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        peer.received += first
        assert len(peer.reply().body) == 8_000_000
        assert server.wait() == 0


@MODES
def test_second_signal_stops_at_once(mode: str | None) -> None:
    with serve("plain", mode=mode, shutdown_timeout=600) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            wait_until(lambda: not server.listens(), "new connections are refused")
            server.end_at_once(signal.SIGTERM)
            assert server.wait() == 1


@MODES
def test_the_same_signal_to_the_process_and_its_group(mode: str | None) -> None:
    """As `timeout` of coreutils sends it: that is one request to stop, and nothing is lost."""
    with serve("plain", mode=mode, shutdown_timeout=600) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            os.killpg(server.pid, signal.SIGTERM)
            wait_until(lambda: not server.listens(), "new connections are refused")
            gate.release("a", "late")
            assert peer.reply().text == "late"
        assert server.wait() == 0


@MODES
def test_what_does_not_finish_is_left(mode: str | None) -> None:
    with serve("plain", mode=mode, shutdown_timeout=0.5) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            begun = time.monotonic()
            server.signal(signal.SIGTERM)
            server.wait()
            assert time.monotonic() - begun >= 0.45
        assert "Fatal" not in server.output.text()


UPLOAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


@MODES
@pytest.mark.parametrize("count", [1, 2])
def test_connections_that_are_given_up_are_called_so(mode: str | None, count: int) -> None:
    """No request runs: their bodies have not come."""
    with serve("plain", mode=mode, shutdown_timeout=0.5) as server, ExitStack() as stack:
        for _ in range(count):
            peer = stack.enter_context(server.connect())
            peer.send(UPLOAD + b"half")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        which = "2 connections that had not sent their request"
        if count == 1:
            which = "1 connection that had not sent its request"
        assert f"gave up {which} after 0.5 s" in server.output.text()


def test_a_connection_that_does_not_take_answers_is_called_so() -> None:
    with (
        serve("plain", shutdown_timeout=0.5) as server,
        server.connect(receive_bytes=4096) as peer,
    ):
        peer.send(request("GET", "/big/20000000") * 2)
        peer.await_some()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        said = "gave up 1 connection that did not take its answers after 0.5 s"
        assert said in server.output.text()


BEGUN = """
import asyncio, time
from pyreframework import Pyre

app = Pyre()
began, ended = [], []

@app.before_request
def before(req):
    began.append(req.path)

@app.after_request
def after(req, resp):
    ended.append(req.path)

@app.get("/plain/{number}")
def plain(number):
    print("begun", flush=True)
    time.sleep(0.05)

@app.get("/coroutine/{number}")
async def coroutine(number):
    print("begun", flush=True)
    await asyncio.sleep(60)

@app.get("/at_once/{number}")
async def at_once(number):
    print("begun", flush=True)
    time.sleep(0.05)

def told():
    print("in the end", len(began), began == ended, flush=True)

app.on_worker_stop(told)
app.on_shutdown(lambda: began and told())
app.run()
"""


@MODES
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kind", ["plain", "coroutine", "at_once"])
def test_nothing_is_begun_behind_a_request_that_is_given_up(
    tmp_path: Path, mode: str | None, kind: str, threads: int
) -> None:
    program = tmp_path / "program.py"
    program.write_text(BEGUN)
    settings = {"shutdown_timeout": 0.1, "workers": 1, "threads": threads}
    with serve(program, mode=mode, **settings) as server:
        with server.connect() as peer:
            peer.send(b"".join(request("GET", f"/{kind}/{n}") for n in range(200)))
            server.output.wait_for("begun")
            server.signal(signal.SIGTERM)
            assert server.wait() == 1
        found = server.output.wait_for(r"in the end (\d+) (\w+)")
        assert found[2] == "True", "each hook behind a request that was begun has run"
        if kind == "coroutine":
            assert found[1] == "1"
        assert "could not be ended" not in server.output.text()


def test_signal_under_load() -> None:
    """Every reply that begins is whole."""
    with serve("plain") as server:
        peers = [server.connect() for _ in range(50)]
        for peer in peers:
            peer.send(request("GET", "/number/7") * 20)
        server.signal(signal.SIGTERM)
        for peer in peers:
            rest = peer.rest()
            whole = rest.count(b"HTTP/1.1 200 OK\r\n")
            assert rest.count(b"\r\n\r\n7") == whole
            assert rest == b"" or rest.endswith(b"\r\n\r\n7")
            peer.socket.close()
        assert server.wait() == 0


def test_signal_while_starting() -> None:
    """A stop during the start is a stop, not a crash."""
    from serving import Output, launch

    process = launch([str(APPS / "lifecycle.py")], child_environment({}, {"port": 0, "workers": 8}))
    output = Output(process)
    output.wait_for("loaded as __mp_main__")
    process.send_signal(signal.SIGTERM)
    code = process.wait(30)
    output.join()
    assert code in (0, -signal.SIGTERM), output.text()
    assert "Fatal" not in output.text() and "panicked" not in output.text()


@MODES
def test_idle_clients_are_no_running_requests(mode: str | None) -> None:
    """A client that keeps its connection open, and does not look at it, holds nothing up."""
    with serve("plain", mode=mode, shutdown_timeout=2) as server:
        with server.connect() as used, server.connect() as unused:
            assert used.get("/").text == "hello"
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            used.expect_end()
            unused.expect_end()


def test_slow_peers_do_not_delay_the_stop() -> None:
    """Half a head is no running request."""
    with serve("plain", shutdown_timeout=600, head_timeout=600) as server:
        with server.connect() as half, server.connect() as silent:
            half.send(b"GET / HTTP/1.1\r\nHo")
            assert server.get("/").text == "hello"
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            half.rest()
            silent.expect_end()


HANGS = """
import contextlib, threading
from pyreframework import Pyre
from pyreframework.serving.signals import endings
endings.HOOKS_SECONDS = 0.5
app = Pyre()

def hang():
    threading.Event().wait()

async def wait():
    import asyncio
    await asyncio.Event().wait()

@contextlib.asynccontextmanager
async def around(app):
    yield
    if __name__ == "__main__":
        hang()

{hook}
app.get("/", lambda req: "hello", gil=True)
app.on_shutdown(lambda: print("another hook", flush=True))
app.run()
"""
HANGING_HOOKS = {
    "app.on_shutdown(hang)": "the on_shutdown hook hang",
    "app.on_shutdown(wait)": "the on_shutdown hook wait",
    "if __name__ == '__main__': app.on_worker_stop(hang)": "the on_worker_stop hook hang",
    "app = Pyre(lifespan=around)": "the lifespan",
}


@pytest.mark.parametrize("hook", HANGING_HOOKS)
def test_a_last_hook_that_hangs_is_left(tmp_path: Path, hook: str) -> None:
    """As what does not end in workers; the log names it."""
    program = tmp_path / "program.py"
    program.write_text(HANGS.format(hook=hook))
    with serve(program, workers=1, mode="default") as server:
        assert server.get("/").text == "hello"
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        said = f"{HANGING_HOOKS[hook]} did not end in 0.5 s; leaving without it"
        assert said in server.output.text()
        assert "another hook" not in server.output.text()


def test_a_last_hook_that_hangs_after_a_failed_start(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    fails = "@app.on_worker_start\ndef fail(): raise LookupError('at the start')"
    program.write_text(HANGS.format(hook=f"app.on_shutdown(hang)\n{fails}"))
    ending = run_to_end(program, workers=1)
    assert ending.code == 3
    assert "LookupError: at the start" in ending.output
    assert "the on_shutdown hook hang did not end" in ending.output


def test_a_task_that_blocks_the_loop_at_the_end_is_left(tmp_path: Path) -> None:
    """It is cancelled, and holds the thread that cancels it."""
    program = tmp_path / "program.py"
    blocks = """
from pyreframework.serving.signals import endings
endings.THREADS_SECONDS = 1

async def block():
    try:
        await wait()
    finally:
        hang()

@app.on_shutdown
async def start():
    import asyncio
    app.task = asyncio.create_task(block())
    await asyncio.sleep(0)
"""
    program.write_text(HANGS.format(hook=blocks))
    with serve(program, workers=1, mode="default") as server:
        assert server.get("/").text == "hello"
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert "a task on the event loop did not end in 3 s" in server.output.text()
