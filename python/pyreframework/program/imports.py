"""Imports of a worker's program while it is loaded: what is refused there becomes a stand-in.

CPython refuses C extensions in a worker that are not made for sub-interpreters, by an
``ImportError``; `refusals` knows it. Libraries go on seeing that error, as many of them have a way
to do without. Only where it would end the program, at an import in the program's own code that no
``try`` around it catches, the import gives a stand-in. An extension with a Python file of the same
name beside it is replaced by that file. A library that catches the error and is left without what
it needs fails with it all the same, see `losses`. Modules of the program go on behind statements
that need what is refused, see `execution`.

State of one interpreter; every worker imports this, so it imports nothing before something is
refused.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from _frozen_importlib_external import ExtensionFileLoader, SourceFileLoader
from _thread import get_ident
from sys import _getframe

from pyreframework.program.ownership import is_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    from pyreframework.program.taints import Place

STAND_INS = "pyreframework.program.standins"
AHEAD = "pyreframework.program.ahead"

# Extensions that were refused, in order, and those of them that a Python file replaced.
refused: list[str] = []
replaced: dict[str, str] = {}
# Why a module has a stand-in.
reasons: dict[str, str] = {}
# Modules that the program does without, as it catches the error: where it does.
caught: dict[str, str] = {}
# Extensions that packages of libraries do without, as they catch the error, and why these failed.
without: dict[str, dict[str, str]] = {}
# Names that such packages have on the main interpreter only: `yaml.CSafeLoader`.
lost: set[str] = set()
# What such packages have in place of what they lost, where it only raises: by the id of the
# function or class the package that is missing.
hollow: dict[int, str] = {}
# Globals that got a plain value out of a stand-in, by the id of their dict and their name, with the
# module that is missing; also attributes, by the id of their object.
tainted: dict[tuple[int, str], str] = {}
# Where the program has got a plain value out of a stand-in: the module that is missing, and the
# program's code on the way there, the innermost first.
taken: dict[tuple[object, ...], tuple[str, list[Place]]] = {}
# Objects that got something of such a value, by their id, with the module that is missing.
marked: dict[int, tuple[object, str]] = {}
# Objects and classes of which only some attributes did, which are in `tainted` by the id of the
# object: by their id, with the module that is missing.
partly: dict[int, tuple[object, str]] = {}
# Hooks of the start that could not run to their end, by the id of their code, with the module that
# is missing. What they name counts as a stand-in already.
failed_hooks: dict[int, str] = {}
# Functions that hooks of the start leave running, by their file and first line. When these first
# run is not known, and what they share counts whether they have run or not.
handed: set[tuple[str, int]] = set()
# Where such values were taken of which it cannot be told where they went.
unfollowed: dict[str, str] = {}
# Packages to refuse although they might load, and why: `pyre doctor` has seen them crash.
banned: dict[str, str] = {}
# Told of each import in the program's code, before it and after it.
listener: Callable[[str, str], None] | None = None

installed = False
plain_import = builtins.__import__
plain_import_module = importlib.import_module
plain_create_module = ExtensionFileLoader.create_module
plain_exec_module = SourceFileLoader.exec_module
# The modules whose code runs, of each thread, the innermost last.
running: dict[int, list[Running]] = {}


def install() -> None:
    """Watch over the imports of this interpreter until `remove`."""
    global installed
    if not installed:
        installed = True
        importlib.import_module = import_module
        builtins.__import__ = import_name
        SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]
        setattr(ExtensionFileLoader, "create_module", create_module)  # noqa: B010 - typeshed has another


def remove() -> None:
    """Let imports take their usual way again, but for extensions that a Python file can replace."""
    global installed
    installed = False
    # What the program has put over them stays, and goes on to what does nothing from here on.
    if importlib.import_module is import_module:
        importlib.import_module = plain_import_module
    if builtins.__import__ is import_name:
        builtins.__import__ = plain_import
    if SourceFileLoader.exec_module is exec_module:
        SourceFileLoader.exec_module = plain_exec_module  # type: ignore[method-assign]
    if STAND_INS in sys.modules:
        from pyreframework.program import loop_setters

        loop_setters.give_back()
    if AHEAD in sys.modules:
        from pyreframework.program import ahead

        ahead.end()
    if "pyreframework.program.sources" in sys.modules:
        from pyreframework.program import sources

        sources.forget()
    taken.clear()
    marked.clear()
    partly.clear()


def import_name(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - as `__import__` has it
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Do what ``__import__`` does, with stand-ins for the program's code."""
    space = _getframe(1).f_globals if globals is None else globals
    # Functions written in C that import for themselves pass a list.
    if not installed or not is_program(space) or isinstance(fromlist, list):
        return plain_import(name, globals, locals, fromlist or (), level)
    try:
        full = absolute(name, space, level)
    except (ImportError, KeyError, TypeError):
        # The import says in its own words what is wrong.
        return plain_import(name, globals, locals, fromlist or (), level)

    def attempt(items: Sequence[str]) -> ModuleType:
        return plain_import(name, globals, locals, items, level)

    module: ModuleType = Import(full, tuple(fromlist or ()), False, attempt, _getframe(1)).run()
    return module


