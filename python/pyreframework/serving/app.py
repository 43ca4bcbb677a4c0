"""An app, as those see it who serve it. For types alone: nothing is here at run time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from pyreframework.logs.records import Access
    from pyreframework.program import apps
    from pyreframework.serving.signals.stop import Stop

    class Readiness(Protocol):
        """A check of the user's, how often to ask it, and how long it may take."""

        @property
        def check(self) -> Callable[[], Any]:
            """What is asked."""
            ...

        @property
        def interval(self) -> float:
            """Seconds between two checks."""
            ...

        @property
        def timeout(self) -> float:
            """Seconds it may take."""
            ...

    class App(apps.App, Protocol):
        """An app that ``run()`` or a test client serves."""

        # Ends a process that a hook or a task has forked, so that it does not go on as the server.
        end_fork: Callable[[str, BaseException | None], None]

        @property
        def readiness(self) -> Readiness | None:
            """What says whether it is ready, besides the server itself."""
            ...

        @property
        def access(self) -> Access | None:
            """What of its answers is logged."""
            ...

        @property
        def has_gil_routes(self) -> bool:
            """Whether it has routes for the main interpreter."""
            ...

        @property
        def serving(self) -> bool:
            """Whether it is served already."""
            ...

        @property
        def last_hook(self) -> str | None:
            """Which hook has run last, in words."""
            ...

        def properties(self) -> dict[str, object]:
            """Return the settings made on the app itself."""
            ...

        def pages_to_serve(self, metrics: bool) -> dict[str, str]:
            """Return the name of each page by its path."""
            ...

        def attach_stop(self, stop: Stop | int, /) -> None:
            """Say where ``stop()`` goes."""
            ...

        def detach_stop(self) -> None:
            """Take back what `attach_stop` said."""
            ...

        def begin(self) -> None:
            """Run the hooks for the start."""
            ...

        def end(self) -> None:
            """Run the hooks for the end."""
            ...
