"""A process that serves several apps, each from a thread: what a restart and a reload do there."""

from __future__ import annotations

import signal
import socket
import textwrap
from pathlib import Path

import httpx
import pytest
from gate import Gate
from restarting import held_by
from serving import Server, is_supervisor, serve, wait_until

PYRE = ["-m", "pyreframework"]

# The second app is served when a file says so, or from the beginning.
PROGRAM = """
    import os, signal, socket, sys, threading
    from pathlib import Path
    from pyreframework import Pyre

    app, other = Pyre(), Pyre()
    app.get("/")(lambda req: f"app 1 {os.getpid()}")
    other.get("/")(lambda req: f"other 1 {os.getpid()}")
    begin = threading.Event()

    @app.get("/begin", gil=True)
    def let_begin(req):
        begin.set()
        return "begun"

    def serve_other():
        if {waits}:
            begin.wait()
        other.run(port={other_port}, workers=1)

    {extra}
    if __name__ == "__main__":
        thread = threading.Thread(target=serve_other, daemon={daemon})
        thread.start()
        app.run(workers=1)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Several:
    """Where both apps are."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "several.py"
        self.port, self.other_port = free_port(), free_port()

    def write(
        self, version: int = 1, waits: bool = False, daemon: bool = False, extra: str = ""
    ) -> Path:
        text = textwrap.dedent(PROGRAM).replace(" 1 {", f" {version} {{")
        names = {"waits": waits, "daemon": daemon, "extra": extra, "other_port": self.other_port}
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", str(value))
        # As editors do: a new file takes its place.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.file)
        return self.file

    def asked(self, port: int) -> list[str]:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/").text.split()
        except httpx.TransportError:
            return ["nobody"]

    def are_served(self, version: int) -> bool:
        """Whether one process serves both, in this version."""
        app, other = self.asked(self.port), self.asked(self.other_port)
        return app[:2] == ["app", f"{version}"] and other == ["other", *app[1:]]


@pytest.fixture
def several(tmp_path: Path) -> Several:
    return Several(tmp_path)


@pytest.mark.parametrize("daemon", [False, True], ids=["", "daemon"])
def test_a_change_of_a_file_ends_all_apps_and_begins_them_anew(
    several: Several, daemon: bool
) -> None:
    """The next process cannot have the sockets of those that are not on the main thread."""
    file = several.write(daemon=daemon)
    with serve([*PYRE, "dev", str(file)], port=several.port, shutdown_timeout=20) as server:
        wait_until(lambda: several.are_served(1), "both are served")
        for version in (2, 3):
            several.write(version=version, daemon=daemon)
            wait_until(lambda v=version: several.are_served(v), "both are served anew")
        file.write_text("1 / 0")
        server.output.wait_for("ended with code 3 before it served; waiting for a change")
        since = len(server.output.lines)
        several.write(version=4, daemon=daemon)
        wait_until(lambda: several.are_served(4), "both are served once it is mended")
        # Whoever serves has told the supervisor so before it tells people.
        server.output.wait_for(f"on http://.*:{several.port}", since=since)
        # As it does after a change as well.
        since = len(server.output.lines)
        server.signal(signal.SIGHUP)
        server.output.wait_for("stopping process .*, which serves 2 apps, to start", since=since)
        wait_until(lambda: several.are_served(4), "both are served after SIGHUP")
        if not daemon:
            stop_both(server, several)
    said = server.output.text()
    assert "another server" not in said
    assert "is killed" not in said
    assert said.count("Traceback") == 1  # That of the mistake.


def test_a_change_while_the_first_app_has_not_begun_ends_the_others_as_well(
    several: Several,
) -> None:
    """The process has not said that it serves, and the signal reaches the first app only."""
    with Gate() as gate:
        file = several.write(extra=textwrap.dedent(held_by(gate, "app.on_startup")))
        with serve([*PYRE, "dev", str(file)], port=several.port) as server:
            assert gate.entered() == "app.on_startup"
            wait_until(lambda: several.asked(several.other_port)[0] == "other", "one is served")
            several.write(version=2)
            server.output.wait_for(r"starting anew; process \d+ had not served yet")
            gate.release("app.on_startup")
            wait_until(lambda: several.are_served(2), "both are served anew")
            stop_both(server, several)
        said = server.output.text()
        assert "another server" not in said
        assert "is killed" not in said


