"""Where files of a form are that are too large for memory: one temporary file, without a name.

The engine writes it. All files of a form stand in it one behind the other, so that each form has
one descriptor at most; it is closed when nobody has any of them. Imported with the first.
"""

from __future__ import annotations

import errno
import io
import os
from threading import Lock

from pyreframework.engine import FormSpool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Buffer
    from typing import BinaryIO

# Bytes that are copied at a time where the system cannot do it.
COPIED_MAX = 256 * 1024
# Buffers that one call writes at most.
BUFFERS_MAX = 64
# What the system says where it cannot copy from one file to the other.
CANNOT_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


class Window:
    """A part of a spool: a file of the form."""

    __slots__ = ("offset", "size", "spool")

    def __init__(self, spool: FormSpool, offset: int, size: int) -> None:
        self.spool = spool
        self.offset = offset
        self.size = size

    def __len__(self) -> int:
        return self.size

    def read_at(self, at: int, size: int) -> bytes:
        """Return bytes from there on, fewer only at its end.

        Raises:
            OSError: The disk does not give them.
        """
        size = min(size, self.size - at)
        if size <= 0:
            return b""
        pieces: list[bytes] = []
        while size:
            piece = os.pread(self.spool.fileno(), size, self.offset + at)
            if not piece:
                raise OSError(errno.EIO, "a temporary file has become shorter")
            pieces.append(piece)
            at += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def copy_to(self, descriptor: int) -> None:
        """Copy all of it to another file, by the system if that can."""
        at = 0
        while at < self.size:
            copied = 0
            try:
                copied = os.copy_file_range(
                    self.spool.fileno(), descriptor, self.size - at, self.offset + at
                )
            except OSError as error:
                if error.errno not in CANNOT_COPY:
                    raise
            if not copied:
                piece = self.read_at(at, COPIED_MAX)
                write_all(descriptor, [piece])
                copied = len(piece)
            at += copied

    def opened(self) -> BinaryIO:
        """Return it as a file that can be read from any place."""
        return io.BufferedReader(OpenWindow(self))


class OpenWindow(io.RawIOBase):
    """A part of a spool as a file."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._at = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from any place."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read into a buffer as much as that takes."""
        with memoryview(buffer).cast("B") as into:
            piece = self._window.read_at(self._at, len(into))
            into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place.

        Raises:
            ValueError: There is no such place.
        """
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._window)}
        if whence not in bases or bases[whence] + offset < 0:
            raise ValueError(f"there is no place {offset} from {whence}")
        self._at = bases[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at


class Target:
    """A file that others write to on threads of theirs; it is closed when none of them does.

    A descriptor that is closed below a thread may be another file by its next call.
    """

    __slots__ = ("_file", "_is_left", "_lock")

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._is_left = False
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - `close` does it

    def write(self, pieces: list[bytes]) -> None:
        """Write all of them, unless it has been closed.

        Raises:
            OSError: The disk does not take them.
        """
        try:
            with self._lock:
                if not self._is_left:
                    write_all(self._file.fileno(), pieces)
        finally:
            if self._is_left:
                self.close()

    def close(self) -> None:
        """Close it, or have that done by the thread that writes to it."""
        self._is_left = True
        if self._lock.acquire(blocking=False):
            try:
                self._file.close()
            finally:
                self._lock.release()


def write_all(descriptor: int, pieces: list[bytes]) -> None:
    """Write all of them, one behind the other.

    Raises:
        OSError: The disk does not take them.
    """
    left: list[bytes | memoryview] = [piece for piece in pieces if piece]
    while left:
        written = os.writev(descriptor, left[:BUFFERS_MAX])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = memoryview(left[0])[written:]


def opened(folder: str | os.PathLike[str] | None, waits: bool) -> FormSpool:
    """Return a new temporary file without a name.

    Args:
        folder: Where its disk is; None for that of temporary files.
        waits: Whether what is appended is written only when somebody says so.

    Raises:
        OSError: None can be made there.
    """
    if folder is None:
        from tempfile import gettempdir

        folder = gettempdir()
    flags = os.O_TMPFILE | os.O_EXCL if hasattr(os, "O_TMPFILE") else 0
    return FormSpool(os.fsdecode(folder), flags, waits)