def import_module(name: str, package: str | None = None) -> ModuleType:
    """Do what ``importlib.import_module`` does, with stand-ins for the program's code."""
    frame = _getframe(1)
    if not installed or name.startswith(".") or not is_program(frame.f_globals):
        return plain_import_module(name, package)
    module: ModuleType = Import(
        name, (), True, lambda _: plain_import_module(name, package), frame
    ).run()
    return module


def create_module(loader: ExtensionFileLoader, spec: ModuleSpec) -> ModuleType | None:
    """Make the module of an extension, or let a Python file beside it do instead."""
    try:
        return plain_create_module(loader, spec)
    except ImportError as error:
        from pyreframework.program import refusals

        if not refusals.refuses(error):
            raise
        refused.append(spec.name)
        source = python_file(spec.origin)
        if source is None:
            reach_importer({spec.name: refusals.refusal(error, ()) or ""})
            raise
        replaced[spec.name] = str(error)
        # The module is made by importlib, and run by the loader it finds here now.
        spec.loader = SourceFileLoader(spec.name, source)
        spec.origin = source
        return None


def run(code: CodeType, space: dict[str, Any]) -> None:
    """Run the code of a module in its globals.

    Raises:
        BaseException: What the code raises, if that is not for a module that does not load, if the
            statement assigns nothing or has to do with an app, or if a ``try`` around the module's
            import goes on.
    """
    rest: CodeType | None = code
    while rest is not None:
        rest = run_part(rest, space)


def run_part(code: CodeType, space: dict[str, Any]) -> CodeType | None:
    """Run code to its end, or return what is behind the statement that could not be run."""
    seen = len(refused)
    if AHEAD in sys.modules:
        from pyreframework.program import ahead

        ahead.watch(code)
    try:
        exec(code, space)  # noqa: S102 - the user's own program
    except (Exception, SystemExit) as error:
        from pyreframework.program import execution

        rest = execution.leave_out(error, code, space, seen)
        if rest is None:
            raise
        return rest
    return None


def exec_module(loader: SourceFileLoader, module: ModuleType) -> None:
    """Run a module's code; one of the program goes on behind what needs a refused module.

    Raises:
        BaseException: What the code raises. One of a library that caught a refusal and cannot do
            without what was refused fails with it.
    """
    if not installed:
        return plain_exec_module(loader, module)
    own = is_program(vars(module))
    here = Running(vars(module))
    stack = running.setdefault(get_ident(), [])
    stack.append(here)
    try:
        if own:
            code = loader.get_code(module.__name__)
            assert code is not None, "there is a file"
            run(code, vars(module))
        else:
            plain_exec_module(loader, module)
        if here.failed and not own:
            from pyreframework.program import losses

            losses.settle(loader, module, here)
    except BaseException as error:
        stack.pop()
        instead = replaced.pop(module.__name__, None)
        if instead is not None:
            # Not every Python file beside an extension does what that does: some only explain.
            reach_importer({module.__name__: instead})
            raise ImportError(instead, name=module.__name__) from error
        from pyreframework.program import refusals

        reason = refusals.refusal(error, ())
        # What refuses is named by the extension, or by a module that refuses by itself.
        failed = here.failed or ({} if reason is None else {module.__name__: reason})
        reach_importer(failed)
        raise
    stack.pop()
    return None


