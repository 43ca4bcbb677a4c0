"""An app being served by ``run()``, which another process can take over."""

from __future__ import annotations

import os
import threading
from time import monotonic

from pyreframework.logs import console, streams
from pyreframework.logs.console import complain
from pyreframework.serving.processes.channel import close_all
from pyreframework.serving.processes.child import ending
from pyreframework.serving.processes.command import can_renew
from pyreframework.serving.processes.control import find_control
from pyreframework.serving.processes.succession import (
    AT_ONCE_SECONDS,
    LEAVE_SECONDS,
    Successor,
    become_supervisor,
    drop_handlers,
    not_restarted,
    obstacle,
)

# Loaded before files may change: it may be needed when they have.
from pyreframework.serving.processes.supervisor import stay
from pyreframework.serving.server import Serving
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.settings.variables import tell_unknown
from pyreframework.serving.signals import endings
from pyreframework.serving.signals.endings import ABANDONED, GRACEFUL
from pyreframework.serving.signals.stop import News, stop_elsewhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyreframework.serving.app import App
    from pyreframework.serving.processes.channel import Listeners
    from pyreframework.serving.processes.control import ControlSocket
    from pyreframework.serving.settings.resolution import Settings
    from pyreframework.serving.signals.stop import Stop


# How long a thread may take to begin, if a signal handler has broken off the wait for that.
BEGIN_SECONDS = 2.0

# What `run()` serves in this process now, each app on a thread of its own; and what waits for that.
served: set[Replaceable] = set()
waiting: set[Replaceable] = set()
# Held while it is decided what is served here, and whether another process may take over.
deciding = threading.Lock()


def report(error: BaseException) -> None:
    """Tell of an exception that ends nothing: the service goes on."""
    console.report(error, error.__traceback__)


def has_started(thread: threading.Thread) -> bool:
    """Tell whether a thread has begun, whose start a signal handler may have broken off."""
    return thread._started.wait(BEGIN_SECONDS)  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - `is_alive` says no of one that is just beginning


def tell_apps() -> None:
    """Tell the supervisor, if there is one, how many apps this process serves."""
    control = find_control()
    if control is not None:
        control.tell_apps(len(served))


