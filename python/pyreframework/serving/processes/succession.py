"""How a process is replaced by a new one without refusing a connection.

    SIGHUP -> start the same command anew -> give it the listening sockets -> it serves
           -> answer what has begun here -> become the supervisor of the new process

The new process has the sockets before this one lets go of them, so connections that wait in their
queues are not lost. If it fails to start, nothing has changed. The process keeps its identity for
whoever started it: when all is answered it turns, by ``exec``, into a supervisor, which passes on
signals and the exit code and starts further successors (``supervisor.py``).
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time

from pyreframework.engine import set_log_defaults
from pyreframework.logs import streams
from pyreframework.logs.console import complain
from pyreframework.program import apps
from pyreframework.program.changes import program_files
from pyreframework.serving.processes.channel import close_all
from pyreframework.serving.processes.child import has_ended, pidfd_of, spawn
from pyreframework.serving.processes.command import can_renew, command, program_file
from pyreframework.serving.processes.environment import environment
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.settings.variables import tell_unknown
from pyreframework.serving.signals import endings
from pyreframework.serving.signals.handled import handled_signals, stop_timers
from pyreframework.serving.signals.stop import News, nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from pyreframework.serving.processes.channel import Listeners
    from pyreframework.serving.settings.resolution import Settings
    from pyreframework.serving.signals.stop import Stop

# What a supervisor always does something about, besides the signals that the program handles.
FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip

# Which notes for the supervisor these are: it may be of another version by the time it is started.
NOTES = 1
# How long a supervisor may take to say that it can be started.
TRY_SECONDS = 30.0

# How long a connection without a request is left open once another process accepts. Clients whose
# connections rest for longer mostly drop them by themselves.
LEAVE_SECONDS = 5.0

# What a process has to end in that is told to do so at once; then it is killed.
AT_ONCE_SECONDS = 2.0


class Successor:
    """The first process that replaces this one, seen from here."""

    def __init__(self, stop: Stop, listeners: Listeners, activated: int) -> None:
        """Start it; ``stop`` hears when it serves or has failed.

        The listening sockets are its own to close from here on, unless this raises.

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
        # How many apps it serves.
        self.apps = 1
        # What its end may take, and when it is to have come to it once it is given up.
        self.patience = endings.end_patience()
        self.due = 0.0
        # Whether it cannot take over although it says that it can.
        self.is_incomplete = False
        # The signals that it has handlers for.
        self.handled: list[int] = []
        # How it has ended; None: not yet, or nobody can know.
        self.code: int | None = None
        # What it is given once it asks.
        self.offered = listeners
        self.process, self.channel = spawn(arguments, apps.started_in, program_file())
        self.pidfd = pidfd_of(self.process.pid)
        # Held while a message is read and acted on; for good once a supervisor is to read on.
        self.hearing = threading.Lock()
        self.thread = threading.Thread(target=self.watch, args=[stop], daemon=True)
        try:
            self.thread.start()
        except RuntimeError:
            self.send(signal.SIGKILL)
            self.process.wait()
            self.channel.close()
            self.close_pidfd()
            raise

    def watch(self, stop: Stop) -> None:
        """Listen to it until it hangs up, or a supervisor does so."""
        serves = False
        something = select.poll()
        something.register(self.channel, select.POLLIN)
        if self.pidfd is not None:
            # What it has started may hold its end of the channel open when it has ended.
            something.register(self.pidfd, select.POLLIN)
        said: list[Any] = ["nothing yet"]
        while said:
            left = max(self.due - time.monotonic(), 0) * 1000 if self.is_incomplete else None
            if not something.poll(left):
                break
            with self.hearing:
                # What it has said is read before its end counts.
                has_said = any(number != self.pidfd for number, _ in something.poll(0))
                said = self.hear() if has_said else self.hear_end()
            # One that was given up may not have heard of it, and one that has ended since then is
            # no successor.
            if said[:1] == ["ready"] and self.channel.keeps and not has_ended(self.process.pid):
                self.patience = said[1]
                self.handled = said[2] if len(said) > 2 else []
                serves = True
                stop.news.put(News.SUCCESSOR_SERVES)
        if serves:
            return
        if self.is_incomplete:
            self.kill_when_due()
        try:
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            self.code = self.process.wait()
        except ChildProcessError:
            # SIGCHLD is ignored, or the program waits for every process there is.
            self.process.wait()
        stop.news.put(News.SUCCESSOR_FAILED)

    def hear(self) -> list[Any]:
        """Return the next message, an empty one if it was the last; act on it as a supervisor does.

        That one reads the messages that come later, and has those that were read from here.
        """
        try:
            said = self.channel.receive()
            if said == ["ask"]:
                self.answer()
        except OSError as error:
            if self.channel.keeps:
                complain(f"process {self.process.pid} cannot take over: {error}")
                self.give_up()
                # Nobody waits for its end but the thread that has heard this.
                self.is_incomplete = True
            # What else waits in it holds sockets open until it is read.
            return ["incomplete"]
        match said:
            case ["renew"]:
                self.again = True
            case ["apps", count]:
                self.apps = count
            case []:
                self.hear_end()
            case ["stopping", _]:
                # Nobody is accepted by it any more.
                self.channel.refuse_listeners()
        return said

    def hear_end(self) -> list[Any]:
        """Draw the consequences of its end, and return what stands for it."""
        # Else the next one takes what waits in the queues.
        if not self.again:
            self.channel.refuse_listeners()
        return []

    def answer(self) -> None:
        """Give it what it is to start with, unless it was given up.

        Raises:
            OSError: It does not take it.
        """
        offered = self.take_offered()
        try:
            if self.channel.keeps:
                self.channel.start(offered, self.activated, False)
            else:
                self.channel.tell("stop all")
        finally:
            close_all(offered)

    def take_offered(self) -> Listeners:
        """Return what was to be given to it; it is the caller's to close."""
        with self.channel.lock:
            offered, self.offered = self.offered, []
        return offered

    def give_up(self) -> None:
        """Let it end before it serves here: this process is told to stop, or cannot be replaced.

        What it hands over is closed, also what is on its way: nobody here would accept from it.
        """
        self.channel.refuse_listeners()
        close_all(self.take_offered())
        # It may not be listening yet. The signal does not reach what other threads serve.
        self.send(signal.SIGTERM)
        self.channel.tell("stop all")
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

    def kill_when_due(self) -> None:
        """Kill it if it has not ended in its time; how it ends is for others to learn."""
        if self.pidfd is not None:
            end = select.poll()
            end.register(self.pidfd, select.POLLIN)
            if end.poll(max(self.due - time.monotonic(), 0) * 1000):
                return
        complain(f"process {self.process.pid} does not end by itself and is killed")
        self.send(signal.SIGKILL)

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
        # Before its descriptor, which may be another file then.
        self.channel.end()
        self.thread.join()
        close_all(self.take_offered())
        self.channel.close()
        self.close_pidfd()

    def close_pidfd(self) -> None:
        """Close the descriptor of the process."""
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
        self.channel.refuse_listeners()


