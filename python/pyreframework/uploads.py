"""``UploadFile``, ``FormLimits`` and ``parse_multipart()``: forms with files, as handlers see them.

Imported in every worker: what reads forms is imported with the first of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from os import PathLike
    from typing import Any, BinaryIO, Never, SupportsIndex

    from pyreframework.engine import PyreRequest
    from pyreframework.outcomes import Count, Data
    from pyreframework.spools import Window

    class Parts(dict[str, "UploadFile"]):
        """Parts by name, or in a coroutine what may be awaited for them."""

        def __await__(self) -> Generator[Any, None, dict[str, UploadFile]]: ...


__all__ = ["FormLimits", "UploadFile", "parse_multipart"]

# No form comes near it, and the engine counts up to there.
BOUND_MAX = 2**63 - 1


class Frozen:
    """What has its attributes from the beginning, and never others."""

    __slots__ = ()

    def _put(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{name} of {type(self).__name__} cannot be set")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"{name} of {type(self).__name__} cannot be deleted")


class FormLimits(Frozen):
    """How much a form may have. What has more is answered 413.

    A body as a whole has the bound ``max_body_size`` of the app.

    Args:
        max_parts: Fields and files together.
        max_head_size: Bytes of the head of a part.
        max_name_size: Bytes of the name of a field or a file.
        max_field_size: Bytes of a field.
        max_file_size: Bytes of a file; None for no other bound than that of the body.
        max_memory: Bytes of all that is in memory of a form; what is more has to be files, which
            are written to disk then, whatever their size.
        spool_size: Bytes of a file that is kept in memory; larger ones are written to disk.
        spool_dir: The folder of that disk; None for that of temporary files.

    Raises:
        ValueError: A number is no number from 0 to 2 ** 63 - 1, or ``spool_dir`` is no folder.

    Example:
        >>> FormLimits(max_parts=20).max_parts
        20
    """

    __slots__ = (
        "max_field_size",
        "max_file_size",
        "max_head_size",
        "max_memory",
        "max_name_size",
        "max_parts",
        "spool_dir",
        "spool_size",
    )

    max_parts: int
    max_head_size: int
    max_name_size: int
    max_field_size: int
    max_file_size: int | None
    max_memory: int
    spool_size: int
    spool_dir: str | PathLike[str] | None

    def __init__(
        self,
        *,
        max_parts: int = 1000,
        max_head_size: int = 8 * 1024,
        max_name_size: int = 1024,
        max_field_size: int = 1024 * 1024,
        max_file_size: int | None = None,
        max_memory: int = 16 * 1024 * 1024,
        spool_size: int = 1024 * 1024,
        spool_dir: str | PathLike[str] | None = None,
    ) -> None:
        numbers = {
            "max_parts": max_parts,
            "max_head_size": max_head_size,
            "max_name_size": max_name_size,
            "max_field_size": max_field_size,
            "max_memory": max_memory,
            "spool_size": spool_size,
        }
        if max_file_size is not None:
            numbers["max_file_size"] = max_file_size
        for name, number in numbers.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise ValueError(f"{name} must be a number from 0, not {number!r}")
            if number > BOUND_MAX:
                raise ValueError(f"{name} must be a number up to {BOUND_MAX}, not {number!r}")
        if spool_dir is not None:
            from os.path import isdir

            if not isdir(spool_dir):
                raise ValueError(f"spool_dir must be a folder that is there, not {spool_dir!r}")
        self._put(max_file_size=max_file_size, spool_dir=spool_dir)
        self._put(**numbers)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"FormLimits({shown})"


class UploadFile(Frozen):
    """A file of a form, whole: in memory, or in a temporary file without a name.

    Args:
        name: The name of the field that it was sent in.
        filename: What its sender calls it; None for a field that is no file. Anything may stand
            there: it is no path to write to.
        content_type: What its sender says it is.
        data: Its content.

    Raises:
        TypeError: One of these is of another type.

    Example:
        >>> file = UploadFile("picture", "dot.txt", "text/plain", b"a dot")
        >>> file.size, file.text, file.read(1)
        (5, 'a dot', b'a')
    """

    __slots__ = ("_content", "_opened", "content_type", "filename", "name", "size")

    name: str
    filename: str | None
    content_type: str
    size: int
    _content: bytes | Window
    _opened: list[BinaryIO]

    def __init__(
        self,
        name: str,
        filename: str | None = None,
        content_type: str | None = None,
        data: bytes | Window = b"",
    ) -> None:
        if not isinstance(data, bytes) and type(data).__name__ != "Window":
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        for what, value in (("filename", filename), ("content_type", content_type)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{what} must be a str or None, not {type(value).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        self._put(
            name=name,
            filename=filename,
            # RFC 7578 section 4.4.
            content_type="text/plain" if content_type is None else content_type,
            size=len(data),
            _content=data,
            _opened=[],
        )

    @property
    def data(self) -> bytes:
        """All of it; read from disk each time, if it is there."""
        content = self._content
        return content if isinstance(content, bytes) else content.read_at(0, self.size)

    @property
    def text(self) -> str:
        """All of it as text in strict UTF-8.

        Raises:
            FormError: It is not UTF-8. A `ValueError`; uncaught, the client is answered 400.
        """
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            from pyreframework.errors import FormError

            raise FormError(400, f"{self.name!r} in the form is not UTF-8") from error

    @property
    def file(self) -> BinaryIO:
        """It as an open file for reading, the same one each time; it has no descriptor."""
        if not self._opened:
            from io import BufferedReader, BytesIO

            content = self._content
            if isinstance(content, bytes):
                # Read-only, as one on disk is.
                self._opened.append(BufferedReader(BytesIO(content)))
            else:
                self._opened.append(content.opened())
        return self._opened[0]

    def read(self, n: int | None = -1) -> Data:
        """Return ``n`` bytes from where `file` stands, fewer only at its end; all if below 0.

        In a coroutine it is awaited, and reads from disk on another thread.
        """
        data: Data = self._beside(lambda: self.file.read(-1 if n is None else n))
        return data

    def save(self, path: str | PathLike[str]) -> Count:
        """Write it to a file, which is made or overwritten; return the number of bytes.

        In a coroutine it is awaited, and writes on another thread, to the end even if whoever
        awaits it is cancelled. Never take `filename` for a path: it may be that of a file of yours.

        Raises:
            OSError: The file cannot be written.
            TypeError: ``path`` is no path.
        """
        from os import fspath

        to = fspath(path)
        count: Count = self._beside(lambda: self._save(to))
        return count

    def _save(self, path: str) -> int:
        with open(path, "wb", buffering=0) as target:
            if isinstance(self._content, bytes):
                from pyreframework.spools import write_all

                write_all(target.fileno(), [self._content])
            else:
                self._content.copy_to(target.fileno())
        return self.size

    def _beside(self, work: Callable[[], Any]) -> Any:
        from pyreframework.outcomes import done, is_for_coroutine

        if not is_for_coroutine():
            return done(work())
        from asyncio import to_thread

        return to_thread(work)

    def __reduce_ex__(self, _: SupportsIndex) -> Never:
        raise TypeError(
            "an UploadFile can be neither copied nor pickled: take its data, or save it to a file"
        )

    def __repr__(self) -> str:
        return (
            f"<UploadFile {self.name!r} filename={self.filename!r} "
            f"content_type={self.content_type!r} size={self.size}>"
        )


def parse_multipart(req: PyreRequest, limits: FormLimits | None = None) -> Parts:
    """Return all parts of a form with files by name, fields as well; of several the last one.

    On a route with ``stream_body=True`` it is awaited in a coroutine. Of any other object than a
    request it needs ``headers`` and ``body``.

    Args:
        req: The request.
        limits: How much the form may have; None for ``form_limits`` of the app.

    Raises:
        FormError: The body is no such form, or a malformed one. A `ValueError`; uncaught, the
            client is answered 400, or 413 if it exceeds a bound.
    """
    from pyreframework.forms import multipart

    found: Parts = multipart(req, limits)
    return found
