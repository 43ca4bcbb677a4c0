"""SIGHUP and `max_requests`: a new process takes over, and no client notices."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialogue import Peer, request
from gate import Gate
from places import MODES
from serving import (
    Output,
    Server,
    child_environment,
    is_running,
    is_supervisor,
    run_to_end,
    serve,
    wait_until,
)

import pyreframework

Write = Callable[..., Path]

PROGRAM = """
    import os, socket
    from pyreframework import Pyre

    app = Pyre()
    version = "1"

    @app.get("/")
    def hello(req):
        return f"{version} {os.getpid()}"

    @app.get("/wait/{port:int}/{name}")
    def wait(req, port: int, name: str):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(name.encode() + b"\\n")
            return gate.makefile().readline().strip()

    app.on_shutdown(lambda: print("shutdown of", os.getpid(), flush=True))
    {extra}

    if __name__ == "__main__":
        app.run({arguments})
        print("past run in", os.getpid(), flush=True)
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(arguments: str = "", extra: str = "", version: str = "1") -> Path:
        file = tmp_path / "program.py"
        text = PROGRAM.replace("{arguments}", arguments).replace("{extra}", extra)
        file.write_text(textwrap.dedent(text).replace('version = "1"', f'version = "{version}"'))
        return file

    return write


def serving_pid(server: Server) -> int:
    return int(server.get("/").text.split()[1])


def restart(server: Server) -> int:
    """Restart, and return the process that serves then, once nobody else is left but it."""
    before = serving_pid(server)
    seen = len(server.output.text())
    server.signal(signal.SIGHUP)
    wait_until(lambda: "serves now" in server.output.text()[seen:], "another process serves")
    wait_until(lambda: serving_pid(server) != before, "the process before accepts no more")
    wait_until(lambda: is_supervisor(server.pid), "the first process has become the supervisor")
    wait_until(lambda: before == server.pid or not alive(before), "the process before has ended")
    return serving_pid(server)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@MODES
def test_restart(write: Write, mode: str | None) -> None:
    """The process one knows stays; the program runs anew each time."""
    with serve(write(), mode=mode) as server:
        pids = [serving_pid(server)]
        assert pids == [server.pid]
        for version in ("2", "3"):
            write(version=version)
            pids.append(restart(server))
            assert server.get("/").text.startswith(f"{version} ")
            assert server.process.poll() is None
    assert len(set(pids)) == 3
    output = server.output.text()
    for pid in pids:
        assert output.count(f"shutdown of {pid}\n") == 1 or output.endswith(f"shutdown of {pid}")
    # What stands behind run() is for the process that is told to stop.
    assert [line for line in output.splitlines() if "past run" in line] == [
        f"past run in {pids[2]}"
    ]


