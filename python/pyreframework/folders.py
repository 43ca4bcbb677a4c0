"""Folders whose files an app serves: ``static``. The engine answers for them without Python.

Imported in every worker.
"""

from __future__ import annotations

from os import fsdecode, fsencode
from os.path import abspath, isdir, isfile, join

from pyreframework.routing import require_route_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike

    from pyreframework.engine import AppTable

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
YEAR_S = 365 * 24 * 60 * 60
MAX_AGE_MAX = 2**31


class Folders:
    """The part of `Pyre` that serves files."""

    native: AppTable
    named: list[tuple[str, str, bool]]

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[tuple[str, str]] = []
        """Prefix of each folder, and all that decides what is served of it."""

    def static(
        self,
        prefix: str,
        directory: str | PathLike[str],
        *,
        index: str | None = "index.html",
        max_age: int | None = None,
        immutable: bool = False,
        html: bool = False,
        spa: str | None = None,
        follow_symlinks: bool = False,
        name: str | None = None,
    ) -> None:
        """Serve the files of a folder, where no route matches.

        The engine answers GET and HEAD without Python; hooks do not run. Of several folders the one
        with the longest prefix is asked. What is not there is for the fallback handler, if there is
        one, and 404 otherwise; so is all that nobody is to see, as names that begin with a dot.

        Args:
            prefix: What stands in front of the names, as in ``/assets``; ``/`` for the whole
                server.
            directory: The folder. A relative one is looked for from the current folder.
            index: What is shown of a folder; None for nothing.
            max_age: Seconds that clients may keep a file without asking again.
            immutable: They need not ask at all, as the file never changes: a change gives it
                another name. Without ``max_age`` they keep it for a year.
            html: ``/about`` shows ``about.html``, and ``404.html`` is shown for what is not there.
            spa: What is shown for what is not there, with status 200: the page of an application
                that has its routes in the browser.
            follow_symlinks: Symbolic links may lead out of the folder. Otherwise only those count
                that stay inside.
            name: What `url_for` calls the folder, with the parameter ``path``.

        Raises:
            ValueError: There is no such folder, or something cannot be as it was given.
            TypeError: Something is of a wrong type.
            RuntimeError: The app is being served.

        Example:
            >>> import tempfile
            >>> app = Pyre()
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     app.static("/assets", folder, max_age=3600)
            >>> app.static("/downloads", "/no/such/folder")
            Traceback (most recent call last):
                ...
            ValueError: static /downloads: there is no folder '/no/such/folder'
        """
        require_prefix(prefix)
        where = f"static {prefix}"
        place = abspath(fsdecode(directory))
        if not isdir(place):
            raise ValueError(f"{where}: there is no folder {fsdecode(directory)!r}")
        flags = {"immutable": immutable, "html": html, "follow_symlinks": follow_symlinks}
        for option, flag in flags.items():
            if not isinstance(flag, bool):
                raise TypeError(
                    f"{where}: {option} is True or False, not {type(flag).__qualname__}"
                )
        for option, page, has_folders in (("index", index, False), ("spa", spa, True)):
            if page is not None:
                require_name(option, page, where, has_folders)
        if spa is not None and not isfile(join(place, spa)):
            raise ValueError(
                f"{where}: there is no file {spa!r} in it, which is to be shown instead"
            )
        bare = prefix.rstrip("/")
        require_route_name(self.named, name, f"{bare}/{{path:path}}", where)
        self.native.mount(
            bare,
            bare or "/",
            fsencode(place),
            index or "",
            cache_control(max_age, immutable, where),
            html,
            spa or "",
            follow_symlinks,
        )
        given = f"{index=} {max_age=} {immutable=} {html=} {spa=} {follow_symlinks=}"
        if name is not None:
            given += f" {name=}"
            self.named.append((name, f"{bare}/{{path:path}}", True))
        self.folders.append((bare or "/", f"{place} {given}"))


def require_prefix(prefix: object) -> None:
    """Raise unless the names of files may stand behind this.

    Raises:
        TypeError: It is no text.
        ValueError: It is none, with the reason.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"app.static() takes a prefix, not {type(prefix).__qualname__}")
    segments = prefix.rstrip("/").split("/")[1:]
    is_plain = all(segment.strip(".") and PLAIN.issuperset(segment) for segment in segments)
    if not prefix.startswith("/") or not is_plain:
        raise ValueError(
            f"static {prefix}: a prefix is plain, as in '/assets' or '/', and has no '.' or '..'"
        )


def require_name(name: str, page: object, where: str, has_folders: bool) -> None:
    """Raise unless this may be the name of a file in a folder.

    Raises:
        TypeError: It is no text.
        ValueError: It leads elsewhere, or is hidden.
    """
    if not isinstance(page, str):
        raise TypeError(f"{where}: {name} is the name of a file, not {type(page).__qualname__}")
    segments = page.split("/")
    is_plain = all(segment and not segment.startswith(".") for segment in segments)
    if not is_plain or "\0" in page or (len(segments) > 1 and not has_folders):
        raise ValueError(f"{where}: {name} is the name of a file in the folder, not {page!r}")


def cache_control(max_age: int | None, immutable: bool, where: str) -> str | None:
    """Return what clients are told of keeping a file, if anything.

    Raises:
        TypeError: ``max_age`` is not a whole number.
        ValueError: It is out of bounds.
    """
    if max_age is None:
        return f"max-age={YEAR_S}, immutable" if immutable else None
    if isinstance(max_age, bool) or not isinstance(max_age, int):
        raise TypeError(
            f"{where}: max_age is a number of seconds, not {type(max_age).__qualname__}"
        )
    if not 0 <= max_age <= MAX_AGE_MAX:
        raise ValueError(f"{where}: max_age is from 0 to {MAX_AGE_MAX} seconds, not {max_age}")
    return f"max-age={max_age}, immutable" if immutable else f"max-age={max_age}"
