"""Processes that are forked while an app is served: they live, and are no part of the server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from places import MODES
from serving import Output, Server, child_environment, is_running, serve, wait_until

# CPython itself warns of a fork beside threads.
QUIET = {"PYTHONWARNINGS": "ignore"}


def serve_forks(mode: str | None = None, **options: object) -> AbstractContextManager[Server]:
    return serve("forks", mode=mode, env=QUIET, **options)


@MODES
def test_fork_on_main_while_workers_exist_does_not_abort_the_child(mode: str | None) -> None:
    with serve_forks(mode) as server:
        for _ in range(3):
            assert server.get("/fork").text == "0"
        assert server.get("/fork-to-the-end").text == "7"
        assert server.get("/").text == "hello"


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("way", ["pool", "old-pool", "process"])
def test_process_pools_on_main(way: str, kind: str) -> None:
    with serve_forks() as server:
        expected = "0" if way == "process" else "[0,1,4,9]"
        for _ in range(2):
            assert server.get(f"/main/{way}/{kind}").text == expected
        assert server.get("/").text == "hello"


def test_subprocess_with_preexec_fn_on_main() -> None:
    with serve_forks() as server:
        assert server.get("/main/preexec/-").text == "before after"


@pytest.mark.parametrize(
    ("way", "kind", "said"),
    [
        ("pool", "fork", "fork not supported"),
        ("old-pool", "fork", "fork not supported"),
        ("process", "fork", "fork not supported"),
        ("preexec", "-", "preexec_fn not supported"),
        ("pool", "spawn", "BrokenProcessPool"),
        ("old-pool", "spawn", "daemon threads are disabled"),
        ("pool", "forkserver", "BrokenProcessPool"),
    ],
)
def test_a_process_pool_that_cannot_work_in_a_worker_says_so(
    way: str, kind: str, said: str
) -> None:
    """What CPython refuses there, and what to do instead, stands in the log."""
    with serve_forks() as server:
        assert server.get(f"/worker/{way}/{kind}").status == 500
        server.output.wait_for("workers take no fork and no daemon threads")
        server.output.wait_for("register the route with gil=True")
        assert said in server.output.text()
        assert server.get("/").text == "hello"


@pytest.mark.parametrize("kind", ["spawn", "forkserver"])
def test_a_process_started_in_a_worker(kind: str) -> None:
    with serve_forks() as server:
        assert server.get(f"/worker/process/{kind}").text == "0"


@MODES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_to_a_forked_child_does_not_stop_the_server(
    number: signal.Signals, mode: str | None
) -> None:
    with serve_forks(mode) as server, Gate() as gate:
        child = int(server.get(f"/stay/{gate.port}").text)
        assert gate.entered() == "child"
        os.kill(child, number)
        if number == signal.SIGINT:
            # In a child of another thread than the main one CPython may overlook a signal that has
            # a handler in Python, until the next system call.
            gate.release("child")
        wait_until(lambda: not is_running(child), "the child has ended")
        assert server.get("/").text == "hello"
        assert server.process.poll() is None


@MODES
def test_a_forked_child_has_the_signal_handlers_of_before(mode: str | None) -> None:
    with serve_forks(mode) as server:
        assert server.get("/handlers").text == "0"


@MODES
def test_stop_in_a_forked_child_does_not_stop_the_server(mode: str | None) -> None:
    with serve_forks(mode) as server:
        assert server.get("/stop").text == "0"
        assert server.get("/").text == "hello"
        assert server.process.poll() is None


def test_run_in_a_forked_child_is_refused() -> None:
    with serve_forks() as server:
        assert server.get("/run").text == "0"
        server.output.wait_for("refused: this process was forked from one that serves")
        assert server.get("/").text == "hello"


@MODES
def test_what_a_forked_child_logs_is_written(mode: str | None) -> None:
    with serve_forks(mode) as server:
        for _ in range(2):
            assert server.get("/log").text == "0"
        # The pipe is read by a thread of ours, which may be late.
        wait_until(
            lambda: server.output.text().count("logged by the child") == 2, "both are told of"
        )


@MODES
@pytest.mark.parametrize("target", ["/return", "/return-async"])
def test_a_handler_that_returns_in_a_forked_child_ends_it(target: str, mode: str | None) -> None:
    with serve_forks(mode) as server:
        assert server.get(target).text == "1"
        server.output.wait_for(f"a handler {SENTENCE}")
        assert server.get("/").text == "hello"


def test_children_forked_while_workers_start_live() -> None:
    """The first worker is among CPython's interpreters long before it runs."""
    with serve("forks_at_start", env=QUIET, workers=4) as server:
        assert server.get("/codes").json() == [0]


