"""What goes to `logging`, and how it leaves an interpreter.

`logging` itself is imported with the first record, if the program has not done so. Imported in
every worker, so it imports nothing but the engine.
"""

from __future__ import annotations

import sys

from pyreframework.engine import emit_python_log, set_log_defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from logging import Logger
    from types import FrameType, ModuleType

__all__ = ["emit_python_log", "init_logger"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50, "off": 60}
SYNONYMS = {"trace": "debug", "warn": "warning", "fatal": "critical"}
FORMATS = ("text", "json")
# Keys of a `log_config` that is none for `logging.config`, but says what `init_logger` takes.
OURS = {"level", "access_log", "format"}

# Frames of one thread that are shown.
STACK_MAX = 50

# What `init_logger` was told in this interpreter: level, access log, format.
chosen: tuple[str, bool, str] | None = None


def init_logger(
    level: str = "info",
    access_log: bool = False,
    format: str = "text",  # noqa: A002 - the name it has always had
) -> None:
    """Send `logging` of this interpreter to the log of the process, before or without ``run()``.

    Does nothing to a root logger that has handlers. ``run()`` goes by what is said here for
    ``log_level``, ``access_log`` and ``log_format``, unless it is told otherwise.

    Args:
        level: ``debug``, ``info``, ``warning``, ``error``, ``critical`` or ``off``, in any case.
        access_log: Whether ``run()`` should keep an access log.
        format: ``text``, or ``json`` for one object a line.

    Raises:
        ValueError: A level or format of that name does not exist.

    Example:
        >>> init_logger("loud")
        Traceback (most recent call last):
        ValueError: a level of logs is debug, info, warning, error, critical or off, not 'loud'
    """
    global chosen
    chosen = choice(level, access_log, format)
    from pyreframework.logs.bridge import install

    install(chosen[0], chosen[2] == "json")
    set_log_defaults(chosen[2] == "json", LEVELS[chosen[0]])


def choice(
    level: str = "info",
    access_log: bool = False,
    format: str = "text",  # noqa: A002 - as `init_logger` calls it
) -> tuple[str, bool, str]:
    """Return level, access log and format, or raise `ValueError`."""
    return level_name(level), bool(access_log), format_name(format)


def level_name(level: object) -> str:
    """Return a level in the one spelling we use, or raise `ValueError`."""
    name = level.lower() if isinstance(level, str) else ""
    name = SYNONYMS.get(name, name)
    if name not in LEVELS:
        known = ", ".join(list(LEVELS)[:-1])
        raise ValueError(f"a level of logs is {known} or off, not {level!r}")
    return name


def format_name(form: object) -> str:
    """Return a format in the one spelling we use, or raise `ValueError`."""
    name = form.lower() if isinstance(form, str) else ""
    if name not in FORMATS:
        raise ValueError(f"a format of logs is text or json, not {form!r}")
    return name


def use(level: str, json: bool) -> None:
    """Send `logging` of this interpreter to the log of the process, now or once it is imported."""
    if "logging" in sys.modules:
        from pyreframework.logs.bridge import install

        install(level, json)
    else:
        sys.meta_path.insert(0, Arrival(level, json))


class Arrival:
    """Waits for the import of `logging`: a worker whose program does not log does not pay for it.

    A finder that finds one module, as all others would, and goes.
    """

    def __init__(self, level: str, json: bool) -> None:
        self.level = level
        self.json = json

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find `logging`, and have the handler put in once it is imported."""
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_install(module: ModuleType) -> None:
                execute(module)
                from pyreframework.logs.bridge import install

                install(self.level, self.json)

            spec.loader.exec_module = execute_and_install  # type: ignore[method-assign]
        return spec


class Access:
    """What of the answers is logged."""

    __slots__ = ("always_log_status", "level", "sample")

    def __init__(self, level: str = "info", sample: int = 1, always_log_status: int = 400) -> None:
        self.level = level
        self.sample = sample
        self.always_log_status = always_log_status


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
    context = sys.modules.get("pyreframework.logs.context")
    # What a coroutine raises is reported outside of its context.
    token = context.enter_again(request_id) if context is not None else None
    logger("app").error("%s raised %s", place, type(error).__qualname__, exc_info=error)
    if context is not None and token is not None:
        context.current.reset(token)


def refused(route: str, request_id: object, reason: str) -> None:
    """Log that a request was refused before its handler, and why."""
    logger("app").warning("%s (request %s) was refused (403): %s", route, request_id, reason)


def hook_failed(kind: str, error: BaseException) -> None:
    """Log an exception of a hook whose failure stops nothing, such as ``on_shutdown``."""
    logger("app").error("an %s hook raised %s", kind, type(error).__qualname__, exc_info=error)


def used_at_end(used: str, module: str) -> None:
    """Log that a hook, as a worker ends, uses something of a module that does not load there."""
    logger("app").warning(
        "a hook uses %s as a worker ends, and %s does not load in workers: nothing is done; what "
        "is to be done once belongs in on_shutdown, which runs on the main interpreter",
        used,
        module,
    )


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


def gil_held(interpreter: str, seconds: float, threads: Sequence[tuple[str, FrameType]]) -> None:
    """Log that a GIL was not to be had for too long, and what ran there when it was let go.

    Args:
        interpreter: Whose GIL.
        seconds: How long a thread has waited for it.
        threads: The handler that each thread runs, if any, and its frame.
    """
    # First of all: the threads go on as soon as they have the GIL again.
    stacks = [(label, positions(frame)) for label, frame in threads]
    from linecache import getline

    lines = []
    for label, stack in stacks:
        lines.append(f"in {label}:" if label else "in a thread without a handler:")
        for file, number, function in reversed(stack):
            lines.append(f'  File "{file}", line {number}, in {function}')
            if source := getline(file, number).strip():
                lines.append(f"    {source}")
    logger("server").warning(
        "the GIL of %s was held for %.3f s; what ran there when it was let go:\n%s",
        interpreter,
        seconds,
        "\n".join(lines) or "no Python code",
    )


def positions(frame: FrameType | None) -> list[tuple[str, int, str]]:
    """Return file, line and function of a frame and those that called it, the innermost first."""
    found: list[tuple[str, int, str]] = []
    while frame is not None and len(found) < STACK_MAX:
        found.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        frame = frame.f_back
    return found