@contextmanager
def load(server: Server, mistakes: list[str]) -> Iterator[list[int]]:
    """Clients of three kinds, which note whatever goes wrong; counts requests in a list."""
    over = threading.Event()
    counts = [0, 0, 0]

    def client(kind: int, work: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                work()
            except BaseException as error:
                mistakes.append(f"client {kind}: {error!r}")
                return
            counts[kind] += 1

    def anew() -> None:
        """A connection for each request."""
        with server.connect() as peer:
            assert peer.get("/").status == 200

    kept: list[Peer] = []

    def keeping() -> None:
        """One connection, until a reply says that it is the last."""
        if not kept:
            kept.append(server.connect())
        reply = kept[0].get("/")
        assert reply.status == 200
        if reply.closes:
            kept.pop().socket.close()

    with httpx.Client(base_url=server.url, timeout=30) as library:

        def usual() -> None:
            assert library.get("/").status_code == 200

        works = [anew, keeping, usual]
        threads = [
            threading.Thread(target=client, args=[kind, work]) for kind, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for peer in kept:
                peer.socket.close()


@MODES
def test_restarts_under_load(write: Write, mode: str | None) -> None:
    """Nobody is refused, no request is lost, in several restarts."""
    mistakes: list[str] = []
    with serve(write(), mode=mode) as server:
        with load(server, mistakes) as counts:
            for _ in range(4):
                before = list(counts)
                restart(server)
                wait_until(
                    lambda before=before: (
                        mistakes
                        or all(now > then for now, then in zip(counts, before, strict=True))
                    ),
                    "every client goes on",
                )
        assert mistakes == []
        assert min(counts) >= 4


@pytest.mark.parametrize("numbers", [[1, 3, 1], [4, 2, 3]], ids=str)
def test_other_numbers_of_io_threads(write: Write, numbers: list[int], tmp_path: Path) -> None:
    """Each listening socket is served on, however many threads there are to share them."""
    mistakes: list[str] = []
    count = tmp_path / "count"
    count.write_text(str(numbers[0]))
    file = write(f"io_workers=int(open({str(count)!r}).read())")
    with serve(file) as server:
        with load(server, mistakes):
            for number in numbers[1:]:
                count.write_text(str(number))
                restart(server)
                server.output.wait_for(f"{number} io thread")
                for _ in range(50):
                    assert server.get("/").status == 200
        assert mistakes == []


def last_answer(peer: Peer, pid: int) -> bool:
    """Ask the old process; whether it says that this was the last request."""
    reply = peer.get("/")
    assert reply.text == f"1 {pid}"
    return reply.closes


@MODES
def test_running_requests_are_finished(write: Write, mode: str | None) -> None:
    with (
        serve(write(), mode=mode) as server,
        Gate() as gate,
        server.connect() as peer,
        server.connect() as other,
    ):
        gate.hold(peer, "a")
        first = server.pid
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        wait_until(lambda: serving_pid(server) != first, "the new process serves")
        wait_until(lambda: last_answer(other, first), "the one before is leaving")
        assert not is_supervisor(server.pid)
        gate.release("a", "late")
        reply = peer.reply()
        assert (reply.text, reply.closes) == ("late", True)
        wait_until(lambda: is_supervisor(server.pid), "all is answered")


def test_idle_connections_learn_from_an_answer_that_they_end(write: Write) -> None:
    """A request that comes while the process leaves is answered, and is the last one."""
    with serve(write()) as server, server.connect() as idle, server.connect() as fresh:
        assert idle.get("/").text == f"1 {server.pid}"
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        wait_until(lambda: serving_pid(server) != server.pid, "the new process serves")
        for peer in idle, fresh:
            # The old process may learn a moment after the new one that it is to leave.
            wait_until(lambda peer=peer: last_answer(peer, server.pid), "an answer is the last")
            peer.expect_end()


def test_connections_that_stay_idle_are_closed(write: Write) -> None:
    with serve(write()) as server, server.connect() as idle:
        assert idle.get("/").text == f"1 {server.pid}"
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        idle.expect_end()
        wait_until(lambda: is_supervisor(server.pid), "nothing is left to wait for")


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("app.on_startup(lambda: 1 / 0)", "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_new_program_that_fails(write: Write, extra: str, said: str, times: int) -> None:
    """The one before goes on serving, the log says why, and the next restart may do better."""
    with serve(write()) as server:
        for _ in range(times):
            restart(server)
        pid = serving_pid(server)
        write(extra=extra, version="2")
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"before it served; {pid} goes on serving")
        assert said in server.output.text()
        assert server.get("/").text == f"1 {pid}"
        write(version="3")
        assert restart(server) != pid
        assert server.get("/").text.startswith("3 ")


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize("cli", [False, True], ids=["python", "pyre run"])
def test_program_that_is_absent_when_a_restart_is_asked_for(
    write: Write, tmp_path: Path, times: int, cli: bool
) -> None:
    """As while a deployment replaces it: the log says so, and the next restart works."""
    file = write()
    arguments = ["-m", "pyreframework", "run", file.name] if cli else [file.name]
    with serve(arguments, cwd=tmp_path) as server:
        for _ in range(times):
            restart(server)
        pid = serving_pid(server)
        file.unlink()
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"goes on.*there is no file 'program.py' in {tmp_path}")
        assert server.get("/").text == f"1 {pid}"
        write(version="2")
        assert restart(server) != pid
        assert server.get("/").text.startswith("2 ")


def test_max_requests_while_the_program_is_absent(write: Write) -> None:
    file = write()
    with serve(file, max_requests=5) as server:
        file.unlink()
        for _ in range(5):
            server.get("/")
        server.output.wait_for("there is no file")
        assert serving_pid(server) == server.pid
        write(version="2")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.get("/").text.startswith("2 "), "the new process serves")


