"""``req.parts()``: the parts of a form as they come, each read in pieces.

Imported with the first form.
"""

from __future__ import annotations

from os import fspath

from pyreframework.collecting import WRITTEN_AT, check_size
from pyreframework.errors import FormError
from pyreframework.handlers.bodies import is_in_coroutine
from pyreframework.outcomes import done, is_for_coroutine
from pyreframework.sources import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from os import PathLike
    from typing import Any, Self

    from pyreframework.collecting import Head
    from pyreframework.engine import FormEvent, FormParser, PyreRequest
    from pyreframework.outcomes import Count, Data, Text
    from pyreframework.sources import Source
    from pyreframework.uploads import FormLimits


# Pieces of a part that are written together at most.
PIECES_MAX = 1000


class Reader:
    """Reads a form for its parts, one event after the other.

    It does not know them, or each would be kept by the other.
    """

    __slots__ = ("_is_in_part", "_parser", "events", "limits", "number", "request", "source")

    def __init__(
        self, request: PyreRequest, parser: FormParser, source: Source, limits: FormLimits
    ) -> None:
        self._parser = parser
        self.request = request
        self.source = source
        self.limits = limits
        self.events: list[FormEvent] = []
        """What has come already, the last one first."""
        self.number = 0
        """That of the part that is coming."""
        self._is_in_part = False

    async def has_come(self) -> bool:
        """Wait until there is an event; tell whether it is not the end."""
        try:
            while not self.events:
                events = await self.source.events(self._parser)
                if events is None:
                    self._parser.finish()
                    return False
                events.reverse()
                self.events = events
        except FormError as error:
            self.request._blame(error, error.status)
            raise
        return True

    async def piece(self) -> bytes:
        """Return what is next of the part, nothing at its end."""
        if not self._is_in_part or not await self.has_come():
            return b""
        event = self.events.pop()
        if isinstance(event, bytes):
            return event
        self._is_in_part = False
        return b""

    async def next_part(self) -> Part | None:
        """Return the next part, or None at the end; what is left of that before is skipped."""
        self.number += 1
        while await self.piece():
            pass
        while await self.has_come():
            event = self.events.pop()
            if isinstance(event, tuple):
                self._is_in_part = True
                return Part(self, event)
        return None


class Parts:
    """The parts of a form, for ``for``, and in a coroutine for ``async for``.

    What is left of a part is skipped when the next one is asked for.
    """

    __slots__ = ("_reader",)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Part:
        if self._reader.source.is_awaited:
            raise RuntimeError(
                "the form may still be coming, and a `def` on the thread of an event loop cannot "
                "wait: in a coroutine it is read by `async for part in req.parts()`"
            )
        part: Part | None = run(self._reader.next_part())
        if part is None:
            raise StopIteration
        return part

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        part = await self._reader.next_part()
        if part is None:
            raise StopAsyncIteration
        return part


class Part:
    """A part of a form that is still coming: a file, or a field if it has no ``filename``.

    Its content is read once, in pieces by ``for`` and, in a coroutine, by ``async for``, or by the
    methods, which are awaited there.
    """

    __slots__ = ("_left", "_number", "_reader", "_size", "content_type", "filename", "name")

    def __init__(self, reader: Reader, head: Head) -> None:
        self.name, self.filename, content_type = head
        # RFC 7578 section 4.4.
        self.content_type = "text/plain" if content_type is None else content_type
        self._reader = reader
        self._number = reader.number
        self._left = b""
        """What has come, and was more than somebody has asked for."""
        self._size = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._reader.source.is_awaited:
            raise RuntimeError("in a coroutine a part is read by `async for piece in part`")
        piece: bytes = run(self._piece())
        if not piece:
            raise StopIteration
        return piece

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._piece()
        if not piece:
            raise StopAsyncIteration
        return piece

    def read(self, n: int | None = -1) -> Data:
        """Return ``n`` bytes, fewer only at its end; all that is left if ``n`` is below 0."""
        data: Data = here(self._reader, self._read(-1 if n is None else n))
        return data

    def text(self) -> Text:
        """Return all that is left as text in strict UTF-8.

        Raises:
            FormError: It is not UTF-8.
        """
        text: Text = here(self._reader, self._text())
        return text

    def save(self, path: str | PathLike[str]) -> Count:
        """Write all that is left to a file, which is made or overwritten; return how many bytes.

        In a coroutine other threads do the writing. A file that is not whole stays if the client
        goes, or breaks a rule.

        Raises:
            OSError: The file cannot be written.
            TypeError: ``path`` is no path.
        """
        count: Count = here(self._reader, self._save(fspath(path)))
        return count

    async def _piece(self) -> bytes:
        """Return what is next, nothing at its end."""
        reader = self._reader
        if reader.number != self._number:
            raise RuntimeError("this part is over: the next one has been asked for")
        if self._left:
            piece, self._left = self._left, b""
            return piece
        piece = await reader.piece()
        self._size += len(piece)
        try:
            head = (self.name, self.filename, self.content_type)
            check_size(head, self._size, reader.limits)
        except FormError as error:
            reader.request._blame(error, error.status)
            raise
        return piece

    async def _read(self, size: int) -> bytes:
        pieces = []
        while size and (piece := await self._piece()):
            if 0 <= size < len(piece):
                piece, self._left = piece[:size], piece[size:]
            pieces.append(piece)
            if size > 0:
                size -= len(piece)
        return b"".join(pieces)

    async def _text(self) -> str:
        data = await self._read(-1)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            refusal = FormError(400, f"{self.name!r} in the form is not UTF-8")
            self._reader.request._blame(refusal, refusal.status)
            raise refusal from error

    async def _save(self, path: str) -> int:
        from pyreframework.spools import Target

        written = 0
        pieces: list[bytes] = []
        call = self._reader.source.call
        target = Target(path)
        try:
            pending = 0
            while piece := await self._piece():
                pieces.append(piece)
                pending += len(piece)
                if pending >= WRITTEN_AT or len(pieces) > PIECES_MAX:
                    some, pieces = pieces, []
                    await call(lambda some=some: target.write(some))  # type: ignore[misc]
                    written += pending
                    pending = 0
            await call(lambda: target.write(pieces))
        finally:
            target.close()
        return written + pending

    def __repr__(self) -> str:
        return f"<Part {self.name!r} filename={self.filename!r} content_type={self.content_type!r}>"


def here(reader: Reader, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return a coroutine to whoever can await it, and to others what it returns.

    Raises:
        RuntimeError: It would have to wait on the thread of an event loop.
    """
    if is_for_coroutine():
        return coroutine
    if reader.source.is_awaited and is_in_coroutine():
        coroutine.close()
        raise RuntimeError(
            "the part may still be coming: it is read in a coroutine itself, and not in a `def` "
            "that this calls"
        )
    return done(run(coroutine))
