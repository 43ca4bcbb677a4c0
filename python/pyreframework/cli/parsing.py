"""The command line: which flags there are, what ``--help`` says of them, and how they are read.

Flags come from the table of options, as arguments of ``run()`` and variables do; a flag goes before
both.
"""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches

from pyreframework import __version__
from pyreframework.logs import console, streams
from pyreframework.logs.console import complain
from pyreframework.serving.settings.options import OF_THE_APP, OPTIONS, Option
from pyreframework.serving.settings.resolution import check, read
from pyreframework.serving.signals.endings import USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

WIDTH_MAX = 100
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
        "workers", "threads", "gil_threads", "ws_threads", "io_workers", "hand_over",
        "mode", "pin",
    ),
    "time limits": (
        "request_timeout", "head_timeout", "body_timeout", "keep_alive_timeout",
        "stream_idle_timeout", "ws_ping", "shutdown_timeout",
    ),
    "sizes and bounds": (
        "max_body_size", "max_head_bytes", "max_message_size", "max_in_flight", "queue_depth",
        "max_requests", "max_requests_jitter",
    ),
    "development": ("reload", "debug"),
    "logs and metrics": ("log_level", "log_format", "access_log", "verbose", "metrics"),
}  # fmt: skip
METAVARS = {
    "host": "HOST", "port": "PORT", "bind": "ADDRESS", "uds": "PATH", "mode": "MODE",
}  # fmt: skip
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
            # Dashes would make any two of them alike.
            plain = {flag.lstrip("-"): flag for flag in flags}
            near = get_close_matches(first.lstrip("-"), plain, n=1)
            argument = first.removeprefix("--").replace("-", "_")
            message = (
                f"there is no option {first}"
                if first.startswith("-")
                else (f"{first!r} is one argument too many; what the program takes goes behind --")
            )
            if first.startswith("--") and argument in OF_THE_APP:
                message += f"; the app says it: Pyre({argument}=...)"
            elif near:
                message += f"; did you mean {plain[near[0]]}?"
        complain(f"{message} ({self.prog} --help tells all)")
        raise SystemExit(USAGE)


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


def version_text() -> str:
    """Return the version of Pyre, of Python and of the system."""
    import platform

    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Pyre {__version__}, {python}, {platform.system()} {platform.machine()}"