class Replaceable(Serving):
    """An app being served by ``run()``, which another process can take over.

    Args:
        app: What to serve.
        settings: The options, checked.
        stop: Says when.
        control: The control socket to the supervisor, if there is one.
        activated: How many sockets a service manager has opened.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        stop: Stop,
        control: ControlSocket | None,
        activated: int,
    ) -> None:
        if settings.count("max_requests") and control is None and not can_renew():
            raise UsageError(
                "max_requests needs a program that can be started again, and run() called on its "
                "main thread: leave it out here"
            )
        super().__init__(app, settings, stop)
        self.control = control
        self.activated = activated
        self.successor: Successor | None = None
        # The new process, if this one was told to stop before that served.
        self.given_up: Successor | None = None
        # Whether a process is being started that is to take over, and whether one has.
        self.renewing = False
        self.leaving = False
        # Whether the last requests were answered, once that is known.
        self.outcome: bool | None = None
        self.is_drained = False
        self.draining: threading.Thread | None = None
        # When a process that has a supervisor would be killed, once another has taken over.
        self.leaving_due = 0.0
        # Passes on what is asked for while the program ends.
        self.heeding: threading.Thread | None = None

    def run(self) -> int:
        """Start, serve and stop; what was started to take over does not stay if that raises."""
        if not self.joins():
            return GRACEFUL
        try:
            return super().run()
        except BaseException as error:
            if self.leaving and self.successor is not None:
                # The service is that of the new process, which needs this one as its supervisor.
                report(error)
                return ABANDONED
            if self.successor is not None:
                self.give_up(self.successor)
            if self.given_up is not None:
                self.given_up.outlive()
            raise
        finally:
            self.decide(self.leaving)
            if not self.leaving:
                # What has been replaced stays: nothing else is served by this process any more.
                with deciding:
                    served.discard(self)
                    tell_apps()

    def joins(self) -> bool:
        """Begin to be served by this process, if another one does not take over.

        While that is not known, as one is being started, this waits: the sockets of an app that
        begins meanwhile would not be handed on.

        Returns:
            False if the app is not to be served here.
        """
        has_waited = False
        while True:
            with deciding:
                is_replaced = any(other.leaving for other in served)
                waits = any(other.renewing for other in served)
                if waits:
                    waiting.add(self)
                elif not is_replaced:
                    served.add(self)
                    tell_apps()
                    return True
            if is_replaced:
                complain("an app is not served: another process has taken over from this one")
                return False
            if not has_waited:
                has_waited = True
                complain("an app waits until the restart is over that is under way", "INFO")
            if self.stop.wait() is News.STOP:
                with deciding:
                    waiting.discard(self)
                return False

    def decide(self, leaving: bool = False) -> None:
        """Tell those that wait that no process is being started any more.

        Args:
            leaving: Whether one has taken over.
        """
        with deciding:
            self.renewing = False
            self.leaving = leaving
            for other in waiting:
                other.stop.news.put(News.DECIDED)
            waiting.clear()

    def listen(self) -> list[str]:
        """Open the listeners, or take those of the process before this one."""
        supervised = find_control()
        tell_unknown(os.environ, supervised.inherited if supervised is not None else ())
        if self.control is None:
            return super().listen()
        self.control.attach(self.stop)
        handed = self.control.channel.take_listeners()
        try:
            # One that was given up before it asked has not got any.
            self.check_goes_on()
            return self.bind(handed)
        finally:
            close_all(handed)

    def opened(self) -> None:
        """Tell the supervisor that this process serves."""
        if self.control is not None:
            listeners = self.listeners()
            self.control.ready(listeners, self.stop.patience)
            close_all(listeners)
            self.server.succeed()

    def wait(self) -> None:
        """Wait until it is time to drain: for a stop, or because another process has taken over."""
        while True:
            match self.stop.wait():
                case News.STOP:
                    if self.successor is not None:
                        self.give_up(self.successor)
                    elif self.control is not None:
                        # A signal to one process means no other by that.
                        self.control.channel.tell("stopping", not self.stop.is_asked)
                    return
                case News.LEAVE:
                    self.decide(leaving=True)
                    return
                case News.RENEW:
                    self.renew()
                case News.SPENT if self.successor is None:
                    self.renew()
                case News.SUCCESSOR_SERVES:
                    self.leave_to_successor()
                    return
                case News.SUCCESSOR_FAILED:
                    self.drop_successor()

    def renew(self) -> None:
        """Start the process that is to take over; with a supervisor, that is its business."""
        with deciding:
            apps = len(served)
            self.renewing = self.renewing or (apps == 1 and self.control is None and can_renew())
        if apps > 1:
            complain(not_restarted(apps))
        elif self.control is not None:
            self.control.channel.tell("renew")
        elif self.successor is not None:
            complain("a new process is being started already")
        elif can_renew():
            listeners: Listeners = []
            try:
                listeners = self.listeners()
                self.successor = Successor(self.stop, listeners, self.activated)
            except (OSError, RuntimeError) as error:
                # No process, or no thread that would wait for it.
                close_all(listeners)
                self.decide()
                complain(f"a new process could not be started, this one goes on: {error}")
            else:
                # From now on: a second stop may come before anything has become of the first.
                self.stop.before_end = self.successor.end_at_once
                complain(f"starting process {self.successor.process.pid} to take over", "INFO")

    def leave_to_successor(self) -> None:
        """Leave what comes from now on to the new process."""
        successor = self.successor
        assert successor is not None
        self.decide(leaving=True)
        self.leaving_due = monotonic() + LEAVE_SECONDS + self.stop.patience
        pid = successor.process.pid
        complain(f"process {pid} serves now; {os.getpid()} finishes its requests", "INFO")

    def give_up(self, successor: Successor) -> None:
        """Give up the new process, which is to end before this one does."""
        self.successor = None
        self.decide()
        successor.give_up()
        self.given_up = successor

    def drop_successor(self) -> None:
        """Say that the new process has failed; this one goes on."""
        assert self.successor is not None
        successor, self.successor = self.successor, None
        self.stop.before_end = None
        self.decide()
        successor.close()
        complain(
            f"process {successor.process.pid} {ending(successor.code)} before it served; "
            f"{os.getpid()} goes on serving"
        )

    def drain(self) -> bool:
        """Wait for running requests; with a successor, for those that are on their way as well."""
        if not self.leaving:
            return super().drain()
        has_begun = self.draining is not None and has_started(self.draining)
        if not (self.is_drained or has_begun):
            thread = threading.Thread(target=self.drain_slowly, daemon=True)
            self.draining = thread
            try:
                thread.start()
            except RuntimeError as error:
                complain(f"signals wait until the last requests are answered: {error}")
                self.draining = None
                self.drain_slowly()
        while not self.is_drained:
            try:
                self.heed(self.stop.wait())
            except BaseException as error:  # noqa: BLE001 - raised once all has ended
                # The requests go on, whatever a signal handler of the program makes of its signal.
                self.put_off(error)
        if self.draining is not None and has_started(self.draining):
            # It would keep the program alive at the end of Python, where it stood still.
            self.draining.join()
        # That it is drained may have been seen before it was news, which would end the next wait.
        while not self.stop.news.empty():
            self.heed(self.stop.news.get())
        return super().drain() if self.outcome is None else self.outcome

    def drain_slowly(self) -> None:
        """Leave connections time for one more request, by whose answer they learn that they end."""
        try:
            since = monotonic()
            self.server.leave()
            self.server.wait_left(LEAVE_SECONDS)
            self.set_due(since)
            self.outcome = super().drain()
        except BaseException as error:  # noqa: BLE001 - raised once all has ended
            self.put_off(error)
        finally:
            # Also where something raises: whoever waits for it would wait for ever.
            self.is_drained = True
            self.stop.news.put(News.DRAINED)

    def heed(self, news: News) -> None:
        """Do what is asked for while the last requests are answered."""
        if news is News.STOP:
            # Before the other thread, whose wait for more requests ends with the next line.
            self.set_due(monotonic())
            self.server.begin_drain()
            # By the program: who signals one process, or all of a group, means no other by that.
            if self.control is not None and not self.stop.is_asked:
                self.control.channel.tell("stopping", True)
        self.tell_successor(news)

    def heed_the_rest(self) -> None:
        """Pass on a stop that the program has asked for as its last request was answered."""
        if self.control is None:
            return
        self.stop.detach()
        while not self.stop.news.empty():
            if self.stop.news.get() is News.STOP and not self.stop.is_asked:
                self.control.channel.tell("stopping", True)

    def tell_successor(self, news: News) -> None:
        """Pass on what is asked for, if it is about the process that has taken over."""
        if self.successor is None:
            return
        if news is News.STOP:
            self.successor.pass_on("stop")
        elif news is News.RENEW:
            self.successor.again = True

    def forget(self) -> None:
        """Let go of the server, and of its successor, in a process that was forked."""
        super().forget()
        for successor in (self.successor, self.given_up):
            if successor is not None:
                successor.channel.forget()

    def leave(self, code: int, reason: str) -> None:
        """End the process although a thread is stuck, unless it becomes a supervisor: exec does."""
        if self.given_up is not None:
            self.given_up.outlive(AT_ONCE_SECONDS)
        if self.successor is None:
            super().leave(code, reason)
        self.complain(reason)

    def leave_behind(self, code: int, reason: str) -> NoReturn:
        """End a program that hangs at its end; one that was replaced becomes the supervisor.

        What else it has registered for its end is left out.
        """
        self.leave(code, reason)
        assert self.successor is not None
        self.supervise(self.successor)

    def end_succession(self, code: int) -> None:
        """End what another process has taken over; does nothing if none has.

        The process that came first becomes the supervisor of the others, which end here: what
        stands behind ``run()`` is for the last of them.
        """
        if self.successor is not None:
            self.insist(self.end_program, code, hear=report)
            self.supervise(self.successor)
        if self.given_up is not None:
            self.given_up.outlive()
        if self.leaving:
            self.heed_the_rest()
            stop_elsewhere()
            raise SystemExit(code)

    def end_program(self, code: int) -> None:
        """Do all that Python does at the end of a program, which is now.

        But for destructors: threads that nobody waits for still use what they would take away.
        """
        import atexit

        # The streams are the supervisor's.
        atexit.unregister(streams.settle)
        self.insist(self.heed_beside, hear=report)
        # A process that has a supervisor has as long for its threads.
        left = max(round(self.leaving_due - monotonic(), 1), endings.HOOKS_SECONDS)
        steps: list[tuple[str, float | None, Callable[[], object]]] = [
            ("a thread of the program", left, threading._shutdown),  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other name for it
            ("what the program has registered with atexit", None, atexit._run_exitfuncs),  # noqa: SLF001 - as multiprocessing does
            ("a file of the program", None, endings.write_files),
        ]
        for what, seconds, step in steps:
            try:
                with self.bounded(code, lambda what=what: what, seconds):  # type: ignore[misc]
                    step()
            except BaseException as error:  # noqa: BLE001 - a signal handler's; the service goes on
                report(error)

    def heed_beside(self) -> None:
        """Pass on what is asked for while the program ends, on a thread beside."""
        if self.heeding is not None and has_started(self.heeding):
            return
        thread = threading.Thread(target=self.heed_until_over, name="pyre-heed", daemon=True)
        self.heeding = thread
        try:
            thread.start()
        except RuntimeError as error:
            complain(f"signals wait until the program has ended: {error}")

    def heed_until_over(self) -> None:
        """Pass on what is asked for until this process becomes the supervisor."""
        while (news := self.stop.wait()) is not News.DRAINED:
            self.tell_successor(news)

    def supervise(self, successor: Successor) -> NoReturn:
        """Become the supervisor of the process that has taken over."""
        # The program has ended, and what its handlers would raise would end this process.
        self.insist(drop_handlers, hear=report)
        if self.heeding is not None and has_started(self.heeding):
            # What comes from here on waits for the supervisor.
            self.stop.news.put(News.DRAINED)
            self.heeding.join()
        in_the_way = obstacle()
        # From here on messages wait for that one; nobody gives it back, as the program is replaced.
        successor.hearing.acquire()
        state = {
            "child": successor.process.pid,
            "channel": successor.channel.fileno(),
            "activated": self.activated,
            "listeners": successor.channel.listeners,
            "again": successor.again,
            "apps": successor.apps,
            "stopping": successor.stopping,
            "patience": successor.patience,
            "end_patience": endings.end_patience(),
            "log_format": self.settings.values["log_format"],
            "handled": successor.handled,
            "obstacle": in_the_way,
        }
        become_supervisor(successor.arguments, state, self.stop)
        stay(successor.arguments, state)
