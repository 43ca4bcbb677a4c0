"""How a process is replaced by a new one without refusing a connection.

    SIGHUP -> start the same command anew -> give it the listening sockets -> it serves
           -> answer what has begun here -> become the supervisor of the new process

The new process has the sockets before this one lets go of them, so connections that wait in their
queues are not lost. If it fails to start, nothing has changed. The process keeps its identity for
whoever started it: when all is answered it turns, by ``exec``, into a supervisor, which passes on
signals and the exit code and starts further successors (``supervisor.py``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache

from pyreframework.logs import console
from pyreframework.logs.console import complain
from pyreframework.program import loading
from pyreframework.serving.processes.changes import program_files
from pyreframework.serving.processes.channel import Channel, close_all
from pyreframework.serving.processes.link import environment_with
from pyreframework.serving.server import Serving, end_patience
from pyreframework.serving.settings.resolution import UsageError
from pyreframework.serving.signals.stop import News

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from pyreframework.app import Pyre
    from pyreframework.serving.processes.channel import Listeners
    from pyreframework.serving.processes.link import Link
    from pyreframework.serving.settings.resolution import Settings
    from pyreframework.serving.signals.stop import Stop

# What a supervisor does something about; the others do to it what they always do.
FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip

# How long a connection without a request is left open once another process accepts. Clients whose
# connections rest for longer mostly drop them by themselves.
LEAVE_SECONDS = 5.0

# What a process has to end in that is told to do so at once; then it is killed.
AT_ONCE_SECONDS = 2.0


@cache
def command() -> list[str] | None:
    """Return the command line that starts this program again, or None if nothing does.

    A program read from a terminal or a pipe is not there any more to be started. Decided once, when
    the program begins to serve: a file may be absent for a moment while it is replaced.
    """
    arguments = sys.orig_argv[1:]
    if not sys.executable or not sys.orig_argv:
        return None
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    is_named = getattr(main, "__spec__", None) is not None or "-c" in arguments
    if not is_named and (file is None or not os.path.exists(file)):
        return None
    return [sys.executable, *arguments]


@cache
def program_file() -> str | None:
    """Return the file that `command` runs, as it is named there; None if that is no file."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None
    folder = loading.started_in or ""
    plain = os.path.normpath(os.path.join(folder, file))
    for argument in sys.orig_argv[1:]:
        if os.path.normpath(os.path.join(folder, argument)) == plain:
            return argument
    return None


def can_renew() -> bool:
    """Tell whether this process can be replaced: by the main thread, from the same command."""
    return threading.current_thread() is threading.main_thread() and command() is not None


def spawn(
    arguments: list[str],
    folder: str | None,
    listeners: Listeners,
    activated: int,
    is_watched: bool = False,
    file: str | None = None,
) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a process that is to serve with these sockets, which stay the caller's too.

    Args:
        arguments: What to start.
        folder: Where to start it; None: here.
        listeners: The sockets, by address.
        activated: How many of them a service manager has opened.
        is_watched: Whether it is to tell which files its program comes from.
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
    try:
        ours.tell_listeners(listeners)
        ours.tell("start", activated, is_watched)
    except OSError:
        ours.close()
        process.kill()
        process.wait()
        raise
    return process, ours


