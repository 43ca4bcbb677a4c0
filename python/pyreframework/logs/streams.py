"""The standard streams of an interpreter: their descriptors, and what is printed to them.

What programs print waits for its reader, as it always does, but does not raise if there is none.
What Pyre itself says neither waits nor fails, see `console`.

Imported in every worker, so it imports nothing but what every interpreter has.
"""

from __future__ import annotations

import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from posix import O_CLOEXEC, O_RDWR, close, dup2, fstat, pipe, set_inheritable
from posix import open as open_file

from pyreframework.engine import (
    disown_stream,
    flush_log,
    is_disowned,
    say,
    takes_at_once,
    write_stream,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TextIO

OUTPUT, ERROR = 1, 2
NAMES = {OUTPUT: "stdout", ERROR: "stderr"}
NULL_DEVICE = "/dev/null"
# How long one who says something waits for it to be written, so that it stands where it belongs.
SAY_SECONDS = 0.2
# The same for what is left at the end of a process.
LAST_SECONDS = 1.0
LOOK_SECONDS = 0.02


# ------------------------------------------------------------------------------ descriptors


def open_missing() -> None:
    """Open what is closed of the descriptors 0 to 2 on the null device.

    Whatever is opened next would get their numbers: a socket would be what others print to. If that
    has happened before the first import of this package, nothing of ours is written there.
    """
    for number in (0, OUTPUT, ERROR):
        try:
            fstat(number)
        except OSError:
            occupy(number)
        else:
            name = NAMES.get(number)
            # Python has found it closed as it started, and none of us has opened it.
            if name and getattr(sys, f"__{name}__") is None and not occupied[number]:
                disown_stream(number)


# Which of them are on the null device by our doing.
occupied = [False, False, False]


def open_null() -> int:
    """Open the null device; or, where there is none, what has nothing to read and takes nothing.

    A container or a change of the root may leave it out.

    Raises:
        OSError: Nothing can be opened at all.
    """
    try:
        return open_file(NULL_DEVICE, O_RDWR | O_CLOEXEC)
    except OSError:
        opened, other = pipe()
        close(other)
        return opened


def occupy(number: int) -> None:
    """Put the null device under a number, or what stands in for it."""
    try:
        opened = open_null()
    except OSError:
        return  # So nothing will get this number either.
    if opened == number:
        set_inheritable(number, True)
    else:
        dup2(opened, number)
        close(opened)
    occupied[number] = True


def take_over() -> None:
    """Make the standard streams of a process safe that is to serve; on the main interpreter."""
    import atexit

    open_missing()
    adopt()
    catch_the_rest()
    atexit.unregister(settle)
    atexit.register(settle, for_good=True)


# ------------------------------------------------------------------------- to print to them


def put(stream: TextIO | None, usual: int, label: str, text: str, level: str) -> None:
    """Print to the stream that a program has in place of the usual one, or to that."""
    if stream is None:
        return
    number = number_of(stream, usual)
    text = text.rstrip("\n")
    if number is None:
        try:
            # In one piece: others may write to the same place meanwhile.
            stream.write(f"{label}{text}\n")
            stream.flush()
        except Exception:  # noqa: BLE001, S110 - nobody is left to be told
            pass
    elif number == ERROR:
        say(level, label, text.encode("utf-8", "backslashreplace").decode())
        flush_log(SAY_SECONDS)
    else:
        data = encoded(stream, f"{label}{text}\n")
        write_stream(number, data, SAY_SECONDS)


def encoded(stream: TextIO, text: str) -> bytes:
    """Return text in the encoding of a stream; what that has no characters for is escaped."""
    try:
        return text.encode(stream.encoding, "backslashreplace")
    except (LookupError, TypeError, AttributeError):
        return text.encode("utf-8", "backslashreplace")


def number_of(stream: TextIO, usual: int) -> int | None:
    """Return the number of the standard stream that a stream leads to; None: to something else."""
    if stream is getattr(sys, f"__{NAMES[usual]}__"):
        return usual
    try:
        number = stream.fileno()
    except Exception:  # noqa: BLE001 - a stream of the program may do anything
        return None
    return number if number in NAMES else None


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except Exception:  # noqa: BLE001 - as above
        return False


# --------------------------------------------------------------- what programs print


class Raw(FileIO):
    """What is below a standard stream of a program: what cannot be written is lost, no error."""

    busy = 0
    ending = False

    def write(self, data: Any) -> int:
        """Write bytes; waits for the reader, unless this is the last thing that happens."""
        if self.ending:
            data = bytes(data)
            write_stream(self.fileno(), data, LAST_SECONDS)
            return len(data)
        self.busy += 1
        try:
            written = super().write(data)
        except OSError:
            return len(data)
        finally:
            self.busy -= 1
        # None: it does not wait, as somebody who shares it has decided.
        return len(data) if written is None else written


def adopt(is_worker: bool = False) -> None:
    """Let what the program prints reach its stream with the end of each line, and never raise.

    Each interpreter has a buffer of its own: written by the block, lines would come late and cut;
    written by the piece, as with ``PYTHONUNBUFFERED``, those of two workers would mix.
    """
    for number, name in NAMES.items():
        stream = getattr(sys, name)
        if is_disowned(number):
            # What Python takes for it here belongs to somebody else.
            if stream is not None and number_of(stream, number) == number:
                setattr(sys, name, None)
                setattr(sys, f"__{name}__", None)
            continue
        if type(stream) is not TextIOWrapper or number_of(stream, number) != number:
            continue
        if isinstance(stream.buffer, BufferedWriter) and isinstance(stream.buffer.raw, Raw):
            continue
        if takes_at_once(number):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # What stands there has nobody to read it.
        raw = Raw(number, "wb", closefd=False)
        raw.name = f"<{name}>"
        adopted = TextIOWrapper(
            BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
        )
        setattr(sys, name, adopted)
        if is_worker:
            # Nothing can have been left in the one before.
            setattr(sys, f"__{name}__", adopted)


def settle(for_good: bool = False) -> None:
    """Write what is left in the buffers of standard streams, as far as somebody reads.

    Args:
        for_good: The interpreter ends: it will flush its streams, and what it finds there then must
            neither block nor fail.
    """
    for number, name in NAMES.items():
        for stream in {getattr(sys, name), getattr(sys, f"__{name}__")} - {None}:
            if number_of(stream, number) == number:
                settle_one(stream, number, for_good)
            else:
                within(LAST_SECONDS, stream.flush)
    flush_log(LAST_SECONDS)


def settle_one(stream: Any, number: int, for_good: bool) -> None:
    """Write what is left in one stream."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, Raw):
        if raw.busy:
            # A thread waits in it for a reader, and has the lock that a flush would wait for.
            if for_good:
                name = NAMES[number]
                setattr(sys, name, None)
                setattr(sys, f"__{name}__", None)
            return
        raw.ending = True
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # It was closed.
        finally:
            # The last bytes at the end of an interpreter, also those to come, wait for nobody.
            raw.ending = for_good
        return
    if not (takes_at_once(number) or (for_good and takes_soon(number))):
        if not for_good:
            return
        occupy(number)
    try:
        stream.flush()
    except (OSError, ValueError):
        if for_good:
            # What could not be written would fail again.
            occupy(number)


def takes_soon(number: int) -> bool:
    """Wait until a stream takes what may be left in a buffer; tell whether it does in time."""
    from time import monotonic, sleep

    deadline = monotonic() + LAST_SECONDS
    while not takes_at_once(number):
        left = deadline - monotonic()
        # It says no at once if nobody is there to read.
        if left < 0 or not write_stream(number, b"", left):
            return False
        sleep(LOOK_SECONDS)
    return True


def within(seconds: float, act: Callable[[], object]) -> None:
    """Call a stream of the program's own, which may raise, and wait for that only so long."""
    import threading

    def acting() -> None:
        try:
            act()
        except Exception:  # noqa: BLE001, S110 - nobody is left to be told
            pass

    thread = threading.Thread(target=acting, name="pyre-settle", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        acting()  # There are none of this kind in workers, nor at the end of Python.
    else:
        thread.join(seconds)


# ------------------------------------------------------------------------------- the rest


def catch_the_rest() -> None:
    """Let exceptions that nobody takes be told by way of the log, where the program has no hook.

    At a terminal, which may show them in colours, they are left as they are.
    """
    if is_terminal(sys.stderr):
        return
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = excepted
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = unraisable


def excepted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what a program has ended with."""
    from pyreframework.logs import console

    console.report(error, trace)


def unraisable(args: Any, python_own: Any = sys.__unraisablehook__) -> None:
    """Print an exception that could not be passed on."""
    try:
        from pyreframework.logs import traces
    except ImportError:
        # The interpreter ends, and imports nothing any more.
        python_own(args)
        return
    where = args.err_msg or "Exception ignored in"
    if args.object is not None:
        try:
            where += f": {args.object!r}"
        except Exception:  # noqa: BLE001 - it is only named
            where += f": a {type(args.object).__name__}"
    text = traces.text(args.exc_type, args.exc_value, args.exc_traceback)
    put(sys.stderr, ERROR, "", f"{where}\n{text}", "ERROR")
