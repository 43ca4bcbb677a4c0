"""A server whose surroundings are broken: streams that nobody reads, closed descriptors, names that
are no text, a process that may open next to nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dialogue import Peer
from gate import Gate
from places import MODES
from serving import (
    SAME_SIGNAL_S,
    SUCCESS_S,
    child_environment,
    is_supervisor,
    run_to_end,
    serve,
    wait_until,
)

PYRE = [sys.executable, "-m", "pyreframework"]
# A stop that waits for nobody takes this long at most, on a busy machine.
STOP_S = 20.0

PROGRAM = """
    import os, socket, sys
    from pyreframework import Pyre

    app = Pyre()
    {extra}

    @app.get("/")
    def hello(req):
        return str(os.getpid())

    @app.get("/print/{word}")
    def show(req, word: str):
        print(word)
        print(word, file=sys.stderr)
        print("no newline", end="")
        return "printed"

    @app.get("/descriptors")
    def descriptors(req):
        return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]

    if __name__ == "__main__":
        app.run({arguments})
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(extra: str = "", arguments: str = "", folder: Path | None = None) -> Path:
        file = (folder or tmp_path) / "program.py"
        text = PROGRAM.replace("{extra}", extra).replace("{arguments}", arguments)
        file.write_text(textwrap.dedent(text))
        return file

    return write