def test_releases_behind_a_link(tmp_path: Path) -> None:
    """The command's folder goes by the name that the shell has for it."""
    for release in ("1", "2"):
        folder = tmp_path / f"release{release}"
        folder.mkdir()
        text = PROGRAM.replace("{arguments}", "").replace("{extra}", "")
        text = textwrap.dedent(text).replace('version = "1"', f'version = "{release}"')
        (folder / "program.py").write_text(text)
    current = tmp_path / "current"
    current.symlink_to("release1")
    with serve(["program.py"], cwd=current, env={"PWD": str(current)}) as server:
        for release in ("2", "1"):
            (tmp_path / "new").symlink_to(f"release{release}")
            (tmp_path / "new").rename(current)
            restart(server)
            assert server.get("/").text.startswith(f"{release} ")


def test_a_name_that_is_not_the_folder(write: Write, tmp_path: Path) -> None:
    """Whoever starts the command in another folder may leave the variable as it was."""
    write()
    (tmp_path / "other").mkdir()
    with serve(["program.py"], cwd=tmp_path, env={"PWD": str(tmp_path / "other")}) as server:
        write(version="2")
        restart(server)
        assert server.get("/").text.startswith("2 ")


HANGING = """
    import signal
    if "{port}":
        with socket.create_connection(("127.0.0.1", int("{port}"))) as gate:
            gate.sendall(b"start\\n")
            gate.makefile().readline()
"""


def hanging(gate: Gate) -> str:
    return (
        textwrap.dedent(HANGING).replace("{port}", str(gate.port)).strip().replace("\n", "\n    ")
    )


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_stop_while_the_new_program_starts(write: Write, times: int) -> None:
    with serve(write(), workers=1) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        write(extra=hanging(gate))
        server.signal(signal.SIGHUP)
        gate.entered()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not server.listens()


# What was told to end is killed soon if it does not.
IMPATIENT = """
    from pyreframework.serving.signals import endings
    endings.end_patience = lambda: 0.5
"""


def held_by(gate: Gate, name: str) -> str:
    """Let a hook wait at the gate: signals do not end it."""
    return f"""
    def at_the_gate():
        with socket.create_connection(("127.0.0.1", {gate.port})) as gate:
            gate.sendall(b"{name}\\n")
            gate.makefile().readline()
    if __name__ == "__main__":
        {name}(at_the_gate)
"""


def started(server: Server) -> int:
    """The process that was started last."""
    return int(re.findall(r"starting process (\d+) to take over", server.output.text())[-1])


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_stop_while_the_new_program_hangs_in_a_hook(write: Write, times: int) -> None:
    """One signal is enough: what does not end by itself is killed."""
    with serve(write(extra=IMPATIENT), workers=1) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        write(extra=IMPATIENT + held_by(gate, "app.on_startup"))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "app.on_startup"
        pid = started(server)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not alive(pid)
        assert f"process {pid} does not end by itself and is killed" in server.output.text()
        assert not server.listens()


def test_a_hanging_program_is_given_up_for_another(write: Write) -> None:
    """It does not stay beside the one that comes instead."""
    with serve(write(extra=IMPATIENT), workers=1) as server, Gate() as gate:
        restart(server)
        write(extra=IMPATIENT + held_by(gate, "app.on_startup"))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "app.on_startup"
        pid = started(server)
        write(version="2")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.get("/").text.startswith("2 "), "the newest serves")
        wait_until(lambda: not alive(pid), "the one that hangs is no more")


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize("hook", ["app.on_shutdown", "__import__('atexit').register"])
def test_a_replaced_process_hangs_in_a_hook(write: Write, hook: str, times: int) -> None:
    """It is left behind, and a later stop waits for nobody."""
    soon = "endings.HOOKS_SECONDS = 0.5\n"
    with Gate() as gate:
        hangs = IMPATIENT + f"    {soon}" + held_by(gate, hook)
        file = write("shutdown_timeout=0.5", extra=IMPATIENT if times else hangs)
        with serve(file, workers=1) as server:
            if times:
                write("shutdown_timeout=0.5", extra=hangs)
                restart(server)
            pid = serving_pid(server)
            write(version="2")
            server.signal(signal.SIGHUP)
            assert gate.entered() == hook
            wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
            wait_until(lambda: pid == server.pid or not alive(pid), "the one that hangs has ended")
            assert server.get("/").text.startswith("2 ")
            said = "is killed" if times and "atexit" in hook else "did not end in 0.5 s"
            server.output.wait_for(said)


CHILDREN_UNSEEN = {
    "ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
}


