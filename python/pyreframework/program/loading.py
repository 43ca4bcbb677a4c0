"""Loads the user's program in a worker, the way ``multiprocessing``'s spawn does.

The main interpreter describes its program as a list of texts, the only thing that can travel to
another interpreter; each worker runs it again as a module named ``__mp_main__``, so that code under
``if __name__ == "__main__":`` stays out. The app to serve is the one made at the same place in the
order of apps; ``run()`` on it hands it over and ends the program there.

A program that is named as ``module:attribute`` is imported under its own name instead, and the
attribute is the app, or makes it; ``run()`` then only returns.

Everything at module level here is state of one interpreter. Imported in every worker, so it imports
nothing but what every interpreter has.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec

from pyreframework.engine import note_import
from pyreframework.logs import console, records
from pyreframework.program import apps, frames
from pyreframework.program.apps import (
    WORKER_NAME,
    HandedOver,
    Loading,
    app_from,
    attribute_of,
    imported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import CodeType

    from pyreframework.engine import AppTable


# Before 3.14 interpreters count up the versions of immutable types in one place and without a lock
# (gh-116909). Two that do so at the same time may give one version to two types, and the caches of
# attributes then take one type for the other: programs are loaded one after the other there.
MAY_LOAD_TOGETHER = sys.version_info >= (3, 14)

# What is registered with the app on the main interpreter, and what the program's names hold there.
expected: list[str] = []
facts = ""


class ProgramSpec(ModuleSpec):
    """The spec of a program that is a file: tracebacks ask its loader for their lines.

    It has no name, by which ``multiprocessing`` would look for a module to import: a process that
    is spawned gets the file, as it does where ``__spec__`` is None.
    """

    def __init__(self, loader: Loader, file: str) -> None:
        super().__init__(None, loader, origin=file)  # type: ignore[arg-type]

    @property
    def parent(self) -> str:
        """The package: none."""
        return ""


class Program:
    """What a worker needs to know to run the program of the main interpreter again."""

    __slots__ = (
        "argv", "code", "debug", "facts", "kind", "log", "number", "outline", "own", "path",
        "stop_fd", "target",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        target: str,
        number: int,
        stop_fd: int,
        debug: bool,
        argv: list[str],
        path: list[str],
        own: list[str] | None = None,
        log: str = "info text",
        code: str = "",
        outline: list[str] | None = None,
        facts: str = "",
    ) -> None:
        self.kind = kind
        self.target = target
        self.number = number
        self.stop_fd = stop_fd
        self.debug = debug
        self.log = log
        self.argv = argv
        self.path = path
        # Packages that are the program's own wherever they are installed.
        self.own = own or []
        # What `description.compiled` returned for its file.
        self.code = code
        # What is registered with the app on the main interpreter; see `outline`.
        self.outline = outline or []
        # What the program's names hold on the main interpreter; see `pyreframework.program.facts`.
        self.facts = facts

    @property
    def file(self) -> str | None:
        """The file that is run in each worker, where the program is named by its file."""
        if self.kind == "attribute":
            source = self.target.rpartition(":")[0]
            return source if source.endswith(".py") else None
        return self.target if self.kind == "file" else None

    @classmethod
    def unpack(cls, texts: list[str]) -> Program:
        """Return the program that `description.pack` wrote."""
        texts = [text.encode("latin-1").decode("utf-8", "surrogatepass") for text in texts]
        kind, target, *rest = texts
        number, stop_fd, debug, *counts = map(int, rest[:6])
        log, code, facts, *texts = rest[6:]
        lists = []
        for count in counts:
            lists.append(texts[:count])
            texts = texts[count:]
        argv, own, outline = lists
        return cls(
            kind, target, number, stop_fd, bool(debug), argv, texts, own, log, code, outline, facts
        )


def load(texts: list[str]) -> AppTable:
    """Run the user's program in this worker and return the app to serve, frozen.

    Args:
        texts: What `description.describe` returned on the main interpreter.

    Raises:
        RuntimeError: The program made no such app here.
    """
    global expected, facts
    from pyreframework.program import imports

    frames.guard()
    program = Program.unpack(texts)
    imports.own_packages.update(program.own)
    if imports.listener is None:
        imports.listener = note_import
    imports.install()
    sys.argv[:] = program.argv
    sys.path[:] = program.path
    console.adopt(is_worker=True)
    console.catch_the_rest()
    level, form = program.log.split()
    if form == "json":
        from pyreframework.logs import strays

        strays.catch()
    loading = Loading(None if program.kind == "attribute" else program.number)
    apps.loading = loading
    expected, facts = program.outline, program.facts
    try:
        run(program)
    except HandedOver:
        pass
    except SystemExit as ended:
        from pyreframework.program import refusals

        if loading.app() is None:
            failure = RuntimeError(
                f"{program.target} ended with SystemExit({ended.code!r}) before it made its app"
            )
            refusals.explain(failure, None)
            raise failure from ended
        # What is left out is what comes behind: routes may be missing.
        if imports.taken and ended.code not in (None, 0):
            failure = RuntimeError(f"{program.target} ended with SystemExit({ended.code!r})")
            refusals.explain(failure, None)
            raise failure from ended
    except Exception as error:
        from pyreframework.program import refusals

        refusals.explain(error, None)
        raise
    app = loading.app()
    apps.loading = None
    if app is None:
        raise RuntimeError(
            f"{program.target} made no app when a worker loaded it: make it at the top level of a "
            'module, not under `if __name__ == "__main__":`, or use run(mode="default")'
        )
    if not app.configures_logging:
        records.use(level, form == "json")
    app.attach_stop(program.stop_fd)
    app.freeze(program.debug)
    apps.loaded = app
    if imports.reasons:
        from pyreframework.program import differences

        differences.note_loaded(app)
    else:
        facts = ""
    return app.native


def run(program: Program) -> None:
    """Run the program's code as the module ``__mp_main__``, which stands for ``__main__`` too."""
    if program.kind == "attribute":
        source, _, attribute = program.target.rpartition(":")
        if program.file is not None:
            text = program.code
            run(Program("file", source, program.number, -1, program.debug, [], [], code=text))
            module = sys.modules[WORKER_NAME]
        else:
            module = imported(source)
        if apps.loading is not None:
            apps.loading.named = app_from(attribute_of(module, attribute))
        return
    module = type(sys)(WORKER_NAME)
    code, spec, file = code_of(program)
    module.__file__ = file
    module.__spec__ = spec
    if program.kind != "file":
        module.__package__ = spec.parent
    module.__loader__ = spec.loader
    sys.modules["__main__"] = sys.modules[WORKER_NAME] = module
    from pyreframework.program import imports

    imports.run(code, module.__dict__)


