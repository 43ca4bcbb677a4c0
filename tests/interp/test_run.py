"""`run()`: addresses, options, where they come from, and starts that fail in words."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dialogue import Peer
from serving import run_to_end, serve

Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Writes a program with an app that says hello, and what is added to it."""

    def write(text: str) -> Path:
        file = tmp_path / "program.py"
        start = "from pyreframework import Pyre\napp = Pyre()\napp.get('/', lambda req: 'hello')\n"
        file.write_text(start + textwrap.dedent(text))
        return file

    return write


@contextmanager
def occupied() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def test_port_zero_is_told(program: Program) -> None:
    with serve(program("app.run()")) as server:
        assert server.port != 0
        assert server.get("/").text == "hello"


def test_banner(program: Program) -> None:
    with serve(program("app.run()"), workers=2) as server:
        for pattern in (rf"Pyre .*http://127\.0\.0\.1:{server.port}", "2 workers", "1 route"):
            server.output.wait_for(pattern)


@needs_ipv6
def test_ipv6(program: Program) -> None:
    with serve(program("app.run(host='::1')")) as server:
        assert server.host == "::1"
        assert server.get("/").text == "hello"


def test_host_name(program: Program) -> None:
    with serve(program("app.run(host='localhost')")) as server:
        with socket.create_connection(("localhost", server.port), timeout=30):
            pass


@needs_ipv6
def test_several_binds_by_argument(program: Program) -> None:
    text = "app.run(bind=['127.0.0.1:0', '127.0.0.1:0', '[::1]:0'])"
    with serve(program(text), port=None) as server:
        assert len(server.addresses()) == 3
        for host, port in server.addresses():
            with Peer(host, port) as peer:
                assert peer.get("/").text == "hello"


def test_several_binds_by_variable(program: Program) -> None:
    with serve(program("app.run()"), port=None, bind="127.0.0.1:0,127.0.0.1:0") as server:
        assert len(server.addresses()) == 2
        for host, port in server.addresses():
            with Peer(host, port) as peer:
                assert peer.get("/").text == "hello"


def test_argument_goes_before_variable(program: Program) -> None:
    with occupied() as taken, serve(program("app.run(port=0)"), port=taken) as server:
        assert server.port != taken


def test_variable_goes_before_its_alias(program: Program) -> None:
    with occupied() as taken, serve(program("app.run()"), env={"PORT": str(taken)}) as server:
        assert server.port != taken


def test_alias(program: Program) -> None:
    port = free_port()
    with serve(program("app.run()"), port=None, env={"PORT": str(port)}) as server:
        assert server.port == port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("WORKERS", "0"),
        ("WORKERS", "two"),
        ("WORKERS", "1.5"),
        ("THREADS", "0"),
        ("HEAD_TIMEOUT", "soon"),
        ("HEAD_TIMEOUT", "-1"),
        ("KEEP_ALIVE_TIMEOUT", "nan"),
        ("MAX_BODY_SIZE", "10MB"),
        ("QUEUE_DEPTH", "x"),
        ("REUSE_PORT", "perhaps"),
        ("DEBUG", "perhaps"),
        ("BIND", "nowhere"),
    ],
)
def test_bad_variable_names_itself(program: Program, name: str, value: str) -> None:
    options: dict[str, Any] = {"port": None} if name == "BIND" else {}
    ending = run_to_end(program("app.run()"), env={f"PYRE_{name}": value}, **options)
    assert ending.code == 2, ending.output
    assert f"PYRE_{name}" in ending.output
    assert "Traceback" not in ending.output


@pytest.mark.parametrize(
    "arguments",
    ["port=70000", "workers=0", "port='x'", "head_timeout=-1", "threads=1.5", "debug='x'"],
)
def test_bad_argument_names_itself(program: Program, arguments: str) -> None:
    ending = run_to_end(program(f"app.run({arguments})"))
    assert ending.code != 0
    assert arguments.partition("=")[0] in ending.output


@pytest.mark.parametrize("name", ["nonsense", "tls_cert", "state_url"])
def test_unknown_options_are_never_ignored(program: Program, name: str) -> None:
    ending = run_to_end(program(f"app.run({name}=1)"))
    assert ending.code != 0
    assert name in ending.output


def test_second_server_on_the_port(program: Program) -> None:
    text = program("app.run()")
    with serve(text) as server:
        ending = run_to_end(text, port=server.port)
        assert ending.code == 3, ending.output
        assert str(server.port) in ending.output
        assert "use" in ending.output
        for n in range(20):
            assert server.get("/").text == "hello"


def test_port_of_a_stranger(program: Program) -> None:
    with occupied() as taken:
        ending = run_to_end(program("app.run()"), port=taken)
    assert ending.code == 3, ending.output
    assert str(taken) in ending.output


def test_reuse_port(program: Program) -> None:
    text = program("app.run()")
    port = free_port()
    with (
        serve(text, port=port, reuse_port=True) as first,
        serve(text, port=port, reuse_port=True) as second,
    ):
        assert first.port == second.port == port
        for _ in range(40):
            assert first.get("/").text == "hello"
    ending = None
    with serve(text, port=port, reuse_port=True):
        ending = run_to_end(text, port=port)
    assert ending.code == 3, ending.output


def test_the_port_is_free_afterwards(program: Program) -> None:
    """Also while connections of before are still in TIME_WAIT."""
    text = program("app.run()")
    port = free_port()
    for _ in range(3):
        with serve(text, port=port) as server:
            with server.connect() as peer:
                assert peer.get("/").text == "hello"


