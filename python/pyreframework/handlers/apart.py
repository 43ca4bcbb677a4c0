"""Hooks that may wait for a body although an event loop runs their request.

A `def` hook of a route with ``stream_body=True`` may ask for the whole body, which is still coming.
It runs on a thread beside the loop, as if it ran in the task of its request. Imported with the
first.
"""

from __future__ import annotations

from pyreframework.handlers.event_loop import is_coroutine
from pyreframework.handlers.signatures import is_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any

    from pyreframework.engine import PyreRequest


def call(function: Callable[..., Any], request: PyreRequest, *more: object) -> Any:
    """Call a hook, or return the coroutine that does so on a thread."""
    if is_async(function) or request.app.is_own(function):
        return function(request, *more)
    return run(function, request, *more)


async def run(function: Callable[..., Any], request: PyreRequest, *more: object) -> Any:
    """Call a function on a thread, and return what comes of it."""
    from asyncio import get_running_loop
    from contextvars import copy_context

    loop = get_running_loop()
    ended = loop.create_future()
    left: list[tuple[Any, BaseException | None, Context]] = []

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def work() -> None:
        result, raised = None, None
        try:
            result = function(request, *more)
        except BaseException as error:  # noqa: BLE001 - it is raised in the request
            raised = error
        left.append((result, raised, copy_context()))
        # The traceback has this frame: the exception would have itself for an owner.
        del raised
        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:
            pass  # The loop is closed: nobody waits for it any more.

    request.app.loop.open_threads().run(work)
    await ended
    result, raised, context = left.pop()
    take_over(context)
    if raised is not None:
        try:
            raise raised
        finally:
            # As above.
            del raised
    return await result if is_coroutine(result) else result


def take_over(context: Context) -> None:
    """Set the context variables that a function on a thread has set."""
    for variable, value in context.items():
        try:
            if variable.get() is value:
                continue
        except LookupError:
            pass  # It is new.
        variable.set(value)
