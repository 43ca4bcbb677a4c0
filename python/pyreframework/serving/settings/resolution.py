"""Options of ``run()``: one table gives name, type, default, unit, bounds and meaning of each.

``run()``, the ``PYRE_<NAME>`` variables, the flags of ``pyre run`` and the reference pages all come
from `OPTIONS`. A flag goes before an argument, an argument before a variable, a variable before the
default. A value that does not fit stops the start and
names itself; nothing is ever ignored. Read once, before the first socket is opened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyreframework.serving.settings import cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    type Kind = Literal["text", "count", "octal", "seconds", "switch", "list"]
    type Value = str | int | float | bool | list[str] | None

MIB = 1024 * 1024
MAIN_MODES_NOT = ("subinterp", "auto")
# The first descriptor of socket activation, as sd_listen_fds(3) has it.
ACTIVATED_FROM = 3


class UsageError(ValueError):
    """An option or a variable has a value that cannot be used; its text names the culprit."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table."""

    name: str
    kind: Kind
    default: Value
    help: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Name of the environment variable, such as ``PYRE_PORT``."""
        return f"PYRE_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """The flag of ``pyre run``, such as ``--port``."""
        return f"--{self.name.replace('_', '-')}"

    def number(self, value: float) -> str:
        """Return a number in the way this option is written: octal, or as few digits as tell it."""
        if self.kind == "octal":
            return f"{int(value):#o}" if value else "0"
        return f"{value:.10g}" if isinstance(value, float) else str(value)


OPTIONS: tuple[Option, ...] = (
    Option("host", "text", "127.0.0.1", "Address or name to listen on; `0.0.0.0` or `::` for all."),
    Option(
        "port",
        "count",
        8000,
        "TCP port; 0 lets the system choose a free one.",
        least=0,
        most=65535,
        aliases=("PORT",),
    ),
    Option(
        "bind",
        "list",
        None,
        "Addresses to listen on, each `host:port`, `[ipv6]:port` or `unix:/path`, instead of "
        "`host` and `port`; separated by commas in the variable.",
    ),
    Option(
        "uds", "text", None, "Path of a Unix-domain socket to listen on, instead of an address."
    ),
    Option(
        "uds_mode",
        "octal",
        0o666,
        "Mode of the Unix-domain sockets that are made here, whatever the umask; with `0o666` the "
        "rights of the folder say who may connect. Refused where only TCP addresses are listened "
        "on, unless a variable says it.",
        least=0,
        most=0o777,
    ),
    Option(
        "fd",
        "count",
        None,
        "Descriptor of a socket that listens already, inherited from whoever started this process.",
        least=0,
        most=2**20,
    ),
    Option(
        "reuse_port",
        "switch",
        False,
        "Share the port with other processes that also allow it, instead of refusing to start.",
    ),
    Option(
        "backlog",
        "count",
        4096,
        "Connections the kernel holds until they are accepted; it may cap this (`somaxconn`).",
        unit="connections",
        least=1,
        most=65535,
    ),
    Option(
        "workers",
        "count",
        None,
        "Sub-interpreters that run handlers; by default one for each CPU this process may use "
        "(affinity mask and cgroup limit).",
        unit="interpreters",
        least=1,
        most=512,
        aliases=("WEB_CONCURRENCY",),
    ),
    Option(
        "threads",
        "count",
        4,
        "Threads in each worker. While one waits (database, sleep, network), another goes on; 1 "
        "means that handlers of a worker never overlap. With 2 to 31 there is one besides for "
        "short handlers, unless `hand_over` is `ring`.",
        unit="threads",
        least=1,
        most=32,
    ),
    Option(
        "gil_threads",
        "count",
        4,
        "Threads on the main interpreter, for routes that run there.",
        unit="threads",
        least=1,
        most=32,
    ),
    Option(
        "io_workers",
        "count",
        None,
        "Threads that read, parse, route and write, without Python; by default as many as workers, "
        "but no more than CPUs.",
        unit="threads",
        least=1,
        most=512,
    ),
    Option(
        "hand_over",
        "text",
        "auto",
        "`auto` runs a `def` handler that has proven to be short on the thread that has read its "
        "request; with `ring` all requests reach the threads of handlers through queues.",
        choices=("auto", "ring"),
    ),
    Option("pin", "switch", False, "Bind each thread to one CPU; of use on a machine of its own."),
    Option(
        "mode",
        "text",
        "auto",
        "`auto` and `subinterp` run handlers on workers; `default`, as `async`, `gil` or any other "
        "word, runs all of them on the main interpreter.",
    ),
    Option(
        "reload",
        "switch",
        False,
        "Restart when a file changes that the program has imported; for development.",
    ),
    Option(
        "debug",
        "switch",
        False,
        "Show tracebacks to clients. Never in production. Set for one app by `Pyre(debug=True)`.",
    ),
    Option(
        "head_timeout",
        "seconds",
        30.0,
        "Time for the head of a request to arrive whole; then 408.",
        unit="seconds",
        least=0.001,
        most=86400,
    ),
    Option(
        "body_timeout",
        "seconds",
        30.0,
        "Time without a further byte of a request's body; then 408.",
        unit="seconds",
        least=0.001,
        most=86400,
    ),
    Option(
        "keep_alive_timeout",
        "seconds",
        75.0,
        "Time an idle connection is kept open.",
        unit="seconds",
        least=0.001,
        most=86400,
    ),
    Option(
        "request_timeout",
        "seconds",
        30.0,
        "Time a handler may take; then it is interrupted and the "
        "answer is 504. 0 for no limit. A route may have its own.",
        unit="seconds",
        least=0,
        most=86400,
    ),
    Option(
        "max_in_flight",
        "count",
        0,
        "Requests that may be with handlers or wait for one at once, in the whole process; beyond "
        "that the answer is 503 at once. 0: only `queue_depth` bounds them.",
        unit="requests",
        least=0,
        most=2**31,
    ),
    Option(
        "shutdown_timeout",
        "seconds",
        30.0,
        "Time running requests have to finish after a stop signal; then they are abandoned.",
        unit="seconds",
        least=0,
        most=86400,
    ),
    Option(
        "max_body_size",
        "count",
        10 * MIB,
        "Largest body of a request; more is answered 413. Set for one app by `app.max_body_size`.",
        unit="bytes",
        least=0,
        most=2**31,
    ),
    Option(
        "max_head_bytes",
        "count",
        64 * 1024,
        "Largest head of a request; more is answered 431.",
        unit="bytes",
        least=1024,
        most=MIB,
    ),
    Option(
        "queue_depth",
        "count",
        8192,
        "Batches of requests that may wait for a worker; beyond that the answer is 503 at once.",
        unit="batches",
        least=1,
        most=2**20,
    ),
    Option(
        "max_requests",
        "count",
        0,
        "Requests after which a new process takes over, as by SIGHUP; 0 for never.",
        unit="requests",
        least=0,
        most=2**40,
    ),
    Option(
        "max_requests_jitter",
        "count",
        0,
        "Up to so many more, by chance, so that several servers are not replaced at once.",
        unit="requests",
        least=0,
        most=2**40,
    ),
    Option("server_header", "switch", True, "Send `Server: pyre`."),
    Option(
        "log_level",
        "text",
        "info",
        "Least level that the root logger lets through: `debug`, `info`, `warning`, `error`, "
        "`critical` or `off`; unless the program configures `logging` itself.",
        choices=("debug", "info", "warning", "error", "critical", "off"),
    ),
    Option(
        "log_format",
        "text",
        "text",
        "`text`, or `json` for one object a line.",
        choices=("text", "json"),
    ),
    Option(
        "access_log",
        "switch",
        False,
        "Log every answer. Set for one app, with a sample, by `app.enable_logging()`.",
        aliases=("PYRE_LOG",),
    ),
    Option(
        "verbose",
        "switch",
        False,
        "Log each worker as it starts. Without it the log says what a start waits for once that "
        "has taken 3 seconds.",
    ),
    Option(
        "gil_watchdog",
        "seconds",
        None,
        "Time that a GIL may be held before the log says who ran meanwhile; 0 for no watchdog. By "
        "default 1 with `metrics`, else 0.",
        unit="seconds",
        least=0,
        most=86400,
    ),
    Option(
        "metrics",
        "switch",
        False,
        "Count answers by route, method and status, and show all metrics at `/metrics`. Set for "
        "one app, and another path, by `app.enable_metrics()`.",
    ),
)
TABLE = {option.name: option for option in OPTIONS}

# Options of the API that this version does not have: refused by name rather than ignored.
NOT_YET = (
    "tls_cert",
    "tls_key",
    "state_url",
)

# Tuning of `hand_over`: no options, but tests set them before run().
# A handler that has kept a reactor at two looks this far apart loses it, in milliseconds.
TAKE_BACK_MS = 10
# Short calls in a row after which a route counts as short.
PROOF_CALLS = 64
# The most that may be asked of a route from which connections had to be taken back.
PROOF_CALLS_MAX = 1 << 20

# What the engine is told besides, unless the app says otherwise.
ABOUT_THE_APP: dict[str, object] = {
    "pages": [],
    "has_readiness_check": False,
    "gives_ids": False,
    "access_level": "info",
    "access_sample": 1,
    "access_always": 400,
    "access_to_program": False,
}

FLAG, ARGUMENT, PROPERTY, VARIABLE, ALIAS, DEFAULT = 5, 4, 3, 2, 1, 0
# What the address of a Unix-domain socket has room for, without the zero behind it.
SOCKET_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class Settings:
    """All options, checked. Does not change while serving."""

    values: dict[str, Value]
    binds: list[str]
    # Options that somebody has given, in whatever way.
    given: frozenset[str] = frozenset()

    @property
    def on_main(self) -> bool:
        """Whether every handler runs on the main interpreter."""
        return str(self.values["mode"]).lower() not in MAIN_MODES_NOT

    def seconds(self, name: str) -> float:
        """Return the option ``name``, a time in seconds."""
        value = self.values[name]
        assert isinstance(value, float)
        return value

    def count(self, name: str) -> int:
        """Return the option ``name``, a whole number."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def for_engine(self, notify: int) -> dict[str, object]:
        """Return what the native server needs to know.

        Args:
            notify: A descriptor; a byte is written there when ``max_requests`` have come.
        """
        absent = (
            "host", "port", "bind", "uds", "fd", "mode", "reload", "max_requests_jitter", "verbose",
        )  # fmt: skip
        needed: dict[str, object] = {
            name: value for name, value in self.values.items() if name not in absent
        }
        needed["binds"] = [as_bytes(bind) for bind in self.binds]
        # Sockets that are handed over may have been changed by hand.
        needed["uds_mode_for_handed"] = "uds_mode" in self.given
        needed["notify"] = notify
        needed["take_back_ms"] = TAKE_BACK_MS
        needed["proof_calls"] = PROOF_CALLS
        needed["proof_calls_max"] = PROOF_CALLS_MAX
        if self.values["max_requests"]:
            from random import randint

            most = randint(0, self.count("max_requests_jitter"))  # noqa: S311 - spreads, no secret
            needed["max_requests"] = self.count("max_requests") + most
        return needed | ABOUT_THE_APP


