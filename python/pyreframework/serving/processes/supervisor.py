"""The process that stays while others take turns at serving.

It keeps the listening sockets, so that a process that serves can be replaced at any time, passes on
signals, and ends with the exit code of the last process. It accepts nothing itself and runs none of
the user's code. A process that was started counts only when it says that it serves; until then, and
if it fails, the one before it goes on.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
import time

from pyreframework.logs import streams
from pyreframework.logs.console import complain
from pyreframework.serving.processes.channel import Channel, close_all
from pyreframework.serving.processes.child import (
    Child,
    ended_children,
    ending,
    has_ended,
    is_child,
    spawn,
)
from pyreframework.serving.processes.succession import (
    AT_ONCE_SECONDS,
    FORWARDED,
    LEAVE_SECONDS,
    not_restarted,
)
from pyreframework.serving.processes.watch import Watch, names
from pyreframework.serving.signals.endings import ABANDONED, USAGE
from pyreframework.serving.signals.hold import has_terminal
from pyreframework.serving.signals.stop import SAME_SIGNAL_SECONDS, nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from pyreframework.serving.processes.channel import Listeners

# What a process that has not come to serve has to end in where nobody serves before the next one.
MAKE_WAY_SECONDS = 5.0
# How often to look for processes that have ended where no signal tells of it.
LOOK_SECONDS = 0.25


class Supervisor:
    """Starts processes, listens to them and to signals.

    Args:
        command: Starts a process that serves.
        state: What `succession.become_supervisor` has noted.
    """

    def __init__(self, command: list[str], state: dict[str, Any]) -> None:
        self.command = command
        self.folder: str | None = state["folder"]
        # What the command runs, if that is a file.
        self.file: str | None = state["file"]
        self.activated: int = state["activated"]
        self.listeners: Listeners = [tuple(listener) for listener in state["listeners"]]
        # Those that serve, that are about to, and that answer their last requests.
        self.current: Child | None = None
        self.next: Child | None = None
        self.leaving: list[Child] = []
        # One that is leaving, after whose end the next one is started.
        self.awaited: Child | None = None
        # What the end of a process may take that has not served.
        self.end_patience: float = state["end_patience"]
        self.code = 0
        self.stops = 0
        # Whether a stop was asked for, by a signal or by the program.
        self.is_stopping = False
        # When the first stop was asked for.
        self.stopped_at = 0.0
        self.has_served = False
        # Sources that are watched; None: nobody asked for it.
        self.watch: Watch | None = None
        self.had_terminal: bool = state["terminal"]
        self.selector = selectors.DefaultSelector()
        self.signals, self.wakeup = socket.socketpair()
        # Whether Python lets this thread say what becomes of signals.
        self.is_main = threading.current_thread() is threading.main_thread()
        self.catch_signals(state["signals"], state["handled"])
        if state["child"] is not None:
            self.current = self.adopt(state["child"], socket.socket(fileno=state["channel"]))
            self.current.patience = state["patience"]
            self.current.apps = state["apps"]
        if "files" in state:
            # The command may have said where compiled files are.
            sys.pycache_prefix = state["pycache_prefix"]
            self.watch = Watch(state["folders"])
            self.watch.changes.add(state["files"])
            self.selector.register(self.watch, selectors.EVENT_READ, self.look)
        if state["stopping"]:
            self.stop()
        elif state["again"] or self.current is None:
            self.renew()

    def catch_signals(self, before: int, handled: Iterable[int]) -> None:
        """Catch signals from here on, those that came since ``before`` was read last as well."""
        if self.is_main:
            self.wakeup.setblocking(False)
            signal.set_wakeup_fd(self.wakeup.fileno(), warn_on_full_buffer=False)
            self.catch((*FORWARDED, *handled))
            # Whoever has started this may have it ignored or blocked: then the system itself would
            # collect processes, and their numbers might soon be those of others.
            signal.signal(signal.SIGCHLD, nothing)
            with socket.socket(fileno=before) as missed:
                missed.setblocking(False)
                try:
                    self.wakeup.send(missed.recv(64))
                except BlockingIOError:
                    pass
        else:
            # Those of the program that hangs are caught as before.
            self.signals.close()
            self.signals = socket.socket(fileno=before)
        self.signals.setblocking(False)
        self.selector.register(self.signals, selectors.EVENT_READ, self.hear_signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*FORWARDED, *handled, signal.SIGCHLD))

    def catch(self, numbers: Iterable[int]) -> None:
        """Catch signals, as a program that serves handles them; they would end this one."""
        for number in numbers if self.is_main else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, nothing)

    def run(self) -> int:
        """Go on until no process is left; return the exit code of the last one that served."""
        # Whatever has ended while nobody listened.
        self.reap()
        while self.has_more_to_do():
            for key, _ in self.selector.select(self.patience()):
                act: Callable[[], None] = key.data
                act()
            # Also where nothing has said so: bytes of signals are lost when too many come at once.
            self.reap()
            self.look()
            self.kill()
        return self.code if self.stops < 2 else ABANDONED

    def close(self) -> None:
        """Catch signals no more, and close what `run` has listened to."""
        signal.set_wakeup_fd(-1)
        self.unwatch()
        self.let_go()
        self.selector.close()
        self.signals.close()
        self.wakeup.close()

    def patience(self) -> float | None:
        """Return how many seconds to wait at most for something to happen."""
        now = time.monotonic()
        times = [max(child.due - now, 0.0) for child in self.children() if child.due is not None]
        if self.watch is not None:
            times.append(self.watch.patience())
        if not self.is_main:
            times.append(LOOK_SECONDS)
        return min(times, default=None)

    def kill(self) -> None:
        """Kill what was told to end and has not in the time it had."""
        now = time.monotonic()
        for child in self.children():
            if child.due is not None and child.due <= now:
                child.due = None
                complain(f"process {child.pid} does not end by itself and is killed")
                child.send(signal.SIGKILL)

    def children(self) -> list[Child]:
        """Return all processes that have not ended."""
        every = (self.current, self.next, *self.leaving)
        return [child for child in every if child is not None]

    def has_more_to_do(self) -> bool:
        """Tell whether there is a process, or may be one after a change."""
        if self.current is not None or self.next is not None or self.leaving:
            return True
        return self.watch is not None

    def look(self) -> None:
        """Start the program anew if one of its files has changed."""
        changed = self.watch.take() if self.watch is not None else []
        if changed:
            complain(f"{names(changed)} changed", "INFO")
            self.hear_all()
            self.renew()

    def adopt(self, pid: int, end: socket.socket) -> Child:
        """Listen to a process."""
        child = Child(pid, Channel(end), self.end_patience)
        end.setblocking(False)
        self.selector.register(end, selectors.EVENT_READ, lambda: self.hear(child))
        return child

    def renew(self) -> None:
        """Start a process that is to take over; one that has not come to serve makes way."""
        if self.is_stopping:
            return
        if self.current is not None and self.current.apps > 1:
            if self.watch is None:
                complain(not_restarted(self.current.apps))
                return
            self.make_way(self.current)
        if self.next is not None:
            complain(f"starting anew; process {self.next.pid} had not served yet", "INFO")
            if self.current is None:
                # It may have opened addresses that nobody has handed to it, and cannot hand on.
                self.awaited = self.next
                self.next.has_until(MAKE_WAY_SECONDS)
            self.do_without(self.next)
        if self.awaited is not None:
            return
        if self.watch is not None:
            self.watch.changes.drop_compiled()
        since_ns = time.time_ns()
        try:
            process, channel = spawn(self.command, self.folder, self.file)
        except OSError as error:
            self.search(since_ns)
            complain(f"a new process could not be started, {self.rest()}: {error}")
            self.let_go_if_none_is_left()
            return
        # Waited for in `reap`, not by this object.
        process.returncode = 0
        self.next = self.adopt(process.pid, channel.socket)
        if self.current is not None:
            complain(f"starting process {self.next.pid} to take over", "INFO")

    def make_way(self, child: Child) -> None:
        """Have a process end before the next one starts, which could not listen where it does."""
        complain(
            f"stopping process {child.pid}, which serves {child.apps} apps, to start anew", "INFO"
        )
        child.channel.tell("stop all")
        child.has_until(child.patience)
        self.leaving.append(child)
        self.current, self.awaited = None, child

    def count_apps(self, child: Child, count: int) -> None:
        """Note how many apps a process serves; from one with several no other takes over."""
        child.apps = count
        if child is not self.current or count == 1 or self.next is None:
            return
        # It may have said already that it serves.
        self.hear(self.next)
        if child is self.current and self.next is not None:
            self.do_without(self.next)
            self.renew()

    def hear_all(self) -> None:
        """Act on what was said so far, before what is asked for now: by that a process may serve.

        Of what comes at about the same time, the selector may name the later first.
        """
        for child in self.children():
            self.hear(child)

    def hear(self, child: Child) -> None:
        """Act on what a process says."""
        # One that has ended may still stand in the list of those that had something to say.
        while not child.hung_up:
            try:
                message = child.channel.receive()
            except BlockingIOError:
                return
            except OSError as error:
                if child is self.next:
                    self.cannot_take_over(child, error)
                continue
            match message:
                case ["ask"]:
                    self.answer(child)
                case []:
                    self.hang_up(child)
                # The one before goes on if it has ended since it said so.
                case ["ready", patience, *more] if self.current is None or not has_ended(child.pid):
                    child.patience = patience
                    self.catch(more[0] if more else ())
                    self.serves(child)
                # It says so again while the next one starts.
                case ["renew"] if child is self.current and self.next is None:
                    self.renew()
                case ["apps", count]:
                    self.count_apps(child, count)
                # One that was told to end itself says so too.
                case ["stopping", own] if child is self.current or (child.is_replaced and own):
                    self.end(child)
                case ["files", files] if self.watch is not None:
                    self.watch.changes.add(files)
                    self.watch.update()

    def answer(self, child: Child) -> None:
        """Give a process that is to take over what it is to start with."""
        if child is not self.next or self.is_stopping:
            child.channel.tell("stop all")
            return
        try:
            child.channel.start(self.listeners, self.activated, self.watch is not None)
        except OSError as error:
            self.cannot_take_over(child, error)

    def cannot_take_over(self, child: Child, error: OSError) -> None:
        """Give up a process that is not handed, or does not hand on, what it would serve with."""
        complain(f"process {child.pid} cannot take over, {self.rest()}: {error}")
        self.do_without(child)
        self.let_go_if_none_is_left()

    def hang_up(self, child: Child) -> None:
        """Listen no more to a process."""
        if not child.hung_up:
            self.selector.unregister(child.channel.socket)
            child.hung_up = True

    def give_up(self, child: Child) -> None:
        """Let a process end that has not come to serve; what it hands over is closed.

        With all its apps: those of other threads than the main one may serve by now, and the signal
        does not reach them. It comes first, as it ends what has no app of the main thread any more.
        """
        child.channel.refuse_listeners()
        # It may not be listening to us yet.
        child.send(signal.SIGTERM)
        child.channel.tell("stop all")
        child.has_until(child.patience)

    def do_without(self, child: Child) -> None:
        """Give up the process that was to take over; another one may be started beside it."""
        self.give_up(child)
        self.leaving.append(child)
        self.next = None

    def serves(self, child: Child) -> None:
        """Let a process that serves now take the place of the one before."""
        if child is self.next:
            if self.current is not None:
                complain(
                    f"process {child.pid} serves now; {self.current.pid} finishes its requests",
                    "INFO",
                )
                self.current.channel.tell("leave")
                self.current.has_until(LEAVE_SECONDS + self.current.patience)
                self.current.is_replaced = True
                self.leaving.append(self.current)
            self.current, self.next = child, None
            self.has_served = True
        if child is not self.current or self.is_stopping:
            # It was too late. By now it has requests, which may take their time.
            child.due = None
            child.has_until(child.patience)
            child.channel.tell("stop all")
            child.channel.refuse_listeners()
            return
        before, self.listeners = self.listeners, child.channel.take_listeners()
        close_all(before)

    def reap(self) -> None:
        """Note which processes have ended."""
        codes = ended_children()
        for child in self.children():
            # One may have ended before this program began, with nobody to be told of it.
            if child.pid in codes or not is_child(child.pid):
                # It may have said something before it ended.
                self.hear(child)
                self.ended(child, codes.get(child.pid))

    def ended(self, child: Child, code: int | None) -> None:
        """Draw the consequences of the end of a process; None: how it has ended is not known."""
        self.hang_up(child)
        child.channel.close()
        if child in self.leaving:
            self.leaving.remove(child)
            if child is self.awaited:
                self.awaited = None
                self.renew()
        elif child is self.next:
            self.next = None
            if not self.is_stopping:
                self.failed(child, code)
        elif child is self.current:
            self.current = None
            if code is None:
                complain(f"process {child.pid} {ending(code)}, as SIGCHLD was ignored")
                code = ABANDONED
            self.code = 128 - code if code < 0 else code
            if self.watch is not None and code != 0:
                self.search(child.started_ns)
                complain(f"process {child.pid} {ending(code)}; waiting for a change")
            elif self.next is None:
                self.unwatch()
                self.let_go()

    def failed(self, child: Child, code: int | None) -> None:
        """Say that a process has ended before it served."""
        if self.watch is not None and not self.has_served and code == USAGE:
            # What was asked for cannot be had, whatever the files say.
            self.code = code
            self.unwatch()
            return
        self.search(child.started_ns)
        complain(f"process {child.pid} {ending(code)} before it served; {self.rest()}")
        self.let_go_if_none_is_left()

    def rest(self) -> str:
        """Say what is left where no new process serves."""
        if self.current is not None:
            return f"{self.current.pid} goes on serving"
        return "waiting for a change" if self.watch is not None else "none is left"

    def search(self, since_ns: int) -> None:
        """Watch for more than the files that are known: the program does not start as it is."""
        if self.watch is not None:
            self.watch.search(self.folder, since_ns)

    def unwatch(self) -> None:
        """Watch no longer; a change would start what is to end."""
        if self.watch is not None:
            self.selector.unregister(self.watch)
            self.watch.close()
            self.watch = None

    def hear_signals(self) -> None:
        """Act on the signals that have come."""
        numbers = self.signals.recv(64)
        self.hear_all()
        for number in numbers:
            match number:
                case signal.SIGINT | signal.SIGTERM:
                    self.stop()
                case signal.SIGHUP:
                    # A terminal that closes sends the same signal.
                    if self.had_terminal and not has_terminal():
                        self.stop()
                    else:
                        self.renew()
                case signal.SIGCHLD:
                    self.reap()
                case _:
                    self.forward(number)

    def forward(self, number: int) -> None:
        """Send a signal to the process that serves."""
        if self.current is not None and number in signal.valid_signals():
            self.current.send(number)

    def stop(self) -> None:
        """Let all processes end: the first time when they are done, then at once.

        A second time so soon after the first that it is the same signal does nothing.

        They are told over control sockets, since they may have had the signal themselves, from a
        terminal or a service manager, and would take ours for a second one.
        """
        now = time.monotonic()
        if self.stops == 0:
            self.stopped_at = now
        elif now - self.stopped_at < SAME_SIGNAL_SECONDS:
            return
        self.stops += 1
        self.end(None, "stop" if self.stops == 1 else "at once")
        if self.stops == 2:
            for child in self.children():
                child.has_until(AT_ONCE_SECONDS)

    def end(self, asking: Child | None, word: str = "stop") -> None:
        """Let all processes end.

        Args:
            asking: The one whose program has asked for it, and that knows.
            word: What the others are told.
        """
        self.is_stopping = True
        self.unwatch()
        if self.current is None:
            self.code = 0
        self.let_go()
        for child in self.children():
            if child is asking:
                continue
            child.channel.tell(word)
            if child.hung_up:
                # It runs something else by now, perhaps.
                child.send(signal.SIGTERM)
        if self.next is not None:
            # The one that serves bounds its end itself, and behind run() may come what takes long.
            self.give_up(self.next)

    def let_go(self) -> None:
        """Close the listening sockets: nobody is to be accepted any more."""
        close_all(self.listeners)

    def let_go_if_none_is_left(self) -> None:
        """Do so where no process accepts, nor a change brings one; others may still be leaving."""
        if self.current is None and self.next is None and self.watch is None:
            self.let_go()


def stay(command: list[str], state: dict[str, Any]) -> NoReturn:
    """Supervise in this process, as it cannot be replaced by a supervisor; then end it."""
    code = Supervisor(command, state).run()
    streams.settle()
    # Threads of the program are still there.
    os._exit(code)
