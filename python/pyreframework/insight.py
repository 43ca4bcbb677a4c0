"""What an app shows of itself: metrics and health, as pages that the server answers without Python,
and the access log.

Imported in every worker, where the same calls only note what the main interpreter acts upon.
"""

from __future__ import annotations

from pyreframework.logs import records
from pyreframework.logs.records import Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyreframework.engine import AppTable

METRICS, LIVE, READY = "metrics", "live", "ready"


class Readiness:
    """A check of the user's, how often to ask it, and how long it may take."""

    def __init__(self, check: Callable[[], Any], interval: float, timeout: float) -> None:
        self.check = check
        self.interval = interval
        self.timeout = timeout


class Insight:
    """The part of `Pyre` that switches on what can be seen from outside."""

    native: AppTable

    if TYPE_CHECKING:

        @property
        def serving(self) -> bool:
            """Whether ``run()`` is at work on this app."""
            ...

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, str] = {}
        self.readiness: Readiness | None = None
        self.access: Access | None = None
        self.gives_ids = False
        # Level, access log and format, as `log_config` may say them.
        self.chosen_log: tuple[str, bool, str] | None = None

    def enable_metrics(self, path: str = "/metrics") -> None:
        """Count answers, and show all metrics in the text format of Prometheus at ``path``.

        The page is answered without Python, so also while every handler is stuck. It takes GET and
        HEAD from anybody who can reach the server: keep it from the public if that is too much.

        Args:
            path: Where the page is; ``run(metrics=True)`` alone takes ``/metrics``.

        Raises:
            ValueError: ``path`` is not a plain path, or a route has it.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_metrics()
        """
        self._page(METRICS, path, "enable_metrics")

    def enable_health_probes(
        self,
        livez: str = "/livez",
        readyz: str = "/readyz",
        *,
        readiness_check: Callable[[], Any] | None = None,
        check_interval: float = 5.0,
        check_timeout: float = 5.0,
    ) -> None:
        """Answer health probes: 200 at ``livez``, and at ``readyz`` 200 or 503.

        Both are answered without Python. ``readyz`` says 503 from the moment a stop begins, and
        while ``readiness_check`` has the last word, until it has returned something true. The check
        runs on the main interpreter, in a thread of its own, every ``check_interval`` seconds; what
        it found counts for ``check_interval + check_timeout`` seconds, so that one that hangs makes
        the server unready. One that raises means no, and is logged.

        Args:
            livez: Path of the probe that tells whether the process should go on living.
            readyz: Path of the probe that tells whether to send requests.
            readiness_check: Called without arguments; may be async.
            check_interval: Seconds between the end of a check and the next one.
            check_timeout: Seconds a check may take.

        Raises:
            ValueError: A path is not a plain one or a route has it, or a time is not above 0.
            TypeError: ``readiness_check`` cannot be called.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_health_probes(readiness_check=lambda: True)
        """
        check: object = readiness_check
        if check is not None and not callable(check):
            kind = type(check).__qualname__
            raise TypeError(f"readiness_check needs a function, not {kind}")
        interval = positive_seconds("check_interval", check_interval)
        timeout = positive_seconds("check_timeout", check_timeout)
        self._page(LIVE, livez, "enable_health_probes")
        self._page(READY, readyz, "enable_health_probes")
        if readiness_check is not None:
            self.readiness = Readiness(readiness_check, interval, timeout)

    def enable_logging(
        self, level: str = "info", sample: int = 1, always_log_status: int = 400
    ) -> None:
        """Keep an access log: a record of ``pyre.access`` for each answer.

        It is noted by the threads that own the sockets and written by a thread of its own, so it
        costs handlers nothing. ``run(access_log=False)`` switches it off again.

        Args:
            level: The level that its records have.
            sample: One of so many answers is logged; 1 logs all of them.
            always_log_status: Answers with this status or a higher one are logged in any case.

        Raises:
            ValueError: There is no such level, or ``sample`` is below 1.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_logging(sample=100)
        """
        if self.serving:
            raise RuntimeError("the app is being served: call enable_logging() before run()")
        for name, number, least in (
            ("sample", sample, 1),
            ("always_log_status", always_log_status, 0),
        ):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ValueError(f"{name} must be a whole number from {least} on, not {number!r}")
        name = records.level_name(level)
        if name == "off":
            raise ValueError(
                "enable_logging: leave it out for no access log, rather than level='off'"
            )
        self.access = Access(name, sample, always_log_status)

    def enable_request_id(self) -> None:
        """Give every request an id, and every answer the header ``X-Request-ID`` with it.

        The id of a request that comes with one is kept if it is short and plain: up to 128 letters,
        digits and ``-_.:+/=@~``. Otherwise one is made. ``req.id`` tells it; records of `logging`
        made while the request is handled have it as ``request_id``, and from a valid W3C
        ``traceparent`` header ``trace_id`` and ``span_id``.

        Raises:
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_request_id()
        """
        if self.serving:
            raise RuntimeError("the app is being served: call enable_request_id() before run()")
        if not self.gives_ids:
            from pyreframework.logs import context

            self.native.add_before(context.enter, first=True)
            context.identify_records()
            self.gives_ids = True

    def log_properties(self) -> dict[str, object]:
        """Return what was said of logs before ``run()``; goes before variables."""
        level, access, form = self.chosen_log or records.chosen or (None, False, None)
        return {
            "log_level": level,
            "log_format": form,
            "access_log": self.access is not None or access or None,
        }

    def has_page(self, name: str) -> bool:
        """Tell whether a page has been switched on."""
        return name in self.pages.values()

    def pages_to_serve(self, metrics: bool) -> dict[str, str]:
        """Return the name of each page by its path.

        Args:
            metrics: Whether the settings ask for metrics; they have the last word.

        Raises:
            ValueError: A route has the path of the page.
        """
        if metrics and not self.has_page(METRICS):
            self._page(METRICS, "/metrics", "metrics=True")
        return {path: name for path, name in self.pages.items() if metrics or name != METRICS}

    def _page(self, name: str, path: object, where: str) -> None:
        """Put a page at a path; it had another one before, perhaps."""
        if self.serving and where != "metrics=True":
            raise RuntimeError(f"the app is being served: call {where}() before run()")
        if not isinstance(path, str) or not path.startswith("/") or set(path) & set("{}?# %"):
            raise ValueError(f"{where}: the path of a page is plain, as in '/{name}', not {path!r}")
        if self.pages.get(path, name) != name:
            raise ValueError(f"{where}: {path} has the {self.pages[path]} page already")
        for method, pattern in self.native.route_table():
            if pattern == path:
                raise ValueError(
                    f"{where}: the {name} page at {path} conflicts with the route {method} {path}"
                )
        self.pages = {at: other for at, other in self.pages.items() if other != name}
        self.pages[path] = name


def positive_seconds(name: str, seconds: object) -> float:
    """Return a time, or raise a `ValueError` that names it."""
    if isinstance(seconds, (int, float)) and 0 < seconds <= 86400:
        return float(seconds)
    raise ValueError(f"{name} must be a number of seconds from above 0 to 86400, not {seconds!r}")
