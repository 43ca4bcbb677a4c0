"""What becomes of a process that is forked from one that serves: everything of the server is gone.

``os.fork``, pools and processes of ``multiprocessing`` by fork, and ``subprocess`` with
``preexec_fn`` copy this process with one thread, the one that forks. The child has descriptors of
all sockets, and handlers for signals that would tell the parent; it lets go of them here before it
does anything of its own. The engine has taken its workers out by then. Imported by the serving
side only.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading

from pyreframework.engine import can_fork, numbers_end
from pyreframework.logs.console import complain, report
from pyreframework.logs.streams import open_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Their handlers write to a socket that the parent reads, until the child has its own again.
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on

# Called in the child, in this order; empty while nothing is served.
in_child: list[Callable[[], None]] = []
# Whether this process was forked from one that served.
forked = False

_registered = False
# Takes the place of sockets in a child that may have no free descriptor; -1: nothing is served.
_null = -1
_masks = threading.local()


def attach(forget: Callable[[], None]) -> None:
    """Have a function called in every child that is forked, until `detach`.

    Raises:
        OSError: There is no descriptor for what the child needs.
    """
    global _registered, _null
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
    if _null < 0:
        _null = open_null()
    in_child.append(forget)


def detach(forget: Callable[[], None]) -> None:
    """Take back what `attach` said."""
    if forget in in_child:
        in_child.remove(forget)
    if not in_child:
        _close_null()


def _close_null() -> None:
    global _null
    if _null >= 0:
        os.close(_null)
        _null = -1


def _before() -> None:
    """Hold signals back, so that none hits the child while its handlers are the parent's."""
    _masks.before = None
    if in_child:
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        if not can_fork():
            complain(
                "this process is forked while workers run, which kills the new process on this "
                "version of CPython: use the start methods spawn or forkserver"
            )


def _after() -> None:
    before = getattr(_masks, "before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_child() -> None:
    global forked
    if in_child:
        forked = True
        for forget in in_child:
            try:
                forget()
            except Exception as error:  # noqa: BLE001 - the program goes on, and should hear of it
                report(error, error.__traceback__)
        in_child.clear()
        _close_null()
    _after()


def local_names(descriptors: Sequence[int]) -> set[object]:
    """Return the addresses that sockets listen on, as `forget_sockets` takes them."""
    return {_name(descriptor) for descriptor in descriptors}


def forget_sockets(names: set[object], kept: Sequence[int] = ()) -> None:
    """Close this process's copies of all sockets with one of these addresses, connections too.

    While a copy is open, a client does not learn that its connection was closed, and is not refused
    when nobody listens any more. The numbers stay taken, as objects know them that are
    still there and will close them.

    Args:
        names: What the sockets listened on, from `local_names`.
        kept: Descriptors that the program has opened itself.
    """
    for descriptor in _open_descriptors():
        if descriptor not in kept and _is_one_of(_name(descriptor), names):
            try:
                os.dup2(_null, descriptor, inheritable=False)
            except OSError:
                # The limit was lowered since it was opened: the number is nobody's any more.
                os.close(descriptor)


def _open_descriptors() -> Iterator[int]:
    try:
        yield from [int(name) for name in os.listdir("/dev/fd")]
        return
    except OSError:
        # It is not there, or no descriptor is free to list it. As many as the limit allows may be
        # more than can be looked at.
        yield from range(numbers_end())


def _name(descriptor: int) -> object:
    """Return the local address of a socket, or None for anything else."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        end = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        name = end.getsockname()
    except OSError:
        return None
    finally:
        end.detach()
    if end.type != socket.SOCK_STREAM:
        return None
    # IPv6 has more than address and port.
    return tuple(name[:2]) if isinstance(name, tuple) else name or None


def _is_one_of(name: object, names: set[object]) -> bool:
    if name is None:
        return False
    if name in names:
        return True
    return isinstance(name, tuple) and any((host, name[1]) in names for host in WILDCARDS)
