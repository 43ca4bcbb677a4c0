"""The apps of this interpreter: how many have been made, and which one is loaded here.

What is below the class of apps knows one by its base, and sees of it what `App` has. Everything at
module level here is state of one interpreter. Imported wherever there is an app, so it imports
nothing but what every interpreter has.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from os import fsdecode
from posix import environ, getcwd, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, Protocol, TypeIs

    from pyreframework.engine import AppTable
    from pyreframework.handlers.event_loop import Loop

    class App(Protocol):
        """An app, as those see it who load it, compare it, and look at what its handlers use."""

        native: AppTable
        loop: Loop
        number: int
        made_in: str | None
        configures_logging: bool
        gives_ids: bool
        shares: list[str]
        security_headers: list[str]
        hosts: list[str]
        https_redirect: list[str]
        compresses: list[str]
        # Method, path, handler and `gil` of each route, and the options it was given.
        listed: list[tuple[str, str, Callable[..., Any], bool | None]]
        chosen: list[list[str]]
        # Prefix of each folder of files, and all that decides what is served of it.
        folders: list[tuple[str, str]]
        template_options: dict[str, Any] | None
        # Kind, subject and function of what runs in every interpreter.
        registered: list[tuple[str, str, Callable[..., Any]]]

        def protections(self) -> list[tuple[str, str]]:
            """Return what is compared between interpreters: a call, and what it said."""
            ...

        def of_clients(self) -> list[tuple[str, str, str]]:
            """Return what is compared of sessions and guards: call, option and value."""
            ...

        @property
        def shares_with_all(self) -> bool:
            """Whether any page there is may act for whoever looks at it."""
            ...

        def require_exempt_routes(self) -> None:
            """Raise unless all patterns that are exempt are those of routes."""
            ...

        @property
        def run(self) -> Callable[..., None]:
            """Serve it, or hand it over in a worker."""
            ...

        def attach_stop(self, stop: int, /) -> None:
            """Say where ``stop()`` goes."""
            ...

        def freeze(self, debug: bool) -> None:
            """Let nothing more be registered."""
            ...

        def handlers(self) -> list[tuple[int, Callable[..., Any], bool | None]]:
            """Return every handler, by the number of its route or `FALLBACK`."""
            ...

        def singles(self) -> list[tuple[str, Callable[..., Any] | None]]:
            """Return what there is one of at most, with its kind."""
            ...

        def request_hooks(self) -> list[tuple[str, Callable[..., Any]]]:
            """Return every hook that can be part of any request, with its kind."""
            ...

        def start_hooks(self) -> list[Callable[..., Any]]:
            """Return what runs as a worker starts."""
            ...

        def begin_worker(self) -> None:
            """Run the hooks for the start of a worker."""
            ...

        def end_worker(self) -> None:
            """Run the hooks for the end of a worker."""
            ...


class Enrolled:
    """The base of every app, by which it is known here."""

    __slots__ = ()


def is_app(value: object) -> TypeIs[App]:
    """Tell whether this is an app; ``isinstance`` would ask anything else for its class."""
    return issubclass(type(value), Enrolled)


class HandedOver(BaseException):
    """Ends a program in a worker once its app is known; no ``except Exception`` may stop it."""


class Loading:
    """A program being loaded in this interpreter.

    Args:
        number: Which of its apps is the one to serve; None if an attribute says so.
    """

    __slots__ = ("apps", "named", "number", "thread")

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.apps: list[App] = []
        self.named: App | None = None
        self.thread = get_ident()

    def app(self) -> App | None:
        """Return the app to serve, if it has been made."""
        if self.number is None:
            return self.named
        return self.apps[self.number] if self.number < len(self.apps) else None


def folder_here() -> str | None:
    """Return the current folder by the name that the shell has for it, None if it is gone.

    A path by way of a link leads elsewhere once that has been set anew, as deployments do: then a
    restart is to start what is there.
    """
    try:
        folder = getcwd()
        here = stat(".")
    except OSError:
        return None
    named = fsdecode(environ.get(b"PWD", b""))
    try:
        there = stat(named) if named.startswith("/") else None
    except OSError:
        there = None
    is_same = there is not None and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    return named if is_same else folder


# Stands for the fallback where routes have numbers.
FALLBACK = -1
# What the program's own file is called in a worker.
WORKER_NAME = "__mp_main__"

apps_made = 0
# The modules in which apps were made.
makers: set[str] = set()
loading: Loading | None = None
loaded: App | None = None
# The folder in which the program was started, as far as it is known.
started_in = folder_here()
# How the command line named the app, where that is more than a file: ``module:attribute``.
origin: str | None = None


def enroll(app: App) -> int:
    """Count a new app; its number says which one it is in every interpreter."""
    global apps_made
    if app.made_in is not None:
        makers.add(app.made_in)
    number = apps_made
    apps_made += 1
    if loading is not None:
        loading.apps.append(app)
    return number


def in_worker() -> bool:
    """Tell whether this interpreter is a worker."""
    return loading is not None or loaded is not None


def hand_over(app: App) -> None:
    """Take ``app`` if it is the one to serve, which ends the program here; called by ``run()``.

    Of another app, or once the program has been loaded, ``run()`` does nothing.

    Raises:
        HandedOver: This is the app, and the caller is the program itself, not a thread of it.
    """
    if loading is not None and loading.app() is app and loading.thread == get_ident():
        raise HandedOver


def starts_without(hook: Callable[..., object], error: BaseException) -> bool:
    """Tell whether this is a worker that can start although a hook of its start raised."""
    if not in_worker():
        return False
    from pyreframework.program import execution

    return execution.start_without(hook, error)


def imported(name: str) -> ModuleType:
    """Import a module, of a package too, under its own name."""
    __import__(name)
    return sys.modules[name]


def attribute_of(module: ModuleType, attribute: str) -> object:
    """Return an attribute of a module, or an attribute of one: names with dots between them."""
    found: object = module
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def app_from(found: object) -> App:
    """Return the app that an object is, or makes when it is called.

    Raises:
        TypeError: It is neither.
    """
    made = found if is_app(found) or not callable(found) else found()
    if is_app(made):
        return made
    what = type(made).__name__
    raise TypeError(f"no Pyre app but {what if made is found else f'a function that made {what}'}")
