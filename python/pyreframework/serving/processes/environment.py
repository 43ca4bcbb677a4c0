"""The environment that this program was started with, whatever it makes of its own since.

Whatever starts the program anew gives it that one: a variable that it takes out of its environment,
such as a password, is there for the next process too, and one that it has set from a file is not
there before that has read the file as it is then. Noted as the package is imported.
"""

from __future__ import annotations

import os
import posix
import sys
from os import fsdecode

# Names the descriptor of the control socket, and the process that made it.
VARIABLE = "_PYRE_SUPERVISOR"
ORIGINAL = "/proc/self/environ"
# What is said to one process: where its control socket is, and which sockets a service manager has
# opened for it.
PERSONAL = (VARIABLE.encode(), b"LISTEN_PID", b"LISTEN_PIDFDID", b"LISTEN_FDS", b"LISTEN_FDNAMES")

_noted: dict[bytes, bytes] | None = None


def note() -> None:
    """Note the environment of this process, if that was not done yet."""
    global _noted
    if _noted is None:
        found = original()
        if found is None:
            found = dict(posix.environ)
        _noted = {name: found[name] for name in found if name not in PERSONAL}


def environment() -> dict[str, str]:
    """Return the environment in which this program is started anew; it is the caller's."""
    note()
    assert _noted is not None, "noted just now"
    return {fsdecode(name): fsdecode(value) for name, value in _noted.items()}


def original() -> dict[bytes, bytes] | None:
    """Return what the system has kept of the environment; None if that is not there (any more).

    What is set or removed later is so in a copy. But a program that writes a title for `ps` over
    its arguments may have written over the environment as well, which stands behind them.
    """
    try:
        with open(ORIGINAL, "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None
    if entries.pop() or not all(b"=" in entry[1:] for entry in entries):
        return None
    found: dict[bytes, bytes] = {}
    for entry in entries:
        name, _, value = entry.partition(b"=")
        # The first counts, as for `os.environ`.
        found.setdefault(name, value)
    return found


def keep_from_others() -> None:
    """Keep the control socket of this process from all that it starts, before it is found.

    What was started by the program and outlives it would hold it open, and nobody would hear of the
    end of this process, nor would sockets end that wait in it.
    """
    number, _, maker = os.environ.get(VARIABLE, "").partition(":")
    if not (number.isdecimal() and maker == str(posix.getppid())):
        return
    descriptor = int(number)

    def close_in_child() -> None:
        found = getattr(sys.modules.get(f"{__package__}.control"), "control", None)
        if found is not None:
            found.forget()
        elif os.environ.pop(VARIABLE, None) is not None:
            os.close(descriptor)

    try:
        os.set_inheritable(descriptor, False)
    except (OSError, OverflowError):
        return  # There is none.
    os.register_at_fork(after_in_child=close_in_child)