def unseen(file: Path, how: str) -> list[str]:
    """Start a program as some parents do, which want to hear nothing of their children."""
    code = f"import os, signal, sys; {CHILDREN_UNSEEN[how]}; "
    return ["-c", code + f"os.execv(sys.executable, [sys.executable, {str(file)!r}])"]


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
@pytest.mark.parametrize("end", ["death", "stop", "two stops"])
def test_started_where_ends_of_children_are_not_told(write: Write, how: str, end: str) -> None:
    with serve(unseen(write(), how), workers=1) as server:
        pid = restart(server)
        if end == "death":
            os.kill(pid, signal.SIGKILL)
            assert server.wait() == 128 + signal.SIGKILL
        else:
            server.signal(signal.SIGTERM)
            if end == "stop":
                assert server.wait() == 0
            else:
                server.end_at_once(signal.SIGTERM)
        assert not alive(pid)
        assert "Traceback" not in server.output.text()


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
def test_an_end_that_was_not_told_before_there_was_a_supervisor(write: Write, how: str) -> None:
    """Nobody knows how the process has ended, but that it has is known."""
    with serve(unseen(write(), how), workers=1) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        pid = started(server)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the new one has ended")
        gate.release("a")
        assert peer.reply().text == "released"
        assert server.wait() == (1 if how == "ignored" else 128 + signal.SIGKILL)
        assert ("nobody knows how" in server.output.text()) == (how == "ignored")


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
def test_a_new_program_that_fails_where_its_end_is_not_told(write: Write, how: str) -> None:
    with serve(unseen(write(), how), workers=1) as server:
        write(extra="raise LookupError('in the new one')")
        server.signal(signal.SIGHUP)
        said = "has ended, nobody knows how" if how == "ignored" else "ended with code 1"
        server.output.wait_for(f"{said} before it served; {server.pid} goes on serving")
        assert server.get("/").status == 200


def test_the_program_raises_while_the_new_one_starts(write: Write) -> None:
    """Both end, and the port is free when the first one has."""
    raises = (
        "import signal\n"
        "    def fail(number, frame): raise LookupError('of the program')\n"
        "    if __name__ == '__main__': signal.signal(signal.SIGUSR1, fail)"
    )
    with serve(write(extra=raises), workers=1) as server, Gate() as gate:
        write(extra=hanging(gate))
        server.signal(signal.SIGHUP)
        gate.entered()
        server.signal(signal.SIGUSR1)
        assert server.wait() == 1
        assert "LookupError: of the program" in server.output.text()
        assert not server.listens()


def test_restart_of_a_restart(write: Write) -> None:
    """A program that hangs at its start is given up for one that does not."""
    with serve(write(), workers=1) as server, Gate() as gate:
        write(extra=hanging(gate))
        server.signal(signal.SIGHUP)
        gate.entered()
        server.signal(signal.SIGHUP)
        server.output.wait_for("is being started already")
        gate.release("start")
        gate.entered()  # Its worker.
        gate.release("start")
        wait_until(lambda: is_supervisor(server.pid), "the new process serves")
        server.signal(signal.SIGHUP)
        gate.entered()
        write(version="2")
        server.signal(signal.SIGHUP)
        server.output.wait_for("starting anew")
        wait_until(lambda: server.get("/").text.startswith("2 "), "the newest serves")


