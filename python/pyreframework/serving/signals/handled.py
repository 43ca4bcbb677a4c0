"""Which signals this process does something about, for the supervisor that is to pass them on."""

from __future__ import annotations

import signal

# Nobody else can handle those for a process: they cannot be caught, are about what it has just
# done itself, or are the supervisor's own.
OWN = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ,
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS,
    signal.SIGABRT,
}  # fmt: skip


def handled_signals() -> list[int]:
    """Return the numbers of all signals that have a handler, whoever has set it."""
    numbers = sorted(signal.valid_signals() - OWN)
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            caught = next(int(line.split()[1], 16) for line in status if line[:7] == "SigCgt:")
    except (OSError, StopIteration):
        # There is no such file here: then those that were set from Python.
        return [int(number) for number in numbers if callable(signal.getsignal(number))]
    return [int(number) for number in numbers if caught >> (number - 1) & 1]


def stop_timers() -> None:
    """Stop the timers that send signals; they would outlive what handles these."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
