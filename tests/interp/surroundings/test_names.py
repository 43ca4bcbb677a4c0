"""Folders and files whose names are no text."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from bare import PYRE, bare, run
from places import MODES
from serving import is_supervisor, run_to_end, serve, wait_until

ODD = [
    pytest.param(b"bad\xff", {}, id="not UTF-8"),
    pytest.param("é".encode(), {"LC_ALL": "C", "PYTHONUTF8": "0"}, id="UTF-8 in the C locale"),
]


@pytest.fixture
def odd_folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / os.fsdecode(request.param)
    folder.mkdir()
    return folder


@MODES
@pytest.mark.parametrize(("odd_folder", "env"), ODD, indirect=["odd_folder"])
def test_a_folder_whose_name_is_no_text(
    write: Callable[..., Path], odd_folder: Path, env: dict[str, str], mode: str | None
) -> None:
    """A program in it, its arguments, and a Unix-domain socket; started, restarted, stopped."""
    extra = "app.get('/argv')(lambda req: ascii(sys.argv[1]))"
    file = write(extra, folder=odd_folder)
    path = odd_folder / "socket"
    command = [*run(file), str(odd_folder)]
    with bare(command, env=env, mode=mode, fd=None, uds=str(path)) as server:

        def listens() -> bool:
            with socket.socket(socket.AF_UNIX) as client:
                # Its file is there before.
                return client.connect_ex(os.fsencode(path)) == 0

        wait_until(listens, "it listens")

        def get(target: str) -> str:
            with socket.socket(socket.AF_UNIX) as client:
                # The name may be too long for the address of a socket.
                client.connect(os.fsencode(path))
                client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
                return client.makefile(errors="replace").read().rpartition("\n")[2]

        pid = get("/")
        assert "bad" in get("/argv") or "xc3" in get("/argv") or "udcc3" in get("/argv")
        server.send(signal.SIGHUP)
        wait_until(lambda: get("/") != pid, "another process serves")
        wait_until(lambda: is_supervisor(server.pid), "the first process has become the supervisor")
        assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(("odd_folder", "env"), ODD, indirect=["odd_folder"])
@pytest.mark.parametrize(
    "extra",
    [
        "1 / 0",
        "if __name__ != '__main__': 1 / 0",
        "def broken(:",
        "app.on_worker_start(lambda: 1 / 0)",
    ],
)
def test_a_program_that_fails_in_such_a_folder(
    write: Callable[..., Path], odd_folder: Path, env: dict[str, str], extra: str
) -> None:
    """The traceback, which names the file, is shown."""
    ending = run_to_end(write(extra, folder=odd_folder), env=env, workers=1)
    assert ending.code == (3 if "worker" in extra or "name" in extra else 1)
    assert "ZeroDivisionError" in ending.output or "SyntaxError" in ending.output
    assert "UnicodeEncodeError" not in ending.output


@pytest.mark.parametrize(("odd_folder", "env"), ODD, indirect=["odd_folder"])
@pytest.mark.parametrize("command", ["routes", "doctor"])
def test_commands_in_such_a_folder(
    write: Callable[..., Path], odd_folder: Path, env: dict[str, str], command: str
) -> None:
    file = write("app.get('/é')(lambda req: 1)", folder=odd_folder)
    for target in (str(file), "program:app"):
        ending = run_to_end([*PYRE[1:], command, target], env=env, cwd=odd_folder)
        assert (ending.code, "Error" in ending.output) == (0, False), ending.output
    ending = run_to_end([*PYRE[1:], command, str(odd_folder / "none.py")], env=env)
    assert ending.code == (2 if command == "routes" else ending.code)
    assert "there is no file" in ending.output


@pytest.mark.parametrize(("odd_folder", "env"), ODD, indirect=["odd_folder"])
def test_reload_in_such_a_folder(
    write: Callable[..., Path], odd_folder: Path, env: dict[str, str]
) -> None:
    file = write(folder=odd_folder)
    with serve([*PYRE[1:], "dev", str(file)], env=env, workers=1) as server:
        before = server.get("/").text
        file.write_text(f"{file.read_text()}\n# changed\n")
        server.output.wait_for(r"program\.py changed")
        wait_until(lambda: server.get("/").text != before, "it serves anew")
    assert "Traceback" not in server.output.text()


def test_a_debug_page_that_names_such_a_file(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"bad\xff")
    folder.mkdir()
    with serve(write("app.get('/fail')(lambda req: 1 / 0)", folder=folder), debug=True) as server:
        reply = server.get("/fail")
        assert reply.status == 500
        assert "ZeroDivisionError" in reply.text
