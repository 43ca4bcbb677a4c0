"""Which files a program was made of, and whether one of them has changed.

What has changed is always found by looking at the files: time, size and identity of each.
"""

from __future__ import annotations

import os
import sys
import sysconfig

from pyreframework.program.unasked import dict_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    type Signature = list[int] | None

# Files of folders that are watched as a whole; what is beyond is not watched.
FILES_MAX = 20_000
IGNORED_FOLDERS = ("__pycache__", "node_modules")


# What files were like when they were imported, or just before.
imported: dict[str, Signature] = {}

# A compiled file holds the time of its source in whole seconds. One that is written in a later
# second than that, with a second for the time between reading and writing, is of the last source.
COMPILED_AFTER_SECONDS = 2


def note_imports() -> None:
    """Note the state of every source from now on before it is read."""
    from importlib.machinery import SourceFileLoader

    plain = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        note(loader.path)
        return plain(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def note(path: str) -> None:
    """Note the state of a file that is about to be read, unless it has been read already."""
    path = os.path.abspath(path)
    imported.setdefault(path, signature(path))


def signature(path: str) -> Signature:
    """Return what changes when a file is written or replaced; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def program_files(more: Iterable[str] = ()) -> dict[str, Signature]:
    """Return the sources of all that this program has imported, but for what is installed.

    Args:
        more: Files that count as well, such as those of a failed import.
    """
    paths = sysconfig.get_paths()
    installed = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    # This package, one folder up from here.
    installed.add(os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir)))
    away = tuple(os.path.join(folder, "") for folder in installed)
    names = [text_of(dict_of(module).get("__file__")) for module in list(sys.modules.values())]
    found: dict[str, Signature] = {}
    for name in (*names, *more):
        if os.path.isfile(name):
            path = os.path.abspath(name)
            if not path.startswith(away):
                found[path] = imported.get(path) or signature(path)
    return found


def drop_compiled(paths: Iterable[str]) -> None:
    """Remove what was compiled of sources that may have been written anew in the same second.

    Python takes it for that of the new source if the sizes are equal, too.
    """
    from importlib.util import cache_from_source

    for path in paths:
        if not path.endswith(".py"):
            continue
        for level in ("", "1", "2"):
            compiled = cache_from_source(path, optimization=level)
            try:
                second = int(os.stat(path).st_mtime)
                if os.stat(compiled).st_mtime < second + COMPILED_AFTER_SECONDS:
                    os.unlink(compiled)
            except OSError:
                pass  # Either is not there, or we may not write where it is.


def files_below(folder: str) -> Iterator[str]:
    """Yield every file of a folder and the folders in it, but for hidden and compiled ones."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name not in IGNORED_FOLDERS]
        for name in names:
            if name[0] != "." and not name.endswith((".pyc", "~")):
                yield os.path.join(root, name)


def modules_in(folder: str) -> Iterator[str]:
    """Yield every Python source of a folder, not of those in it."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.endswith(".py"):
            yield os.path.join(folder, name)


class Changes:
    """The files that are watched, as they were last seen.

    Args:
        folders: Every file in them counts.
    """

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self.seen: dict[str, Signature] = {}
        # Where a file that is not there yet may be what is missing.
        self.searched: list[str] = []
        self.seen = {path: signature(path) for path in self.listed()}

    def add(self, files: dict[str, Signature]) -> None:
        """Watch further files, which were in this state when they were imported."""
        for path, state in files.items():
            self.seen.setdefault(path, state)

    def search(self, folders: Iterable[str], since_ns: int) -> None:
        """Watch all modules of these folders, and of those of the files, until one changes.

        For a program that does not start: what it needs may be a file it has not come to.

        Args:
            folders: Where to look, besides.
            since_ns: When the program was started; what is newer has changed already.
        """
        self.searched = sorted({*folders, *map(os.path.dirname, self.seen)})
        for path in self.listed():
            state = signature(path)
            if state is not None and state[0] < since_ns:
                self.seen.setdefault(path, state)

    def drop_compiled(self) -> None:
        """See that a process started now compiles what may have been compiled too early."""
        drop_compiled([*self.seen, *self.listed()])

    def listed(self) -> list[str]:
        """Return the files that are there now in folders that are watched as a whole."""
        found: list[str] = []
        for folder in self.folders:
            for path in files_below(folder):
                if len(found) >= FILES_MAX:
                    return found
                found.append(path)
        for folder in self.searched:
            found += modules_in(folder)
        return found

    def look(self) -> dict[str, Signature]:
        """Return what differs from what was seen last, with its present state."""
        paths = dict.fromkeys((*self.seen, *self.listed()))
        now = {path: signature(path) for path in paths}
        return {path: state for path, state in now.items() if state != self.seen.get(path)}

    def accept(self, changed: dict[str, Signature]) -> None:
        """Take changes as seen."""
        self.seen |= changed
        self.searched = []

    def places(self) -> list[str]:
        """Return the folders whose changes are of interest, each by itself."""
        places = {os.path.dirname(path) for path in self.seen} | {*self.searched, *self.folders}
        return sorted(place for place in places if os.path.isdir(place))
