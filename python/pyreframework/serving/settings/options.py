"""The options of ``run()``: one table gives name, type, default, unit, bounds and meaning of each.

``run()``, the ``PYRE_<NAME>`` variables, the flags of ``pyre run`` and the reference pages all come
from `OPTIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    type Kind = Literal["text", "count", "octal", "seconds", "switch", "list"]
    type Value = str | int | float | bool | list[str] | None

MIB = 1024 * 1024
# What the names of all variables begin with, but for aliases that other servers know as well.
PREFIX = "PYRE_"


# What looks like an option and is an argument of the app itself.
OF_THE_APP = ("lifespan", "log_config", "trusted_hosts")


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
        return f"{PREFIX}{self.name.upper()}"

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
        "Descriptor of a socket that listens already, inherited from the parent process.",
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
        "stream_idle_timeout",
        "seconds",
        0.0,
        "Time an answer in pieces may go on without a further piece; then its connection is "
        "closed. 0 for no limit.",
        unit="seconds",
        least=0,
        most=86400,
    ),
    Option(
        "ws_ping",
        "seconds",
        20.0,
        "Time a WebSocket may be silent before its client is pinged; without an answer for as long "
        "again it is closed. 0 for no pings.",
        unit="seconds",
        least=0,
        most=86400,
    ),
    Option(
        "ws_threads",
        "count",
        256,
        "Threads for handlers of WebSockets that are not `async def`, in each worker; beyond that "
        "the handshake is answered 503.",
        unit="threads",
        least=1,
        most=65536,
    ),
    Option(
        "max_message_size",
        "count",
        16 * MIB,
        "Largest message of a WebSocket, uncompressed; a longer one closes it with 1009.",
        unit="bytes",
        least=1,
        most=2**31,
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
        "Time that a GIL may be held before the log says what was running; 0 for no watchdog. By "
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
