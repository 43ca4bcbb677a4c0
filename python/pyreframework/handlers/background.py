"""What ``req.add_task`` left to be done after the answer.

Functions run one after the other on the thread that made the answer; coroutine functions, and all
functions of a request that an event loop served, run on that loop, beside other requests. Imported
with the first task.
"""

from __future__ import annotations

from pyreframework.handlers.event_loop import is_coroutine, keep, running_loop
from pyreframework.handlers.signatures import is_async, name_of
from pyreframework.logs import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyreframework.engine import AppTable

    type EndFork = Callable[[str, BaseException | None], None]
    type Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

# What has forked, if a task has.
WHAT = "a background task"


def run(tasks: list[Task], native: AppTable, end_fork: EndFork) -> None:
    """Run tasks, and tell the engine of each that has ended.

    On a thread that runs an event loop this returns at once and the tasks go on there.

    Args:
        tasks: What to run.
        native: The app, as the engine knows it.
        end_fork: Called after each; does not return in a process that was forked.
    """
    loop = running_loop()
    if loop is None:
        for function, args, keywords in tasks:
            try:
                run_one(function, args, keywords, native)
                end_fork(WHAT, None)
            finally:
                native.end_task()
        return
    keep(loop.create_task(run_on_loop(tasks, native, end_fork)))


def run_one(
    function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any], native: AppTable
) -> None:
    """Run one task on a thread without a loop; one that raises is reported."""
    try:
        result = function(*args, **keywords)
        if is_coroutine(result):
            native.settle(result)
    except BaseException as error:  # noqa: BLE001 - the next task must still run
        report(function, error)


async def run_on_loop(tasks: list[Task], native: AppTable, end_fork: EndFork) -> None:
    """Run tasks one after the other, those that are no coroutines in a thread."""
    from asyncio import CancelledError, current_task, to_thread

    own = current_task()
    left = len(tasks)
    try:
        for function, args, keywords in tasks:
            try:
                if is_async(function):
                    await function(*args, **keywords)
                else:
                    result = await to_thread(function, *args, **keywords)
                    if is_coroutine(result):
                        await result
            except BaseException as error:
                # The next task must still run, unless the loop closes or has gone.
                if isinstance(error, CancelledError) and own is not None and own.cancelling():
                    raise
                if isinstance(error, GeneratorExit):
                    raise
                report(function, error)
            end_fork(WHAT, None)
            left -= 1
            native.end_task()
    finally:
        for _ in range(left):
            native.end_task()


def report(function: Callable[..., Any], error: BaseException) -> None:
    """Tell the log of a task that has raised, unless that comes of a body whose client ended it."""
    from pyreframework.handlers.faults import is_cut_short

    if not is_cut_short(error):
        records.task_failed(name_of(function), error)
