"""Where files of a form are that are too large for memory: one temporary file, without a name.

All files of a form stand in it one behind the other, so that each form has one descriptor at most.
It is closed when nobody has any of them. Imported with the first such file.
"""

from __future__ import annotations

import errno
import io
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Buffer, Callable
    from typing import BinaryIO

# What is shorter is joined with others before it is written.
SHORT = 16 * 1024
# Bytes that are copied at a time where the system cannot do it.
COPIED_MAX = 256 * 1024
# Buffers that one call writes at most.
BUFFERS_MAX = 64
# What the system says where it cannot copy from one file to the other.
CANNOT_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


class Spool:
    """A temporary file without a name, and what is to be written to it next."""

    __slots__ = ("descriptor", "pending", "pending_size", "size")

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.descriptor = -1
        self.descriptor = open_unlinked(folder)
        self.size = 0
        """With what is pending."""
        self.pending: list[bytes | bytearray] = []
        self.pending_size = 0

    def append(self, data: bytes | bytearray) -> None:
        """Have bytes written next."""
        self.size += len(data)
        self.pending_size += len(data)
        if len(data) >= SHORT:
            self.pending.append(data)
        elif self.pending and isinstance(self.pending[-1], bytearray):
            self.pending[-1] += data
        else:
            self.pending.append(bytearray(data))

    def flush(self) -> None:
        """Write what is pending; other threads run meanwhile."""
        pending, self.pending, self.pending_size = self.pending, [], 0
        write_all(self.descriptor, pending)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.descriptor >= 0:
            close(self.descriptor)


class Window:
    """A part of a spool: a file of the form."""

    __slots__ = ("offset", "size", "spool")

    def __init__(self, spool: Spool, offset: int, size: int) -> None:
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
            piece = os.pread(self.spool.descriptor, size, self.offset + at)
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
                    self.spool.descriptor, descriptor, self.size - at, self.offset + at
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


def write_all(descriptor: int, pieces: list[bytes | bytearray]) -> None:
    """Write all of them, one behind the other.

    Raises:
        OSError: The disk does not take them.
    """
    left: list[bytes | bytearray | memoryview] = [piece for piece in pieces if piece]
    while left:
        written = os.writev(descriptor, left[:BUFFERS_MAX])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = memoryview(left[0])[written:]


def open_unlinked(folder: str | os.PathLike[str] | None) -> int:
    """Return a descriptor of a new file without a name.

    Raises:
        OSError: None can be made there.
    """
    import tempfile

    place = tempfile.gettempdir() if folder is None else os.fspath(folder)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_EXCL
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(place, flags | os.O_TMPFILE, 0o600)
        except OSError as error:
            # The file system has no such files, or the kernel.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    descriptor, path = tempfile.mkstemp(dir=place)
    try:
        os.unlink(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
