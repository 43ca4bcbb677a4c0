"""The lines printed when serving begins: version, addresses, threads, routes, and what to try."""

from __future__ import annotations

import os
import sys

from pyreframework.engine import __version__
from pyreframework.logs import console, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from pyreframework.serving.settings.resolution import Settings

WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - not listened on here
# Lines about routes that have moved, before the rest is only counted.
MOVES_MAX = 10


def lines(
    settings: Settings,
    urls: Sequence[str],
    routes: Sequence[tuple[str, str]],
    folders: Sequence[str] = (),
) -> list[str]:
    """Return the banner.

    Args:
        settings: What is being served with.
        urls: The addresses listened on, with the ports that were chosen.
        routes: Method and pattern of each route.
        folders: The prefixes of the folders whose files are served.
    """
    threads = settings.count("threads")
    if settings.on_main:
        running = f"main interpreter, {counted(settings.count('gil_threads'), 'thread')}"
    else:
        workers = counted(settings.count("workers"), "worker")
        running = f"{workers} with {counted(threads, 'thread')} each"
    io_threads = counted(settings.count("io_workers"), "io thread")
    served = counted(len(routes), "route")
    if folders:
        served += f", {counted(len(folders), 'folder')}"
    text = [
        f"Pyre {__version__} on {', '.join(urls)}",
        f"  {running}, {io_threads}, {served}",
    ]
    path = example_path(routes)
    if path is None and folders:
        path = f"{folders[0].rstrip('/')}/"
    if path is not None and urls:
        text.append(f"  try: curl -i {reachable(urls[0])}{path}")
    return text


def moves(moved: Sequence[tuple[str, str]], route_count: int) -> list[str]:
    """Return lines that say which routes run on the main interpreter, and why.

    Example:
        >>> moves([("GET /a", "it uses numpy, which does not load in workers")], 2)
        ['GET /a runs on the main interpreter: it uses numpy, which does not load in workers']
    """
    reasons = {reason for _, reason in moved}
    if len(moved) > 1 and len(moved) >= route_count and len(reasons) == 1:
        return [f"every route runs on the main interpreter: {reasons.pop()}"]
    text = [f"{route} runs on the main interpreter: {reason}" for route, reason in moved]
    if len(text) > MOVES_MAX:
        more = len(text) - MOVES_MAX
        text[MOVES_MAX:] = [f"so do {counted(more, 'other route')}"]
    return text


def show(text: Sequence[str], stream: TextIO | None = None) -> None:
    """Print the banner to standard output, its first line bold on a terminal."""
    stream = sys.stdout if stream is None else stream
    head, *rest = text
    if streams.is_terminal(stream) and not os.environ.get("NO_COLOR"):
        head = f"\x1b[1m{head}\x1b[0m"
    console.show("\n".join([head, *rest]), stream)


def example_path(routes: Sequence[tuple[str, str]]) -> str | None:
    """Return the path of the first GET route without parameters."""
    for method, path in routes:
        if method == "GET" and "{" not in path:
            return path
    return None


def reachable(url: str) -> str:
    """Return what a client on this machine can use: no wildcard, and curl's way to a Unix socket.

    Example:
        >>> reachable("http://0.0.0.0:8000")
        'http://127.0.0.1:8000'
        >>> reachable("unix:/run/app.sock")
        '--unix-socket /run/app.sock http://localhost'
    """
    if url.startswith("unix:"):
        return f"--unix-socket {url.removeprefix('unix:')} http://localhost"
    for wildcard, local in WILDCARDS.items():
        url = url.replace(f"//{wildcard}:", f"//{local}:")
    return url


def abandoned(requests: int, tasks: int, unsent: int, untaken: int) -> str:
    """Return what was given up at the end.

    Args:
        requests: Those that are with handlers.
        tasks: What is done after answers.
        unsent: Connections whose request has not come whole.
        untaken: Connections with requests behind an answer that the client does not take.

    Example:
        >>> abandoned(2, 1, 0, 0)
        '2 running requests and 1 task'
        >>> abandoned(0, 0, 1, 0)
        '1 connection that had not sent its request'
    """
    parts = [
        counted(count, noun)
        for count, noun in ((requests, "running request"), (tasks, "task"))
        if count
    ]
    for count, what in ((unsent, "had not sent {} request"), (untaken, "did not take {} answers")):
        if count:
            whose = what.format("its" if count == 1 else "their")
            parts.append(f"{counted(count, 'connection')} that {whose}")
    # What threads have not said by then is not known.
    return " and ".join(parts) or "what io threads were at"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 worker``, ``2 workers``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