def resolve(
    arguments: Mapping[str, object],
    environment: Mapping[str, str],
    properties: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
    activated: int = 0,
) -> Settings:
    """Work out every option from the arguments of ``run()``, the environment and the defaults.

    Args:
        arguments: What ``run()`` was given; None means not given.
        environment: Usually ``os.environ``.
        properties: What the app object itself was told (``debug``, ``max_body_size``); goes after
            an argument and before a variable.
        flags: What ``pyre run`` was given; goes before everything else.
        activated: How many sockets a service manager has opened for this process, from descriptor
            3 on; they are listened on unless an address was given.

    Raises:
        UsageError: A name is unknown, or a value does not fit; the text names it.

    Example:
        >>> resolve({"port": 0, "workers": 2}, {"PYRE_HOST": "::1"}).binds
        ['[::1]:0']
    """
    refuse_unknown(arguments, environment)
    values: dict[str, Value] = {}
    ranks: dict[str, int] = {}
    for option in OPTIONS:
        given = (flags or {}).get(option.name)
        if given is not None:
            value, rank = check(option, given, option.flag), FLAG
        else:
            value, rank = pick(option, arguments, properties or {}, environment)
        values[option.name], ranks[option.name] = value, rank
    if values["workers"] is None:
        values["workers"] = cpus.usable()
    workers = values["workers"]
    assert isinstance(workers, int)
    if values["gil_watchdog"] is None:
        values["gil_watchdog"] = 1.0 if values["metrics"] else 0.0
    if values["io_workers"] is None:
        values["io_workers"] = min(workers, cpus.usable())
    given_ones = frozenset(name for name, rank in ranks.items() if rank > DEFAULT)
    binds = addresses(values, ranks, activated)
    refuse_idle_mode(binds, ranks["uds_mode"])
    return Settings(values, binds, given_ones)


