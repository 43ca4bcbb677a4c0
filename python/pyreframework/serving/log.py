"""The log while an app is served, as the main interpreter sees it: opened before the first hook
runs, closed after the last one.

Records of `logging` go to the writer of the engine, unless the program has configured `logging` for
itself. The access log goes there too, or to handlers of the program that would get its records;
then a thread takes what the reactors have noted. Requests never wait for it. Imported by the
serving side only.
"""

from __future__ import annotations

import threading

from pyreframework.engine import set_log_defaults
from pyreframework.logs import bridge, records
from pyreframework.logs.records import Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.engine import Server
    from pyreframework.serving.app import App
    from pyreframework.serving.settings.resolution import Settings

# How long one wait for records of the access log lasts; the engine ends it when there are some.
WAIT_SECONDS = 60.0
# How long the program's own handlers have for the last records.
LAST_SECONDS = 5.0


class Log:
    """The log of one app being served."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._level = str(settings.values["log_level"])
        self._format = str(settings.values["log_format"])
        self._access = app.access or Access()
        self._is_ours = not app.configures_logging
        self._to_program = bool(settings.values["access_log"]) and bridge.handles_access()
        self._thread: threading.Thread | None = None

    @property
    def described(self) -> str:
        """Level and format, for the workers."""
        return f"{self._level} {self._format}"

    def for_engine(self) -> dict[str, object]:
        """Return what the engine needs to know, besides the options."""
        return {
            "access_level": self._access.level,
            "access_sample": self._access.sample,
            "access_always": self._access.always_log_status,
            "access_to_program": self._to_program,
        }

    def open(self) -> None:
        """Send `logging` of this interpreter to the writer, unless the program configures it."""
        json = self._format == "json"
        if self._is_ours:
            bridge.install(self._level, json)
        if json:
            from pyreframework.logs import strays

            strays.catch()
        set_log_defaults(json, records.LEVELS[self._level])

    def follow(self, server: Server) -> None:
        """Give the access log to the program's own handlers, if it has some for it."""
        if self._to_program:
            self._thread = threading.Thread(
                target=deliver, args=(server,), name="pyre-access", daemon=True
            )
            self._thread.start()

    def follow_to_the_end(self) -> None:
        """Wait for the last records of the access log, once the server has stopped."""
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def close(self) -> None:
        """Put `logging` back as it was, and wait until everything is written."""
        if self._format == "json":
            from pyreframework.logs import strays

            strays.release()
        if self._is_ours:
            bridge.uninstall()


def deliver(server: Server) -> None:
    """Give records of the access log to `logging` until there are no more."""
    while (records := server.take_access_log(WAIT_SECONDS)) is not None:
        for record in records:
            bridge.record_of_access(*record)
