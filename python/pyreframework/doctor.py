"""``pyre doctor``: which modules of a program load in workers, and which routes that moves.

The program is loaded in a child process, first in its main interpreter and then in an interpreter
like a worker's, as the server does it, but nothing is served and no hook is run. What the child
finds comes back over a pipe. A module that takes the whole child with it is named, and the next
child goes on without it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from pyreframework.logs import console, streams
from pyreframework.logs.console import complain
from pyreframework.program.apps import FALLBACK
from pyreframework.program.launch import Launch, ProgramFailed
from pyreframework.program.target import Target, TargetError
from pyreframework.serving import banner
from pyreframework.serving.signals.endings import GRACEFUL, START_FAILED, USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

# How many modules may crash before it is given up.
CRASHES_MAX = 16
CHILD_SECONDS = 120.0
HEADINGS = ("MODULE", "IN WORKERS", "WHY", "MOVES")
SHOWN_ROUTES_MAX = 3

# What the child's isolated interpreter runs; it gets its arguments as JSON.
EXAMINE = """
import sys
sys.path[:] = {path!r}
from pyreframework.program import examination
examination.examine({texts!r}, {banned!r}, {pipe})
"""


class Report:
    """What the children have found."""

    def __init__(self) -> None:
        self.banned: dict[str, str] = {}
        # Modules that the program imports, and those imports that have not come to an end.
        self.imported: dict[str, None] = {}
        self.open: list[str] = []
        self.stage = ""
        self.found: dict[str, Any] | None = None
        self.output = ""
        self.code = 0

    def take(self, text: str) -> None:
        """Take the lines that a child has written."""
        self.open, self.stage, self.found = [], "", None
        for line in text.splitlines():
            event, value = json.loads(line)
            if event == "begin":
                self.open.append(value)
            elif event == "end":
                self.open.remove(value)
            elif event == "stage":
                self.stage = value
            else:
                self.found = value


def main(argv: Sequence[str]) -> int:
    """Run ``pyre doctor`` with its arguments: one target.

    Args:
        argv: What stands behind ``doctor`` on the command line.
    """
    if len(argv) != 1 or argv[0].startswith("-"):
        complain("pyre doctor takes one argument: module:app or file.py")
        return USAGE
    return run(argv[0])


def run(
    target: str,
    stream: TextIO | None = None,
    *,
    arguments: Sequence[str] = (),
    app_dir: str | None = None,
) -> int:
    """Examine the program that ``target`` names, and print what was found.

    Args:
        target: ``module:app`` or ``file.py``, as for ``pyre run``.
        stream: Where to print; standard output if left out.
        arguments: What the program finds in ``sys.argv[1:]``.
        app_dir: Where modules are looked for first, in place of the current folder.

    Returns:
        An exit code: 0 if workers can serve the program, 3 if it would not start, 2 if there is no
        such target.
    """
    stream = sys.stdout if stream is None else stream
    try:
        Target.parse(target)
    except TargetError as error:
        complain(str(error))
        return USAGE
    report = Report()
    question = {"target": target, "arguments": list(arguments), "app_dir": app_dir}
    for _ in range(CRASHES_MAX):
        ask_child(question, report)
        if report.found is not None or report.code in (USAGE, START_FAILED) or not report.open:
            break
        report.banned[report.open[-1].partition(".")[0]] = ending(report.code)
    if report.found is None:
        if report.output:
            console.tell(report.output, stream)
        if report.code == USAGE:
            return USAGE
        where = "a worker" if report.stage == "worker" else "the main interpreter"
        failed = "" if report.code == START_FAILED else f": the process {ending(report.code)}"
        console.tell(f"{target} does not load in {where}{failed}", stream)
        return START_FAILED
    console.tell("\n".join(lines(target, report.found)), stream)
    refused = report.found["insists"] or report.found["refusal"]
    return START_FAILED if refused else GRACEFUL


def ask_child(question: dict[str, Any], report: Report) -> None:
    """Let a child examine the program, and take what it finds."""
    read_end, write_end = os.pipe()
    command = "import sys; from pyreframework import doctor; sys.exit(doctor.child(sys.argv[1]))"
    given = json.dumps(question | {"banned": report.banned, "pipe": write_end})
    nothing_to_read = streams.open_null()
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        with subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", command, given],
            stdin=nothing_to_read,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(write_end,),
            text=True,
            errors="replace",
        ) as process:
            os.close(nothing_to_read)
            os.close(write_end)
            try:
                report.output, _ = process.communicate(timeout=CHILD_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                report.output, _ = process.communicate()
        report.code = process.returncode
        report.take(pipe.read())


def ending(code: int) -> str:
    """Return how a process ended, in words.

    Example:
        >>> ending(-11), ending(1)
        ('crashes (SIGSEGV)', 'ends with exit code 1')
    """
    if code >= 0:
        return f"ends with exit code {code}"
    if code == -signal.SIGKILL:
        return f"was ended after {CHILD_SECONDS:g} s"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashes ({name})"


def lines(target: str, found: dict[str, Any]) -> list[str]:
    """Return the table, and what it comes to."""
    routes: list[str] = found["routes"]
    moves: list[tuple[int, str, list[str]]] = found["moves"]
    everything = len(moves) > 1 and any(user != "it" for _, user, _ in moves)
    rows = []
    for module, (state, why) in sorted(found["modules"].items()):
        moved = [name(routes, number) for number, _, missing in moves if module in missing]
        if everything and moved:
            shown = "every route"
        else:
            shown = ", ".join(moved[:SHOWN_ROUTES_MAX])
            if len(moved) > SHOWN_ROUTES_MAX:
                shown += f" and {len(moved) - SHOWN_ROUTES_MAX} more"
        rows.append((module, state, why or "-", shown or "-"))
    refused = sum(row[1] == "no" for row in rows)
    partly = sum(row[1] == "partly" for row in rows)
    text = table([HEADINGS, *rows]) if rows else []
    from pyreframework.program.moves import why as words_for

    reasons = [(name(routes, number), words_for(user, set(mods))) for number, user, mods in moves]
    text += [""] if text else []
    text += banner.moves(reasons, len(routes))
    modules = banner.counted(len(rows), "module")
    does = "does" if refused == 1 else "do"
    text.append(
        f"{target}: {refused} of {modules} {does} not load in workers, "
        f"{f'{partly} in part, ' if partly else ''}{len(moves)} of "
        f"{banner.counted(len(routes), 'route')} moved to the main interpreter"
    )
    refusal = found["refusal"]
    differs = [] if refusal is None else [f"{target} would not start: {refusal}"]
    return text + list(found["insists"]) + differs


def name(routes: Sequence[str], number: int) -> str:
    """Return a route as messages name it."""
    return "the fallback" if number == FALLBACK else routes[number]


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows in columns that are as wide as they must be."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]


def child(given: str) -> int:
    """Load the program as the server does, in this process; the pipe gets what comes of it."""
    from pyreframework.program.examination import tell

    asked = json.loads(given)
    pipe: int = asked["pipe"]
    tell(pipe, "stage", "main")
    try:
        launch = Launch(Target.parse(asked["target"]), serves=False)
        app = launch.load(asked["arguments"], asked["app_dir"])
    except TargetError as error:
        complain(str(error))
        return USAGE
    except ProgramFailed:
        return START_FAILED
    assert app is not None, "nothing is served here"
    import datetime  # noqa: F401, ICN001 - as the server does, before the first worker

    from pyreframework.program import description
    from pyreframework.program.outline import outline

    texts = description.describe(app.number, -1, False, outline=outline(app), app=app)
    if texts is None:
        complain("workers cannot load this program, as it is neither a file nor a module")
        return START_FAILED
    tell(pipe, "stage", "worker")
    code = EXAMINE.format(path=sys.path, texts=texts, banned=asked["banned"], pipe=pipe)
    import _interpreters

    failed = _interpreters.exec(_interpreters.create("isolated"), code)
    if failed is not None:
        streams.put(sys.stderr, streams.ERROR, "", failed.errdisplay, "ERROR")
    streams.settle()
    # Without finalisation: it is not what is examined, and extensions may not survive it.
    os._exit(GRACEFUL if failed is None else START_FAILED)
