"""The commands as people type them: what they serve, what they say, how they end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from places import MODES
from serving import Output, Server, Write, child_environment, launch, run_to_end, serve

PYRE = ["-m", "pyreframework"]

HELLO = """
    import sys
    from pyreframework import Pyre

    app = Pyre()

    @app.get("/")
    def hello(req):
        return __name__

    @app.get("/argv")
    def argv(req):
        return sys.argv

    def make():
        made = Pyre()
        made.get("/", lambda req: "made")
        return made
"""


def test_the_scripts_are_installed() -> None:
    for name in ("pyre", "pyreframework"):
        script = Path(sys.executable).parent / name
        ended = subprocess.run([str(script), "version"], capture_output=True, text=True, timeout=30)
        assert ended.returncode == 0 and ended.stdout.startswith("Pyre "), ended.stderr


@MODES
@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("shop", "shop"),
        ("shop:app", "shop"),
        ("shop:make", "made"),
        ("package.site:app", "package.site"),
        ("package", "package"),
        ("shop.py", None),
        ("shop.py:app", None),
        ("shop.py:make", "made"),
        ("package/site.py", None),
    ],
)
def test_targets(
    write: Write, tmp_path: Path, target: str, text: str | None, mode: str | None
) -> None:
    """Workers import a module under its own name, and run a file as `__mp_main__`."""
    write("shop.py", HELLO)
    write("package/__init__.py", HELLO)
    write("package/site.py", HELLO)
    expected = text or ("__mp_main__" if mode is None else "__main__")
    with serve([*PYRE, "run", target], cwd=tmp_path, mode=mode) as server:
        assert server.get("/").text == expected


@MODES
@pytest.mark.parametrize(
    "ending",
    [
        "app.run(port=1)",
        "if __name__ == '__main__':\n    app.run(port=1)",
        "app.run(port=1); print('past run', flush=True)",
    ],
    ids=["bare", "guarded", "followed"],
)
def test_a_file_that_runs_itself(write: Write, ending: str, mode: str | None) -> None:
    """The flag goes before the argument; what stands behind `run()` comes after serving."""
    file = write("program.py", textwrap.dedent(HELLO) + ending)
    arguments = [*PYRE, "run", str(file), "--port", "0"]
    with serve(arguments, mode=mode, port=None) as server:
        assert server.get("/").status == 200
        assert "past run" not in server.output.text()
    assert server.output.text().count("past run") == ending.count("past run")


def test_a_file_with_several_apps_serves_the_one_named(write: Write) -> None:
    text = """
        from pyreframework import Pyre
        first, second = Pyre(), Pyre()
        first.get("/", lambda req: "first")
        second.get("/", lambda req: "second")
        if __name__ == "__main__":
            first.run(port=1)
            second.run(port=1, server_header=False)
    """
    file = write("program.py", text)
    with serve([*PYRE, "run", f"{file}:second", "--port=0"]) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        connection.request("GET", "/")
        reply = connection.getresponse()
        # Its own argument counts where no flag says otherwise.
        assert (reply.read(), reply.getheader("server")) == (b"second", None)
        connection.close()


@MODES
def test_arguments_of_a_module_that_runs_itself(
    write: Write, tmp_path: Path, mode: str | None
) -> None:
    write("shop.py", textwrap.dedent(HELLO) + "app.run(port=1, head_timeout=0.0)\n")
    options = [*PYRE, "run", "shop:app", "--port", "0"]
    ending = run_to_end(options, cwd=tmp_path, mode=mode)
    assert ending.code == 2 and "'head_timeout'" in ending.output
    with serve([*options, "--head-timeout", "5"], cwd=tmp_path, mode=mode) as server:
        assert server.get("/").text == "shop"


def test_precedence(write: Write, tmp_path: Path) -> None:
    """Flag, argument, variable, default."""

    def header(arguments: list[str], **options: object) -> str | None:
        with serve([*PYRE, *arguments], cwd=tmp_path, **options) as server:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
            connection.request("GET", "/")
            found = connection.getresponse().getheader("server")
            connection.close()
            return found

    write("plain.py", HELLO)
    write("without.py", textwrap.dedent(HELLO) + "app.run(server_header=False)\n")
    assert header(["run", "plain.py"]) == "pyre"
    assert header(["run", "plain.py"], server_header=False) is None
    assert header(["run", "without.py"], server_header=True) is None
    assert header(["run", "without.py", "--server-header"], server_header=False) == "pyre"


def test_arguments_for_the_program(write: Write, tmp_path: Path) -> None:
    write("shop.py", HELLO)
    with serve([*PYRE, "run", "shop.py", "--", "--port", "x"], cwd=tmp_path) as server:
        assert server.get("/argv").json() == ["shop.py", "--port", "x"]


def test_folder_of_modules(write: Write, tmp_path: Path) -> None:
    write("deep/shop.py", HELLO)
    ending = run_to_end([*PYRE, "run", "shop:app"], cwd=tmp_path)
    assert ending.code == 2 and "no module 'shop'" in ending.output
    with serve([*PYRE, "run", "shop:app", "--app-dir", "deep"], cwd=tmp_path) as server:
        assert server.get("/").text == "shop"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "shop:app", "--port", "x"], 2, "--port"),
        (["run", "nowhere:app"], 2, "no module 'nowhere'"),
        (["run", "nowhere.py"], 2, "no file 'nowhere.py'"),
        (["run", "shop:nothing"], 2, "no 'nothing'"),
        (["run", "shop:sys"], 2, "no Pyre app"),
        (["run", "several.py"], 2, "several.py:one or several.py:two"),
        (["run", "shop:app", "--host", "203.0.113.1"], 3, "203.0.113.1"),
        (["run", "broken.py"], 3, "SyntaxError"),
        (["run", "broken:app"], 3, "SyntaxError"),
        (["routes", "broken:app"], 3, "SyntaxError"),
        (["run", "leaves.py"], 5, ""),
        (["routes", "shop:app"], 0, "shop.hello"),
        (["doctor", "shop:app"], 0, "workers"),
        (["doctor", "nowhere:app"], 2, "no module 'nowhere'"),
        (["doctor", "broken.py"], 3, "SyntaxError"),
        (["version"], 0, "CPython"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_exit_codes(
    write: Write, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    write("shop.py", HELLO)
    write("broken.py", "def broken(:\n")
    write("leaves.py", "raise SystemExit(5)\n")
    write("several.py", "from pyreframework import Pyre\none, two = Pyre(), Pyre()\n")
    ending = run_to_end([*PYRE, *arguments], cwd=tmp_path)
    assert ending.code == code, ending.output
    assert said in ending.output
    assert "Traceback" not in ending.output or code == 3


def test_a_handler_that_does_not_end_is_code_1(write: Write) -> None:
    text = "import threading\n" + textwrap.dedent(HELLO)
    file = write("shop.py", text + "app.get('/stuck', lambda req: threading.Event().wait())\n")
    with serve([*PYRE, "run", str(file), "--shutdown-timeout", "0.2"]) as server:
        with server.connect() as peer:
            peer.send(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
            assert server.get("/").status == 200
            server.signal(signal.SIGTERM)
            assert server.wait() == 1


def test_routes(write: Write, tmp_path: Path) -> None:
    text = """
        import functools
        from pyreframework import Pyre
        app = Pyre()

        @app.get("/users/{id:int}")
        def user(req, id: int): ...

        app.route(["post", "put"], "/users", functools.partial(user, id=1), gil=True)

        @app.get("/now")
        async def now(req):
            return "now"

        @app.get("/lines")
        def lines(req):
            yield "line"

        @app.get("/events")
        async def events(req):
            yield "event"

        app.run()
    """
    write("shop.py", text)
    ending = run_to_end([*PYRE, "routes", "shop"], cwd=tmp_path)
    assert ending.code == 0
    assert [re.split(" {2,}", line) for line in ending.output.splitlines()] == [
        ["METHOD", "PATH", "HANDLER", "KIND", "RUNS ON"],
        ["GET", "/users/{id:int}", "shop.user", "def", "workers"],
        ["POST", "/users", "shop.user", "def", "main"],
        ["PUT", "/users", "shop.user", "def", "main"],
        ["GET", "/now", "shop.now", "async def", "workers"],
        ["GET", "/lines", "shop.lines", "generator", "workers"],
        ["GET", "/events", "shop.events", "async generator", "workers"],
    ]
    write("empty.py", "from pyreframework import Pyre\napp = Pyre()\n")
    assert "no routes" in run_to_end([*PYRE, "routes", "empty.py"], cwd=tmp_path).output


# -------------------------------------------------------------------- sockets of other kinds


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix-domain socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


def get(path: Path, target: str = "/") -> str:
    connection = UnixConnection(path)
    connection.request("GET", target)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


class Process:
    """A server that has no address of TCP."""

    def __init__(self, arguments: list[str], cwd: Path, **options: object) -> None:
        environment = child_environment({}, {"workers": 2} | options)
        self.process = launch([*PYRE, "run", *arguments], environment, cwd)
        self.output = Output(self.process)
        self.output.wait_for("io thread")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.output.join()
        return code


def test_unix_socket(write: Write, tmp_path: Path) -> None:
    write("shop.py", HELLO)
    path = tmp_path / "a.sock"
    for arguments, options in (["--uds", str(path)], {}), ([], {"uds": path}):
        process = Process(["shop:app", *arguments], tmp_path, **options)
        try:
            process.output.wait_for(f"Pyre .* on unix:{path}")
            process.output.wait_for(f"curl -i --unix-socket {path} http://localhost/")
            assert get(path) == "shop"
            ending = run_to_end([*PYRE, "run", "shop:app", "--uds", str(path)], cwd=tmp_path)
            assert ending.code == 3 and f"unix:{path} is in use" in ending.output
            assert get(path) == "shop"
        finally:
            assert process.stop() == 0
        assert not path.exists()


def test_unix_socket_left_by_a_crash(write: Write, tmp_path: Path) -> None:
    write("shop.py", HELLO)
    path = tmp_path / "a.sock"
    process = Process(["shop:app", "--uds", str(path)], tmp_path)
    process.process.kill()
    process.process.wait(30)
    assert path.exists()
    process = Process(["shop:app", "--uds", str(path)], tmp_path)
    assert get(path) == "shop"
    assert process.stop() == 0


def test_unix_socket_of_somebody_else_stays(write: Write, tmp_path: Path) -> None:
    """At its end a server removes the socket it made, not one that took its place."""
    write("shop.py", HELLO)
    path = tmp_path / "a.sock"
    process = Process(["shop:app", "--uds", str(path)], tmp_path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        assert process.stop() == 0
        assert path.exists()


@pytest.mark.parametrize("content", ["file", "folder"])
def test_path_that_is_no_socket(write: Write, tmp_path: Path, content: str) -> None:
    write("shop.py", HELLO)
    path = tmp_path / "taken"
    path.mkdir() if content == "folder" else path.write_text("precious")
    ending = run_to_end([*PYRE, "run", "shop:app", "--uds", str(path)], port=None, cwd=tmp_path)
    assert ending.code == 3 and "is a file that is no socket" in ending.output
    assert path.exists()


def test_a_failed_start_leaves_no_socket(write: Write, tmp_path: Path) -> None:
    write("shop.py", textwrap.dedent(HELLO) + "app.on_startup(lambda: 1 / 0)\n")
    path = tmp_path / "a.sock"
    ending = run_to_end([*PYRE, "run", "shop:app", "--uds", str(path)], port=None, cwd=tmp_path)
    assert ending.code == 3 and "ZeroDivisionError" in ending.output
    assert not path.exists()


def with_descriptor(write: Write, cwd: Path, listener: socket.socket, **variables: str) -> Server:
    """Start a server through a program that puts the listener where it is expected: at 3."""
    write("shop.py", HELLO)
    starter = write(
        "starter.py",
        """
        import os, sys
        os.dup2(int(sys.argv[1]), 3, inheritable=True)
        os.environ.update(part.split("=") for part in os.environ.pop("SETS").split())
        if "LISTEN_FDS" in os.environ:
            os.environ["LISTEN_PID"] = str(os.getpid())
        os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
        """,
    )
    os.set_inheritable(listener.fileno(), True)
    sets = " ".join(f"{name}={value}" for name, value in variables.items()) or "X=1"
    command = [sys.executable, str(starter), str(listener.fileno()), *PYRE, "run", "shop:app"]
    server = Server.__new__(Server)
    server.process = subprocess.Popen(
        command, env=child_environment({"SETS": sets}, {"workers": 2}), cwd=cwd,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        pass_fds=[listener.fileno()],
    )  # fmt: skip
    server.pid = server.process.pid
    server.output = Output(server.process)
    server.host, server.port = "127.0.0.1", listener.getsockname()[1]
    return server


@pytest.mark.parametrize(
    "variables", [{"PYRE_FD": "3"}, {"LISTEN_FDS": "1"}], ids=["fd", "systemd"]
)
def test_a_socket_that_listens_already(
    write: Write, tmp_path: Path, variables: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = with_descriptor(write, tmp_path, listener, **variables)
        try:
            server.output.wait_for(f"on http://127.0.0.1:{server.port}")
            for _ in range(20):
                assert server.get("/").text == "shop"
        finally:
            assert server.stop() == 0, server.output.text()


def test_a_descriptor_that_is_no_listener(write: Write, tmp_path: Path) -> None:
    with socket.socket() as idle:
        server = with_descriptor(write, tmp_path, idle, PYRE_FD="3")
        assert server.wait() == 3
        assert "fd:3 is no listening socket" in server.output.text()
    write("shop.py", HELLO)
    ending = run_to_end([*PYRE, "run", "shop:app", "--fd", "77"], port=None, cwd=tmp_path)
    assert ending.code == 3 and "descriptor 77" in ending.output, ending.output
