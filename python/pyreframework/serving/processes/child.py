"""A process that is to serve: how it is started, and what is known of it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from pyreframework.serving.processes.channel import Channel
from pyreframework.serving.processes.control import environment_with


def spawn(
    arguments: list[str],
    folder: str | None,
    file: str | None,
) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a process that is to serve, and will ask for the sockets.

    Args:
        arguments: What to start.
        folder: Where to start it; None: here.
        file: What `program_file` has said of the command.

    Raises:
        OSError: It cannot be started.
    """
    if file is not None and not os.path.exists(os.path.join(folder or "", file)):
        where = "" if os.path.isabs(file) else f" in {folder or os.getcwd()}"
        raise OSError(f"there is no file {file!r}{where}")
    ours, theirs = Channel.pair()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command this program was started by
            arguments,
            cwd=folder,
            env=environment_with(theirs.fileno()),
            pass_fds=[theirs.fileno()],
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def is_child(pid: int) -> bool:
    """Tell whether this is a child of this process that has not been waited for."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def ended_children() -> dict[int, int]:
    """Return the exit codes of the children that have ended since this was asked."""
    codes: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return codes
        if pid == 0:
            return codes
        codes[pid] = os.waitstatus_to_exitcode(status)


def has_ended(pid: int) -> bool:
    """Tell whether a child of this process has ended, waited for or not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def pidfd_of(pid: int) -> int | None:
    """Return a descriptor of a child; None if it is gone, or the system has no such descriptors."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        # Where SIGCHLD is ignored it may have ended already, and this be another one.
        os.close(descriptor)
        return None
    return descriptor


def ending(code: int | None) -> str:
    """Say how a process has ended, as far as that is known.

    Example:
        >>> ending(3), ending(-9), ending(None)
        ('ended with code 3', 'was ended by SIGKILL', 'has ended, nobody knows how')
    """
    if code is None:
        return "has ended, nobody knows how"
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"


class Child:
    """A process that serves, is about to, or has done so."""

    def __init__(self, pid: int, channel: Channel, patience: float) -> None:
        self.pid = pid
        self.channel = channel
        # What it may take to end once it was told to.
        self.patience = patience
        # When it is killed, if it was told to end and has not.
        self.due: float | None = None
        self.hung_up = False
        # Whether another process has taken over from it.
        self.is_replaced = False
        # How many apps it serves, by what it says.
        self.apps = 1
        self.started_ns = time.time_ns()

    def send(self, number: int) -> None:
        """Send a signal, if the process is ours and not yet waited for: else it may be another."""
        if is_child(self.pid):
            os.kill(self.pid, number)

    def has_until(self, seconds: float) -> None:
        """Bound the time that is left to it; a bound that is nearer stays."""
        due = time.monotonic() + seconds
        self.due = due if self.due is None else min(self.due, due)
