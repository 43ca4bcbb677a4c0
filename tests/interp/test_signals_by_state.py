"""Every signal in every state of a server, as `docs/guides/deployment.md` has them in a table."""

from __future__ import annotations

import os
import re
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import (
    SAME_SIGNAL_S,
    Output,
    Server,
    child_environment,
    is_running,
    is_supervisor,
    launch,
    serve,
    wait_until,
)

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "deployment.md"

PROGRAM = """
    import os, socket
    from pyreframework import Pyre

    def through(name):
        with socket.create_connection(("127.0.0.1", {port})) as gate:
            gate.sendall(name.encode() + b"\\n")
            return gate.makefile().readline().strip()

    {at_import}
    app = Pyre()
    app.get("/", lambda req: "{version} " + str(os.getpid()), gil=True)
    app.get("/wait/{{name}}", lambda req, name: through(name))
    app.on_startup(lambda: {at_start})

    if __name__ == "__main__":
        app.run()
"""
AT_IMPORT = "__name__ == '__main__' and through('import')"
AT_START = "through('start')"

KILLED = 128 + signal.SIGKILL
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


@dataclass
class Stage:
    """A server in some state, and what a test does to it."""

    gate: Gate
    file: Path
    stack: ExitStack
    server: Server = field(init=False)
    held: Peer | None = None
    # Processes that were started by the one that the test knows.
    started: list[int] = field(default_factory=list)

    def write(self, version: str = "1", at_import: str = "None", at_start: str = "None") -> None:
        text = textwrap.dedent(PROGRAM).format(
            port=self.gate.port, version=version, at_import=at_import, at_start=at_start
        )
        self.file.write_text(text)

    def serve(self) -> None:
        self.write()
        self.server = self.stack.enter_context(serve(self.file, workers=1))

    def begin(self) -> None:
        """Start a server that does not come to serve yet."""
        # As `Server` does, which waits for the banner.
        server = object.__new__(Server)
        environment = child_environment({}, {"port": 0, "workers": 1})
        server.process = launch([str(self.file)], environment)
        server.pid = server.process.pid
        server.output = Output(server.process)
        self.stack.callback(server.kill)
        self.server = server

    def answer(self) -> str:
        return self.server.get("/").text

    def serving_pid(self) -> int:
        return int(self.answer().split()[1])

    def hold(self) -> None:
        """Have a request in flight."""
        self.held = self.stack.enter_context(self.server.connect())
        self.held.send(request("GET", "/wait/held"))
        assert self.gate.entered() == "held"

    def let_go(self) -> None:
        """Let the request end, which has to be answered."""
        assert self.held is not None
        self.gate.release("held", "late")
        assert self.held.reply().text == "late"

    def renew(self, **how: str) -> int:
        """Start another process, and return its number once it has been started."""
        self.write(**({"version": "2"} | how))
        seen = len(self.server.output.lines)
        self.server.signal(HUP)
        found = self.server.output.wait_for(r"starting process (\d+) to take over", since=seen)
        self.started.append(int(found[1]))
        return self.started[-1]

    def supervise(self) -> None:
        """Restart once, so that the process the test knows is the supervisor."""
        self.renew()
        wait_until(lambda: is_supervisor(self.server.pid), "a supervisor")
        wait_until(lambda: self.answer().startswith("2 "), "the new one serves")

    def told(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.server.output.text().count(text) >= times, f"{text!r} is said")

    def listens_no_more(self) -> None:
        wait_until(lambda: not self.server.listens(), "nobody is accepted any more")

    def ends(self, *codes: int) -> None:
        """The process ends so, and nothing of it is left."""
        assert self.server.wait() in codes, self.server.output.text()
        for pid in self.started:
            assert not is_running(pid), f"{pid} is left"
        if hasattr(self.server, "port"):
            assert not self.server.listens()

    def is_served_by(self, version: str) -> None:
        wait_until(lambda: self.answer().startswith(f"{version} "), f"version {version} serves")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Gate() as gate, ExitStack() as stack:
        yield Stage(gate, tmp_path / "program.py", stack)


Follow = Callable[[Stage], None]


# ---------------------------------------------------------------------------------- states


def importing(stage: Stage) -> None:
    stage.write(at_import=AT_IMPORT)
    stage.begin()
    assert stage.gate.entered() == "import"