def refuse_idle_mode(binds: list[str], rank: int) -> None:
    """Raise for a mode of sockets that nobody makes here, unless a variable says it.

    Variables may be there for several programs. Sockets that were opened by others keep the mode
    they have, and may be Unix-domain sockets as well.
    """
    if rank < ARGUMENT or any(bind.startswith(("unix:", "fd:")) for bind in binds):
        return
    option = TABLE["uds_mode"]
    source = option.flag if rank == FLAG else f"run() option {option.name!r}"
    raise UsageError(
        f"{source} is for Unix-domain sockets, but {' and '.join(binds)} is none: give uds, or a "
        "bind of the form unix:/path"
    )


def refuse_unknown(arguments: Mapping[str, object], environment: Mapping[str, str]) -> None:
    """Raise for an argument that is no option, and for a variable of an option yet to come."""
    for name in arguments:
        if name in NOT_YET:
            raise UsageError(f"run() option {name!r} is not available in this version")
        if name not in TABLE:
            raise UsageError(f"run() has no option {name!r}{suggestion(name)}")
    for name in NOT_YET:
        variable = f"PYRE_{name.upper()}"
        if environment.get(variable, "0") not in ("", "0"):
            raise UsageError(f"{variable} is not available in this version: unset it")


def suggestion(name: str) -> str:
    """Return a question that offers the option nearest to a misspelt name, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(name, TABLE, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def pick(
    option: Option,
    arguments: Mapping[str, object],
    properties: Mapping[str, object],
    environment: Mapping[str, str],
) -> tuple[Value, int]:
    """Return the value of one option and the rank of the place it came from."""
    given = arguments.get(option.name)
    if given is not None:
        return check(option, given, f"run() option {option.name!r}"), ARGUMENT
    given = properties.get(option.name)
    if given is not None:
        return check(option, given, f"app.{option.name}"), PROPERTY
    for variable in (option.variable, *option.aliases):
        text = environment.get(variable)
        if text is not None and text != "":
            rank = VARIABLE if variable == option.variable else ALIAS
            return check(option, read(option, text, variable), variable), rank
    return option.default, DEFAULT


def read(option: Option, text: str, variable: str) -> object:
    """Return the value that a variable's text stands for."""
    match option.kind:
        case "text":
            return text
        case "list":
            return [part.strip() for part in text.split(",")]
        case "switch":
            word = text.strip().lower()
            if word in ("1", "true", "yes", "on"):
                return True
            if word in ("0", "false", "no", "off"):
                return False
            raise UsageError(
                f"{variable} must be one of 1, 0, true, false, yes, no, on, off, not {text!r}"
            )
        case "count":
            digits = text.strip()
            if not (digits.isascii() and digits.removeprefix("-").isdigit()):
                raise UsageError(f"{variable} must be a whole number, not {text!r}")
            return int(digits)
        case "octal":
            digits = text.strip().lower().removeprefix("0o")
            if not digits or digits.strip("01234567"):
                raise UsageError(f"{variable} must be octal digits such as 660, not {text!r}")
            return int(digits, 8)
        case "seconds":
            try:
                return float(text)
            except ValueError:
                raise UsageError(f"{variable} must be a number of seconds, not {text!r}") from None


