"""Finds out that files of a program have changed, and when to look.

If the package watchfiles is there, it says when; otherwise that is done every so often, and less
often where there is much to look at.
"""

from __future__ import annotations

import os
import socket
import threading
import time

from pyreframework.program.changes import Changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.program.changes import Signature

# How often to look if nobody says when, how long to wait for a file that is being written, and how
# often to look all the same, as some file systems tell nothing.
LOOK_SECONDS, SETTLE_SECONDS, UNTOLD_SECONDS = 0.25, 0.05, 2.0
# Looking takes no more than one part in so many of the time.
SHARE = 20
# Files that are named when they change.
NAMES_MAX = 3


class Watch:
    """Finds out that files have changed, for a loop that waits on descriptors.

    Args:
        folders: Every file in them counts.
    """

    def __init__(self, folders: list[str]) -> None:
        self.changes = Changes(folders)
        self.told = Told()
        self.pending: dict[str, Signature] = {}
        self.next_look = 0.0
        self.update()

    def fileno(self) -> int:
        """Return a descriptor that can be read from when it is time to look."""
        return self.told.reader.fileno()

    def close(self) -> None:
        """Watch no longer."""
        self.told.close()

    def update(self) -> None:
        """Let watchfiles know where the files are."""
        self.told.watch(self.changes.places())
        self.next_look = min(self.next_look, time.monotonic() + LOOK_SECONDS)

    def search(self, folder: str | None, since_ns: int) -> None:
        """Also watch what has changed in a folder since then, in nanoseconds of the clock."""
        # Files of programs are known by names without links.
        self.changes.search([os.path.realpath(folder)] if folder else [], since_ns)
        self.update()

    def patience(self) -> float:
        """Return the seconds until the next look."""
        return max(0.0, self.next_look - time.monotonic())

    def take(self) -> list[str]:
        """Look if it is time; return the files that have changed and come to rest."""
        told = self.told.take()
        begun = time.monotonic()
        if begun < self.next_look and not (told and not self.pending):
            return []
        changed = self.changes.look()
        cost = time.monotonic() - begun
        settled = changed if changed == self.pending else {}
        self.pending = {} if settled else changed
        usual = UNTOLD_SECONDS if self.told.works else LOOK_SECONDS
        wait = SETTLE_SECONDS if self.pending else usual
        self.next_look = time.monotonic() + max(wait, cost * SHARE)
        if settled:
            self.changes.accept(settled)
        return sorted(settled)


class Told:
    """Where watchfiles says that something has happened, if it is installed."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self.over = threading.Event()
        self.places: list[str] = []
        try:
            import watchfiles  # noqa: F401
        except ImportError:
            self.works = False
        else:
            self.works = True

    def take(self) -> bool:
        """Tell whether something has happened since this was asked last."""
        try:
            return bool(self.reader.recv(4096))
        except BlockingIOError:
            return False

    def watch(self, places: list[str]) -> None:
        """Watch these folders from now on."""
        if not self.works or places == self.places:
            return
        self.over.set()
        self.over = threading.Event()
        self.places = places
        if places:
            threading.Thread(target=self.listen, args=[places, self.over], daemon=True).start()

    def listen(self, places: list[str], over: threading.Event) -> None:
        """Pass on what watchfiles says, until it is over."""
        from watchfiles import watch

        try:
            for _ in watch(
                *places, watch_filter=None, debounce=100, step=20, stop_event=over,
                recursive=False, raise_interrupt=False, ignore_permission_denied=True,
            ):  # fmt: skip
                self.tell()
        except (OSError, RuntimeError, UnicodeError):
            # It cannot watch here: for lack of inotify watches, say, or as a name is no text.
            self.works = False
            self.tell()

    def tell(self) -> None:
        """Wake whoever waits."""
        try:
            self.writer.send(b"!")
        except OSError:
            pass  # It has not looked yet, and will; or it does not wait any more.

    def close(self) -> None:
        """Listen no longer."""
        self.over.set()
        self.reader.close()
        self.writer.close()


def names(paths: list[str]) -> str:
    """Return the names of files for a message, of many those of the first."""
    text = ", ".join(map(shown, paths[:NAMES_MAX]))
    return f"{text} and {len(paths) - NAMES_MAX} more" if len(paths) > NAMES_MAX else text


def shown(path: str) -> str:
    """Return the name of a file as it is seen from here; in full if this folder is gone."""
    try:
        return os.path.relpath(path)
    except OSError:
        return path
