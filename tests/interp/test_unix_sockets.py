"""Unix-domain sockets in the file system: who may connect, whatever the umask is, and whose they
are."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from gate import Gate
from serving import (
    SUCCESS_S,
    Output,
    Server,
    child_environment,
    is_supervisor,
    launch,
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
    assert "'uds_mode' is for Unix-domain sockets, and there is none in 127.0.0.1:" in ending.output


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
            wait_until(lambda: is_supervisor(server.pid), "a supervisor")
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
        wait_until(lambda: is_supervisor(server.pid), "a supervisor")
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
            wait_until(lambda: is_supervisor(server.pid), "a supervisor")
    assert not path.exists()
    assert not (tmp_path / "other" / "a.sock").exists()


def test_an_address_that_cannot_be_had_leaves_no_socket(tmp_path: Path) -> None:
    first, second = tmp_path / "a.sock", tmp_path / "missing" / "b.sock"
    bind = f"unix:{first},unix:{second}"
    ending = run_to_end(write(tmp_path), bind=bind, port=None)
    assert ending.code == 3 and f"cannot listen on unix:{second}" in ending.output
    assert not first.exists()


# ------------------------------------------------------------------------- whose a socket is


@contextmanager
def stranger(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """Somebody else's server, whose socket must still be there at the end."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(path))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        yield listener
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(str(path))


def is_refused(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SUCCESS_S)
        return client.connect_ex(str(path)) in (errno.ECONNREFUSED, errno.ENOENT)


def test_a_server_that_ends_leaves_the_socket_of_another_that_has_its_number(
    tmp_path: Path,
) -> None:
    """File systems give the numbers of files away again as soon as nobody has them open."""
    path = tmp_path / "a.sock"
    program = write(tmp_path)
    with Gate() as gate:
        wait = f"""
import socket

@app.on_worker_stop
def wait():
    with socket.create_connection(("127.0.0.1", {gate.port})) as gate:
        gate.sendall(b"stops\\n")
        gate.recv(1)

if __name__"""
        program.write_text(program.read_text().replace("if __name__", wait))
        with served(program, path, shutdown_timeout=SUCCESS_S) as server:
            server.signal(signal.SIGTERM)
            assert gate.entered() == "stops"
            assert is_refused(path)
            path.unlink(missing_ok=True)
            with stranger(path):
                gate.release_all()
                assert server.wait() == 0


def test_a_restart_leaves_the_socket_of_another_server(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path), path) as server:
        path.unlink()
        with stranger(path):
            restart(server)
            server.output.wait_for(
                f"nobody can connect to unix:{path} any more.* in use by another"
            )
            assert server.stop() == 0


def test_a_restart_replaces_the_socket_of_another_server_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with served(write(tmp_path), path) as server:
        path.unlink()
        with stranger(path):
            pass
        restart(server)
        assert answers(path)
    assert not path.exists()


FAIL = "def fail(self):\n    raise OSError('late')\n"


def test_a_successor_that_fails_late_leaves_the_socket_of_the_one_that_goes_on(
    tmp_path: Path,
) -> None:
    """It has accepted already; that it serves nobody has heard."""
    path = tmp_path / "a.sock"
    program = write(tmp_path)
    with served(program, path) as server:
        fails = (
            "from pyreframework.serving import replaceable as late; "
            "late.Replaceable.opened = fail; app.run("
        )
        text = program.read_text().replace("app.run(", fails, 1)
        program.write_text(text.replace("app = Pyre()", f"app = Pyre()\n\n{FAIL}"))
        server.signal(signal.SIGHUP)
        server.output.wait_for("OSError: late")
        server.output.wait_for("before it served")
        assert answers(path)
    assert not path.exists()


