"""What goes to `logging`: one record for each exception that a handler or hook did not catch.

`logging` itself is imported with the first record. Without a configuration by the user it prints
warnings and errors to standard error. Imported in every worker, so it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from types import FrameType


def logger(name: str) -> Logger:
    """Return the logger ``pyre.<name>``: ``server`` or ``app``."""
    from logging import getLogger

    return getLogger(f"pyre.{name}")


def raised(route: str, request_id: object, error: BaseException) -> None:
    """Log an exception of the user's code, with its traceback.

    Args:
        route: Method and pattern, such as ``GET /users/{id}``.
        request_id: What ``req.id`` says, or None.
        error: The exception. Its text stands in the traceback; to ask for it here might raise.
    """
    place = f"{route} (request {request_id})" if request_id is not None else route
    logger("app").error("%s raised %s", place, type(error).__qualname__, exc_info=error)


def hook_failed(kind: str, error: BaseException) -> None:
    """Log an exception of a hook whose failure stops nothing, such as ``on_shutdown``."""
    logger("app").error("an %s hook raised %s", kind, type(error).__qualname__, exc_info=error)


def readiness(is_ready: bool, error: BaseException | None) -> None:
    """Log that the readiness check has come to another result."""
    if is_ready:
        logger("server").info("ready: the readiness check passes")
    elif error is None:
        logger("server").warning("not ready: the readiness check says no")
    else:
        kind = type(error).__qualname__
        logger("server").warning("not ready: the readiness check raised %s", kind, exc_info=error)


def task_failed(name: str, error: BaseException) -> None:
    """Log an exception of a function that was to run after an answer."""
    logger("app").error("the task %s raised %s", name, type(error).__qualname__, exc_info=error)


def overran(route: str, thread: str, seconds: float, frame: FrameType | None) -> None:
    """Log that a handler took longer than it may, and where it is.

    Args:
        route: Method and pattern.
        thread: The worker that runs it.
        seconds: How long it has taken.
        frame: What its thread runs, if that is Python code.
    """
    from traceback import format_stack

    stack = "".join(format_stack(frame)) if frame is not None else "  (no Python code)\n"
    logger("server").warning(
        "%s took longer than its request_timeout (%.1f s so far, on %s) and is interrupted at\n%s",
        route,
        seconds,
        thread,
        stack.rstrip(),
    )


def blocked(route: str, seconds: float) -> None:
    """Log that a coroutine did not let its event loop go on for a while; in debug mode."""
    logger("app").warning(
        "%s blocked its event loop for %.3f s: nothing else on the loop ran meanwhile",
        route,
        seconds,
    )