def not_restarted(apps: int) -> str:
    """Say why a process is not restarted: the next one would have to be handed all sockets."""
    return (
        f"not restarted, as {apps} apps are served by this process, which goes on: "
        "stop it and start it anew, or serve each app by a process of its own"
    )


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
    set_log_defaults(settings.values["log_format"] == "json", 0)
    # Told here, and by none of the processes that are started anew.
    tell_unknown(os.environ)
    opened = [(bind, int(bind[3:])) for bind in settings.binds if bind.startswith("fd:")]
    state: dict[str, Any] = {
        "child": None,
        "activated": activated,
        "listeners": [(bind, [number], None) for bind, number in opened],
        "again": False,
        "stopping": False,
        "log_format": settings.values["log_format"],
        "patience": 0.0,
        "end_patience": endings.end_patience(),
        "files": program_files(),
        "pycache_prefix": sys.pycache_prefix,
        "folders": [os.path.abspath(folder) for folder in folders],
    }
    become_supervisor(arguments, state, stop)
    from pyreframework.serving.processes.supervisor import stay

    stay(arguments, state)


def script() -> list[str]:
    """Return the command of the supervisor: this interpreter, and a file of this package."""
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervise.py")
    return [sys.executable, "-P", file]


def search_path() -> list[str]:
    """Return where the supervisor is to look for the package."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def obstacle() -> str | None:
    """Start a supervisor that only tries whether it can; return what is in its way, if anything.

    Its files may be gone by now, or of another version, and `exec` cannot be taken back.
    """
    notes = json.dumps({"notes": NOTES, "path": search_path()})
    try:
        nothing_to_read = streams.open_null()
        try:
            tried = subprocess.run(  # noqa: S603 - what `become_supervisor` starts
                [*script(), "try", notes],
                stdin=nothing_to_read,
                env=environment(),
                capture_output=True,
                timeout=TRY_SECONDS,
                check=False,
            )
        finally:
            os.close(nothing_to_read)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    # How it has ended is not known where SIGCHLD is ignored.
    answer, complaint = tried.stdout, tried.stderr
    if answer.strip() == b"ready":
        return None
    said = complaint.decode("utf-8", "replace").strip()
    return said.rpartition("\n")[2] or "it does not start"


def become_supervisor(arguments: list[str], state: dict[str, Any], stop: Stop) -> None:
    """Replace this program by the supervisor; signals that come meanwhile are not lost.

    Returns only if this cannot be done; the state is complete then, for one in this process.

    Args:
        arguments: How to start a process that serves.
        state: What the supervisor has to know; descriptors in it stay open.
        stop: Has caught the signals so far.
    """
    streams.settle()
    # What they tell the program about is over. A handler does not outlive `exec`, a timer does.
    stop_timers()
    handled = drop_handlers()
    state["handled"] = sorted({*handled, *state.get("handled", ())})
    # From here on signals wait, or write their byte where the supervisor will find it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, *state["handled"]))
    state["signals"] = stop.detach()
    # Its news may have been taken as a handler raised.
    state["stopping"] = state["stopping"] or stop.is_asked
    while not stop.news.empty():
        news = stop.news.get()
        state["stopping"] = state["stopping"] or news is News.STOP
        state["again"] = state["again"] or news is News.RENEW
    state["terminal"] = stop.had_terminal
    state["folder"] = apps.started_in
    state["file"] = program_file()
    state["path"] = search_path()
    state["notes"] = NOTES
    if state.get("obstacle") is None:
        try:
            start(arguments, state)
        except OSError as error:
            state["obstacle"] = str(error)
    complain(
        f"the supervisor cannot be started, and process {os.getpid()} supervises as it is: "
        f"{state['obstacle']}"
    )


def drop_handlers() -> list[int]:
    """Let handlers of the program run no more, which might raise where all is half done.

    Returns:
        The signals that it has handlers for; they are still caught.
    """
    handled = handled_signals()
    if threading.current_thread() is threading.main_thread():
        # If it is ignored, nobody knows how a process has ended that does so before we look.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in handled:
            signal.signal(number, nothing)
    return handled


def start(arguments: list[str], state: dict[str, Any]) -> NoReturn:
    """Replace this program by the supervisor.

    Raises:
        OSError: This cannot be done, and all is as before.
    """
    kept = [state["signals"], state.get("channel")]
    kept += [number for _, sockets, _ in state["listeners"] for number in sockets]
    notes = os.memfd_create("pyre-supervisor")
    inherited = [number for number in (*kept, notes) if number is not None]
    before = [os.get_inheritable(number) for number in inherited]
    try:
        os.write(notes, json.dumps(state).encode())
        os.lseek(notes, 0, os.SEEK_SET)
        for number in inherited:
            os.set_inheritable(number, True)
        words = [*script(), str(notes), "--", *arguments]
        os.execve(sys.executable, words, environment())  # noqa: S606
    finally:
        for number, was in zip(inherited, before, strict=True):
            os.set_inheritable(number, was)
        os.close(notes)
