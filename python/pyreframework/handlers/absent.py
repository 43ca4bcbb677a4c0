"""What handlers meet of a module that does not load in their worker: stand-ins, and an error.

There are stand-ins once a module has been refused; who makes them says here how they are told.
Imported in every worker.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Returns the module that a value stands in for; None while nothing can stand in for anything.
teller: Callable[[object], str | None] | None = None


def stood_in(value: object) -> str | None:
    """Return the module that a value stands in for in this worker, None for anything real."""
    return None if teller is None else teller(value)


class WorkerImportError(ImportError):
    """A handler on a worker used something of a module that does not load in workers.

    Routes that use such a module run on the main interpreter by themselves, as far as that can be
    seen before. This is raised where it could not; ``gil=True`` on the route is the remedy.

    Args:
        module: The module that does not load; also the attribute ``name``.
        used: What was used, such as ``numpy.zeros``.
        route: The route whose handler did it, if that is known.

    Example:
        >>> raise WorkerImportError("numpy", "numpy.zeros", "GET /predict")
        Traceback (most recent call last):
        pyreframework.errors.WorkerImportError: GET /predict uses numpy.zeros on a worker, and numpy
        does not load in workers: register the route with gil=True
    """

    # Where users find it.
    __module__ = "pyreframework.errors"

    def __init__(self, module: str, used: str, route: str | None = None) -> None:
        super().__init__(name=module)
        self.used = used
        self.route = route

    def __str__(self) -> str:
        who = self.route or "a handler"
        return (
            f"{who} uses {self.used} on a worker, and {self.name} does not load in workers: "
            "register the route with gil=True"
        )
