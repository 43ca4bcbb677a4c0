"""Processes that hang at their start or end while another one is to take over."""

from __future__ import annotations

import signal

import pytest
from gate import Gate
from restarting import IMPATIENT, Write, alive, hanging, held_by, restart, serving_pid, started
from serving import is_supervisor, serve, wait_until


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
