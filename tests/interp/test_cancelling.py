"""What ends before its time: coroutines whose client goes, lanes that are stuck, loops at the end.

None of it may take the server, a lane, or the answer of somebody else with it.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from gate import Gate
from places import MODES
from serving import Server, serve, wait_until

ENTER = """
import asyncio, socket
from pyreframework import Pyre
app = Pyre()

def enter(port, name):
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(name.encode() + b"\\n")
        return gate.recv(100).decode().strip()
"""


def write(folder: Path, text: str) -> Path:
    program = folder / "program.py"
    program.write_text(ENTER + textwrap.dedent(text) + "\napp.run()\n")
    return program


def head(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


@MODES
def test_a_client_goes_before_the_coroutine_lets_others_go_first(
    tmp_path: Path, mode: str | None
) -> None:
    """`asyncio.sleep(0)` waits for nothing that could be cancelled: the next step is."""
    program = write(
        tmp_path,
        """
        log = []

        @app.get("/yield/{port:int}")
        async def yields(req, port: int):
            enter(port, "blocked")
            while not req.is_disconnected():
                pass
            try:
                await asyncio.sleep(0)
                log.append("went on")
            except asyncio.CancelledError:
                log.append("cancelled")
                raise

        @app.get("/log")
        async def show(req):
            return log
        """,
    )
    with serve(program, mode=mode, workers=1) as server, Gate() as gate:
        peer = server.connect()
        peer.send(head(f"/yield/{gate.port}"))
        assert gate.entered() == "blocked"
        peer.abort()
        gate.release("blocked")
        wait_until(lambda: server.get("/log").json(), "the coroutine ends")
        assert server.get("/log").json() == ["cancelled"]


def test_what_cannot_be_cancelled_costs_no_other_request(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        """
        class Stubborn(asyncio.Future):
            def cancel(self, msg=None):
                raise OSError("never")

        @app.get("/wait")
        async def wait(req):
            await Stubborn()

        @app.get("/")
        async def index(req):
            return "served"
        """,
    )
    with serve(program, workers=1, request_timeout=0.1) as server:
        assert server.get("/wait").status == 504
        server.output.wait_for("OSError: never")
        assert server.get("/").text == "served"


def test_a_cancellation_that_was_taken_back_is_forgotten(tmp_path: Path) -> None:
    """As the last `uncancel()` has it (CPython 3.13); a task group does so with eager tasks."""
    program = write(
        tmp_path,
        """
        @app.get("/group")
        async def group(req):
            async def fail():
                raise ValueError("child")
            loop = asyncio.get_running_loop()
            loop.set_task_factory(asyncio.eager_task_factory)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            except* ValueError:
                pass
            finally:
                loop.set_task_factory(None)
            await asyncio.sleep(0.001)
            return "went on"

        @app.get("/caught")
        async def caught(req):
            asyncio.current_task().cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return "caught"

        @app.get("/count")
        async def count(req):
            return asyncio.current_task().cancelling()
        """,
    )
    with serve(program, workers=1) as server, server.connect() as peer:
        assert peer.get("/group").text == "went on"
        assert peer.get("/caught").text == "caught"
        assert peer.get("/count").json() == 0


def test_exception_handlers_see_the_context_of_what_raised(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        """
        import contextvars
        user = contextvars.ContextVar("user", default="nobody")

        @app.get("/{name}/{seconds:float}")
        async def raises(req, name: str, seconds: float):
            user.set(name)
            if seconds:
                await asyncio.sleep(seconds)
            raise KeyError

        @app.exception_handler(KeyError)
        def handle(req, error):
            return user.get()
        """,
    )
    with serve(program, workers=1) as server, server.connect() as peer:
        assert peer.get("/ann/0.0").text == "ann"
        assert peer.get("/bob/0.001").text == "bob"


def test_lanes_that_are_all_stuck_serve_again(tmp_path: Path) -> None:
    """A lane retires only for another that came, and at last there are no seats for others."""
    program = write(
        tmp_path,
        """
        @app.get("/stuck/{port:int}/{name}")
        def stuck(req, port: int, name: str):
            return enter(port, name)

        @app.get("/")
        def index(req):
            return "served"
        """,
    )
    # Of 32 one is kept for short handlers.
    seats = 31
    with (
        serve(program, workers=1, threads=16, request_timeout=0.1) as server,
        Gate() as gate,
    ):
        peers = []
        for number in range(seats):
            peers.append(server.connect())
            peers[-1].send(head(f"/stuck/{gate.port}/{number}"))
        entered = {gate.entered() for _ in range(seats)}
        assert entered == {str(number) for number in range(seats)}
        # Their clients are told later than others take their places.
        assert {peer.reply().status for peer in peers} == {504}
        gate.release_all()
        wait_until(lambda: server.get("/").status == 200, "a lane that serves")


def test_a_lane_that_waits_for_a_coroutine_is_interrupted(tmp_path: Path) -> None:
    """And the coroutine with it, which would go on for ever otherwise."""
    program = write(
        tmp_path,
        """
        log = []

        @app.before_request
        async def wait(req):
            if req.path == "/wait":
                try:
                    await asyncio.Event().wait()
                finally:
                    log.append("ended")

        @app.get("/wait")
        @app.get("/log")
        def show(req):
            return log
        """,
    )
    with serve(program, workers=1, threads=2, request_timeout=0.3) as server:
        assert server.get("/wait").status == 504
        wait_until(lambda: server.get("/log").json() == ["ended"], "the coroutine ends")


def test_what_was_answered_reaches_a_client_that_has_closed_its_side(tmp_path: Path) -> None:
    """Nobody waits for the coroutine behind it, but this much was asked for and is done."""
    program = write(
        tmp_path,
        """
        @app.get("/first/{port:int}")
        def first(req, port: int):
            enter(port, "first")
            while not req.is_disconnected():
                pass
            return "first"

        @app.get("/second")
        async def second(req):
            return "second"
        """,
    )
    with serve(program, workers=1) as server, Gate() as gate, server.connect() as peer:
        peer.send(head(f"/first/{gate.port}") + head("/second"))
        assert gate.entered() == "first"
        peer.finish_sending()
        gate.release("first")
        assert peer.reply().text == "first"
        peer.expect_end()


@MODES
def test_a_loop_that_never_rests_ends(tmp_path: Path, mode: str | None) -> None:
    program = write(
        tmp_path,
        """
        kept = []

        async def spin():
            while True:
                await asyncio.sleep(0)

        @app.get("/")
        async def index(req):
            kept.append(asyncio.create_task(spin()))
            return "spins"
        """,
    )
    with serve(program, mode=mode, workers=1) as server:
        assert server.get("/").text == "spins"


@MODES
def test_a_coroutine_that_blocks_its_loop_is_left_behind(tmp_path: Path, mode: str | None) -> None:
    program = write(
        tmp_path,
        """
        @app.get("/{port:int}")
        async def stuck(req, port: int):
            enter(port, "stuck")
        """,
    )
    server = Server([str(program)], mode=mode, workers=1, shutdown_timeout=0.1)
    try:
        with Gate() as gate, server.connect() as peer:
            peer.send(head(f"/{gate.port}"))
            assert gate.entered() == "stuck"
            assert server.stop() == 1
    finally:
        server.kill()
    assert "gave up 1 running request" in server.output.text()
    assert "Traceback" not in server.output.text()


def test_tasks_end_programs_as_little_as_handlers_do(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        """
        import sys
        log = []

        async def leave():
            sys.exit("a task leaves")

        async def note():
            log.append("ran")

        @app.get("/")
        async def index(req):
            req.add_task(leave)
            req.add_task(lambda: note())
            return "answered"

        @app.get("/log")
        async def show(req):
            return log
        """,
    )
    with serve(program, workers=1) as server:
        assert server.get("/").text == "answered"
        server.output.wait_for("SystemExit: a task leaves")
        wait_until(lambda: server.get("/log").json() == ["ran"], "the task behind it runs")