def code_of(program: Program) -> tuple[CodeType, ModuleSpec, str | None]:
    """Return the code of a program, the spec of its module, and its file."""
    from importlib.machinery import PathFinder, SourceFileLoader

    if program.kind == "file":
        source = SourceFileLoader(WORKER_NAME, program.target)
        if program.code:
            from marshal import loads

            code = loads(program.code.encode("latin-1"))  # noqa: S302 - ours, see `description`
        else:
            code = source.source_to_code(source.get_data(program.target), program.target)
        return code, ProgramSpec(source, program.target), program.target
    if program.kind == "folder":
        name = "__main__"
        spec = PathFinder.find_spec(name, [program.target])
    else:
        name = program.target
        spec = find(name)
    loader = spec.loader if spec is not None else None
    found = getattr(loader, "get_code", lambda _: None)(name)
    if spec is None or found is None:
        raise ImportError(f"a worker cannot find the code of {program.target}")
    return found, spec, spec.origin


def find(name: str) -> ModuleSpec | None:
    """Return the spec of a module without importing it, its packages excepted."""
    parent = name.rpartition(".")[0]
    path = __import__(parent, fromlist=["__path__"]).__path__ if parent else None
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def refuse(native: AppTable, difference: str | None) -> str | None:
    """Return why this worker cannot serve: its app is not that of the main interpreter.

    Args:
        native: The app that `load` returned.
        difference: How the routes differ, if they do.

    Returns:
        The difference and the cure; None if there is none.
    """
    from pyreframework.program import imports
    from pyreframework.program.outline import CURE, compare, outline

    app = apps.loaded
    assert app is not None, "load() comes before refuse()"
    assert app.native is native, "one app to an interpreter"
    detail = compare(outline(app), expected)
    found = difference or detail
    if found is None:
        return None
    if imports.reasons:
        from pyreframework.program import differences

        why = differences.blame(f"{found} {detail}")
        if why is not None:
            return f"{found}; {why}"
    # Which way a `try` around an import goes may be what makes the difference.
    places = [
        f"; {module} does not load in workers, where {place} goes on without it"
        for module, place in sorted(imports.caught.items())
    ]
    return f"{found}; {CURE}{''.join(places)}"