SENTENCE = "returned in a process that it had forked"


def expect_once(server: Server, *lines: str) -> None:
    """The child has ended, and each line was printed by one process."""
    server.output.wait_for(SENTENCE)
    for line in lines:
        server.output.wait_for(line)
    printed = server.output.text().splitlines()
    assert {line: printed.count(line) for line in lines} == dict.fromkeys(lines, 1)


@MODES
@pytest.mark.parametrize("kind", ["", "-async"], ids=["def", "async"])
def test_requests_behind_one_that_forks_and_returns_run_once(kind: str, mode: str | None) -> None:
    """Those of the same connection and those of others that have been read."""
    with (
        serve_forks(mode, threads=1, io_workers=1) as server,
        Gate() as gate,
        server.connect() as first,
        server.connect() as other,
    ):
        targets = [f"/return-behind{kind}/{gate.port}", f"/pay{kind}/1", f"/pay{kind}/2"]
        first.send(b"".join(request("GET", target) for target in targets))
        assert gate.entered() == "fork"
        other.send(request("GET", f"/pay{kind}/3"))
        if mode is None:
            # By a worker: the reactor, which there is one of, has read what came before.
            assert server.get("/").text == "hello"
        gate.release_all()
        assert [first.reply().text for _ in targets] == ["forked", "paid", "paid"]
        assert other.reply().text == "paid"
        expect_once(server, "paid 1", "paid 2", "paid 3")


@MODES
def test_coroutines_beside_one_that_forks_and_returns_go_on_once(mode: str | None) -> None:
    """They are ready in the same turn of the loop."""
    with serve_forks(mode) as server, ExitStack() as stack:
        peers = []
        for number, name in enumerate(("fork", "pay/1", "pay/2"), 1):
            peers.append(stack.enter_context(server.connect()))
            peers[-1].send(request("GET", f"/together/{name}"))
            target = f"/together/wait-for/{number}"
            wait_until(partial(says, server, target, "true"), "the handler waits")
        assert server.get("/together/go").text == "gone"
        assert [peer.reply().text for peer in peers] == ["forked", "paid", "paid"]
        expect_once(server, "paid 1", "paid 2")


def says(server: Server, target: str, text: str) -> bool:
    return server.get(target).text == text


@MODES
@pytest.mark.parametrize("kind", ["", "-async"], ids=["def", "async"])
def test_the_task_behind_one_that_forks_and_returns_runs_once(kind: str, mode: str | None) -> None:
    with serve_forks(mode) as server:
        assert server.get(f"/tasks{kind}").text == "left"
        expect_once(server, "paid later")


def serve_hooks(
    folder: Path, place: str, way: str = "return"
) -> tuple[Path, AbstractContextManager[Server]]:
    """A program that forks in one place, and the Unix-domain socket that it serves on too."""
    path = folder / "a.sock"
    env = QUIET | {"FORKS_IN": place, "WAY": way}
    bind = f"unix:{path},127.0.0.1:0"
    return path, serve("forks_in_hooks", env=env, bind=bind, port=None, workers=1)


def expect_hook(server: Server, place: str) -> None:
    """The child has ended as what returned, and what is behind the hook has run once."""
    server.output.wait_for("the child ended with 1")
    expect_once(server, f"behind {place}")