def starting(stage: Stage) -> None:
    stage.write(at_start=AT_START)
    stage.begin()
    assert stage.gate.entered() == "start"


def serving(stage: Stage) -> None:
    stage.serve()
    stage.hold()


def restarting(stage: Stage) -> None:
    serving(stage)
    stage.renew(at_import=AT_IMPORT)
    assert stage.gate.entered() == "import"


def leaving(stage: Stage) -> None:
    serving(stage)
    stage.renew()
    # It answers before it says so, and is a new process that starts until then.
    stage.told("serves now")
    stage.is_served_by("2")


def draining(stage: Stage) -> None:
    serving(stage)
    stage.server.signal(TERM)
    stage.listens_no_more()
    # From here on the next one is the second.
    time.sleep(SAME_SIGNAL_S)


def supervising(stage: Stage) -> None:
    stage.serve()
    stage.supervise()
    stage.hold()


def supervising_a_restart(stage: Stage) -> None:
    supervising(stage)
    stage.renew(version="3", at_import=AT_IMPORT)
    assert stage.gate.entered() == "import"


# ----------------------------------------------------------------------------- what follows


def restarts_when_it_serves(stage: Stage) -> None:
    """Once, however often it was asked for."""
    assert stage.server.process.poll() is None
    stage.write(version="2")
    stage.gate.release_all()
    found = stage.server.output.wait_for(r"http://([^:]+):(\d+)")
    stage.server.host, stage.server.port = found[1], int(found[2])
    stage.is_served_by("2")
    wait_until(lambda: is_supervisor(stage.server.pid), "a supervisor")
    stage.server.signal(TERM)
    stage.ends(0)
    assert stage.server.output.text().count("to take over") == 1


def dies_by(number: int) -> Follow:
    return lambda stage: stage.ends(-number)


def stops_before_it_serves(stage: Stage) -> None:
    assert stage.server.process.poll() is None
    stage.gate.release_all()
    stage.ends(0)
    assert "http://" not in stage.server.output.text()


def ends_at_once(stage: Stage) -> None:
    stage.ends(1)
    assert "at once" in stage.server.output.text()


def finishes(stage: Stage) -> None:
    """What is in flight is answered, what was starting is given up."""
    stage.listens_no_more()
    stage.let_go()
    stage.ends(0)


def is_replaced(stage: Stage) -> None:
    """What is in flight is answered by the process that has it."""
    stage.told("serves now")
    stage.let_go()
    wait_until(lambda: is_supervisor(stage.server.pid), "a supervisor")
    wait_until(lambda: stage.serving_pid() != stage.server.pid, "another one serves")
    stage.server.signal(TERM)
    stage.ends(0)


def is_replaced_by_another(stage: Stage) -> None:
    """The supervisor is one already."""
    before = stage.started[-1]
    stage.told("serves now", 2)
    stage.let_go()
    wait_until(lambda: not is_running(before), "the one before has ended")
    wait_until(lambda: stage.serving_pid() != before, "another one serves")
    stage.server.signal(TERM)
    stage.ends(0)


def starts_one_all_the_same(stage: Stage) -> None:
    stage.told("a new process is being started already")
    stage.write(version="2")
    stage.gate.release_all_but("held")
    is_replaced(stage)
    assert stage.server.output.text().count("to take over") == 1


def starts_anew(stage: Stage) -> None:
    """The one that has not come to serve makes way; the program is read anew."""
    stage.told("starting anew")
    given_up = stage.started[-1]
    wait_until(lambda: not is_running(given_up), "the one that had not served has ended")
    stage.write(version="4")
    # What was started anew has read the program that waits at the gate.
    stage.server.signal(HUP)
    stage.is_served_by("4")
    stage.let_go()
    stage.server.signal(TERM)
    stage.ends(0)


def goes_on(stage: Stage) -> None:
    stage.told("was ended by SIGKILL before it served")
    before = stage.serving_pid()
    stage.let_go()
    stage.write(version="4")
    stage.server.signal(HUP)
    stage.is_served_by("4")
    wait_until(lambda: stage.serving_pid() != before, "the next restart does better")
    wait_until(lambda: is_supervisor(stage.server.pid), "a supervisor")


