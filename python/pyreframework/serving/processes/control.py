"""The control socket of a process that serves: found at the start, then listened to.

A variable names the descriptor and the process that has made it. Who finds the variable of somebody
else leaves it alone. If the supervisor is gone, the process stops as if it had been told to, so
that nothing serves that nobody knows of.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import socket
import stat
import threading

from pyreframework.program.changes import program_files
from pyreframework.serving.processes.channel import Channel, parts
from pyreframework.serving.processes.environment import VARIABLE, environment
from pyreframework.serving.signals.handled import handled_signals
from pyreframework.serving.signals.stop import News, end_at_once, stop_elsewhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyreframework.program.changes import Signature
    from pyreframework.serving.processes.channel import Listeners
    from pyreframework.serving.signals.stop import Stop

# How often a watched program looks whether it has imported more.
LOOK_SECONDS = 0.5

control: ControlSocket | None = None
_finding = threading.Lock()


class ControlSocket:
    """The control socket from a serving process to its supervisor."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.stop: Stop | None = None
        self.activated = 0
        channel.insist("ask")
        start = channel.receive()
        # It may have been given up meanwhile.
        self.stopped = start[:1] != ["start"]
        # The supervisor is gone, and nobody reads what it might say.
        self.is_over = not start
        if self.stopped:
            stop_elsewhere()
        self.thread: threading.Thread | None = None
        self.told_files: dict[str, Signature] = {}
        self.is_watched = False
        self.told_apps = 1
        # Variables that were there before a program was loaded, if it is found so early.
        self.inherited = frozenset(os.environ)
        if not self.stopped:
            self.activated, self.is_watched = start[1], start[2]
            self.thread = threading.Thread(target=self.listen, name="pyre-control", daemon=True)
            self.thread.start()
        atexit.register(self.end)

    @classmethod
    def find(cls) -> ControlSocket | None:
        """Return the control socket that this process was started with, if it was.

        Another process may have inherited the variable; then it says nothing to it. If the
        supervisor is gone already, whose child this is cannot be told, and nobody is to be served.
        """
        found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", os.environ.pop(VARIABLE, ""))
        if found is None or (int(found[2]) != os.getppid() and is_alive(int(found[2]))):
            return None
        descriptor = int(found[1])
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return None
        except OSError:
            return None
        end = socket.socket(fileno=descriptor)
        if (end.family, end.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            end.detach()
            return None
        end.set_inheritable(False)
        return cls(Channel(end))

    def attach(self, stop: Stop | None) -> None:
        """Say who is to hear of messages, from now on; None: nobody does any more."""
        self.stop = stop
        if stop is not None:
            stop.is_supervised = self.thread is not None
            stop.in_child.append(self.forget)
            if self.stopped:
                stop.ask()

    def forget(self) -> None:
        """Hang up, in a process that was forked from this one."""
        self.channel.forget()

    def end(self) -> None:
        """Hang up at the end of the program, unless the thread that listens still does."""
        if self.is_over:
            self.channel.close()

    def listen(self) -> None:
        """Pass on what the supervisor says; if it is gone, stop as if it had said so."""
        # New modules may be imported at any time. A time limit of the socket itself would also be
        # one for what other threads say.
        patience = LOOK_SECONDS * 1000 if self.is_watched else None
        something = select.poll()
        something.register(self.channel, select.POLLIN)
        while True:
            if not something.poll(patience):
                self.tell_files()
                continue
            message = self.channel.receive()
            self.pass_on(message)
            if not message:
                return

    def pass_on(self, message: list[Any]) -> None:
        """Pass on one message.

        Only here is it known who hears of it: at the end of Python this thread still stands where
        it listens, and what is known there, with the program behind it, would not be let go of.
        """
        stop = self.stop
        if message == ["at once"]:
            if stop is None:
                end_at_once()
            stop.at_once()
        elif message == ["leave"] and stop is not None:
            stop.news.put(News.LEAVE)
        else:
            if message != ["stop"]:
                # Nobody else would tell what other threads serve.
                stop_elsewhere()
            # Also for a run() to come.
            self.stopped = True
            self.is_over = not message
            if stop is not None:
                if not message:
                    # Nobody else says any more when it is to end at once.
                    stop.is_supervised = False
                stop.ask()

    def ready(self, listeners: Listeners, patience: float) -> None:
        """Tell that this process serves, and what the supervisor has to know of it.

        Args:
            listeners: The sockets it listens on.
            patience: How long its end may take.

        Raises:
            TimeoutError: The supervisor does not listen.
        """
        self.tell_files()
        self.channel.tell_listeners(listeners)
        self.channel.insist("ready", patience, handled_signals())

    def tell_apps(self, count: int) -> None:
        """Tell how many apps this process serves: the sockets of one only can be handed on."""
        if max(count, self.told_apps) > 1 and not self.is_over:
            self.channel.insist("apps", count)
            self.told_apps = count

    def tell_files(self, more: Sequence[str] = ()) -> None:
        """Tell which files the program has come from since this was told last.

        What finds no room for now is told the next time.
        """
        if not self.is_watched:
            return
        found = program_files(more)
        new = {path: state for path, state in found.items() if path not in self.told_files}
        for some in parts(new):
            if not self.channel.tell("files", some):
                return
            self.told_files.update((path, new[path]) for path in some)


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def find_control() -> ControlSocket | None:
    """Return the control socket to the supervisor of this process, if it has one."""
    global control
    # Apps may be served from several threads, and it is found once.
    with _finding:
        if control is None:
            control = ControlSocket.find()
        return control


def environment_with(descriptor: int) -> dict[str, str]:
    """Return the environment of a process that finds its control socket at this descriptor."""
    return {**environment(), VARIABLE: f"{descriptor}:{os.getpid()}"}
