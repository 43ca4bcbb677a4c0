"""``req.parts()``: the parts of a form as they come, each read in pieces. Imported with the first."""

from __future__ import annotations

from pyreframework.collecting import WRITTEN_AT, check_size
from pyreframework.errors import FormError
from pyreframework.handlers.bodies import is_in_coroutine
from pyreframework.sources import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from os import PathLike
    from typing import Any, Self

    from pyreframework.collecting import Head
    from pyreframework.engine import FormEvent, FormParser, PyreRequest
    from pyreframework.sources import Source
    from pyreframework.uploads import FormLimits


class Parts:
    """The parts of a form, for ``for``, and in a coroutine for ``async for``.

    What is left of a part is skipped when the next one is asked for.
    """

    __slots__ = ("_events", "_limits", "_parser", "_part", "_request", "_source")

    def __init__(
        self, request: PyreRequest, parser: FormParser, source: Source, limits: FormLimits
    ) -> None:
        self._request = request
        self._parser = parser
        self._source = source
        self._limits = limits
        self._events: list[FormEvent] = []
        """What has come already, the last one first."""
        self._part: Part | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Part:
        if is_in_coroutine():
            raise RuntimeError(
                "the form may still be coming: in a coroutine it is read by "
                "`async for part in req.parts()`"
            )
        part: Part | None = run(self._next())
        if part is None:
            raise StopIteration
        return part

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        part = await self._next()
        if part is None:
            raise StopAsyncIteration
        return part

    async def _next(self) -> Part | None:
        """Return the next part, or None at the end."""
        if self._part is not None:
            await self._part._skip()
            self._part = None
        while await self._has_come():
            event = self._events.pop()
            if isinstance(event, tuple):
                self._part = Part(self, event)
                return self._part
        return None

    async def _has_come(self) -> bool:
        """Wait until something has come; tell whether it is not the end."""
        try:
            while not self._events:
                events = await self._source.events(self._parser)
                if events is None:
                    self._parser.finish()
                    return False
                events.reverse()
                self._events = events
        except FormError as error:
            self._request._blame(error, error.status)
            raise
        return True


class Part:
    """A part of a form that is still coming: a file, or a field if it has no ``filename``.

    Its content is read once, in pieces by ``for`` and, in a coroutine, by ``async for``, or by the
    methods, which are awaited there.
    """

    __slots__ = ("_is_over", "_left", "_parts", "_size", "content_type", "filename", "name")

    def __init__(self, parts: Parts, head: Head) -> None:
        self.name, self.filename, content_type = head
        # RFC 7578 section 4.4.
        self.content_type = "text/plain" if content_type is None else content_type
        self._parts = parts
        self._left = b""
        """What has come, and was more than somebody has asked for."""
        self._size = 0
        self._is_over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if is_in_coroutine():
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

    def read(self, n: int | None = -1) -> Any:
        """Return ``n`` bytes, fewer only at its end; all that is left if ``n`` is below 0."""
        return here(self._read(-1 if n is None else n))

    def text(self) -> Any:
        """Return all that is left as text in strict UTF-8.

        Raises:
            FormError: It is not UTF-8.
        """
        return here(self._text())

    def save(self, path: str | PathLike[str]) -> Any:
        """Write all that is left to a file, which is made or overwritten; return how many bytes.

        In a coroutine other threads do the writing. A file that is not whole stays if the client
        goes, or breaks a rule.

        Raises:
            OSError: The file cannot be written.
        """
        return here(self._save(path))

    async def _piece(self) -> bytes:
        """Return what is next, nothing at its end."""
        if self._left:
            piece, self._left = self._left, b""
            return piece
        parts = self._parts
        if parts._part is not self:
            raise RuntimeError("this part is over: the next one has been asked for")
        if self._is_over or not await parts._has_come():
            return b""
        event = parts._events.pop()
        if not isinstance(event, bytes):
            self._is_over = True
            return b""
        self._size += len(event)
        try:
            head = (self.name, self.filename, self.content_type)
            check_size(head, self._size, parts._limits)
        except FormError as error:
            parts._request._blame(error, error.status)
            raise
        return event

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
            self._parts._request._blame(refusal, refusal.status)
            raise refusal from error

    async def _save(self, path: str | PathLike[str]) -> int:
        from pyreframework.spools import write_all

        written = 0
        pieces: list[bytes] = []
        call = self._parts._source.call
        with open(path, "wb", buffering=0) as target:
            pending = 0
            while piece := await self._piece():
                pieces.append(piece)
                pending += len(piece)
                if pending >= WRITTEN_AT or len(pieces) > PIECES_MAX:
                    some, pieces = pieces, []
                    await call(lambda some=some: write_all(target.fileno(), some))  # type: ignore[misc]
                    written += pending
                    pending = 0
            await call(lambda: write_all(target.fileno(), pieces))
        return written + pending

    async def _skip(self) -> None:
        self._left = b""
        while await self._piece():
            pass

    def __repr__(self) -> str:
        return (
            f"<Part {self.name!r} filename={self.filename!r} content_type={self.content_type!r}>"
        )


# Pieces of a part that are written together at most.
PIECES_MAX = 1000


def here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return a coroutine to whoever can await it, and to others what it returns."""
    return coroutine if is_in_coroutine() else run(coroutine)