def check(option: Option, value: object, source: str) -> Value:
    """Return ``value`` in the type of its option, or raise with the name of its source."""
    match option.kind:
        case "text":
            if not isinstance(value, str) or not value or "\0" in value:
                raise UsageError(f"{source} must be a text that is not empty, not {value!r}")
            if option.choices and value.lower() not in option.choices:
                known = ", ".join(option.choices)
                raise UsageError(f"{source} must be one of {known}, not {value!r}")
            return value.lower() if option.choices else value
        case "switch":
            if not isinstance(value, bool):
                raise UsageError(f"{source} must be True or False, not {value!r}")
            return value
        case "list":
            entries = [value] if isinstance(value, str) else value
            if not isinstance(entries, (list, tuple)) or not entries:
                raise UsageError(f"{source} must be a text or a list of texts, not {value!r}")
            return [bind_address(entry, source) for entry in entries]
        case "count":
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{source} must be a whole number, not {value!r}")
            return within(option, value, source)
        case "octal":
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{source} must be a number such as 0o660, not {value!r}")
            return within(option, value, source)
        case "seconds":
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise UsageError(f"{source} must be a number of seconds, not {value!r}")
            return within(option, float(value), source)


def within[N: (int, float)](option: Option, value: N, source: str) -> N:
    """Return ``value`` if it lies within the bounds of its option."""
    least = -math.inf if option.least is None else option.least
    most = math.inf if option.most is None else option.most
    if not least <= value <= most:
        unit = f" {option.unit}" if option.unit else ""
        shown = f"{value!r}"
        if option.kind == "octal":
            # 660 where 0o660 is meant is the usual mistake.
            shown = f"{option.number(value)} ({value}, which is no octal number as it stands)"
        bounds = f"{option.number(least)} to {option.number(most)}"
        raise UsageError(f"{source} must be from {bounds}{unit}, not {shown}")
    return value