def python_file(extension: str | None) -> str | None:
    """Return the Python file that the extension beside it was compiled from, if there is one."""
    from importlib.machinery import EXTENSION_SUFFIXES
    from os.path import isfile

    for suffix in EXTENSION_SUFFIXES:
        if extension is not None and extension.endswith(suffix):
            source = extension.removesuffix(suffix) + ".py"
            if isfile(source):
                return source
    return None


class Running:
    """A module whose code runs: what its imports have failed for, and where it stood then."""

    __slots__ = ("failed", "places", "space")

    def __init__(self, space: dict[str, Any]) -> None:
        self.space = space
        # Extensions that were refused, and why; an error for them has come as far as this module.
        self.failed: dict[str, str] = {}
        # For each of these errors where the module's code was, the innermost function first.
        self.places: list[list[tuple[CodeType, int]]] = []


def reach_importer(failed: dict[str, str]) -> None:
    """Note that an error for refused extensions reaches the module that runs in this thread."""
    stack = running.get(get_ident())
    if not stack or not failed:
        return
    here = stack[-1]
    here.failed.update(failed)
    places = []
    frame: FrameType | None = _getframe(1)
    while frame is not None:
        if frame.f_globals is here.space:
            places.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    here.places.append(places)


class Import:
    """One import in the program's code."""

    def __init__(
        self,
        name: str,
        items: tuple[str, ...],
        leaf: bool,
        attempt: Callable[[Sequence[str]], ModuleType],
        frame: FrameType,
    ) -> None:
        self.name = name
        self.items = items
        # Whether the module of the whole name is wanted, and not that of its first part.
        self.leaf = leaf or bool(items)
        self.attempt = attempt
        self.frame = frame

    def run(self) -> Any:
        """Return the module, or what stands in for it.

        Raises:
            BaseException: Whatever the import raises, if that is no refusal or the program catches
                it.
        """
        top = self.name.partition(".")[0]
        if top in banned and top not in caught:
            reasons[top] = banned[top]
        known = next((part for part in parts(self.name) if part in reasons), None)
        if known is not None and known not in sys.modules:
            error = ImportError(reasons[known], name=known)
            from pyreframework.program import missing

            if missing.is_caught(self, error, known):
                raise error
            from pyreframework.program import substitutes

            return substitutes.substitute(self)
        if listener is not None:
            listener("begin", self.name)
        before, seen = set(sys.modules), len(refused)
        try:
            module = self.attempt(self.items)
            if STAND_INS in sys.modules:
                from pyreframework.program import loop_setters

                loop_setters.keep()
            if not without:
                return module
            from pyreframework.program import missing

            if not missing.find_lost(self, module):
                return module
        except Exception as error:
            from pyreframework.program import missing, refusals

            reason = refusals.refusal(error, refused[seen:])
            if reason is None:
                raise
            missing.drop_orphans(before)
            if not missing.find_missing(self, error, reason):
                raise
        finally:
            if listener is not None:
                listener("end", self.name)
        from pyreframework.program import substitutes

        return substitutes.substitute(self)


def set_serving(serving: bool) -> None:
    """Let every further use of a stand-in raise, or none any more, as requests have been served."""
    stand_ins = sys.modules.get(STAND_INS)
    if stand_ins is not None:
        vars(stand_ins).update(serving=serving, ending=not serving)


def parts(name: str) -> Sequence[str]:
    """Return ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``."""
    words = name.split(".")
    return [".".join(words[: count + 1]) for count in range(len(words))]


def absolute(name: str, space: Mapping[str, object], level: int) -> str:
    """Return the whole name of a module that may be named relative to another one."""
    if level == 0:
        return name
    package = space.get("__package__") or space["__spec__"].parent  # type: ignore[attr-defined]
    base = str(package).rsplit(".", level - 1)[0]
    return f"{base}.{name}" if name else base