def test_signals_while_the_last_requests_are_answered(write: Write) -> None:
    """A SIGHUP is followed when the process has become the supervisor, none is lost."""
    with serve(write()) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        write(version="2")
        server.signal(signal.SIGHUP)
        gate.release("a")
        assert peer.reply().text == "released"
        wait_until(lambda: server.get("/").text.startswith("2 "), "restarted again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_stop_while_the_last_requests_are_answered(write: Write, number: signal.Signals) -> None:
    with serve(write()) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        server.signal(number)
        wait_until(lambda: not server.listens(), "nobody is accepted any more")
        gate.release("a")
        assert peer.reply().text == "released"
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
@pytest.mark.parametrize("to_all", [False, True], ids=["to the supervisor", "to all"])
def test_stop_through_the_supervisor(write: Write, number: signal.Signals, to_all: bool) -> None:
    """One signal is one request to stop, also where each process has had it."""
    with serve(write()) as server, Gate() as gate:
        pid = restart(server)
        with server.connect() as peer:
            gate.hold(peer, "a")
            if to_all:
                os.kill(pid, number)
            server.signal(number)
            wait_until(lambda: not server.listens(), "nobody is accepted any more")
            gate.release("a")
            assert peer.reply().text == "released"
        assert server.wait() == 0


def test_second_signal_through_the_supervisor(write: Write) -> None:
    with serve(write(), shutdown_timeout=600) as server, Gate() as gate:
        restart(server)
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            wait_until(lambda: not server.listens(), "nobody is accepted any more")
            server.end_at_once(signal.SIGTERM)
            assert server.wait() == 1


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_timeout_of_coreutils_loses_no_request(write: Write, times: int) -> None:
    """It signals its child, and then the group, at the same time."""
    with serve(write(), shutdown_timeout=600) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            os.killpg(server.pid, signal.SIGTERM)
            wait_until(lambda: not server.listens(), "nobody is accepted any more")
            gate.release("a")
            assert peer.reply().text == "released"
        assert server.wait() == 0


def test_exit_codes_of_the_process_that_serves(write: Write) -> None:
    with serve(write(), shutdown_timeout=0.2) as server, Gate() as gate:
        restart(server)
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            assert server.wait() == 1
    with serve(write(extra="app.get('/stop', lambda req: app.stop())")) as server:
        restart(server)
        server.get("/stop")
        assert server.wait() == 0
    with serve(write()) as server:
        os.kill(restart(server), signal.SIGKILL)
        assert server.wait() == 128 + signal.SIGKILL


def test_a_process_without_its_supervisor_stops(write: Write) -> None:
    with serve(write()) as server:
        pid = restart(server)
        server.process.kill()
        server.process.wait()
        server.output.wait_for(f"shutdown of {pid}")
        wait_until(lambda: not server.listens(), "nobody is accepted any more")


def test_signals_of_the_program_reach_it(write: Write) -> None:
    extra = (
        "import signal\n"
        "    if __name__ == '__main__':\n"
        "        signal.signal(signal.SIGUSR1, lambda *_: print('heard', os.getpid(), flush=True))"
    )
    with serve(write(extra=extra)) as server:
        server.signal(signal.SIGUSR1)
        server.output.wait_for(f"heard {server.pid}")
        pid = restart(server)
        server.signal(signal.SIGUSR1)
        server.output.wait_for(f"heard {pid}")


@pytest.mark.parametrize("kind", ["own", "ignored"])
def test_hang_up_that_has_a_use_already(write: Write, kind: str) -> None:
    handler = "lambda *_: print('mine', flush=True)" if kind == "own" else "signal.SIG_IGN"
    extra = (
        "import signal\n"
        "    if __name__ == '__main__':\n"
        f"        signal.signal(signal.SIGHUP, {handler})"
    )
    with serve(write(extra=extra)) as server:
        server.signal(signal.SIGHUP)
        if kind == "own":
            server.output.wait_for("mine")
        assert serving_pid(server) == server.pid
        assert "take over" not in server.output.text()


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_a_terminal_that_closes_is_no_restart(write: Write, times: int) -> None:
    """It sends SIGHUP as well; then the server stops, as programs do."""
    take = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, sys.argv[1]])"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", take, str(write())],
        env=child_environment({}, {"port": 0, "workers": 1}),
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    output = Output(process)
    try:
        output.wait_for("try: curl")
        if times:
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: is_supervisor(process.pid), "a supervisor")
    finally:
        os.close(ours)
    try:
        assert process.wait(30) == 0, output.text()
    finally:
        process.kill()
        output.join()
    assert output.text().count("to take over") == times


def test_nobody_else_is_told(write: Write) -> None:
    """What the new process is started with is not there for the processes it starts."""
    extra = (
        "import subprocess, sys, json\n"
        "    listing = 'import os, json; "
        'print(json.dumps([dict(os.environ), os.listdir("/proc/self/fd")]))\'\n'
        "    @app.get('/inside')\n"
        "    def inside(req):\n"
        "        command = [sys.executable, '-c', listing]\n"
        "        return json.loads(subprocess.check_output(command, close_fds=False))"
    )
    with serve(write(extra=extra)) as server:
        _, before = server.get("/inside").json()
        restart(server)
        environment, after = server.get("/inside").json()
        assert not [name for name in environment if "SUPERVISOR" in name]
        assert sorted(after) == sorted(before)


