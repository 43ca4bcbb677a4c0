"""The command ``pyre``: run, dev, routes, doctor, version.

Flags come from the table of options, as arguments of ``run()`` and variables do; a flag goes before
both. Exit codes are those of ``run()``: 2 for a command line that cannot be used, 3 for a program
that does not start.
"""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches

from pyreframework import __version__
from pyreframework.logs import console, streams
from pyreframework.logs.console import complain
from pyreframework.program.apps import WORKER_NAME
from pyreframework.program.launch import Launch, ProgramFailed
from pyreframework.program.target import Target, TargetError
from pyreframework.serving.processes import link, succession
from pyreframework.serving.settings.addresses import activated
from pyreframework.serving.settings.options import OPTIONS, Option, UsageError
from pyreframework.serving.settings.resolution import check, read, resolve
from pyreframework.serving.shortage import shortage
from pyreframework.serving.signals.endings import START_FAILED, USAGE
from pyreframework.serving.signals.hold import hold
from pyreframework.serving.signals.stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from pyreframework.program.apps import App

WIDTH_MAX = 100
# As a shell has it for a command that SIGINT has ended.
INTERRUPTED = 130
OUTPUT_LOST = 1
TARGETS = """\
targets:
  app.py             a file; if it calls app.run(), flags go before its arguments
  app.py:admin       this app of a file that has several
  package.app:app    an app of a module, looked for in the current folder first
  package.app:make   a function without arguments that makes one
"""
EXAMPLES = """\
examples:
  pyre run app.py --port 8080
  pyre run shop.web:app --bind 0.0.0.0:80 --bind [::]:80 --workers 4
  pyre run app.py --uds /run/app.sock -- --what-the-program-takes
  PYRE_WORKERS=2 pyre run shop.web:create_app
"""
EPILOG = """\
Every option of `pyre run` is also an argument of app.run() and a variable, such as PYRE_PORT. A
flag goes before an argument, that before the variable, that before the default.

exit codes: 0 after a graceful stop, 1 after a crash or a stop that had to be forced, 2 for a
command line or an option that cannot be used, 3 if the start failed
"""
# How `pyre run --help` is divided; an option that stands nowhere here comes last.
SECTIONS = {
    "where to listen": (
        "host", "port", "bind", "uds", "uds_mode", "fd", "reuse_port", "backlog",
    ),
    "workers and threads": (
        "workers", "threads", "gil_threads", "io_workers", "hand_over", "mode", "pin",
    ),
    "time limits": (
        "request_timeout", "head_timeout", "body_timeout", "keep_alive_timeout",
        "shutdown_timeout",
    ),
    "sizes and bounds": (
        "max_body_size", "max_head_bytes", "max_in_flight", "queue_depth", "max_requests",
        "max_requests_jitter",
    ),
    "development": ("reload", "debug"),
    "logs and metrics": ("log_level", "log_format", "access_log", "verbose", "metrics"),
}  # fmt: skip
METAVARS = {
    "host": "HOST", "port": "PORT", "bind": "ADDRESS", "uds": "PATH", "mode": "MODE",
}  # fmt: skip


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that is no wider than can be read, its headings bold on a terminal."""

    def __init__(self, prog: str) -> None:
        import shutil

        width = min(shutil.get_terminal_size().columns, WIDTH_MAX)
        super().__init__(prog, max_help_position=28, width=width - 2)

    def start_section(self, heading: str | None) -> None:
        """Begin a section; from 3.14 on argparse itself has colours."""
        if heading and sys.version_info < (3, 14) and has_colours():
            heading = f"\x1b[1m{heading}\x1b[0m"
        super().start_section(heading)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Break between words only: not in a flag, not in a variable."""
        from textwrap import wrap

        return wrap(text, width, break_on_hyphens=False, break_long_words=False)


def has_colours() -> bool:
    """Tell whether standard output is a terminal that may be coloured (https://no-color.org)."""
    return streams.is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a sentence with a hint, without the usage before it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options, formatter_class=Formatter, allow_abbrev=False)  # type: ignore[arg-type]

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help, or a version."""
        console.tell(message, file)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with the code for it."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            first = unknown.split()[0].partition("=")[0]
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = get_close_matches(first, flags, n=1)
            message = (
                f"there is no option {first}"
                if first.startswith("-")
                else (f"{first!r} is one argument too many; what the program takes goes behind --")
            )
            message += f"; did you mean {near[0]}?" if near else ""
        complain(f"{message} ({self.prog} --help tells all)")
        raise SystemExit(USAGE)


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
        if link.link is not None:
            link.link.tell_files(error.files)
        complain(f"{options.target} could not be loaded; it stands above why")
        return START_FAILED
    except (OSError, MemoryError, RuntimeError) as error:
        short = shortage(error)
        if short is None:
            raise
        complain(short)
        return START_FAILED


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the whole command line, and one for each command."""
    parser = Parser(
        prog="pyre",
        description="Serve HTTP with Python on every core.",
        epilog=f"{EXAMPLES}\n`pyre COMMAND --help` tells what a command takes.",
    )
    parser.add_argument("--version", action="version", version=version_text())
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands = {}
    for name, (words, text) in HELP.items():
        takes = "[OPTION]... TARGET [-- ARGUMENT...]" if text else ""
        commands[name] = choices.add_parser(
            name,
            usage=f"pyre {name} {takes}".rstrip(),
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
            epilog=text,
        )
    for name in ("run", "dev"):
        add_target(commands[name])
        add_options(commands[name])
    add_target(commands["routes"])
    add_target(commands["doctor"], has_folder=False)
    return parser, commands