def test_host_that_is_not_ours(program: Program) -> None:
    ending = run_to_end(program("app.run(host='203.0.113.1')"))
    assert ending.code == 3, ending.output
    assert "203.0.113.1" in ending.output


def test_host_that_does_not_exist(program: Program) -> None:
    ending = run_to_end(program("app.run(host='no-such-host.invalid')"))
    assert ending.code == 3, ending.output
    assert "no-such-host.invalid" in ending.output


@pytest.mark.parametrize("mode", [None, "default"])
def test_two_apps_do_not_disturb_each_other(program: Program, mode: str | None) -> None:
    text = """
        other = Pyre()
        other.get("/other", lambda req: "other")
        other.max_body_size = 5
        app.max_body_size = 10
        app.post("/", lambda req: str(len(req.body)))
        assert (app.max_body_size, other.max_body_size) == (10, 5)
        app.run()
    """
    with serve(program(text), mode=mode) as server:
        assert server.get("/").text == "hello"
        assert server.get("/other").status == 404
        assert server.post("/", b"x" * 10).text == "10"
        assert server.post("/", b"x" * 11).status == 413


def test_head_limit(program: Program) -> None:
    with serve(program("app.run(max_head_bytes=2048)")) as server:
        assert server.get("/", [("X", "a" * 1500)]).text == "hello"
        with server.connect() as peer:
            peer.send_pieces([b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 4000 + b"\r\n\r\n"])
            assert peer.reply().status == 431


def test_server_header_can_be_left_out(program: Program) -> None:
    import http.client

    with serve(program("app.run()"), server_header=False) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        for target in ("/", "/no"):
            connection.request("GET", target)
            reply = connection.getresponse()
            reply.read()
            assert reply.getheader("server") is None
            assert reply.getheader("date")
        connection.close()


# ------------------------------------------------------------------------- starts that fail


def test_import_failure_in_a_worker(program: Program) -> None:
    text = """
        if __name__ != "__main__":
            raise LookupError("only here")
        app.run()
    """
    ending = run_to_end(program(text))
    assert ending.code == 3, ending.output
    assert "Traceback" in ending.output
    assert "LookupError: only here" in ending.output
    assert "program.py" in ending.output


def test_syntax_error_in_what_a_worker_imports(program: Program, tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("def broken(:\n")
    text = "if __name__ != '__main__':\n    import part\napp.run()"
    ending = run_to_end(program(text))
    assert ending.code == 3, ending.output
    assert "SyntaxError" in ending.output and "part.py" in ending.output


@pytest.mark.parametrize(
    ("main", "worker", "named"),
    [
        ("app.get('/extra', lambda req: 1)", "pass", "/extra"),
        ("pass", "app.get('/extra', lambda req: 1)", "/extra"),
        ("app.get('/a', lambda req: 1)", "app.get('/b', lambda req: 1)", "/a"),
        ("app.get('/a', lambda req: 1)", "app.post('/a', lambda req: 1)", "/a"),
    ],
)
def test_routes_that_differ(program: Program, main: str, worker: str, named: str) -> None:
    text = f"""
        if __name__ == "__main__":
            {main}
        else:
            {worker}
        app.run()
    """
    ending = run_to_end(program(text))
    assert ending.code == 3, ending.output
    assert named in ending.output


def test_routes_in_another_order(program: Program) -> None:
    text = """
        names = ["/a", "/b"] if __name__ == "__main__" else ["/b", "/a"]
        for name in names:
            app.get(name, lambda req, name=name: name)
        app.run()
    """
    ending = run_to_end(program(text))
    assert ending.code == 3, ending.output


def test_app_made_only_on_main(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "guarded.py"
    file.write_text(
        "from pyreframework import Pyre\n"
        "if __name__ == '__main__':\n"
        "    app = Pyre()\n"
        "    app.get('/', lambda req: 'hello')\n"
        "    app.run()\n"
    )
    ending = run_to_end(file)
    assert ending.code == 3, ending.output
    assert "guarded.py" in ending.output
    with serve(file, mode="default") as server:
        assert server.get("/").text == "hello"


@pytest.mark.parametrize("mode", [None, "default"])
@pytest.mark.parametrize("hook", ["on_startup", "on_worker_start"])
def test_failing_start_hooks(program: Program, hook: str, mode: str | None) -> None:
    text = f"""
        @app.{hook}
        def fail():
            raise LookupError("not today")

        app.run()
    """
    ending = run_to_end(program(text), mode=mode)
    assert ending.code == 3, ending.output
    assert "LookupError: not today" in ending.output
    assert "program.py" in ending.output


def test_failing_stop_hooks_do_not_stop_the_stop(program: Program) -> None:
    text = """
        @app.on_shutdown
        def fail():
            raise LookupError("too late")

        @app.on_worker_stop
        def fail_too():
            raise LookupError("late as well")

        @app.on_shutdown
        def last():
            # In one piece, also if Python does not buffer: the log has the same pipe.
            print("last" + chr(10), end="", flush=True)

        app.run()
    """
    with serve(program(text)) as server:
        assert server.get("/").text == "hello"
    output = server.output.text()
    assert "too late" in output and "late as well" in output
    assert "last" in output.splitlines()


def test_app_without_a_file() -> None:
    text = (
        "from pyreframework import Pyre; app = Pyre(); app.get('/', lambda req: 'hello'); "
        "app.run({})"
    )
    with serve(["-c", text.format("mode='default'")]) as server:
        assert server.get("/").text == "hello"
    ending = run_to_end(["-c", text.format("")])
    assert ending.code in (2, 3), ending.output
    assert "mode" in ending.output