@pytest.mark.parametrize("how", ["of another kind", "with a full queue", "without permission"])
def test_a_start_leaves_the_socket_of_a_server_that_cannot_be_asked(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "a.sock"
    kind = socket.SOCK_DGRAM if how == "of another kind" else socket.SOCK_STREAM
    command: list[str] = [str(write(tmp_path))]
    with stranger(path, kind) as listener, ExitStack() as clients:
        inode = path.stat().st_ino
        if how == "with a full queue":
            listener.listen(0)
            for _ in range(3):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect_ex(str(path))
        elif how == "without permission":
            path.chmod(0)
            # Root is asked for permission too, without these capabilities.
            command = ["-c", WITHOUT_PRIVILEGE, *command]
        ending = run_to_end(command, uds=path, port=None)
        assert ending.code == 3 and f"unix:{path}" in ending.output, ending.output
        assert path.stat().st_ino == inode
        path.chmod(0o600)
        clients.close()
        if kind == socket.SOCK_STREAM:
            listener.listen()
            listener.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()


@pytest.mark.parametrize("mode", [0o555, 0o444], ids=["not written", "not entered"])
def test_a_folder_that_may_not_be_written(tmp_path: Path, mode: int) -> None:
    """The folder is what is named: its lock is nobody's, so there is none to wait for."""
    folder = tmp_path / "folder"
    folder.mkdir()
    command = ["-c", WITHOUT_PRIVILEGE, str(write(tmp_path))]
    folder.chmod(mode)
    try:
        ending = run_to_end(command, uds=folder / "a.sock", port=None)
    finally:
        folder.chmod(0o755)
    assert ending.code == 3
    said = f"files in the folder {folder}"
    assert said in ending.output and ".lock" not in ending.output, ending.output


WITHOUT_PRIVILEGE = """
import ctypes, os, sys

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24
for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_server_that_has_bound_and_does_not_listen_yet_keeps_its_socket(tmp_path: Path) -> None:
    """Two start at once: the later one waits until the first has done both."""
    path, lock = tmp_path / "a.sock", tmp_path / "a.sock.lock"
    program = write(tmp_path)
    with lock.open("w") as held, socket.socket(socket.AF_UNIX) as listener:
        fcntl.flock(held, fcntl.LOCK_EX)
        listener.bind(str(path))
        process = launch([str(program)], child_environment({}, {"uds": path, "workers": 1}))
        output = Output(process)
        try:
            folder = Path(f"/proc/{process.pid}/fd")

            def is_at_the_lock() -> bool:
                if process.poll() is not None or "http" in output.text():
                    return True
                with suppress(OSError):
                    return any(os.path.samefile(lock, one) for one in folder.iterdir())
                return False

            wait_until(is_at_the_lock, "it waits")
            listener.listen()
            lock.unlink()
            fcntl.flock(held, fcntl.LOCK_UN)
            assert process.wait(SUCCESS_S) == 3
            output.wait_for("is in use by another server")
        finally:
            process.kill()
            process.wait()
            output.join()
        assert path.exists() and not lock.exists()


def test_of_servers_that_start_at_once_one_listens(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    program = write(tmp_path, arguments="mode='default'")
    with stranger(path):
        pass
    environment = child_environment({}, {"uds": path})
    processes = [launch([str(program)], environment) for _ in range(4)]
    outputs = [Output(process) for process in processes]
    try:
        wait_until(
            lambda: sum(process.poll() is not None for process in processes) >= 3,
            "all but one have given up",
        )
        left = [process for process in processes if process.poll() is None]
        assert len(left) == 1, "\n".join(output.text() for output in outputs)
        wait_until(lambda: answers(path), "the one that is left serves")
        left[0].terminate()
        assert left[0].wait(SUCCESS_S) == 0
    finally:
        for process, output in zip(processes, outputs, strict=True):
            process.kill()
            process.wait()
            output.join()
    assert sorted(process.returncode for process in processes) == [0, 3, 3, 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["program.py"]


def test_a_link_that_leads_nowhere_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.symlink_to(tmp_path / "nowhere")
    ending = run_to_end(write(tmp_path), uds=path, port=None, workers=1)
    assert ending.code == 3 and f"unix:{path} is a link" in ending.output, ending.output
    assert path.is_symlink()
