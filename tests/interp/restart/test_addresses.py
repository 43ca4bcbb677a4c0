"""Which sockets a new process takes over, and which it opens or closes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from restarting import Write, restart, serving_pid
from serving import Output, child_environment, serve, wait_until


def test_unix_socket_is_handed_over(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"

    def pid() -> int:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            return int(client.get("http://localhost/").text.split()[1])

    environment = child_environment({}, {"uds": path, "workers": 2})
    process = subprocess.Popen(
        [sys.executable, str(write())],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    output = Output(process)

    def wait_for_line(text: str, times: int) -> None:
        wait_until(lambda: output.text().count(text) == times, f"{text!r} {times} times")

    try:
        output.wait_for("io thread")
        pids = {pid()}
        for count in (2, 3):
            inode = path.stat().st_ino
            process.send_signal(signal.SIGHUP)
            wait_for_line("serves now", count - 1)
            wait_until(lambda: pid() not in pids, "the one before accepts no more")
            wait_for_line("shutdown of", count - 1)
            pids.add(pid())
            assert path.stat().st_ino == inode
        # One that fails to start leaves the path alone.
        write(extra="app.on_startup(lambda: 1 / 0)")
        process.send_signal(signal.SIGHUP)
        output.wait_for("before it served")
        assert pid() in pids
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not path.exists()
    finally:
        process.kill()
        output.join()


def test_other_addresses_after_a_restart(write: Write) -> None:
    """What is listened on no more is closed, what is new is opened, what stays is kept."""
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ports.append(listener.getsockname()[1])
    one, two, three = (f"127.0.0.1:{port}" for port in ports)
    with serve(write(f"bind=[{one!r}, {two!r}]"), port=None) as server:
        write(f"bind=[{three!r}, {two!r}]")
        server.port = ports[1]
        restart(server)
        server.output.wait_for(rf"on http://{three}, http://{two}")
        for port, listens in zip(ports, (False, True, True), strict=True):
            server.port = port
            wait_until(lambda listens=listens: server.listens() is listens, f"{port}: {listens}")


SEVERAL = """
    import os, threading
    from pyreframework import Pyre

    app, other = Pyre(), Pyre()
    app.get("/")(lambda req: f"app {os.getpid()}")
    other.get("/")(lambda req: f"other {os.getpid()}")

    if __name__ == "__main__":
        thread = threading.Thread(target=other.run, kwargs={"port": 0, "workers": 1})
        thread.start()
        app.run(port=0, workers=1)
        other.stop()
        thread.join()
"""


def test_a_process_that_serves_several_apps_goes_on(tmp_path: Path) -> None:
    """Only the sockets of one could be handed on."""
    file = tmp_path / "several.py"
    file.write_text(textwrap.dedent(SEVERAL))
    with serve(file) as server:
        wait_until(
            lambda: len(re.findall(r"Pyre \S+ on http", server.output.text())) == 2, "both serve"
        )
        ports = [int(port) for port in re.findall(r"on http://[^:]+:(\d+)", server.output.text())]
        for _ in range(2):
            since = len(server.output.lines)
            server.signal(signal.SIGHUP)
            server.output.wait_for("not restarted, as 2 apps are served", since=since)
        answers = {httpx.get(f"http://127.0.0.1:{port}/").text for port in ports}
        assert answers == {f"app {server.pid}", f"other {server.pid}"}


@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")], ids=str)
def test_an_address_that_takes_in_the_one_before(write: Write, hosts: tuple[str, str]) -> None:
    """Nobody else is to be stopped: the process before has it until the new one serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serve(write(f"host={hosts[0]!r}, port={port}"), port=None) as server:
        write(f"host={hosts[1]!r}, port={port}")
        server.signal(signal.SIGHUP)
        server.output.wait_for("before it served; .* goes on serving")
        said = server.output.text()
        assert f"listens on {hosts[0]}:{port}: this change needs a stop and a start" in said
        assert "another server" not in said
        assert serving_pid(server) == server.pid
