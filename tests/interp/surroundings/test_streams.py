"""Standard streams that nobody reads, that are full, or whose reader stalls."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bare import PYRE, bare, run
from dialogue import Peer
from gate import Gate
from places import MODES
from serving import SAME_SIGNAL_S, SUCCESS_S, serve, wait_until


@contextmanager
def broken(kind: str) -> Iterator[int]:
    """A descriptor to write to that nobody reads."""
    if kind == "full disk":
        end = os.open("/dev/full", os.O_WRONLY)
        ends = [end]
    else:
        reader, end = os.pipe()
        ends = [end]
        if kind == "stalled":
            ends.append(reader)
            fill(end)
        else:
            os.close(reader)
    try:
        yield end
    finally:
        for descriptor in ends:
            os.close(descriptor)


def fill(pipe: int) -> None:
    """Write until the pipe takes no more, as a reader that has stopped leaves it."""
    flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(pipe, b"x" * size)
        except BlockingIOError:
            pass
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags)


BROKEN = pytest.mark.parametrize("kind", ["no reader", "full disk", "stalled"])
STREAMS = pytest.mark.parametrize("stream", ["stdout", "stderr"])


@MODES
@BROKEN
def test_a_restart_with_a_broken_standard_error(
    write: Callable[..., Path], mode: str | None, kind: str
) -> None:
    """The messages are lost, and nothing else: of the first process and of the supervisor."""
    with broken(kind) as end, bare(run(write()), stderr=end, mode=mode) as server:
        pids = [server.serving(), server.restart(), server.restart()]
        assert len(set(pids)) == 3
        assert server.stop() == 0


@BROKEN
def test_max_requests_with_a_broken_standard_error(write: Callable[..., Path], kind: str) -> None:
    with broken(kind) as end, bare(run(write()), stderr=end, max_requests=3) as server:
        pids = {server.serving()}
        wait_until(lambda: pids.add(server.serving()) or len(pids) > 3, "processes take turns")
        assert server.process.poll() is None
        assert server.stop() == 0


@MODES
@BROKEN
def test_a_start_with_a_broken_standard_output(
    write: Callable[..., Path], mode: str | None, kind: str
) -> None:
    with broken(kind) as end, bare(run(write()), stdout=end, mode=mode) as server:
        server.serving()
        opened = os.readlink(f"/proc/{server.pid}/fd/1")
        pid = server.restart()
        # It may be read again.
        assert os.readlink(f"/proc/{server.pid}/fd/1") == opened
        assert os.readlink(f"/proc/{pid}/fd/1") == opened
        assert server.stop() == 0


@MODES
@STREAMS
@pytest.mark.parametrize("kind", ["no reader", "full disk"])
@pytest.mark.parametrize("start", ["run()", "pyre run"])
def test_what_a_program_prints_where_nobody_reads(
    write: Callable[..., Path], mode: str | None, kind: str, stream: str, start: str
) -> None:
    """As it is loaded, in its hooks and handlers: it is lost, without an error or an exit code."""
    extra = """
    # Before run(), standard error is Python's own.
    if {command} or __name__ != "__main__":
        print("loaded", "x" * 10000)
        print("loaded", file=sys.stderr)
    print("loaded")
    for hook in (app.on_startup, app.on_worker_start, app.on_worker_stop, app.on_shutdown):
        hook(lambda: print("hook", flush=True))
    """
    file = write(extra.strip().replace("{command}", str(start != "run()")))
    command = run(file) if start == "run()" else [*PYRE, "run", file]
    with broken(kind) as end:
        streams = {stream: end}
        with bare(command, mode=mode, **streams) as server:
            assert server.get("/print/word") == "printed"
            server.restart()
            assert server.get("/print/word") == "printed"
            assert server.stop() == 0


@MODES
@STREAMS
@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_a_reader_stalls(
    write: Callable[..., Path], mode: str | None, times: int, stream: str, number: int
) -> None:
    with broken("stalled") as end:
        streams = {stream: end}
        with bare(run(write()), mode=mode, **streams) as server:
            server.serving()
            for _ in range(times):
                server.restart()
            assert server.stop(number) == 0


def test_a_stop_right_after_a_restart_while_a_reader_stalls(write: Callable[..., Path]) -> None:
    with broken("stalled") as end, bare(run(write()), stderr=end) as server:
        server.serving()
        server.send(signal.SIGHUP)
        assert server.stop() in (0, 1)


def test_a_second_signal_while_a_reader_stalls(write: Callable[..., Path]) -> None:
    """A handler that does not end, and a message that cannot be told."""
    extra = """
    @app.get("/wait/{port:int}")
    def wait(req, port: int):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(b"a\\n")
            return gate.makefile().readline()
    """
    with (
        broken("stalled") as end,
        Gate() as gate,
        bare(run(write(extra.strip())), stderr=end, shutdown_timeout=600) as server,
    ):
        server.serving()
        with Peer("127.0.0.1", server.port) as peer, Peer("127.0.0.1", server.port) as idle:
            assert idle.get("/").status == 200
            peer.send(f"GET /wait/{gate.port} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            gate.entered()
            server.send(signal.SIGTERM)
            idle.expect_end()
            time.sleep(SAME_SIGNAL_S)
            assert server.stop() == 1


@MODES
def test_a_flood_of_the_log_while_its_reader_stalls(
    write: Callable[..., Path], mode: str | None
) -> None:
    extra = """
    import logging
    @app.get("/flood")
    def flood(req):
        for number in range(5000):
            logging.getLogger("flood").warning("a line %d %s", number, "x" * 100)
        return "flooded"
    """
    with broken("stalled") as end, bare(run(write(extra.strip())), stderr=end, mode=mode) as server:
        assert server.get("/flood") == "flooded"
        server.restart()
        assert server.get("/flood") == "flooded"
        assert server.stop() == 0


@MODES
def test_half_a_line_at_the_end_while_a_reader_stalls(
    write: Callable[..., Path], mode: str | None
) -> None:
    """It is flushed when an interpreter ends, and waits for nobody then."""
    reader, end = os.pipe()
    try:
        with bare(run(write()), stdout=end, mode=mode) as server:
            assert server.get("/print/word") == "printed"
            fill(end)
            assert server.stop() == 0
    finally:
        os.close(reader)
        os.close(end)


@MODES
def test_what_programs_print_is_complete_and_in_order(
    write: Callable[..., Path], mode: str | None
) -> None:
    extra = """
    if __name__ == "__main__":
        print("before run")
    app.on_startup(lambda: print("a hook"))
    app.on_shutdown(lambda: print("half", end=""))
    import atexit
    if __name__ == "__main__":
        atexit.register(lambda: print(" and the end"))
    """
    with serve(write(extra.strip()), mode=mode, workers=1) as server:
        server.get("/print/word")
        assert server.stop() == 0
        lines = server.output.text().splitlines()
    assert lines[:2] == ["before run", "a hook"]
    assert lines[2].startswith("Pyre ")
    assert lines[-1].endswith("half and the end")
    assert "no newline" in lines[-1]
    assert lines.count("word") == 2


@BROKEN
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "nothing.py"], 2),
        (["run", "program.py", "--workers", "none"], 2),
        (["run", "broken.py"], 3),
        (["run", "program.py", "--uds", "/nowhere/socket"], 3),
    ],
)
def test_exit_codes_where_nobody_reads(
    write: Callable[..., Path], kind: str, arguments: list[str], code: int
) -> None:
    file = write()
    (file.parent / "broken.py").write_text("def broken(:\n")
    with broken(kind) as end:
        options = {"fd": None, "workers": None}
        with bare([*PYRE, *arguments], stderr=end, cwd=file.parent, **options) as server:
            assert server.process.wait(SUCCESS_S) == code


@pytest.mark.parametrize(
    "arguments",
    [["version"], ["--version"], ["--help"], ["run", "--help"], ["routes", "program.py"], []],
    ids=str,
)
@pytest.mark.parametrize("kind", ["no reader", "full disk"])
def test_a_result_that_cannot_be_written_is_told(
    write: Callable[..., Path], kind: str, arguments: list[str]
) -> None:
    """With a sentence, unless the reader wanted no more, and an exit code."""
    with broken(kind) as end:
        ended = subprocess.run(
            [*PYRE, *arguments],
            stdout=end,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=write().parent,
            timeout=SUCCESS_S,
        )
    sentence = "pyre: the output could not be written: No space left on device\n"
    assert ended.stderr == (sentence if kind == "full disk" else "")
    assert ended.returncode == 1
