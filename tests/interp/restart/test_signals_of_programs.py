"""Signals, handlers and timers of the program itself, which restarts leave as they are."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from gate import Gate
from restarting import Write, restart, serving_pid
from serving import is_supervisor, serve, wait_until


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


BREAKS_OFF = """
    import threading

    class Unexpected(Exception):
        pass

    begin = threading.Thread.start
    left = {{"{function}"}}

    def start(thread):
        # As a signal handler of the program may, just before a thread begins or just behind that.
        name = getattr(thread._target, "__name__", "")
        breaks_off = name in left
        left.discard(name)
        if breaks_off and not {after}:
            raise Unexpected
        begin(thread)
        if breaks_off:
            raise Unexpected

    @app.on_startup
    def replace():
        threading.Thread.start = start
"""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("function", ["drain_slowly", "heed_until_over"])
def test_a_signal_handler_that_raises_as_a_thread_begins_that_a_restart_needs(
    write: Write, function: str, after: bool
) -> None:
    """The thread begins all the same, once."""
    extra = BREAKS_OFF.format(function=function, after=after)
    with serve(write(extra=extra)) as server:
        pid = restart(server)
        wait_until(lambda: is_supervisor(server.pid), "a supervisor")
        assert f"shutdown of {server.pid}" in server.output.text()
        server.output.wait_for("Unexpected")
        assert serving_pid(server) == pid
        assert server.stop() == 0