class Bare:
    """A server that is found by the socket it is given, not by what it prints."""

    def __init__(self, listener: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.port = listener.getsockname()[1]

    def get(self, target: str = "/") -> str:
        with Peer("127.0.0.1", self.port) as peer:
            reply = peer.get(target)
        assert reply.status == 200, reply.text
        return reply.text

    def serving(self) -> int:
        return int(self.get())

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def restart(self) -> int:
        """Restart, and return the process that serves then."""
        before = self.serving()
        # The process before may accept once more when its successor has.
        seen = [before]
        self.send(signal.SIGHUP)
        wait_until(lambda: seen.append(self.serving()) or seen[-1] != before, "another serves")
        wait_until(lambda: is_supervisor(self.pid), "the first process has become the supervisor")
        return seen[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        return self.process.wait(STOP_S)


@contextmanager
def bare(
    arguments: list[str | Path],
    *,
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = subprocess.DEVNULL,
    stderr: Any = subprocess.DEVNULL,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    **options: object,
) -> Iterator[Bare]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = {"fd": listener.fileno(), "workers": 1, "shutdown_timeout": 2} | options
        options = {name: value for name, value in options.items() if value is not None}
        process = subprocess.Popen(
            [*map(str, arguments)],
            # Whoever runs the tests may have it set; then each print of a program is a write.
            env=child_environment({"PYTHONUNBUFFERED": ""} | (env or {}), options),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        try:
            yield Bare(listener, process)
        finally:
            # The others of its session end with it, or when they find it gone.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(file: Path) -> list[str | Path]:
    return [sys.executable, file]


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


# ------------------------------------------------------------------------------ descriptors

CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]


@MODES
@pytest.mark.parametrize("start", ["run()", "pyre run"])
def test_closed_standard_descriptors(
    write: Callable[..., Path], mode: str | None, start: str
) -> None:
    """They are on the null device, so no socket gets their numbers, also after a restart."""
    file = write()
    command = run(file) if start == "run()" else [*PYRE, "run", file]
    with bare([*CLOSED, *command], mode=mode) as server:
        for _ in range(2):
            wait_until(lambda: server.get("/descriptors"), "it serves")
            assert server.get("/descriptors") == '["/dev/null","/dev/null","/dev/null"]'
            # The number of SIGTERM, which a pair of sockets would take for a stop.
            assert server.get("/print/%0F") == "printed"
            server.restart()
        assert server.stop() == 0


WITHOUT_DEVICES = [
    "unshare",
    "--mount",
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
    "sh",
    "-c",
    'mount -t tmpfs none /dev && exec "$@" <&- >&- 2>&-',
    "sh",
]


def hide_devices(write: Callable[..., Path], how: str) -> tuple[list[str], Path]:
    """Return what to start a program with, and the program, so that it finds no null device."""
    if how == "names":
        extra = """import os
    from pyreframework.logs import streams
    streams.NULL_DEVICE = os.devnull = "/nowhere/null"
    """
        return [], write(extra)
    try:
        can = subprocess.run([*WITHOUT_DEVICES, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare, to have no /dev")
    if can.returncode != 0:
        pytest.skip("this user may not have a namespace of mounts, to have no /dev")
    return WITHOUT_DEVICES, write()


@MODES
@pytest.mark.parametrize("how", ["names", "a bare root"])
def test_a_root_without_a_null_device(
    write: Callable[..., Path], mode: str | None, how: str
) -> None:
    """It starts, is restarted and stops as elsewhere."""
    prefix, file = hide_devices(write, how)
    with bare([*prefix, *run(file)], mode=mode) as server:
        for _ in range(2):
            wait_until(lambda: server.get("/"), "it serves")
            assert server.get("/print/%0F") == "printed"
            server.restart()
        assert server.stop() == 0


def test_doctor_in_a_root_without_a_null_device(write: Callable[..., Path]) -> None:
    prefix, file = hide_devices(write, "a bare root")
    shown = [word.replace(" >&- 2>&-", "") for word in prefix]
    ended = subprocess.run(
        [*shown, *PYRE, "doctor", str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "0 of 3 routes moved" in ended.stdout


@MODES
def test_a_descriptor_that_a_program_has_got_in_the_place_of_a_closed_one(
    write: Callable[..., Path], tmp_path: Path, mode: str | None
) -> None:
    """What the program opens first belongs to it, whatever its number."""
    file = write()
    database = tmp_path / "database"
    opened = f"import os; opened = [open({str(database)!r}, 'ab') for _ in range(3)]\n"
    file.write_text(f"{opened}{file.read_text()}")
    with bare([*CLOSED, *run(file)], mode=mode, access_log=True) as server:
        assert server.get("/print/word") == "printed"
        server.restart()
        assert server.get("/print/word") == "printed"
        assert server.stop() == 0
    assert database.read_bytes() == b""


# ------------------------------------------------------------------------------------ names

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


# ------------------------------------------------------------------------------- descriptors


@MODES
@pytest.mark.parametrize("start", ["run()", "pyre run"])
@pytest.mark.parametrize("limit", [6, 8, 12, 16, 20, 24])
def test_too_few_descriptors(
    write: Callable[..., Path], mode: str | None, start: str, limit: int
) -> None:
    """A sentence and the exit code of a start that failed; or it serves, if that is enough."""
    file = write("import asyncio\n    @app.get('/async')\n    async def later(req): return 1")
    command = run(file) if start == "run()" else [*PYRE, "run", file]
    options: dict[str, object] = {"port": 0, "workers": 2}
    if mode:
        options["mode"] = mode
    code, first, rest = within("-n", limit, command, options)
    if first.startswith("Pyre "):
        assert limit > 16
        assert code == 0, first + rest
    else:
        assert code == 3, first + rest
        assert f"may have open ({limit}): raise the limit" in first
        assert rest == ""


@pytest.mark.parametrize("limit", range(14, 24))
def test_too_few_descriptors_for_the_loops(write: Callable[..., Path], limit: int) -> None:
    """Of which one that is half made has nothing to say when it is dropped."""
    extra = "@app.get('/async')\n    async def later(req): return 1"
    more = "\n    app.get('/main', gil=True)(lambda req: 1)"
    said = start_with("-n", limit, write(extra + more))
    assert "Exception ignored" not in said and "ResourceWarning" not in said


def within(
    flag: str, limit: int, command: list[str | Path], options: dict[str, object]
) -> tuple[int, str, str]:
    """Start within a limit of the shell's `ulimit`, and stop once there is a banner.

    Returns the exit code, the first line and all others.
    """
    ended = subprocess.Popen(
        ["sh", "-c", f'ulimit {flag} {limit}; exec "$@"', "sh", *command],
        # CPython tells of what was not closed.
        env=child_environment({"PYTHONWARNINGS": "default::ResourceWarning"}, options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with ended:
        assert ended.stdout is not None
        first = ended.stdout.readline()
        if first.startswith("Pyre "):
            ended.terminate()
        rest, _ = ended.communicate(timeout=SUCCESS_S)
    return ended.returncode, first, rest


def start_with(flag: str, limit: int, file: Path) -> str:
    """Start within a limit; return what was said where it was too narrow."""
    code, first, rest = within(flag, limit, run(file), {"port": 0, "workers": 2})
    # Where a few bytes are not to be had there is nothing to say it with: the allocator's users in
    # CPython and in Rust abort.
    if first.startswith("Pyre ") or (flag == "-v" and code == -signal.SIGABRT):
        return ""
    assert code == 3, first + rest
    return first + rest


# ----------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("mebibytes", [300, 400, 500, 600])
def test_too_little_address_space(write: Callable[..., Path], mebibytes: int) -> None:
    """Stacks of threads and interpreters do not fit: a sentence, whatever it is that failed."""
    file = write("@app.get('/async')\n    async def later(req): return 1")
    said = start_with("-v", mebibytes * 1024, file)
    if said:
        assert said.count("\n") == 1 and "Traceback" not in said, said
        assert f"`ulimit -v`, {mebibytes} MiB of address space" in said


# ------------------------------------------------------------------------------ usage errors


@pytest.mark.parametrize(
    "binds",
    [
        ["127.0.0.1:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "localhost:{port}"],
        ["localhost:{port}", "127.0.0.1:{port}"],
        ["0.0.0.0:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "0.0.0.0:{port}"],
        ["unix:{folder}/a", "unix:{folder}/a"],
        ["unix:{folder}/a", "unix:{folder}/../{name}/a"],
    ],
    ids=str,
)
def test_the_same_address_twice(
    write: Callable[..., Path], tmp_path: Path, binds: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = {"port": port, "folder": tmp_path, "name": tmp_path.name}
    flags = [f"--bind={bind.format(**names)}" for bind in binds]
    file = write()
    ending = run_to_end([*PYRE[1:], "run", str(file), *flags], port=None)
    assert ending.code == 2, ending.output
    assert ending.output.startswith("pyre: ")
    assert "another server" not in ending.output
    first, second = [bind.format(**names) for bind in binds]
    assert ending.output in (
        f"pyre: bind has the address {second} twice\n",
        # By the names that were given, which may be two for one address.
        f"pyre: {second} is listened on already, by way of {first}: leave one of them out\n",
    )


def test_a_free_port_may_be_asked_for_twice(write: Callable[..., Path]) -> None:
    with serve(write(), port=None, bind="127.0.0.1:0,127.0.0.1:0") as server:
        assert len(server.addresses()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "program.py", "--app-dir", "nowhere"],
        ["run", "program.py", "--reload", "--reload-dir", "nowhere"],
        ["run", "program.py", "--reload", "--reload-dir", ".", "--reload-dir", "nowhere"],
        ["dev", "program.py", "--reload-dir", "program.py"],
        ["routes", "program.py", "--app-dir", "nowhere"],
    ],
    ids=str,
)
def test_folders_that_are_none(write: Callable[..., Path], arguments: list[str]) -> None:
    ending = run_to_end([*PYRE[1:], *arguments], cwd=write().parent)
    assert ending.code == 2
    assert "does not exist" in ending.output or "is no folder" in ending.output