def add_target(parser: Parser, has_folder: bool = True) -> None:
    """Add what names the app, and mostly where its modules are."""
    parser.add_argument("target", metavar="TARGET", help="file or module with the app; see below")
    if has_folder:
        parser.add_argument(
            "--app-dir", metavar="DIR", help="look for modules here first (default: current folder)"
        )


def add_options(parser: Parser) -> None:
    """Add a flag for each option of ``run()``, in sections."""
    left = {option.name: option for option in OPTIONS}
    sections = [*SECTIONS.items(), ("more", tuple(left))]
    for title, names in sections:
        found = [left.pop(name) for name in names if name in left]
        if found:
            group = parser.add_argument_group(title)
            for option in found:
                add_option(group, option)
            if title == "development":
                group.add_argument(
                    "--reload-dir",
                    metavar="DIR",
                    action="append",
                    help="with --reload: any file in this folder counts (may be given several "
                    "times)",
                )


def add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    """Add the flag of one option."""
    if option.kind == "switch":
        group.add_argument(
            option.flag,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=help_of(option),
        )
        return
    units = {
        "seconds": "SECONDS",
        "octal": "OCTAL",
        "count": option.unit.upper() if option.unit == "bytes" else "N",
    }
    group.add_argument(
        option.flag,
        metavar=METAVARS.get(option.name, units.get(option.kind, option.name.upper())),
        action="append" if option.kind == "list" else "store",
        help=help_of(option),
    )


def help_of(option: Option) -> str:
    """Return what ``--help`` says of an option: meaning, bounds, default, variable."""
    facts = []
    if option.least is not None and option.most is not None:
        bounds = f"{option.number(option.least)} to {option.number(option.most)}"
        facts.append(f"{bounds} {option.unit}".rstrip())
    if option.kind == "list":
        facts.append("may be given several times")
    if option.default is not None:
        default = option.default
        if option.kind == "switch":
            shown = option.flag if default else f"--no-{option.flag.removeprefix('--')}"
        else:
            shown = option.number(default) if isinstance(default, (int, float)) else str(default)
        facts.append(f"default {shown}")
    facts.append(" or ".join((option.variable, *option.aliases)))
    text = option.help.replace("`", "").replace("%", "%%").rstrip(".")
    return f"{text} ({'; '.join(facts)})"


def flags_of(options: argparse.Namespace) -> dict[str, object]:
    """Return the options that were given as flags, read and checked.

    Raises:
        UsageError: A value does not fit; the text names the flag.
    """
    flags: dict[str, object] = {}
    for option in OPTIONS:
        given = getattr(options, option.name)
        if given is None:
            continue
        if isinstance(given, list):
            given = ",".join(given)
        value = given if isinstance(given, bool) else read(option, given, option.flag)
        flags[option.name] = check(option, value, option.flag)
    return flags


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
        what = "is no folder" if os.path.exists(named) else "does not exist"
        raise UsageError(f"the folder {named!r} {what}")


def reload_on_change(launch: Launch, options: argparse.Namespace) -> None:
    """Become the supervisor that watches the program's files, if that is asked for.

    Before the program is loaded: it may be broken, and is then started when it has been mended.
    """
    if link.find_link() is not None:
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
        (method, path, name_of(handler), "main" if gil else "workers")
        for method, path, handler, gil in app.listed
    ]
    if not rows:
        console.tell(f"{options.target} has no routes")
        return 0
    table = [("METHOD", "PATH", "HANDLER", "RUNS ON"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
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


def version_text() -> str:
    """Return the version of Pyre, of Python and of the system."""
    import platform

    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Pyre {__version__}, {python}, {platform.system()} {platform.machine()}"


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "dev": dev,
    "routes": routes,
    "doctor": doctor,
    "version": version,
}
HELP = {
    "run": ("serve an app", f"{TARGETS}\n{EXAMPLES}\n{EPILOG}"),
    "dev": (
        "serve an app while it is worked on: reload, debug pages",
        f"{TARGETS}\n{EPILOG}",
    ),
    "routes": ("print the routes of an app", TARGETS),
    "doctor": ("tell which modules load in workers, and which routes that moves", TARGETS),
    "version": ("print the versions of Pyre, Python and the system", None),
}
