"""Where the bytes of a form come from, and how they are waited for.

All that reads forms is written as coroutines. Where nothing has to be awaited, in a ``def``
handler or with a body that is in memory, they are run to their end at once (`run`): so there is one
text for ``def`` and ``async def``. Imported with the first form.
"""

from __future__ import annotations

from pyreframework.errors import BodyError, FormError
from pyreframework.handlers.bodies import is_in_coroutine, pause, take, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from pyreframework.engine import FormEvent, FormParser, FormSpool, PyreRequest

    type Source = Given


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that awaits nothing which is not there, and return what it returns.

    Raises:
        RuntimeError: It waits for what only an event loop can bring.
    """
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise RuntimeError("this form is read in a coroutine: await it there")


def source_of(request: PyreRequest) -> Source:
    """Return where the bytes of a form come from.

    Raises:
        RuntimeError: A part of them has been read.
    """
    if request._is_whole():
        return Whole(request)
    return Awaited(request) if is_in_coroutine() else Waited(request)


class AsFormError:
    """Has those who read forms meet errors of forms alone, also if a body cannot be decoded."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, BodyError):
            raise FormError(error.status, error.detail, error.headers) from error


as_form_error = AsFormError()


class Given:
    """Bytes that are there."""

    is_awaited = False
    is_whole = True

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def piece(self) -> bytes:
        """Return what is next, nothing at the end."""
        body, self._body = self._body, b""
        return body

    async def events(self, parser: FormParser) -> list[FormEvent] | None:
        """Return what comes of what is next, None at the end."""
        piece = await self.piece()
        return parser.feed(piece) if piece else None

    async def call(self, function: Callable[[], object]) -> None:
        """Call what may take some time."""
        function()

    def spool(self, parser: FormParser, spool: FormSpool) -> None:
        """Have the part that is coming written to disk, if that can be done as it comes."""

    def expect_much(self, much: bool) -> None:
        """Say whether small pieces are not worth waking for."""


class Whole(Given):
    """The body of a request, which is in memory; it stays as it is."""

    def __init__(self, request: PyreRequest) -> None:
        self._request = request
        self._at = 0

    async def piece(self) -> bytes:
        """Return what is next, nothing at the end."""
        with as_form_error:
            piece = self._request._piece_at(self._at)
        self._at += len(piece)
        return piece


class Waited(Whole):
    """A body that comes, read where a thread may wait for it."""

    is_whole = False

    def __init__(self, request: PyreRequest) -> None:
        super().__init__(request)
        self._has_begun = False

    def begin(self) -> None:
        """Make sure that nobody else has begun to read, since this was made.

        Raises:
            RuntimeError: Somebody has.
        """
        if not self._has_begun and self._request._is_whole():
            raise RuntimeError("the body has been read before the form was")
        self._has_begun = True

    async def piece(self) -> bytes:
        """Wait for what is next."""
        self.begin()
        with as_form_error:
            return self._request._next_piece()

    async def events(self, parser: FormParser) -> list[FormEvent] | None:
        """Wait for what comes of what is next, None at the end."""
        self.begin()
        with as_form_error:
            while (found := self._request._feed(parser)) is None:
                self._request._wait()
        return None if found is False else found

    def spool(self, parser: FormParser, spool: FormSpool) -> None:
        """Have the part that is coming written to disk, by the engine alone."""
        self._request._spool(parser, spool)

    def expect_much(self, much: bool) -> None:
        """Say whether small pieces are not worth waking for."""
        self._request._expect(much)


class Awaited(Waited):
    """A body that comes, read in a coroutine."""

    is_awaited = True

    async def piece(self) -> bytes:
        """Await what is next."""
        self.begin()
        with as_form_error:
            return await take(self._request, -1)

    async def events(self, parser: FormParser) -> list[FormEvent] | None:
        """Await what comes of what is next, None at the end."""
        self.begin()
        await pause()
        with as_form_error:
            while (found := self._request._feed(parser)) is None:
                await wait(self._request)
                await pause()
        return None if found is False else found

    async def call(self, function: Callable[[], object]) -> None:
        """Call what may take some time on another thread."""
        from asyncio import to_thread

        await to_thread(function)
