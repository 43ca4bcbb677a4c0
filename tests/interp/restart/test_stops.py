"""Stop signals while a process is replaced and after, and the exit codes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest
from dialogue import request
from gate import Gate
from restarting import Write, alive, hanging, restart, serving_pid, started
from serving import Output, child_environment, is_supervisor, serve, wait_until


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


# No test takes as long as the time for connections without a request.
LEAVES_FOR_LONG = """
    from pyreframework.serving import replaceable
    replaceable.LEAVE_SECONDS = 600.0
"""


@pytest.mark.parametrize("patience", [0, 0.3])
def test_stop_of_a_process_that_leaves_ends_after_the_shutdown_timeout(
    write: Write, patience: float
) -> None:
    """The time that connections have for one more request is over with it."""
    program = write(extra=LEAVES_FOR_LONG)
    with serve(program, shutdown_timeout=patience) as server, Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now")
            server.signal(signal.SIGTERM)
            # As that of the process that serves, whose end was graceful.
            assert server.wait() == 0
        said = f"gave up 1 running request after {patience:g} s (shutdown_timeout)"
        assert said in server.output.text()


def test_a_process_that_leaves_says_how_long_it_has_waited(write: Write) -> None:
    """The time for connections without a request, and then that for those that run."""
    program = write(extra=LEAVES_FOR_LONG.replace("600.0", "0.5"))
    with serve(program, shutdown_timeout=0.5) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        server.signal(signal.SIGHUP)
        found = server.output.wait_for(r"gave up 1 running request after (\S+) s")
        assert float(found[1]) >= 1.0


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


STOPPING = """
    @app.get("/stop")
    def stop(req):
        app.stop()
        return "stopping"

    @app.get("/stop/{port:int}/{name}")
    def stop_late(req, port: int, name: str):
        answer = wait(req, port, name)
        app.stop()
        return answer
"""


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_the_program_stops_while_the_next_one_starts(write: Write, times: int) -> None:
    """`app.stop()` is a stop of the server, not of one process of it."""
    with serve(write(extra=STOPPING)) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        write(extra=hanging(gate))
        server.signal(signal.SIGHUP)
        assert gate.entered() == "start"
        assert server.get("/stop").text == "stopping"
        assert server.wait() == 0
        assert "before it served" not in server.output.text()


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
def test_a_restart_is_refused_once_the_program_has_stopped(write: Write, times: int) -> None:
    with serve(write(extra=STOPPING)) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        seen = len(server.output.text())
        with server.connect() as peer:
            gate.hold(peer, "a")
            assert server.get("/stop").text == "stopping"
            wait_until(lambda: not server.listens(), "nobody is accepted any more")
            server.signal(signal.SIGHUP)
            # A stop signal is the first one still.
            server.signal(signal.SIGTERM)
            gate.release("a")
            assert peer.reply().text == "released"
        assert server.wait() == 0
        assert "starting process" not in server.output.text()[seen:]


@pytest.mark.parametrize("times", [0, 1, 2], ids=["first process", "supervisor", "again"])
def test_a_program_that_has_been_replaced_stops(write: Write, times: int) -> None:
    """The one that has taken over stops as well."""
    with serve(write(extra=STOPPING)) as server, Gate() as gate:
        for _ in range(times):
            restart(server)
        with server.connect() as peer:
            peer.send(request("GET", f"/stop/{gate.port}/a"))
            assert gate.entered() == "a"
            seen = len(server.output.text())
            server.signal(signal.SIGHUP)
            wait_until(lambda: "serves now" in server.output.text()[seen:], "it is replaced")
            gate.release("a")
            assert peer.reply().text == "released"
        assert server.wait() == 0
        assert f"past run in {started(server)}" in server.output.text()


def test_a_signal_to_a_process_that_was_replaced_is_for_it_alone(write: Write) -> None:
    with serve(write()) as server, Gate() as gate:
        pid = restart(server)
        with server.connect() as peer:
            gate.hold(peer, "a")
            seen = len(server.output.text())
            server.signal(signal.SIGHUP)
            wait_until(lambda: "serves now" in server.output.text()[seen:], "it is replaced")
            os.kill(pid, signal.SIGTERM)
            gate.release("a")
            assert peer.reply().text == "released"
        wait_until(lambda: not alive(pid), "it has ended")
        assert serving_pid(server) == started(server)