@pytest.mark.parametrize("value", ["", "x", "3:1", "0:{pid}", "999:{pid}", "1:{pid}"])
def test_a_line_that_is_none(write: Write, value: str) -> None:
    """The variable of another process, or of nobody, changes nothing."""
    with serve(write(), env={"_PYRE_SUPERVISOR": value.format(pid=os.getpid())}) as server:
        assert serving_pid(server) == server.pid
        restart(server)


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


@pytest.mark.parametrize("argument", ["-m", "-c"])
def test_other_ways_to_start(write: Write, tmp_path: Path, argument: str) -> None:
    write("mode='default'")
    arguments = (
        ["-m", "program"] if argument == "-m" else ["-c", (tmp_path / "program.py").read_text()]
    )
    with serve(arguments, cwd=tmp_path) as server:
        assert restart(server) != server.pid


def test_command_line(write: Write, tmp_path: Path) -> None:
    write()
    with serve(
        ["-m", "pyreframework", "run", "program:app", "--threads=3"], cwd=tmp_path
    ) as server:
        restart(server)
        assert server.output.text().count("3 threads each") == 2


def test_another_folder_by_then(write: Write, tmp_path: Path) -> None:
    """The program is started where it was started first."""
    write(extra="os.chdir('/')")
    with serve(["program.py"], cwd=tmp_path) as server:
        restart(server)


