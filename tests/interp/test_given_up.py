"""A new process that is given up, or has ended: nobody listens where nobody accepts any more."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import Server, is_running, is_supervisor, serve, stand_still, wait_until

PROGRAM = """
    import os, socket
    from pyreframework import Pyre

    def through(name):
        with socket.create_connection(("127.0.0.1", {port})) as gate:
            gate.sendall(name.encode() + b"\\n")
            return gate.makefile().readline().strip()

    app = Pyre()
    app.get("/", lambda req: "{version} " + str(os.getpid()), gil=True)
    app.get("/wait/{{name}}", lambda req, name: through(name))
    app.get("/stop", lambda req: app.stop())

    if __name__ == "__main__":
        {at_import}
        app.run({arguments})
"""

# Waits at the gate before it sends a message of this kind, and when it is told to stop.
HANDS_OVER_LATE = """
        from pyreframework.serving.processes.channel import Channel
        from pyreframework.serving.signals.stop import Stop

        def tell(channel, *message, tell=Channel.tell, **beside):
            if message[0] == "{kind}":
                through("hand over")
            return tell(channel, *message, **beside)

        def request(stop, request=Stop.request):
            Stop.request = request
            through("told")
            request(stop)

        Channel.tell, Stop.request = tell, request
"""
AT_IMPORT = "through('import')"

FIRST_OR_SUPERVISOR = pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])


class Stage:
    """A server that answers a slow request, and processes that are to take over."""

    def __init__(self, folder: Path, gate: Gate, stack: ExitStack) -> None:
        self.gate = gate
        self.file = folder / "program.py"
        self.stack = stack
        self.version = 0
        self.write()
        self.server: Server = stack.enter_context(serve(self.file, workers=1))
        self.held: dict[str, Peer] = {}

    def write(self, at_import: str = "pass", arguments: str = "") -> None:
        self.version += 1
        text = PROGRAM.format(
            port=self.gate.port,
            version=self.version,
            at_import=at_import.strip(),
            arguments=arguments,
        )
        self.file.write_text(textwrap.dedent(text))

    def start(self, at_import: str = "pass", arguments: str = "") -> int:
        """Start the process that is to take over."""
        self.write(at_import, arguments)
        seen = len(self.server.output.lines)
        self.server.signal(signal.SIGHUP)
        found = self.server.output.wait_for(r"starting process (\d+) to take over", since=seen)
        return int(found[1])

    def replace(self, arguments: str = "") -> int:
        """Start one, and see it take over; the one before is leaving then."""
        seen = len(self.server.output.lines)
        pid = self.start(arguments=arguments)
        self.server.output.wait_for(f"process {pid} serves now", since=seen)
        wait_until(lambda: self.server.get("/").text == f"{self.version} {pid}", "it accepts")
        return pid

    def hold(self, name: str) -> None:
        """Have a request in flight with the process that accepts."""
        peer = self.stack.enter_context(self.server.connect())
        peer.send(request("GET", f"/wait/{name}"))
        assert self.gate.entered() == name
        self.held[name] = peer

    def let_go(self, name: str) -> None:
        self.gate.release(name, "late")
        assert self.held[name].reply().text == "late"

    def supervise(self) -> None:
        """Let the first process become the supervisor."""
        self.replace()
        wait_until(lambda: is_supervisor(self.server.pid), "a supervisor")

    def nobody_listens(self) -> None:
        wait_until(lambda: not self.server.listens(), "nobody listens")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Gate() as gate, ExitStack() as stack:
        yield Stage(tmp_path, gate, stack)


@FIRST_OR_SUPERVISOR
@pytest.mark.parametrize("kind", ["listener", "ready"], ids=["before the sockets", "behind them"])
def test_stop_while_the_new_process_hands_over(stage: Stage, kind: str, times: int) -> None:
    """What it hands over is not kept: the one before still answers, but accepts no more."""
    for _ in range(times):
        stage.supervise()
    stage.hold("held")
    pid = stage.start(HANDS_OVER_LATE.format(kind=kind))
    assert stage.gate.entered() == "hand over"
    stage.server.signal(signal.SIGTERM)
    assert stage.gate.entered() == "told"
    stage.gate.release("hand over")
    stage.gate.release("told")
    stage.nobody_listens()
    wait_until(lambda: not is_running(pid), "the new one has ended")
    assert not stage.server.listens()
    assert stage.server.process.poll() is None
    stage.let_go("held")
    assert stage.server.wait() == 0
    assert "serves now" not in stage.server.output.text() or times


@FIRST_OR_SUPERVISOR
def test_new_process_that_dies_while_it_hands_over(stage: Stage, times: int) -> None:
    """The one before goes on with its own sockets, and none is left behind."""
    for _ in range(times):
        stage.supervise()
    before = 0
    for _ in range(3):
        pid = stage.start(HANDS_OVER_LATE.format(kind="ready"))
        assert stage.gate.entered() == "hand over"
        os.kill(pid, signal.SIGKILL)
        stage.gate.release("hand over")
        stage.server.output.wait_for(f"process {pid} was ended by SIGKILL before it served")
        assert stage.server.get("/").text.startswith(f"{1 + times} ")
        # After the first one all is there that stays.
        before = before or stage.server.descriptors()
    wait_until(lambda: stage.server.descriptors() <= before, "nothing is left of them")
    stage.replace()


@FIRST_OR_SUPERVISOR
def test_too_few_descriptors_for_what_is_handed_over(stage: Stage, times: int) -> None:
    """The one before goes on, and whoever supervises it, too."""
    for _ in range(times):
        stage.supervise()
    pid = stage.start(HANDS_OVER_LATE.format(kind="listener"))
    assert stage.gate.entered() == "hand over"
    # Numbers above this are not given.
    stage.server.limit_descriptors(3)
    stage.gate.release("hand over")
    stage.server.output.wait_for(f"process {pid} cannot take over")
    assert stage.gate.entered() == "told"
    stage.gate.release("told")
    wait_until(lambda: not is_running(pid), "the new one has ended")
    stage.server.limit_descriptors(1024)
    assert stage.server.get("/").text.startswith(f"{1 + times} ")
    if not times:
        stage.server.output.wait_for(f"{pid} ended with code 0 before it served")
    stage.replace()
    assert "Traceback" not in stage.server.output.text()


IMPATIENT = """
        from pyreframework.serving.signals import endings
        endings.end_patience = lambda: 0.5