def stop_both(server: Server, several: Several) -> None:
    """Stop a server whose threads nobody tells to end: a second signal does."""
    server.signal(signal.SIGTERM)
    wait_until(lambda: several.asked(several.port) == ["nobody"], "the first app is stopped")
    server.end_at_once(signal.SIGTERM)


def test_an_app_that_begins_after_a_restart_is_refused_one_more(several: Several) -> None:
    """By the supervisor, which has been there for one app."""
    file = several.write(waits=True, daemon=True)
    with serve(file, port=several.port) as server:
        wait_until(lambda: several.asked(several.port)[0] == "app", "the first is served")
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
        httpx.get(f"http://127.0.0.1:{several.port}/begin")
        wait_until(lambda: several.are_served(1), "both are served")
        before = several.asked(several.port)
        for _ in range(2):
            since = len(server.output.lines)
            server.signal(signal.SIGHUP)
            server.output.wait_for("not restarted, as 2 apps are served", since=since)
        assert several.asked(several.port) == before
        assert several.are_served(1)


IMPORT_WAITS = """
if __name__ == "__main__" and Path("hold").exists():
    with socket.create_connection(("127.0.0.1", int(Path("hold").read_text()))) as gate:
        gate.sendall(b"import\\n")
        gate.makefile().readline()
        if Path("fail").exists():
            raise SystemExit(3)
"""


@pytest.mark.parametrize("fails", [False, True], ids=["taken over", "failed"])
def test_an_app_that_begins_while_a_restart_is_under_way(
    several: Several, tmp_path: Path, fails: bool
) -> None:
    """It waits for what becomes of that: its sockets would not be handed on."""
    file = several.write(waits=True, daemon=True, extra=IMPORT_WAITS)
    with serve(file, port=several.port, cwd=tmp_path) as server, Gate() as gate:
        wait_until(lambda: several.asked(several.port)[0] == "app", "the first is served")
        if fails:
            (tmp_path / "fail").write_text("")
        (tmp_path / "hold").write_text(str(gate.port))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "import"
        httpx.get(f"http://127.0.0.1:{several.port}/begin")
        server.output.wait_for("an app waits until the restart is over")
        assert several.asked(several.other_port) == ["nobody"]
        gate.release("import")
        if fails:
            server.output.wait_for("before it served; .* goes on serving")
            wait_until(lambda: several.are_served(1), "both are served")
            assert several.asked(several.port)[2] == f"{server.pid}"
        else:
            server.output.wait_for("an app is not served: another process has taken over")
            wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
            httpx.get(f"http://127.0.0.1:{several.port}/begin")
            wait_until(lambda: several.are_served(1), "both are served by the new process")


def test_an_app_that_waits_for_a_restart_can_be_stopped(several: Several, tmp_path: Path) -> None:
    file = several.write(waits=True, daemon=True, extra=IMPORT_WAITS)
    with serve(file, port=several.port, cwd=tmp_path) as server, Gate() as gate:
        wait_until(lambda: several.asked(several.port)[0] == "app", "the first is served")
        (tmp_path / "hold").write_text(str(gate.port))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "import"
        httpx.get(f"http://127.0.0.1:{several.port}/begin")
        server.output.wait_for("an app waits until the restart is over")
        assert server.stop() == 0


def test_an_app_that_begins_while_the_supervisor_restarts(several: Several, tmp_path: Path) -> None:
    """The process that was to take over is given up, as it would not have all sockets."""
    file = several.write(waits=True, daemon=True, extra=IMPORT_WAITS)
    with serve(file, port=several.port, cwd=tmp_path) as server, Gate() as gate:
        wait_until(lambda: several.asked(several.port)[0] == "app", "the first is served")
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
        before = several.asked(several.port)
        (tmp_path / "hold").write_text(str(gate.port))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "import"
        httpx.get(f"http://127.0.0.1:{several.port}/begin")
        server.output.wait_for("not restarted, as 2 apps are served")
        assert several.asked(several.port) == before
        wait_until(lambda: several.are_served(1), "both are served")
        gate.release("import")