def bind_address(entry: object, source: str) -> str:
    """Return an address to listen on in the form ``host:port`` or ``[ipv6]:port``."""
    form = f"{source}: {entry!r} is not of the form host:port, [ipv6]:port or unix:/path"
    if not isinstance(entry, str):
        raise UsageError(form)
    if entry.startswith("unix:") and len(entry) > len("unix:") and "\0" not in entry:
        return entry
    host, colon, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{form}; put the IPv6 address in brackets")
    if not colon or not is_host(host) or not (port.isascii() and port.isdigit()):
        raise UsageError(form)
    if int(port) > 65535:
        raise UsageError(f"{source}: the port of {entry!r} must be from 0 to 65535")
    return join(host, int(port))


def is_host(text: str) -> bool:
    """Tell whether a text may name a host: not if the bytes behind it were none in UTF-8."""
    return bool(text) and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def as_bytes(bind: str) -> bytes:
    """Return an address as the engine takes it; of a path, the bytes that the system knows."""
    if bind.startswith("unix:"):
        from os import fsencode

        return fsencode(bind)
    return bind.encode("utf-8", "surrogateescape")


def addresses(
    values: Mapping[str, Value], ranks: Mapping[str, int], activated: int = 0
) -> list[str]:
    """Return where to listen. There are four ways to say it; the one that was said with most weight
    counts, and two of the same weight contradict each other.
    """
    ways = {
        "host and port": max(ranks["host"], ranks["port"]),
        **{name: ranks[name] for name in ("bind", "uds", "fd")},
    }
    weight = max(ways.values())
    said = [way for way, rank in ways.items() if rank == weight]
    if activated and weight <= ALIAS:
        return [f"fd:{ACTIVATED_FROM + index}" for index in range(activated)]
    if weight > DEFAULT and len(said) > 1:
        raise UsageError(f"give either {' or '.join(said)}: each says where to listen")
    host, port, bind = values["host"], values["port"], values["bind"]
    assert isinstance(host, str)
    assert isinstance(port, int)
    match said[0]:
        case "bind":
            assert isinstance(bind, list)
            refuse_twice(bind)
            return [in_folder(entry, ranks["bind"]) for entry in bind]
        case "uds":
            return [in_folder(f"unix:{values['uds']}", ranks["uds"])]
        case "fd":
            return [f"fd:{values['fd']}"]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not is_host(host):
        raise UsageError(f"host: {host!r} is no name or address of a host")
    return [join(host, port)]


def in_folder(bind: str, rank: int) -> str:
    """Return an address with a path that stays the same if the program changes its folder.

    A flag or a variable means the folder in which the command was started, the program itself the
    one where it is now. A path that is too long with its folder stays as it is.
    """
    path = bind.removeprefix("unix:")
    if path == bind or path.startswith("/"):
        return bind
    import os

    from pyreframework.program.apps import started_in

    try:
        folder: str | None = os.getcwd()
        # By one name, as the sockets of the process before are found by their address.
        if started_in is not None and os.path.samefile(started_in, os.curdir):
            folder = started_in
    except OSError:
        folder = None
    if rank not in (ARGUMENT, PROPERTY):
        folder = started_in
    if folder is None:
        return bind
    absolute = os.path.normpath(os.path.join(folder, path))
    is_too_long = len(os.fsencode(absolute)) > SOCKET_PATH_BYTES_MAX
    return bind if is_too_long else f"unix:{absolute}"


def refuse_twice(binds: list[str]) -> None:
    """See that no address is given twice, in whatever spelling. Port 0 is another each time.

    Raises:
        UsageError: One is.

    Example:
        >>> refuse_twice(["[::1]:80", "[0:0::1]:80"])
        Traceback (most recent call last):
        pyreframework.serving.settings.resolution.UsageError: bind has the address [0:0::1]:80 twice
    """
    from ipaddress import ip_address
    from os.path import realpath

    seen: set[str] = set()
    for bind in binds:
        host, _, port = bind.rpartition(":")
        if bind.startswith("unix:"):
            plain = f"unix:{realpath(bind.removeprefix('unix:'))}"
        elif port == "0":
            continue
        else:
            try:
                plain = join(str(ip_address(host.strip("[]"))), int(port))
            except ValueError:
                plain = bind.lower()
        if plain in seen:
            raise UsageError(f"bind has the address {bind} twice")
        seen.add(plain)


def activated(environment: Mapping[str, str]) -> int:
    """Return how many listening sockets a service manager has given to this process.

    As systemd does it: ``LISTEN_PID`` says for which process they are, ``LISTEN_FDS`` how many.

    Example:
        >>> activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"})
        0
    """
    import os

    if environment.get("LISTEN_PID") != str(os.getpid()):
        return 0
    count = environment.get("LISTEN_FDS", "")
    return int(count) if count.isascii() and count.isdigit() else 0


def join(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
