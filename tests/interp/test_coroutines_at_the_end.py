"""Coroutines that wait when the server is told to stop; and those that block their loop."""

from __future__ import annotations

import signal
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from dialogue import request
from gate import Gate, stop_beside_held_requests
from places import PLACES
from serving import serve


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_coroutines_that_wait_are_finished(place: str, number: signal.Signals) -> None:
    with serve("disconnects", workers=1, **PLACES[place]) as server:  # type: ignore[arg-type]
        stop_beside_held_requests(server, number)


@pytest.mark.parametrize("place", PLACES)
def test_stop_under_load(place: str) -> None:
    """Every reply that begins is whole, and what was received is answered."""
    with serve("coroutines", workers=1, **PLACES[place]) as server:  # type: ignore[arg-type]
        peers = [server.connect() for _ in range(50)]
        for peer in peers:
            assert peer.get("/hello").text == "hello"
            peer.send(b"".join(request("GET", f"/number/{n}") for n in range(20)))
        server.signal(signal.SIGTERM)
        for peer in peers:
            for n in range(20):
                reply = peer.reply()
                assert (reply.status, reply.text) == (200, str(n))
                if reply.closes:
                    break
            peer.expect_end()
            peer.socket.close()
        assert server.wait() == 0


@pytest.mark.parametrize("place", PLACES)
def test_coroutines_that_wait_too_long_are_given_up(place: str) -> None:
    """They are cancelled, so that they can clean up; exit code 1, and the log says how many."""
    options = PLACES[place] | {"shutdown_timeout": 0.5}
    with serve("disconnects", workers=1, **options) as server, Gate() as gate:  # type: ignore[arg-type]
        with ExitStack() as stack:
            for name in "ab":
                peer = stack.enter_context(server.connect())
                peer.send(request("GET", f"/clean/{gate.port}/{name}"))
                assert gate.entered() == name
            begun = time.monotonic()
            server.signal(signal.SIGTERM)
            assert {gate.entered(), gate.entered()} == {"a-cleaning", "b-cleaning"}
            assert server.wait() == 1
            assert time.monotonic() - begun >= 0.45
        output = server.output.text()
        assert "pyre: gave up 2 running requests after 0.5 s (shutdown_timeout)" in output
        assert "Traceback" not in output


@pytest.mark.parametrize("place", PLACES)
def test_coroutines_that_will_not_be_cancelled(tmp_path: Path, place: str) -> None:
    """The process ends all the same, and does not crash."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import asyncio, os
        from pyreframework import Pyre
        app = Pyre()

        @app.get("/", gil=True if os.environ.get("TEST_GIL") else None)
        async def stubborn():
            print("BEGUN", flush=True)
            while True:
                try:
                    await asyncio.sleep(600)
                except BaseException:
                    pass

        app.run()
        """)
    )
    options = PLACES[place] | {"workers": 1, "shutdown_timeout": 0.2}
    with serve(program, **options) as server, server.connect() as peer:  # type: ignore[arg-type]
        peer.send(request("GET", "/"))
        server.output.wait_for("BEGUN")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        output = server.output.text()
        assert "pyre: gave up 1 running request after 0.2 s (shutdown_timeout)" in output


@pytest.mark.parametrize("place", PLACES)
def test_tasks_left_on_the_loop_are_cancelled(tmp_path: Path, place: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import asyncio, os
        from pyreframework import Pyre
        app = Pyre()
        tasks = set()

        async def forever():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                print("CANCELLED AND CLEAN", flush=True)

        @app.get("/", gil=True if os.environ.get("TEST_GIL") else None)
        async def start():
            tasks.add(asyncio.create_task(forever()))
            return "started"

        app.run()
        """)
    )
    with serve(program, workers=1, **PLACES[place]) as server:  # type: ignore[arg-type]
        assert server.get("/").text == "started"
        assert server.stop() == 0
        assert server.output.text().count("CANCELLED AND CLEAN") == 1
        assert "never retrieved" not in server.output.text()


BLOCKING = """
import asyncio, os, time
from pyreframework import Pyre
app = Pyre()
gil = True if os.environ.get("TEST_GIL") else None

@app.get("/first", gil=gil)
async def first():
    time.sleep(0.15)
    return "blocked"

@app.get("/later", gil=gil)
async def later():
    await asyncio.sleep(0)
    time.sleep(0.15)
    return "blocked"

@app.get("/fails", gil=gil)
async def fails():
    await asyncio.sleep(0)
    time.sleep(0.15)
    raise LookupError("the reason")

@app.get("/quick", gil=gil)
async def quick():
    await asyncio.sleep(0.15)
    return "waited"

app.run()
"""


@pytest.mark.parametrize("place", PLACES)
def test_debug_mode_tells_who_blocks_the_loop(tmp_path: Path, place: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKING)
    with serve(program, workers=1, debug=True, **PLACES[place]) as server:  # type: ignore[arg-type]
        assert server.get("/quick").text == "waited"
        assert server.get("/first").text == "blocked"
        server.output.wait_for(r"GET /first blocked its event loop for 0\.\d+ s")
        assert server.get("/later").text == "blocked"
        server.output.wait_for(r"GET /later blocked its event loop for 0\.\d+ s")
        assert "LookupError: the reason" in server.get("/fails").text
        server.output.wait_for(r"GET /fails blocked its event loop for 0\.\d+ s")
        assert "/quick" not in server.output.text()


@pytest.mark.parametrize("place", ["workers", "main"])
@pytest.mark.parametrize("asked", ["PYTHONASYNCIODEBUG", "PYTHONDEVMODE", ""])
def test_the_debug_mode_of_asyncio_is_obeyed(tmp_path: Path, place: str, asked: str) -> None:
    program = tmp_path / "program.py"
    debugged = (
        "\n@app.get('/debug')\nasync def debug():\n"
        "    return str(asyncio.get_running_loop().get_debug())\n\napp.run()\n"
    )
    program.write_text(BLOCKING.replace("\napp.run()\n", debugged))
    env = {asked: "1"} if asked else {}
    mode = PLACES[place].get("mode")
    with serve(program, env=env, mode=mode, workers=1) as server:
        assert server.get("/debug").text == str(bool(asked))
        assert server.get("/first").text == "blocked"
        if asked:
            server.output.wait_for(r"GET /first blocked its event loop for 0\.\d+ s")
        # It shows nothing to clients.
        assert "LookupError" not in server.get("/fails").text


def test_no_reports_without_debug_mode(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKING)
    with serve(program, workers=1) as server:
        assert server.get("/first").text == "blocked"
        assert server.get("/later").text == "blocked"
        server.stop()
        assert "blocked its" not in server.output.text()
        assert "Executing" not in server.output.text()