@pytest.mark.parametrize("place", ["on_startup", "async on_startup", "on_worker_start", "lifespan"])
def test_a_hook_that_forks_and_returns_starts_one_server(tmp_path: Path, place: str) -> None:
    path, served = serve_hooks(tmp_path, place)
    with served as server:
        expect_hook(server, place)
        assert server.get("/").text == "hello"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert server.stop() == 0
        assert server.output.text().count("behind run") == 1


@pytest.mark.parametrize("place", ["the end of lifespan", "on_worker_stop", "on_shutdown"])
def test_a_hook_that_forks_and_returns_at_the_end_ends_one_server(
    tmp_path: Path, place: str
) -> None:
    path, served = serve_hooks(tmp_path, place)
    with served as server:
        assert server.get("/").text == "hello"
        assert server.stop() == 0
        expect_hook(server, place)
        assert server.output.text().count("behind run") == 1
        assert not path.exists()


@pytest.mark.parametrize("place", ["on_startup", "signal handler"])
@pytest.mark.parametrize(
    ("way", "code", "said"),
    [("exit", 7, "the child says"), ("raise", 1, "RuntimeError: raised by the child")],
)
def test_a_forked_child_that_exits_leaves_the_parents_socket(
    tmp_path: Path, place: str, way: str, code: int, said: str
) -> None:
    path, served = serve_hooks(tmp_path, place, way)
    with served as server:
        server.signal(signal.SIGUSR1)
        server.output.wait_for(f"the child ended with {code}")
        server.output.wait_for(said)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert server.get("/").text == "hello"
        assert server.stop() == 0
        assert server.output.text().count("behind run") == 1


@pytest.mark.parametrize("place", ["signal handler", "readiness check"])
def test_what_forks_and_returns_beside_requests_ends_the_child(tmp_path: Path, place: str) -> None:
    _, served = serve_hooks(tmp_path, place)
    with served as server:
        server.signal(signal.SIGUSR1)
        server.output.wait_for("the child ended with 1")
        server.output.wait_for(f"{place} {SENTENCE}")
        assert server.get("/").text == "hello"


def stay(server: Server, gate: Gate, target: str = "/stay") -> int:
    child = int(server.get(f"{target}/{gate.port}").text)
    assert gate.entered() == "child"
    return child


@MODES
@pytest.mark.parametrize("target", ["/stay", "/stay-full"])
def test_a_client_learns_that_its_connection_ends_although_a_forked_child_lives(
    target: str, mode: str | None
) -> None:
    """Also if the process had no descriptor left when it was forked."""
    with serve_forks(mode) as server, Gate() as gate, server.connect() as idle:
        assert idle.get("/").text == "hello"
        stay(server, gate, target)
        with server.connect() as last:
            last.send(request("GET", "/", [("Connection", "close")]))
            assert last.reply().text == "hello"
            last.expect_end()
        server.signal(signal.SIGTERM)
        idle.expect_end()
        # Its output ends with the child.
        assert server.process.wait(30) == 0
        gate.release_all()


@MODES
def test_the_port_is_free_after_the_end_although_a_forked_child_lives(mode: str | None) -> None:
    with serve_forks(mode) as server, Gate() as gate:
        child = stay(server, gate)
        server.signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert is_running(child)
        assert not server.listens()
        with socket.create_server((server.host, server.port)):
            pass
        gate.release_all()


