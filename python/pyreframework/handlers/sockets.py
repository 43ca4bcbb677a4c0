"""WebSockets: their handlers run beside the lanes, and whoever waits for a message waits here.

The lane that has served the handshake gives it back without an answer. An ``async def`` handler
then goes on as a task of the event loop, another one on a thread of its own kind, so that neither a
silent client nor a slow handler holds a lane. Imported with the first WebSocket.
"""

from __future__ import annotations

from pyreframework.engine import PyreResponse
from pyreframework.handlers.event_loop import is_coroutine, running_loop
from pyreframework.handlers.streams import LOOK_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, Protocol

    from pyreframework.engine import AppTable, PyreWebSocket
    from pyreframework.handlers.background import Task
    from pyreframework.handlers.event_loop import Loop

    type Settle = Callable[[Coroutine[Any, Any, object]], object]

    class Hosts(Protocol):
        """The app whose WebSocket it is."""

        native: AppTable
        loop: Loop

        def run_tasks(self, tasks: list[Task]) -> None:
            """Run what is left to be done after an answer."""

        def report(self, route: str, request_id: object, error: BaseException) -> str | None:
            """Log what a handler raised; in debug mode return a page for the client."""


__all__ = [
    "Conversation",
    "message_future",
    "receive_later",
    "running_loop",
    "within",
]

# Exception handlers that may raise one after the other before it counts as a failure.
RECOVERIES_MAX = 4

INTERNAL_ERROR = 1011
GOING_AWAY = 1001


def message_future(ws: PyreWebSocket) -> Future[Any]:
    """Return a future to wait on, which is done when a message may have come, or the end.

    Called by the engine on another event loop than that of the app, which nobody could wake.
    """
    from asyncio import ensure_future, to_thread

    future: Future[Any] = ensure_future(to_thread(ws._wait_for_message, LOOK_SECONDS))
    future._asyncio_future_blocking = True
    return future


async def within(receiving: Awaitable[Any], seconds: float) -> Any:
    """Wait for a message, but not longer than that.

    Raises:
        TimeoutError: None has come in time.
    """
    from asyncio import timeout

    async with timeout(seconds):
        return await receiving


def receive_later(ws: PyreWebSocket, wanted: int, seconds: float | None) -> Any:
    """Wait for a message on this thread, which has no event loop.

    Raises:
        TimeoutError: None has come in time.
    """
    from time import monotonic

    until = None if seconds is None else monotonic() + seconds
    # Between two looks the handler may be interrupted.
    while True:
        left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - monotonic())
        if left <= 0:
            raise TimeoutError(f"no message has come for {seconds} seconds")
        ws._wait_for_message(left)
        # Also if none has come: another thread may have left some of those that came at once.
        found = ws._take(wanted)
        if found is not None:
            return found[0] if found else None


class Conversation:
    """A handler of a WebSocket, what becomes of the handshake, and what is to be done behind it."""

    __slots__ = ("_app", "_arguments", "_handler", "_is_async", "_place", "_tasks", "_ws")

    def __init__(
        self,
        app: Hosts,
        ws: PyreWebSocket,
        handler: Callable[..., Any],
        arguments: tuple[Any, ...],
        is_async: bool,
        route: str,
        request_id: str,
    ) -> None:
        self._app = app
        self._ws = ws
        self._handler = handler
        self._arguments = arguments
        self._is_async = is_async
        self._place = (route, request_id)
        self._tasks: list[Task] | None = None

    def follow(self, tasks: list[Task] | None) -> None:
        """Begin, beside this thread, and do this behind it; called once the job is on its way."""
        self._tasks = tasks
        home = self._app.loop
        try:
            if not self._is_async:
                home.open_socket_threads().run(self.on_thread)
            elif not home.start(self.on_loop):
                home.open_socket_threads().run(self.on_own_loop)
        except BaseException as error:  # noqa: BLE001 - without a thread there is no conversation
            self.give_up(error)

    def on_own_loop(self) -> None:
        """Run an ``async def`` handler on an event loop of this thread."""
        from asyncio import run

        run(self.on_loop())

    def on_thread(self) -> None:
        """Run the handler on this thread, until its end."""
        settle = self._app.loop.settle
        try:
            result = self._handler(*self._arguments)
            if is_coroutine(result):
                result = settle(result)
        except BaseException as error:  # noqa: BLE001 - what the program raises ends its WebSocket
            run_through(self._failed(error, settle))
        else:
            run_through(self._returned(result, settle))
        finally:
            self.end()

    async def on_loop(self) -> None:
        """Run the handler on the event loop, until its end."""
        from asyncio import CancelledError

        try:
            result = self._handler(*self._arguments)
            if is_coroutine(result):
                result = await result
        except CancelledError as error:
            # The server stops, or the program has cancelled its own task.
            if self._ws.is_accepted:
                self._ws.close(GOING_AWAY)
            else:
                await self._failed(error, None)
        except BaseException as error:  # noqa: BLE001 - what the program raises ends its WebSocket
            await self._failed(error, None)
        else:
            await self._returned(result, None)
        finally:
            self.end()

    def give_up(self, error: BaseException) -> None:
        """Answer the handshake of a handler that cannot run."""
        try:
            run_through(self._failed(error, self._app.loop.settle))
        finally:
            self.end()

    def end(self) -> None:
        """Let go of what the conversation has held, and run what is left to be done."""
        self._ws._end()
        self._arguments = ()
        self._app.native.end_task()
        if self._tasks:
            self._app.run_tasks(self._tasks)

    async def _returned(self, result: object, settle: Settle | None) -> None:
        """Close the WebSocket, or answer the handshake that its handler has not accepted."""
        ws = self._ws
        if ws.is_accepted or result is None:
            ws.close()
            return
        try:
            ws._answer(result)
        except BaseException as error:  # noqa: BLE001 - as what a handler of HTTP returns
            await self._failed(error, settle)

    async def _failed(self, error: BaseException, settle: Settle | None) -> None:
        """Tell the client and the log of what a handler has raised.

        Args:
            error: What it has raised.
            settle: Waits for a coroutine, on a thread without an event loop.
        """
        ws = self._ws
        # At the end of the server it is closed before the client has said so.
        has_ended = ws.is_disconnected or (ws.is_draining and ws.is_closed)
        is_of_client = has_ended and is_of_connection(error)
        if ws.is_accepted:
            if not is_of_client:
                self._app.report(*self._place, error)
            ws.close(INTERNAL_ERROR)
            return
        if is_of_client:
            return
        # Also where nobody waits for the answer any more: it says what is no fault of the handler.
        for _ in range(RECOVERIES_MAX):
            handler = ws._exception_handler(error)
            if handler is None:
                break
            try:
                result = handler(ws.request, error)
                if is_coroutine(result):
                    result = await result if settle is None else settle(result)
                ws._answer(result)
            except BaseException as raised:  # noqa: BLE001 - it may have a handler itself
                error = raised
            else:
                return
        page = self._app.report(*self._place, error)
        if page is None:
            ws._answer(({"error": "internal server error"}, 500))
        else:
            ws._answer(PyreResponse(page, 500, "text/html; charset=utf-8"))


def is_of_connection(error: BaseException) -> bool:
    """Tell whether this is what a handler gets that sends to nobody, or several tasks of it do."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_of_connection(one) for one in error.exceptions)
    return isinstance(error, ConnectionError)


def run_through(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
