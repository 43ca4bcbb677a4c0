"""SIGHUP: a new process takes over, and no client notices."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from dialogue import Peer
from gate import Gate
from places import MODES
from restarting import Write, load, restart, serving_pid
from serving import is_supervisor, serve, wait_until


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
def test_a_control_socket_of_somebody_else(write: Write, value: str) -> None:
    """The variable of another process, or of nobody, changes nothing."""
    with serve(write(), env={"_PYRE_SUPERVISOR": value.format(pid=os.getpid())}) as server:
        assert serving_pid(server) == server.pid
        restart(server)