def restarts_again_afterwards(stage: Stage) -> None:
    stage.write(version="3")
    stage.let_go()
    stage.is_served_by("3")


def answers_and_ends_as_the_new_one_has(stage: Stage) -> None:
    stage.listens_no_more()
    stage.let_go()
    stage.ends(KILLED)


def ends_as_the_one_that_served(stage: Stage) -> None:
    stage.ends(KILLED)


def finishes_as_before(stage: Stage) -> None:
    stage.let_go()
    stage.ends(0)


# ---------------------------------------------------------------------------------- table

STATES: dict[str, Follow] = {
    "importing": importing,
    "starting": starting,
    "serving": serving,
    "restarting": restarting,
    "leaving": leaving,
    "draining": draining,
    "supervising": supervising,
    "supervising a restart": supervising_a_restart,
}
ENDS = {"TERM": finishes, "TERM twice": ends_at_once, "INT": finishes, "INT twice": ends_at_once}
CELLS: dict[str, dict[str, Follow]] = {
    "importing": {
        "HUP": restarts_when_it_serves,
        "HUP twice": restarts_when_it_serves,
        "TERM": dies_by(TERM),
        "TERM twice": dies_by(TERM),
        "INT": dies_by(INT),
        "INT twice": dies_by(INT),
    },
    "starting": {
        "HUP": restarts_when_it_serves,
        "HUP twice": restarts_when_it_serves,
        "TERM": stops_before_it_serves,
        "TERM twice": ends_at_once,
        "INT": stops_before_it_serves,
        "INT twice": ends_at_once,
    },
    "serving": {"HUP": is_replaced, "HUP twice": is_replaced, **ENDS},
    "restarting": {
        "HUP": starts_one_all_the_same,
        "HUP twice": starts_one_all_the_same,
        **ENDS,
        "death": goes_on,
    },
    "leaving": {
        "HUP": restarts_again_afterwards,
        "HUP twice": restarts_again_afterwards,
        **ENDS,
        "death": answers_and_ends_as_the_new_one_has,
    },
    "draining": {
        "HUP": finishes_as_before,
        "HUP twice": finishes_as_before,
        "TERM": ends_at_once,
        "TERM twice": ends_at_once,
        "INT": ends_at_once,
        "INT twice": ends_at_once,
    },
    "supervising": {
        "HUP": is_replaced_by_another,
        "HUP twice": is_replaced_by_another,
        **ENDS,
        "death": ends_as_the_one_that_served,
    },
    "supervising a restart": {
        "HUP": starts_anew,
        "HUP twice": starts_anew,
        **ENDS,
        "death": goes_on,
    },
}


def send(stage: Stage, what: str) -> None:
    name, _, twice = what.partition(" ")
    if what == "death":
        os.kill(stage.started[-1], signal.SIGKILL)
        return
    number = signal.Signals[f"SIG{name}"]
    stage.server.signal(number)
    if twice:
        wait_until(lambda: is_taken(stage.server.pid, number), "the first one was taken")
        if number != HUP:
            stage.server.end_at_once(number)
        else:
            stage.server.signal(number)


def is_taken(pid: int, number: int) -> bool:
    """Whether a signal does not wait in the kernel, which keeps one of a kind."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    if re.search(r"State:\s+Z", status):
        return True
    pending = re.findall(r"(?:Sig|Shd)Pnd:\s+(\w+)", status)
    return not any(int(mask, 16) & 1 << (number - 1) for mask in pending)


@pytest.mark.parametrize(
    ("state", "what"), [(state, what) for state, cells in CELLS.items() for what in cells]
)
def test_signals_by_state(stage: Stage, state: str, what: str) -> None:
    STATES[state](stage)
    send(stage, what)
    CELLS[state][what](stage)


def test_the_page_has_the_states_and_signals_that_are_tested() -> None:
    text = PAGE.read_text().partition("<!-- states -->")[2].partition("<!-- /states -->")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()
    ]
    assert rows[0] == ["state", "HUP", "HUP twice", "TERM or INT", "twice", "child's death"]
    found = {row[0].strip("*"): row[1:] for row in rows[2:]}
    assert list(found) == list(STATES)
    for state, cells in found.items():
        assert all(cells), state
        # Where no other process is, there is no death of one.
        assert (cells[-1] == "-") == ("death" not in CELLS[state]), state