TO_THE_END = """
import atexit, datetime, os, sys, threading
from pyreframework import Pyre

app = Pyre()
app.get("/", lambda req: "hello")
app.get("/main", lambda req: "hello", gil=True)

@app.get("/async", gil=True)
async def wait(req):
    return "hello"

if __name__ == "__main__":
    threading.Thread(target=app.run, daemon=True).start()
    app.on_shutdown(lambda: print("shut down", flush=True))
    sys.stdin.readline()
    parent = os.getpid()
    atexit.register(lambda: print(
        "registered by", "parent" if os.getpid() == parent else "child", flush=True
    ))
    for code in (7, 0):
        pid = os.fork()
        if pid == 0:
            sys.exit(code)
        print("a child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


# Debug builds of CPython, and others that are configured so, check what they assume.
ASSERTS = "-DNDEBUG" not in str(sysconfig.get_config_var("PY_CFLAGS")).split()


@MODES
def test_a_forked_child_ends_as_programs_do(tmp_path: Path, mode: str | None) -> None:
    """With everything that is done at the end of Python, in the child first.

    The last of it takes the built-in types apart. CPython counts in how many interpreters each of
    them is, and has no way to be told that those of workers are not in the child: the count, which
    nothing else looks at there, is too high, and a build with assertions aborts for that.
    """
    program = tmp_path / "program.py"
    program.write_text(TO_THE_END)
    options = {"port": 0, "workers": 2} | ({} if mode is None else {"mode": mode})
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=child_environment(QUIET, options),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    output = Output(process)
    assert process.stdin is not None
    try:
        found = output.wait_for(r"http://([^:]+):(\d+)")
        for target in ("/", "/main", "/async"):
            with Peer(found[1], int(found[2])) as peer:
                assert peer.get(target).text == "hello"
        process.stdin.close()
        assert process.wait(30) == 0, output.text()
    finally:
        process.kill()
        process.wait()
        output.join()
    said = output.text()
    aborts = ASSERTS and mode is None
    assert re.findall("registered by (.*)", said) == ["child", "child", "parent"]
    ends = [-signal.SIGABRT, -signal.SIGABRT] if aborts else [7, 0]
    assert re.findall("a child ended with (.*)", said) == [str(end) for end in ends]
    failed = re.findall("Assertion.*failed", said)
    assert len(failed) == (2 if aborts else 0)
    assert all("managed_static.types[full_index].interp_count" in one for one in failed)
    assert said.count("shut down") == 1
    assert "Fatal" not in said


def test_a_restart_is_not_held_up_by_a_forked_child() -> None:
    """What the child has of the line to the successor, and of its sockets, is given up."""
    with serve_forks() as server, Gate() as gate:
        stay(server, gate)
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        wait_until(lambda: server.get("/").text == "hello", "the new process serves")
        gate.release_all()


# What the child finds as it is forked: the listing of its descriptors is not there, none is free,
# or some are beyond the limit.
NARROW = {
    "no /proc": "os.listdir = missing; os.sysconf = lambda name: 2**30",
    "no descriptor": "resource.setrlimit(kind, (len(os.listdir('/dev/fd')) - 1, hard)); fill()",
    "a lower limit": "resource.setrlimit(kind, (4, hard))",
}

FORKS_NARROWLY = """
import os, resource, socket
from pyreframework import Pyre

app = Pyre()
app.get("/", lambda req: "hello")

def missing(path):
    raise FileNotFoundError(path)

def fill():
    try:
        while True:
            filled.append(os.dup(0))
    except OSError:
        pass

filled = []
kind = resource.RLIMIT_NOFILE

@app.get("/stay/{port:int}", gil=True)
def stay(req, port: int):
    soft, hard = resource.getrlimit(kind)
    listdir, sysconf = os.listdir, os.sysconf
    gate = socket.create_connection(("127.0.0.1", port))
    NARROW
    pid = os.fork()
    if pid == 0:
        gate.sendall(b"child\\n")
        gate.recv(1)
        os._exit(0)
    os.listdir, os.sysconf = listdir, sysconf
    resource.setrlimit(kind, (soft, hard))
    while filled:
        os.close(filled.pop())
    gate.close()
    return str(pid)

if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize("narrow", NARROW)
def test_a_forked_child_gives_up_its_sockets_whatever_it_finds(tmp_path: Path, narrow: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKS_NARROWLY.replace("NARROW", NARROW[narrow]))
    with serve(program, env=QUIET) as server, Gate() as gate, server.connect() as idle:
        assert idle.get("/").text == "hello"
        server.get(f"/stay/{gate.port}")
        assert gate.entered() == "child"
        server.signal(signal.SIGTERM)
        idle.expect_end()
        assert server.process.wait(30) == 0
        assert not server.listens()
        gate.release_all()