def test_a_program_that_cannot_be_started_again() -> None:
    """SIGHUP then does what it does to any program."""
    text = textwrap.dedent(PROGRAM).replace("{arguments}", "mode='default'").replace("{extra}", "")
    process = subprocess.Popen(
        [sys.executable, "-"],
        env=child_environment({}, {"port": 0}),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    output = Output(process)
    output.wait_for("try: curl")
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == -signal.SIGHUP
    output.join()


# ------------------------------------------------------------------------------ max_requests


@MODES
def test_max_requests(write: Write, mode: str | None) -> None:
    """After so many answers another process serves, again and again, and none is lost."""
    with serve(write(), max_requests=50, mode=mode) as server:
        pids: list[int] = []
        with server.connect() as first:
            for _ in range(49):
                assert first.get("/").text == f"1 {server.pid}"
        assert "take over" not in server.output.text()

        def third() -> bool:
            pids.append(serving_pid(server))
            return len(set(pids)) == 3

        wait_until(third, "two processes were replaced")
        wait_until(lambda: is_supervisor(server.pid), "the first one supervises")


def test_max_requests_under_load(write: Write) -> None:
    mistakes: list[str] = []
    with serve(write(), max_requests=300, max_requests_jitter=100) as server:
        with load(server, mistakes):
            wait_until(
                lambda: mistakes or server.output.text().count("serves now") >= 3, "three restarts"
            )
        assert mistakes == []


def test_answers_without_python_count(write: Write) -> None:
    with serve(write(), max_requests=20) as server, server.connect() as peer:
        peer.send(request("GET", "/nowhere") * 20)
        for _ in range(20):
            assert peer.reply().status == 404
        server.output.wait_for("serves now")


@pytest.mark.parametrize("option", ["max_requests=-1", "max_requests='x'", "max_requests=1.5"])
def test_max_requests_that_do_not_fit(write: Write, option: str) -> None:
    ending = run_to_end(write(option))
    assert ending.code == 2 and "'max_requests'" in ending.output


def test_max_requests_from_a_thread(write: Write) -> None:
    """Another thread cannot replace the program of the main one."""
    program = write()
    text = program.read_text().partition("if __name__")[0]
    program.write_text(
        text + "import threading\n"
        "thread = threading.Thread(target=app.run, kwargs={'mode': 'default', 'max_requests': 5})\n"
        "thread.start()\nthread.join()\n"
    )
    ending = run_to_end(program)
    assert "max_requests needs" in ending.output


def jitter(**options: Any) -> set[int]:
    from pyreframework.serving.settings.resolution import resolve

    found = set()
    for _ in range(200):
        value = resolve(options, {}).for_engine(0)["max_requests"]
        assert isinstance(value, int)
        found.add(value)
    return found


def test_jitter() -> None:
    assert jitter() == {0}
    assert jitter(max_requests_jitter=5) == {0}
    assert jitter(max_requests=10) == {10}
    assert jitter(max_requests=10, max_requests_jitter=2) == {10, 11, 12}


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


TIMER = """
    import signal
    ticks = 0

    def tick(number, frame):
        global ticks
        ticks += 1

    @app.on_startup
    def start_timer():
        signal.signal(signal.SIGALRM, tick)
        signal.signal(signal.SIGPROF, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        signal.setitimer(signal.ITIMER_PROF, 0.05, 0.05)

    @app.get("/ticks", gil=True)
    def how_many(req):
        return str(ticks)
"""


def test_timers_of_the_program_do_not_end_the_supervisor(write: Write) -> None:
    """They stop with the program that has started them; that of the new one goes on."""
    with serve(write(extra=TIMER)) as server:
        for _ in range(2):
            restart(server)
            seen = int(server.get("/ticks").text)
            wait_until(lambda seen=seen: int(server.get("/ticks").text) > seen, "the timer goes on")
        assert server.process.poll() is None
        # At its very end Python has taken its handlers back, and a timer ends the process.
        server.kill()


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    found = re.search(r"SigCgt:\s+(\w+)", Path(f"/proc/{pid}/status").read_text())
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


HANDLERS = """
    import signal
    signals = [signal.SIGALRM, signal.SIGWINCH, signal.SIGUSR1]
    signals += [signal.SIGRTMIN, signal.SIGRTMIN + 3]

    def note(number, frame):
        # Not by print(): the next signal may hit in its midst.
        os.write(1, f"signal {number} in {os.getpid()}\\n".encode())

    @app.on_startup
    def handle():
        for number in signals:
            signal.signal(number, note)
"""


@pytest.mark.parametrize("reload", [False, True])
def test_signals_that_the_program_handles_are_passed_on(write: Write, reload: bool) -> None:
    """Whichever they are; also those that only a later version of the program handles."""
    with serve(write(extra="" if not reload else HANDLERS), reload=reload) as server:
        if not reload:
            write(extra=HANDLERS)
            restart(server)
        wait_until(lambda: is_supervisor(server.pid), "a supervisor")
        pid = serving_pid(server)
        for number in (
            signal.SIGALRM, signal.SIGWINCH, signal.SIGUSR1, signal.SIGRTMIN, signal.SIGRTMIN + 3,
        ):  # fmt: skip
            # The supervisor may hear a moment later than clients that the process serves.
            wait_until(lambda number=number: catches(server.pid, number), "it is caught")
            server.signal(number)
            server.output.wait_for(f"signal {int(number)} in {pid}")


RAISES = """
    import signal

    class Unexpected(Exception):
        pass

    def fail(number, frame):
        os.write(1, f"handler in {os.getpid()}\\n".encode())
        raise {error}

    @app.on_startup
    def handle():
        signal.signal(signal.SIGUSR1, fail)
"""


@pytest.mark.parametrize(
    ("error", "code"), [("Unexpected()", 1), ("SystemExit(7)", 7), ("KeyboardInterrupt()", -2)]
)
def test_a_signal_handler_that_raises_while_requests_are_finished(
    write: Write, error: str, code: int
) -> None:
    """The requests are, then the hooks run, and the program ends by what was raised."""
    with serve(write(extra=RAISES.replace("{error}", error))) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGTERM)
            wait_until(lambda: not server.listens(), "it drains")
            server.signal(signal.SIGUSR1)
            gate.release("a", "late")
            assert peer.reply().text == "late"
        assert server.wait() == code
        assert f"shutdown of {server.pid}" in server.output.text()
        assert "past run" not in server.output.text()


@pytest.mark.parametrize("error", ["Unexpected()", "SystemExit(7)"])
def test_a_signal_handler_that_raises_in_a_process_that_leaves(write: Write, error: str) -> None:
    """What it leaves for goes on serving, with the first process as its supervisor."""
    with serve(write(extra=RAISES.replace("{error}", error))) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now")
            wait_until(lambda: serving_pid(server) != server.pid, "the new process serves")
            server.signal(signal.SIGUSR1)
            server.output.wait_for(f"handler in {server.pid}")
            gate.release("a", "late")
            assert peer.reply().text == "late"
        wait_until(lambda: is_supervisor(server.pid), "a supervisor")
        assert f"shutdown of {server.pid}" in server.output.text()
        assert restart(server) != server.pid


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

    def drain_slowly(serving, outcome, drain_slowly=Replaceable.drain_slowly):
        class Broken:
            def leave(self):
                raise MemoryError
            def __getattr__(self, name, server=serving.server):
                return getattr(server, name)
        serving.server = Broken()
        drain_slowly(serving, outcome)

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