"""


def test_what_cannot_take_over_and_hangs_is_killed(stage: Stage) -> None:
    """Else no other one could be started."""
    stage.write(IMPATIENT)
    stage.server.kill()
    stage.server = stage.stack.enter_context(serve(stage.file, workers=1))
    pid = stage.start(HANDS_OVER_LATE.format(kind="listener"))
    assert stage.gate.entered() == "hand over"
    stage.server.limit_descriptors(3)
    stage.gate.release("hand over")
    stage.server.output.wait_for(f"process {pid} cannot take over")
    assert stage.gate.entered() == "told"
    stand_still(pid)
    stage.server.limit_descriptors(1024)
    stage.server.output.wait_for(f"process {pid} does not end by itself and is killed")
    stage.server.output.wait_for(f"{pid} was ended by SIGKILL before it served")
    stage.replace()


DIES_READY = """
        from pyreframework.serving.processes.channel import Channel

        def insist(channel, *message, insist=Channel.insist, **beside):
            if message[0] == "ready":
                through("ready")
            insist(channel, *message, **beside)
            if message[0] == "ready":
                os._exit(9)

        Channel.insist = insist
"""


@FIRST_OR_SUPERVISOR
def test_death_right_after_the_new_process_serves(stage: Stage, times: int) -> None:
    """As long as the one before accepts, it goes on doing so."""
    for _ in range(times):
        stage.supervise()
    pid = stage.start(DIES_READY)
    assert stage.gate.entered() == "ready"
    # It hears of nothing before the other has ended.
    stand_still(stage.server.pid)
    stage.gate.release("ready")
    wait_until(lambda: not is_running(pid), "the new process has ended")
    # Its other threads as well: until then nobody is told.
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) == 1, "all of it has ended")
    stage.server.signal(signal.SIGCONT)
    stage.server.output.wait_for(f"process {pid} ended with code 9 before it served")
    assert stage.server.get("/").text.startswith(f"{1 + times} ")
    stage.replace()


def test_death_of_the_new_process_while_the_first_one_is_leaving(stage: Stage) -> None:
    """Nobody accepts any more, so nobody listens; what is in flight is answered."""
    stage.hold("held")
    os.kill(stage.replace(), signal.SIGKILL)
    stage.nobody_listens()
    stage.let_go("held")
    assert stage.server.wait() == 128 + signal.SIGKILL


@pytest.mark.parametrize("how", ["signal", "stop()"])
def test_the_new_process_is_told_to_stop_while_the_first_one_is_leaving(
    stage: Stage, how: str
) -> None:
    """It closes its sockets at once, and so does the first one."""
    stage.hold("held")
    pid = stage.replace()
    stage.hold("late")
    if how == "signal":
        os.kill(pid, signal.SIGTERM)
    else:
        stage.server.get("/stop")
    stage.nobody_listens()
    assert is_running(pid)
    stage.let_go("late")
    wait_until(lambda: not is_running(pid), "the new one has ended")
    stage.let_go("held")
    assert stage.server.wait() == 0


def test_the_new_process_is_spent_while_the_first_one_is_leaving(stage: Stage) -> None:
    """It is replaced when the first one has become the supervisor."""
    stage.hold("held")
    pid = stage.replace("max_requests=1")
    # It has had its request, and goes on. The first one may accept for a moment yet.
    answer = f"{stage.version} {pid}"
    wait_until(lambda: stage.server.get("/").text == answer, "it is the one that accepts")
    stage.write()
    stage.let_go("held")
    wait_until(lambda: stage.server.get("/").text.startswith("3 "), "it was replaced")


def test_death_of_all_that_accept_while_another_is_leaving(stage: Stage) -> None:
    """The supervisor closes the sockets before the last answer is given."""
    stage.supervise()
    stage.hold("held")
    serving = stage.replace()
    starting = stage.start(AT_IMPORT)
    assert stage.gate.entered() == "import"
    os.kill(serving, signal.SIGKILL)
    wait_until(lambda: not is_running(serving), "it has ended")
    assert stage.server.listens()
    os.kill(starting, signal.SIGKILL)
    stage.server.output.wait_for(f"process {starting} was ended by SIGKILL before it served")
    stage.nobody_listens()
    stage.let_go("held")
    assert stage.server.wait() == 128 + signal.SIGKILL
    assert re.search("none is left", stage.server.output.text())
