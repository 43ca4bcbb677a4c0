"""How the first process becomes the supervisor, also where that goes wrong."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from gate import Gate
from places import MODES
from restarting import Write, alive, restart, serving_pid
from serving import is_supervisor, serve, wait_until

import pyreframework


@MODES
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("arguments", ["", "reload=True"], ids=["restart", "reload"])
def test_nothing_is_left_open(
    write: Write, arguments: str, end: signal.Signals, mode: str | None
) -> None:
    """By the supervisor, and by the process that serves and ends with it."""
    # CPython tells of what was not closed.
    telling = {"PYTHONWARNINGS": "default::ResourceWarning"}
    with serve(write(arguments), mode=mode, workers=1, env=telling) as server:
        if not arguments:
            restart(server)
        server.signal(end)
        # Its output ends with the last of the processes.
        server.wait()
    said = server.output.text()
    assert "past run in" in said and "ResourceWarning" not in said


NO_THREAD = """
    import threading

    def start(thread, start=threading.Thread.start):
        if getattr(thread._target, "__name__", "") == "drain_slowly":
            raise RuntimeError("can't start new thread")
        start(thread)

    threading.Thread.start = start
"""


NO_LEAVING = """
    from pyreframework.serving.replaceable import Replaceable

    def drain_slowly(serving, drain_slowly=Replaceable.drain_slowly):
        class Broken:
            def leave(self):
                raise MemoryError
            def __getattr__(self, name, server=serving.server):
                return getattr(server, name)
        serving.server = Broken()
        drain_slowly(serving)

    Replaceable.drain_slowly = drain_slowly
"""


@pytest.mark.parametrize("extra", [NO_THREAD, NO_LEAVING], ids=["no thread", "an error"])
def test_a_process_that_cannot_leave_as_it_should(write: Write, extra: str) -> None:
    with serve(write(extra=extra)) as server:
        write(version="2")
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_supervisor(server.pid), "a supervisor")
        wait_until(lambda: server.get("/").text.startswith("2 "), "the new process serves")
        assert f"shutdown of {server.pid}" in server.output.text()


@pytest.mark.parametrize("how", ["gone", "another version", "broken"])
@pytest.mark.parametrize("hangs", [False, True], ids=["", "hangs at its end"])
def test_files_of_the_package_that_change_in_a_restart(
    write: Write, tmp_path: Path, how: str, hangs: bool
) -> None:
    """The supervisor cannot be started: then the first process supervises as it is."""
    package = Path(pyreframework.__file__).parent
    copy = tmp_path / "installed" / "pyreframework"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    extra = HANGS_AT_ITS_END if hangs else ""
    with (
        serve(write(extra=extra), env={"PYTHONPATH": str(copy.parent)}, workers=1) as server,
        Gate() as gate,
        server.connect() as peer,
    ):
        gate.hold(peer, "a")
        write(version="2")
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        pid = server.pid
        wait_until(lambda: serving_pid(server) != pid, "the new process serves")
        succession = copy / "serving" / "processes" / "succession.py"
        match how:
            case "gone":
                copy.rename(tmp_path / "away")
                (tmp_path / "installed" / "pyreframework.py").write_text("1 / 0")
            case "another version":
                succession.write_text(succession.read_text().replace("NOTES = 1", "NOTES = 2"))
            case _:
                succession.write_text("1 / 0")
        gate.release("a", "late")
        assert peer.reply().text == "late"
        server.output.wait_for(f"the supervisor cannot be started, and process {pid} supervises")
        new = serving_pid(server)
        if how == "gone":
            (tmp_path / "installed" / "pyreframework.py").unlink()
            (tmp_path / "away").rename(copy)
        else:
            shutil.copy(package / "serving" / "processes" / "succession.py", succession)
        write(version="3")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.get("/").text.startswith("3 "), "yet another one serves")
        wait_until(lambda: not alive(new), "the one before has ended")
        assert server.process.poll() is None


HANGS_AT_ITS_END = """
    import atexit, threading
    from pyreframework.serving.signals import endings
    endings.HOOKS_SECONDS = 0.1
    if __name__ == "__main__":
        atexit.register(threading.Event().wait)
"""
