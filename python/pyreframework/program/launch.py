"""One command that loads a program on the main interpreter: to serve it, or to look at its app.

A file runs as ``__main__``, as ``python app.py`` would run it: if it calls ``run()``, that serves,
and flags of the command line go before its arguments. A module is imported under its own name; what
it gives to ``run()`` is remembered, and the app is served once the import is through.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyreframework.logs import console
from pyreframework.program import apps
from pyreframework.program.apps import is_app
from pyreframework.program.rerun import ProgramSpec
from pyreframework.program.target import Target, TargetError
from pyreframework.program.unasked import dict_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType, TracebackType

    from pyreframework.program.apps import App

# What run() has to know about the command line; None: there was none.
launch: Launch | None = None


class ProgramFailed(Exception):
    """The program itself raised, which has been printed.

    Args:
        files: Where it raised, and what it could not read.
    """

    def __init__(self, files: list[str]) -> None:
        super().__init__(files)
        self.files = files


class Told(BaseException):
    """Ends a file that calls ``run()`` where its app is only looked at."""


@dataclass(slots=True)
class Launch:
    """One command that loads a program: to serve it, or to look at its app."""

    target: Target
    flags: Mapping[str, object] = field(default_factory=dict)
    serves: bool = True
    served: bool = False
    given: dict[int, Mapping[str, object]] = field(default_factory=dict)
    """What ``run()`` was given for each app, where it could not serve at once."""
    found: bool = False

    def lets_serve(self, app: App, given: Mapping[str, object]) -> bool:
        """Tell ``run()`` whether it is to serve ``app`` now; if not, it returns.

        Raises:
            Told: The program is only looked at, and may end here.
        """
        if not self.found:
            if not self.target.is_file:
                self.given[id(app)] = given
                return False
            if not self.serves:
                raise Told
            if self.target.attribute is not None and self.named() is not app:
                return False
        self.served = True
        return True

    def named(self) -> object:
        """Return what the named attribute of a running file is at this moment."""
        found: object = sys.modules["__main__"]
        for name in (self.target.attribute or "").split("."):
            found = getattr(found, name, None)
        return found

    def load(self, arguments: list[str], app_dir: str | None = None) -> App | None:
        """Run the program and return the app that was named.

        None says that the program has served it already, by a call of ``run()``.

        Args:
            arguments: Become ``sys.argv[1:]``.
            app_dir: Where modules are looked for first, in place of the current folder.

        Raises:
            TargetError: There is no such file, module, attribute or app.
            ProgramFailed: The program raised.
        """
        global launch
        launch = self
        self.target.check()
        source = self.target.source
        folder = os.path.dirname(source) if self.target.is_file else ""
        sys.path.insert(0, os.path.abspath(folder))
        if app_dir is not None:
            sys.path.insert(0, os.path.abspath(app_dir))
        sys.argv[:] = [source, *arguments]
        module = self.run_file() if self.target.is_file else self.import_module()
        if self.served:
            return None
        app = self.choose(module)
        self.found = True
        return app

    def serve(self, app: App) -> None:
        """Serve the app that `load` returned, with the arguments its program had for it."""
        app.run(**dict(self.given.get(id(app), {})))

    def run_file(self) -> ModuleType:
        """Run a file as ``__main__``; where it is only looked at, as workers do."""
        from importlib.machinery import SourceFileLoader

        from pyreframework.program.changes import note

        name = "__main__" if self.serves else apps.WORKER_NAME
        path = os.path.abspath(self.target.source)
        module = type(sys)(name)
        module.__file__ = path
        loader = module.__loader__ = SourceFileLoader(name, path)
        if not self.serves:
            module.__spec__ = ProgramSpec(loader, path)
        sys.modules[name] = sys.modules["__main__"] = module
        note(path)
        with reporting(path):
            try:
                exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)  # noqa: S102
            except Told:
                pass
        return module

    def import_module(self) -> ModuleType:
        """Import a module under its own name."""
        name = self.target.source
        with reporting():
            try:
                return apps.imported(name)
            except ModuleNotFoundError as error:
                missing = error.name or ""
                if name != missing and not name.startswith(f"{missing}."):
                    raise
                raise TargetError(f"there is no module {missing!r} in {sys.path[0]}") from None

    def choose(self, module: ModuleType) -> App:
        """Return the app that was named, or the only one there is."""
        attribute = self.target.attribute
        at_top = apps_of(module)
        if attribute is None:
            if len(at_top) == 1:
                name, app = next(iter(at_top.items()))
                if not self.target.is_file:
                    apps.origin = f"{self.target.source}:{name}"
                return app
            if not at_top:
                raise TargetError(
                    f"{self.target} has no Pyre app at its top level; name the function that "
                    f"makes it: {self.target}:create_app"
                )
            choice = " or ".join(f"{self.target}:{name}" for name in at_top)
            raise TargetError(f"{self.target} has several apps; say which: {choice}")
        try:
            found = apps.attribute_of(module, attribute)
        except AttributeError:
            names = f"; its apps: {', '.join(at_top)}" if at_top else ""
            raise TargetError(f"{self.target.source} has no {attribute!r}{names}") from None
        return self.make(module, found)

    def make(self, module: ModuleType, found: object) -> App:
        """Return the app that was named, made if it is a function that was."""
        if callable(found) and needs_arguments(found):
            raise TargetError(f"{self.target} cannot be called without arguments to make an app")
        before = apps.apps_made
        with reporting():
            try:
                app = apps.app_from(found)
            except TypeError as error:
                if not str(error).startswith("no Pyre app"):
                    raise
                raise TargetError(f"{self.target} is {error}") from None
        place = self.target.source
        if self.target.is_file:
            place = os.path.abspath(place)
        if apps.apps_made > before or not self.target.is_file:
            apps.origin = f"{place}:{self.target.attribute}"
        return app


def needs_arguments(function: object) -> bool:
    """Tell whether a function cannot be called with none."""
    import inspect

    try:
        inspect.signature(function).bind()  # type: ignore[arg-type]
    except ValueError:
        return False  # A builtin that does not tell.
    except TypeError:
        return True
    return False


def apps_of(module: ModuleType) -> dict[str, App]:
    """Return the apps at the top level of a module, each under its first name."""
    found: dict[str, App] = {}
    for name, value in list(dict_of(module).items()):
        if is_app(value) and not any(value is app for app in found.values()):
            found[name] = value
    return found


@contextmanager
def reporting(path: str | None = None) -> Iterator[None]:
    """Print what a program raises, from its own first line on.

    Args:
        path: The file of the program, if it is one.

    Raises:
        ProgramFailed: In place of what the program raised.
    """
    try:
        yield
    except TargetError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's own, and it is printed
        console.report(error, own(error.__traceback__, path))
        raise ProgramFailed(files_of(error)) from None


def files_of(error: BaseException) -> list[str]:
    """Return the files that an exception went through."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        files.append(error.filename)
    return files


def own(trace: TracebackType | None, path: str | None) -> TracebackType | None:
    """Leave out the frames of this package and of the import system that come first."""
    here = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == path or not file.startswith(("<frozen importlib", here)):
            return trace
        trace = trace.tb_next
    return None