def start_worker(native: AppTable, first: bool = True) -> list[tuple[int, str]]:
    """Run the ``on_worker_start`` hooks, and find out what cannot run here.

    Args:
        native: The app that `load` returned.
        first: No other worker has started yet.

    Returns:
        Which routes have to run on the main interpreter, and why; see `moves.find`.

    Raises:
        BaseException: Whatever a hook raises; it stops the start.
    """
    app = apps.loaded
    assert app is not None, "load() comes before start_worker()"
    assert app.native is native, "one app to an interpreter"
    app.begin_worker()
    from pyreframework.program import imports

    moved: list[tuple[int, str]] = []
    if first or imports.reasons:
        from pyreframework.program import moves

        moved = moves.find(app, first)
        if imports.reasons:
            moves.name_routes(app)
            forget_facts()
    imports.remove()
    imports.set_serving(True)
    if not MAY_LOAD_TOGETHER:
        version_types()
    return moved


def forget_facts() -> None:
    """Let go of what the program's names held, on the main interpreter and here."""
    global facts
    facts = ""
    from pyreframework.program import differences

    differences.before.clear()


def settle_worker(native: AppTable) -> None:
    """Spare the collector everything made so far; others may load the program meanwhile."""
    app = apps.loaded
    assert app is not None, "start_worker() comes before settle_worker()"
    assert app.native is native, "one app to an interpreter"
    import gc

    gc.collect()
    gc.freeze()


def version_types() -> None:
    """Give every immutable type of this interpreter the version that its first use would give it.

    Called while no other interpreter does so, see `MAY_LOAD_TOGETHER`.
    """
    waiting, seen = [object], {object}
    immutable = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
    while waiting:
        kind = waiting.pop()
        if kind.__flags__ & immutable:
            # A look-up that finds what every type has, and runs nobody's code.
            type.__getattribute__(kind, "__init__")
        new = [one for one in type.__subclasses__(kind) if one not in seen]
        seen.update(new)
        waiting += new


def stop_worker(native: AppTable, begun: bool = True) -> None:
    """Run the ``on_worker_stop`` hooks, close the event loop and flush what the worker has printed.

    A hook that raises is reported, and the next one runs.

    Args:
        native: The app that `load` returned.
        begun: What runs as a worker starts has not failed. If it has, it may have left the event
            loop open, and there is nothing for the hooks to end.
    """
    from pyreframework.program import imports

    # Hooks close what others have made, which may be stand-ins.
    imports.set_serving(False)
    app = apps.loaded
    if app is not None and app.native is native:
        if begun:
            app.end_worker()
        app.loop.close()
    console.settle(for_good=True)
