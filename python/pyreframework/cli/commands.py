"""The commands of ``pyre``: run, dev, routes, doctor, version.

Exit codes are those of ``run()``: 2 for a command line that cannot be used, 3 for a program
that does not start.
"""

from __future__ import annotations

import os
import sys

from pyreframework.cli.parsing import flags_of, has_colours, parsers, version_text
from pyreframework.handlers.signatures import kind_of
from pyreframework.logs import console, streams
from pyreframework.logs.console import complain
from pyreframework.program.apps import WORKER_NAME
from pyreframework.program.launch import Launch, ProgramFailed
from pyreframework.program.target import Target, TargetError
from pyreframework.serving.processes import control, succession
from pyreframework.serving.settings.addresses import activated
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.settings.resolution import resolve
from pyreframework.serving.shortage import shortage
from pyreframework.serving.signals.endings import START_FAILED, USAGE
from pyreframework.serving.signals.hold import hold
from pyreframework.serving.signals.stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pyreframework.program.apps import App

# As a shell has it for a command that SIGINT has ended.
INTERRUPTED = 130
OUTPUT_LOST = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: What stands behind the command; ``sys.argv[1:]`` if left out.

    Raises:
        SystemExit: Always.
    """
    import atexit

    atexit.unregister(streams.settle)
    atexit.register(streams.settle, for_good=True)
    try:
        code = obey(list(sys.argv[1:] if arguments is None else arguments))
    except console.OutputLost as error:
        # Whoever reads no further knows that.
        if not error.is_refused:
            complain(f"the output could not be written: {error}")
        code = OUTPUT_LOST
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise SystemExit(code)


def obey(given: list[str]) -> int:
    """Run a command line, and return its exit code."""
    if given[:1] in (["run"], ["dev"]):
        hold()
    rest: list[str] = []
    if "--" in given:
        at = given.index("--")
        given, rest = given[:at], given[at + 1 :]
    parser, commands = parsers()
    if not given:
        parser.print_help()
        return USAGE
    if given[0] in commands:
        # Parsed by the parser of the command itself, whose errors then know its options.
        options = commands[given[0]].parse_args(given[1:])
        options.command = given[0]
    else:
        options = parser.parse_args(given)
    options.rest = rest
    try:
        return COMMANDS[options.command](options)
    except (TargetError, UsageError) as error:
        complain(str(error))
        return USAGE
    except ProgramFailed as error:
        if control.control is not None:
            control.control.tell_files(error.files)
        complain(f"{options.target} could not be loaded; it stands above why")
        return START_FAILED
    except (OSError, MemoryError, RuntimeError) as error:
        short = shortage(error)
        if short is None:
            raise
        complain(short)
        return START_FAILED


def run(options: argparse.Namespace) -> int:
    """``pyre run``: serve until stopped."""
    for named in (options.app_dir, *(options.reload_dir or ())):
        check_folder(named)
    launch = Launch(Target.parse(options.target), flags_of(options))
    reload_on_change(launch, options)
    # Before the program runs, which may print.
    streams.take_over()
    app = launch.load(options.rest, options.app_dir)
    if app is not None:
        launch.serve(app)
    return 0


def check_folder(named: str | None) -> None:
    """See that a folder is there, if one was named.

    Raises:
        UsageError: It is not.
    """
    if named is not None and not os.path.isdir(named):
        what = "is not a folder" if os.path.exists(named) else "does not exist"
        raise UsageError(f"the folder {named!r} {what}")


def reload_on_change(launch: Launch, options: argparse.Namespace) -> None:
    """Become the supervisor that watches the program's files, if that is asked for.

    Before the program is loaded: it may be broken, and is then started when it has been mended.
    """
    if control.find_control() is not None:
        return
    opened = activated(os.environ)
    settings = resolve({}, os.environ, None, launch.flags, opened)
    if settings.values["reload"]:
        launch.target.check()
        with Stop(renewable=True) as stop:
            succession.become_reloader(settings, opened, stop, options.reload_dir or ())
    elif options.reload_dir:
        raise UsageError("--reload-dir says what to watch for --reload, which is not given")


def dev(options: argparse.Namespace) -> int:
    """``pyre dev``: serve with debug pages, and anew after each change."""
    for name in ("debug", "reload"):
        if getattr(options, name) is None:
            setattr(options, name, True)
    return run(options)


def look(options: argparse.Namespace) -> App:
    """Return the app that was named, without serving it."""
    check_folder(options.app_dir)
    app = Launch(Target.parse(options.target), serves=False).load(options.rest, options.app_dir)
    assert app is not None, "nothing is served where it is only looked at"
    return app


def routes(options: argparse.Namespace) -> int:
    """``pyre routes``: print the routes, in the order of their registration."""
    app = look(options)
    rows = [
        (
            method,
            path,
            name_of(handler),
            f"websocket, {kind_of(handler)}" if "websocket" in chosen else kind_of(handler),
            "main" if gil else "workers",
        )
        for (method, path, handler, gil), chosen in zip(app.listed, app.chosen, strict=True)
    ]
    rows += [
        ("GET", f"{prefix.rstrip('/')}/...", place.partition(" index=")[0], "files", "reactors")
        for prefix, place in app.folders
    ]
    if not rows:
        console.tell(f"{options.target} has no routes")
        return 0
    table = [("METHOD", "PATH", "HANDLER", "KIND", "RUNS ON"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = []
    for index, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        line = "  ".join(cells).rstrip()
        lines.append(f"\x1b[1m{line}\x1b[0m" if index == 0 and has_colours() else line)
    console.tell("\n".join(lines))
    return 0


def name_of(handler: object) -> str:
    """Return the name a person knows a handler by."""
    while (inner := getattr(handler, "func", None)) is not None:
        handler = inner  # functools.partial
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    module = getattr(handler, "__module__", None)
    return f"{module}.{name}" if module and module != WORKER_NAME else str(name)


def doctor(options: argparse.Namespace) -> int:
    """``pyre doctor``: tell which modules load in workers, and which routes that moves."""
    from pyreframework.doctor import run as examine

    return examine(options.target, sys.stdout)


def version(options: argparse.Namespace) -> int:
    """``pyre version``: print the versions that a report of a fault should name."""
    console.tell(version_text())
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "dev": dev,
    "routes": routes,
    "doctor": doctor,
    "version": version,
}
