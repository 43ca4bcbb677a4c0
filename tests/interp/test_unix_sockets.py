"""Unix-domain sockets in the file system: who may connect, whatever the umask is."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import (
    SUCCESS_S,
    Output,
    Server,
    child_environment,
    run_to_end,
    serve,
    wait_until,
)

PROGRAM = """
import os

os.umask({umask:#o})

from pyreframework import Pyre

app = Pyre()

@app.get("/")
def hello(req):
    return f"{{os.getpid()}} {{os.umask({umask:#o}):#o}}"

if __name__ == "__main__":
    app.run({arguments})
"""


def write(folder: Path, umask: int = 0o077, arguments: str = "") -> Path:
    file = folder / "program.py"
    file.write_text(PROGRAM.format(umask=umask, arguments=arguments))
    return file


def mode_of(path: Path) -> int:
    found = path.stat().st_mode
    assert stat.S_ISSOCK(found)
    return stat.S_IMODE(found)


@contextmanager
def served(program: Path, path: Path, *flags: str, **options: object) -> Iterator[Server]:
    """Serve on a Unix-domain socket, and on TCP for the test to know where."""
    command = ["-m", "pyreframework", "run", str(program), *flags] if flags else [str(program)]
    bind = f"unix:{path},127.0.0.1:0"
    with serve(command, bind=bind, port=None, workers=1, **options) as server:
        yield server


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)
def test_a_socket_that_everybody_can_open_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """A proxy that runs as another user can connect; the umask stays what it was."""
    path = tmp_path / "a.sock"
    with served(write(tmp_path, umask), path) as server:
        assert mode_of(path) == 0o666
        assert int(server.get("/").text.split()[1], 8) == umask


@pytest.mark.parametrize("umask", [0, 0o077], ids=oct)
@pytest.mark.parametrize(
    ("flags", "arguments", "options", "mode"),
    [
        ([], "", {"uds_mode": "660"}, 0o660),
        ([], "", {"uds_mode": "0o600"}, 0o600),
        ([], "", {"uds_mode": "0777"}, 0o777),
        ([], "uds_mode=0o640", {"uds_mode": "777"}, 0o640),
        (["--uds-mode", "0o620"], "uds_mode=0o640", {"uds_mode": "777"}, 0o620),
        (["--uds-mode=0"], "", {}, 0),
    ],
)  # fmt: skip
def test_ways_to_ask_for_a_mode(
    tmp_path: Path,
    umask: int,
    flags: list[str],
    arguments: str,
    options: dict[str, Any],
    mode: int,
) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path, umask, arguments), path, *flags, **options):
        assert mode_of(path) == mode


def test_every_socket_of_bind(tmp_path: Path) -> None:
    first, second = tmp_path / "a.sock", tmp_path / "b.sock"
    bind = f"unix:{first},127.0.0.1:0,unix:{second}"
    with serve(write(tmp_path), bind=bind, port=None, uds_mode="660"):
        assert [mode_of(first), mode_of(second)] == [0o660, 0o660]
    assert not first.exists() and not second.exists()


def test_uds_alone(tmp_path: Path) -> None:
    """Without another address; the program itself looks, once it listens, and ends the start."""
    program = write(tmp_path, arguments="uds='a.sock'")
    look = "app.on_startup(lambda: print(oct(os.stat('a.sock').st_mode), flush=True) or 1 / 0)"
    program.write_text(program.read_text().replace("if __name__", f"{look}\nif __name__"))
    ending = run_to_end(program, port=None, cwd=tmp_path)
    assert ending.code == 3 and "0o140666" in ending.output, ending.output


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ("uds_mode=660", {}, "run() option 'uds_mode' must be from 0 to 0o777, not 0o1224 (660"),
        ("uds_mode='660'", {}, "run() option 'uds_mode' must be a number such as 0o660"),
        ("", {"uds_mode": "rw"}, "PYRE_UDS_MODE must be octal digits such as 660, not 'rw'"),
        ("", {"uds_mode": "668"}, "PYRE_UDS_MODE must be octal digits"),
        ("", {"uds_mode": "1777"}, "PYRE_UDS_MODE must be from 0 to 0o777, not 0o1777"),
    ],
)
def test_a_mode_that_cannot_be_used_stops_the_start(
    tmp_path: Path, arguments: str, options: dict[str, Any], text: str
) -> None:
    path = tmp_path / "a.sock"
    program = write(tmp_path, 0o077, arguments)
    ending = run_to_end(program, port=None, uds=path, **options)
    assert ending.code == 2 and text in ending.output, ending.output
    assert not path.exists()


def test_a_mode_without_a_unix_socket_stops_the_start(tmp_path: Path) -> None:
    program = write(tmp_path, arguments="uds_mode=0o600")
    ending = run_to_end(program)
    assert ending.code == 2, ending.output
    assert "'uds_mode' is for Unix-domain sockets, but 127.0.0.1:" in ending.output


def test_a_socket_that_was_inherited_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        options = {"fd": listener.fileno(), "uds_mode": "666", "workers": 1}
        process = subprocess.Popen(
            [sys.executable, str(write(tmp_path))],
            env=child_environment({}, options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[listener.fileno()],
        )
        try:
            Output(process).wait_for("io thread")
            assert mode_of(path) == 0o600
        finally:
            process.terminate()
            assert process.wait(SUCCESS_S) == 0


def restart(server: Server) -> None:
    """Restart, until the process that has just started answers."""
    before = server.get("/").text.split()[0]
    server.signal(signal.SIGHUP)
    server.output.wait_for("serves now")
    wait_until(lambda: server.get("/").text.split()[0] != before, "another process answers")


def test_a_restart_leaves_a_mode_that_was_set_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path), path) as server:
        path.chmod(0o640)
        inode = path.stat().st_ino
        restart(server)
        assert (mode_of(path), path.stat().st_ino) == (0o640, inode)


def test_a_restart_sets_the_mode_that_the_program_asks_for_now(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path, arguments="uds_mode=0o666"), path) as server:
        assert mode_of(path) == 0o666
        inode = path.stat().st_ino
        write(tmp_path, arguments="uds_mode=0o600")
        restart(server)
        assert (mode_of(path), path.stat().st_ino) == (0o600, inode)
        assert "unix:" in server.output.text()
    assert not path.exists()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SUCCESS_S)
        try:
            client.connect(str(path))
        except OSError:
            return False
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_restart_makes_a_socket_that_was_removed_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path), path, uds_mode="660") as server:
        for _ in range(2):
            path.unlink()
            seen = len(server.output.lines)
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now", since=seen)
            wait_until(path.exists, "it is there again")
            assert mode_of(path) == 0o660
            assert answers(path)
            wait_until(
                lambda: b"supervise.py" in Path(f"/proc/{server.pid}/cmdline").read_bytes(),
                "a supervisor",
            )
    assert not path.exists()


@pytest.mark.parametrize("kind", ["folder gone", "file"])
def test_a_restart_serves_other_addresses_where_a_socket_cannot_be_made(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    path = folder / "a.sock"
    with served(write(tmp_path), path) as server:
        path.unlink()
        if kind == "file":
            path.write_text("precious")
        else:
            folder.rmdir()
        restart(server)
        server.output.wait_for(f"nobody can connect to unix:{path} any more")
        if kind == "file":
            assert path.read_text() == "precious"
            path.unlink()
        else:
            folder.mkdir()
        seen = len(server.output.lines)
        wait_until(
            lambda: b"supervise.py" in Path(f"/proc/{server.pid}/cmdline").read_bytes(),
            "a supervisor",
        )
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now", since=seen)
        wait_until(lambda: answers(path), "the next restart has made it")


CHDIR = {
    "at import": "os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'other'))",
    "at start": "app.on_startup(lambda: os.chdir('other'))",
}


@pytest.mark.parametrize("when", CHDIR)
@pytest.mark.parametrize("way", ["flag", "variable"])
def test_a_relative_path_in_a_program_that_changes_its_folder(
    tmp_path: Path, when: str, way: str
) -> None:
    """It is in the folder of the command, restarts find it, and nothing of it stays behind."""
    (tmp_path / "other").mkdir()
    program = write(tmp_path)
    text = program.read_text().replace("app = Pyre()", f"app = Pyre()\n{CHDIR[when]}")
    program.write_text(text)
    path = tmp_path / "a.sock"
    bind = "unix:a.sock,127.0.0.1:0"
    command, options = ["-m", "pyreframework", "run", "program.py"], {"bind": bind}
    if way == "flag":
        command += [part for entry in bind.split(",") for part in ("--bind", entry)]
        options = {}
    with serve(command, cwd=tmp_path, port=None, workers=1, **options) as server:
        assert f"unix:{path}" in server.output.text()
        inode = path.stat().st_ino
        for _ in range(2):
            seen = len(server.output.lines)
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now", since=seen)
            assert path.stat().st_ino == inode
            assert answers(path)
            wait_until(
                lambda: b"supervise.py" in Path(f"/proc/{server.pid}/cmdline").read_bytes(),
                "a supervisor",
            )
    assert not path.exists()
    assert not (tmp_path / "other" / "a.sock").exists()


def test_an_address_that_cannot_be_had_leaves_no_socket(tmp_path: Path) -> None:
    first, second = tmp_path / "a.sock", tmp_path / "missing" / "b.sock"
    bind = f"unix:{first},unix:{second}"
    ending = run_to_end(write(tmp_path), bind=bind, port=None)
    assert ending.code == 3 and f"cannot listen on unix:{second}" in ending.output
    assert not first.exists()