class Heir:
    """The first process that replaces this one, seen from here."""

    def __init__(self, stop: Stop, listeners: Listeners, activated: int) -> None:
        """Start it; ``stop`` hears when it serves or has failed.

        Raises:
            OSError: It cannot be started.
            RuntimeError: There is no thread to wait for it.
        """
        arguments = command()
        assert arguments is not None, "asked for only where can_renew() says so"
        self.arguments = arguments
        self.activated = activated
        self.again = False
        self.stopping = False
        # What its end may take, and when it is to have come to it once it is given up.
        self.patience = end_patience()
        self.due = 0.0
        # How it has ended; None: not yet, or nobody can know.
        self.code: int | None = None
        self.process, self.channel = spawn(
            arguments, loading.started_in, listeners, activated, file=program_file()
        )
        self.pidfd = pidfd_of(self.process.pid)
        try:
            threading.Thread(target=self.watch, args=[stop], daemon=True).start()
        except RuntimeError:
            self.send(signal.SIGKILL)
            self.process.wait()
            self.close()
            raise

    def watch(self, stop: Stop) -> None:
        """Wait until it serves or has ended."""
        said = self.channel.receive()
        if said[:1] == ["ready"]:
            self.patience = said[1]
            stop.news.put(News.HEIR_SERVES)
        else:
            try:
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
                self.code = self.process.wait()
            except ChildProcessError:
                # SIGCHLD is ignored, or the program waits for every process there is.
                self.process.wait()
            stop.news.put(News.HEIR_FAILED)

    def give_up(self) -> None:
        """Let it end: this process is told to stop before the other one serves."""
        self.channel.tell("stop")
        # It may not be listening yet.
        self.send(signal.SIGTERM)
        self.due = time.monotonic() + self.patience

    def outlive(self, seconds: float | None = None) -> None:
        """Wait until it has ended, and end it if that takes too long.

        As long as it is there it has the sockets, so that nobody else could listen on them.

        Args:
            seconds: How long it has, if not what is left of its time since it was given up.
        """
        try:
            self.process.wait(max(self.due - time.monotonic(), 0) if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            complain(f"process {self.process.pid} does not end by itself and is killed")
            self.send(signal.SIGKILL)
            self.process.wait()
        self.close()

    def send(self, number: int) -> None:
        """Send a signal, to nobody else if the process has ended and its number is given anew."""
        if self.pidfd is None:
            self.process.send_signal(number)
            return
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Let go of a process that has ended."""
        self.channel.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def end_at_once(self) -> None:
        """Let it end where it stands, before this process does."""
        self.pass_on("at once")
        self.send(signal.SIGTERM)
        try:
            self.process.wait(AT_ONCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.wait()

    def pass_on(self, what: str) -> None:
        """Pass on a request to stop; its sockets are not held open any longer."""
        self.stopping = True
        self.channel.tell(what)
        close_all(self.channel.listeners)


class Replaceable(Serving):
    """An app being served by ``run()``, which another process can take over.

    Args:
        app: What to serve.
        settings: The options, checked.
        stop: Says when.
        link: The line to the supervisor, if there is one.
        activated: How many sockets a service manager has opened.
    """

    def __init__(
        self, app: Pyre, settings: Settings, stop: Stop, link: Link | None, activated: int
    ) -> None:
        if settings.count("max_requests") and link is None and not can_renew():
            raise UsageError(
                "max_requests needs a program that can be started again, and run() called on its "
                "main thread: leave it out here"
            )
        super().__init__(app, settings, stop)
        self.link = link
        self.activated = activated
        self.heir: Heir | None = None
        # The new process, if this one was told to stop before that served.
        self.forsaken: Heir | None = None
        self.leaving = False

    def run(self) -> int:
        """Start, serve and stop; what was started to take over does not stay if that raises."""
        try:
            return super().run()
        except BaseException:
            if self.heir is not None:
                self.forsake(self.heir)
            if self.forsaken is not None:
                self.forsaken.outlive()
            raise

    def listen(self) -> list[str]:
        """Open the listeners, or take those of the process before this one."""
        if self.link is None:
            return super().listen()
        self.link.attach(self.stop)
        handed = self.link.channel.take_listeners()
        try:
            return self.bind(handed)
        finally:
            close_all(handed)

    def opened(self) -> None:
        """Tell the supervisor that this process serves."""
        if self.link is not None:
            listeners = self.listeners()
            self.link.ready(listeners, self.stop.patience)
            close_all(listeners)
            self.server.succeed()

    def wait(self) -> None:
        """Wait until it is time to drain: for a stop, or because another process has taken over."""
        while True:
            match self.stop.wait():
                case News.STOP:
                    if self.heir is not None:
                        self.forsake(self.heir)
                    elif self.link is not None:
                        self.link.channel.tell("stopping")
                    return
                case News.LEAVE:
                    self.leaving = True
                    return
                case News.RENEW:
                    self.renew()
                case News.SPENT if self.heir is None:
                    self.renew()
                case News.HEIR_SERVES:
                    self.bequeath()
                    return
                case News.HEIR_FAILED:
                    self.disown()

    def renew(self) -> None:
        """Start the process that is to take over; with a supervisor, that is its business."""
        if self.link is not None:
            self.link.channel.tell("renew")
        elif self.heir is not None:
            complain("a new process is being started already")
        elif can_renew():
            listeners: Listeners = []
            try:
                listeners = self.listeners()
                self.heir = Heir(self.stop, listeners, self.activated)
            except (OSError, RuntimeError) as error:
                # No process, or no thread that would wait for it.
                complain(f"a new process could not be started, this one goes on: {error}")
            else:
                # From now on: a second stop may come before anything has become of the first.
                self.stop.before_end = self.heir.end_at_once
                complain(f"starting process {self.heir.process.pid} to take over", "INFO")
            finally:
                close_all(listeners)

    def bequeath(self) -> None:
        """Leave what comes from now on to the new process."""
        heir = self.heir
        assert heir is not None
        self.leaving = True
        pid = heir.process.pid
        complain(f"process {pid} serves now; {os.getpid()} finishes its requests", "INFO")

    def forsake(self, heir: Heir) -> None:
        """Give up the new process, which is to end before this one does."""
        self.heir = None
        heir.give_up()
        self.forsaken = heir

    def disown(self) -> None:
        """Say that the new process has failed; this one goes on."""
        assert self.heir is not None
        heir, self.heir = self.heir, None
        self.stop.before_end = None
        heir.close()
        complain(
            f"process {heir.process.pid} {ending(heir.code)} before it served; "
            f"{os.getpid()} goes on serving"
        )

    def drain(self) -> bool:
        """Wait for running requests; with a successor, for those that are on their way as well."""
        if not self.leaving:
            return super().drain()
        self.server.leave()
        outcome: list[bool] = []
        threading.Thread(target=self.drain_slowly, args=[outcome], daemon=True).start()
        while (news := self.stop.wait()) is not News.DRAINED:
            self.heed(news)
        return outcome[0]

    def drain_slowly(self, outcome: list[bool]) -> None:
        """Leave connections time for one more request, by whose answer they learn that they end."""
        self.server.wait_drained(LEAVE_SECONDS)
        outcome.append(super().drain())
        self.stop.news.put(News.DRAINED)

    def heed(self, news: News) -> None:
        """Do what is asked for while the last requests are answered."""
        if news is News.STOP:
            self.server.begin_drain()
            if self.heir is not None:
                self.heir.pass_on("stop")
        elif news is News.RENEW and self.heir is not None:
            self.heir.again = True

    def forget(self) -> None:
        """Let go of the server and the line to its successor, in a process that was forked."""
        super().forget()
        for heir in (self.heir, self.forsaken):
            if heir is not None:
                heir.channel.close()

    def leave(self, code: int, reason: str) -> None:
        """End the process although a thread is stuck, unless it becomes a supervisor: exec does."""
        if self.forsaken is not None:
            self.forsaken.outlive(AT_ONCE_SECONDS)
        if self.heir is None:
            super().leave(code, reason)
        self.complain(reason)

    def leave_behind(self, code: int, reason: str) -> NoReturn:
        """End a program that hangs at its end; one that was replaced becomes the supervisor.

        What else it has registered for its end is left out.
        """
        self.leave(code, reason)
        assert self.heir is not None
        self.supervise(self.heir)

    def end_succession(self, code: int) -> None:
        """End what another process has taken over; does nothing if none has.

        The process that came first becomes the supervisor of the others, which end here: what
        stands behind ``run()`` is for the last of them.
        """
        if self.heir is not None:
            heir = self.heir
            import atexit

            # The streams are the supervisor's.
            atexit.unregister(console.settle)
            # All that would run at the end of this program, which is now.
            with self.bounded(code, lambda: "what the program has registered with atexit"):
                atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does before it leaves
            self.supervise(heir)
        if self.forsaken is not None:
            self.forsaken.outlive()
        if self.leaving:
            raise SystemExit(code)

    def supervise(self, heir: Heir) -> NoReturn:
        """Become the supervisor of the process that has taken over."""
        state = {
            "child": heir.process.pid,
            "channel": heir.channel.fileno(),
            "activated": self.activated,
            "listeners": heir.channel.listeners,
            "again": heir.again,
            "stopping": heir.stopping,
            "patience": heir.patience,
            "end_patience": end_patience(),
            "log_format": self.settings.values["log_format"],
        }
        become_supervisor(heir.arguments, state, self.stop)


def is_child(pid: int) -> bool:
    """Tell whether this is a child of this process that has not been waited for."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
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


def become_reloader(
    settings: Settings, activated: int, stop: Stop, folders: Sequence[str] = ()
) -> NoReturn:
    """Turn this process into a supervisor that starts the program anew when its files change.

    Args:
        settings: Say which descriptors are to be listened on.
        activated: How many sockets a service manager has opened.
        stop: Has caught the signals so far.
        folders: Every file in them counts.

    Raises:
        UsageError: This process cannot be replaced.
    """
    arguments = command()
    if arguments is None or not can_renew():
        raise UsageError(
            "reload needs a program that can be started again, and run() called on its main "
            "thread: leave it out here"
        )
    opened = [(bind, int(bind[3:])) for bind in settings.binds if bind.startswith("fd:")]
    state: dict[str, Any] = {
        "child": None,
        "activated": activated,
        "listeners": [(bind, [number], None) for bind, number in opened],
        "again": False,
        "stopping": False,
        "log_format": settings.values["log_format"],
        "patience": 0.0,
        "end_patience": end_patience(),
        "files": program_files(),
        "pycache_prefix": sys.pycache_prefix,
        "folders": [os.path.abspath(folder) for folder in folders],
    }
    become_supervisor(arguments, state, stop)


def become_supervisor(arguments: list[str], state: dict[str, Any], stop: Stop) -> NoReturn:
    """Replace this program by the supervisor; signals that come meanwhile are not lost.

    Args:
        arguments: How to start a process that serves.
        state: What the supervisor has to know; descriptors in it stay open.
        stop: Has caught the signals so far.
    """
    console.settle()
    if threading.current_thread() is threading.main_thread():
        # If it is ignored, nobody knows how a process has ended that does so before we look.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # From here on signals wait, or write their byte where the supervisor will find it.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    state["signals"] = stop.detach()
    while not stop.news.empty():
        news = stop.news.get()
        state["stopping"] = state["stopping"] or news is News.STOP
        state["again"] = state["again"] or news is News.RENEW
    state["terminal"] = stop.had_terminal
    state["folder"] = loading.started_in
    state["file"] = program_file()
    state["path"] = [entry for entry in sys.path if isinstance(entry, str)]
    kept = [state["signals"], state.get("channel")]
    kept += [number for _, sockets, _ in state["listeners"] for number in sockets]
    notes = os.memfd_create("pyre-supervisor")
    for descriptor in (*kept, notes):
        if descriptor is not None:
            os.set_inheritable(descriptor, True)
    import json

    os.write(notes, json.dumps(state).encode())
    os.lseek(notes, 0, os.SEEK_SET)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervise.py")
    # The interpreter this program runs in, and a file of this package.
    os.execv(sys.executable, [sys.executable, "-P", script, str(notes), "--", *arguments])  # noqa: S606
