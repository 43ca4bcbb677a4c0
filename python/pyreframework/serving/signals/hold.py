"""SIGHUP while a program is still being imported: it waits until ``run()`` can obey it.

By default it would end the process, before anything could be logged. From the import of this
package on, or from the start of ``pyre run``, a handler notes it instead; what serves takes that
over. A terminal that closes sends the same signal, and then the process ends as ever. A process
that only imports an app, from a test runner or another server, keeps what it had.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    # What `signal` is made of, without all that comes with it.
    import _signal

# Frames of the import system, and of ``python -m``.
FROZEN = "<frozen "

# The process that holds the signal back; a child that was forked does not.
holder = 0
had_terminal = False
# Whether the signal has come.
is_asked = False


def hold_for_program() -> None:
    """Hold the signal back if the program itself imports this package, at its own top."""
    # The caller is this package, which something imports.
    frame = sys._getframe(1).f_back  # noqa: SLF001 - there is no other name for it
    if is_of_program(frame):
        hold()


def hold() -> None:
    """Hold the signal back, if nobody has a use of his own for it."""
    global holder, had_terminal
    if _signal.getsignal(_signal.SIGHUP) != _signal.SIG_DFL:
        return
    try:
        _signal.signal(_signal.SIGHUP, note)
    except ValueError:
        return  # On another thread, or in another interpreter, where nothing is served by signals.
    holder, had_terminal = posix.getpid(), has_terminal()


def take() -> bool:
    """Tell whether the signal has come; it is the caller's from here on."""
    global is_asked
    asked, is_asked = is_asked, False
    return asked


def give_up() -> None:
    """Hold the signal back no longer, as nothing will obey it: what has come hits now."""
    if _signal.getsignal(_signal.SIGHUP) == note:
        _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
        if take():
            posix.kill(posix.getpid(), _signal.SIGHUP)


def note(_number: int, _frame: FrameType | None) -> None:
    """Note the signal; let it do what it does by default where that is what is meant."""
    global is_asked
    is_asked = True
    closed = had_terminal and not has_terminal()
    signals = sys.modules.get("pyreframework.serving.signals.stop")
    # A thread serves, which can take nothing over from the one that handles signals.
    if closed or posix.getpid() != holder or (signals is not None and signals.elsewhere):
        give_up()


def is_of_program(frame: FrameType | None) -> bool:
    """Tell whether a frame and all its callers are of the program, and there is one."""
    from pyreframework.program.ownership import is_program_file

    found = False
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(FROZEN):
            if not is_program_file(file):
                return False
            found = True
        frame = frame.f_back
    return found


def has_terminal() -> bool:
    """Tell whether this process has a terminal that controls it."""
    try:
        posix.close(posix.open("/dev/tty", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC))
    except OSError:
        return False
    return True
