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
from pyreframework.program.apps import WORKER_NAME, HandedOver, Loading, app_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import CodeType, ModuleType

    from pyreframework.engine import AppTable
    from pyreframework.program.apps import App


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
        # What `compiled` returned for its file.
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

    def pack(self) -> list[str]:
        """Return the texts that `unpack` reads.

        Names of files, and what else the system has given, need not be text; what cannot travel as
        such is written in its bytes.
        """
        counts = (len(self.argv), len(self.own), len(self.outline))
        numbers = (self.number, self.stop_fd, int(self.debug), *counts)
        lists = (*self.argv, *self.own, *self.outline, *self.path)
        code = self.code if self.file is None else compiled(self.file)
        texts = (self.kind, self.target, *map(str, numbers), self.log, code, self.facts, *lists)
        return [text.encode("utf-8", "surrogatepass").decode("latin-1") for text in texts]

    @classmethod
    def unpack(cls, texts: list[str]) -> Program:
        """Return the program that `pack` wrote."""
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


def compiled(file: str) -> str:
    """Return the code of a file for all workers, each byte a character.

    To compile it makes all types of syntax trees, 0.3 MB in each interpreter that does so. Empty if
    it cannot be compiled: the worker that tries it says why.
    """
    from importlib.machinery import SourceFileLoader
    from marshal import dumps

    source = SourceFileLoader(WORKER_NAME, file)
    try:
        return dumps(source.source_to_code(source.get_data(file), file)).decode("latin-1")
    except (OSError, SyntaxError, ValueError):
        return ""


def own(target: str) -> list[str]:
    """Return the packages that made apps, and the one that is served as a module."""
    names = [*apps.makers, "" if "/" in target else target]
    tops = {name.partition(":")[0].partition(".")[0] for name in names}
    return sorted(tops - {"", "__main__", WORKER_NAME, __name__.partition(".")[0]})


def describe(
    number: int,
    stop_fd: int,
    debug: bool,
    log: str = "info text",
    outline: list[str] | None = None,
    app: App | None = None,
) -> list[str] | None:
    """Describe the running program for the workers, or return None if it is no file and no module.

    Args:
        number: Which of the program's apps to serve.
        stop_fd: Where ``stop()`` writes to.
        debug: Whether clients see tracebacks.
        log: Level and format of the log, as in ``info json``.
        outline: What is registered with the app.
        app: The app itself, where workers are to compare what the program's names hold.
    """
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", None)
    file = getattr(main, "__file__", None)
    if apps.origin is not None:
        kind, target = "attribute", apps.origin
    elif name is not None and name != "__main__":
        kind, target = "module", name
    elif name is not None and sys.path:
        kind, target = "folder", sys.path[0]  # `python folder` or `python archive.zip`
    elif file is not None:
        from os.path import abspath, exists

        kind, target = "file", abspath(file)
        if not exists(target):
            return None
    else:
        return None
    path = [entry for entry in sys.path if isinstance(entry, str)]
    argv = list(sys.argv)
    mine = own(target)
    facts = facts_of(app, mine)
    return Program(
        kind, target, number, stop_fd, debug, argv, path, mine, log, outline=outline, facts=facts
    ).pack()


def describe_app(
    app: App, stop_fd: int, debug: bool, log: str, outline: list[str] | None = None
) -> list[str] | None:
    """Describe the module that has ``app`` as a global, for workers; None if there is none.

    For an app that is not the running program's own, as when a test runner is ``__main__``. The
    module that made the app is taken if it has it, or else the one imported first.
    """
    found = {
        name: attribute
        for name, module in list(sys.modules.items())
        for attribute, value in list(getattr(module, "__dict__", {}).items())
        if value is app
    }
    if "__main__" in found:
        return describe(app.number, stop_fd, debug, log, outline, app)
    if not found:
        return None
    name = app.made_in if app.made_in in found else next(iter(found))
    file = getattr(sys.modules[name], "__file__", None)
    try:
        spec = find(name)
    except (ImportError, AttributeError):
        spec = None  # What the name calls its package is none.
    # Test runners import files by names that lead nowhere.
    source = name if spec is not None and spec.origin == file else file
    if source is None:
        return None
    path = [entry for entry in sys.path if isinstance(entry, str)]
    target = f"{source}:{found[name]}"
    argv = list(sys.argv)
    return Program(
        "attribute",
        target,
        app.number,
        stop_fd,
        debug,
        argv,
        path,
        own(target),
        log,
        outline=outline,
        facts=facts_of(app, own(target)),
    ).pack()


def facts_of(app: App | None, packages: list[str]) -> str:
    """Return what the program's names hold here, for workers; see `pyreframework.program.facts`.

    Empty where only modules of Python and of the program are loaded: no worker is refused these.
    """
    from pyreframework.program import imports

    if app is None or not imports.is_foreign():
        return ""
    from pyreframework.program import facts

    return facts.written(facts.collect(app, set(packages)))


def load(texts: list[str]) -> AppTable:
    """Run the user's program in this worker and return the app to serve, frozen.

    Args:
        texts: What `describe` returned on the main interpreter.

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
        if loading.app() is None:
            failure = RuntimeError(
                f"{program.target} ended with SystemExit({ended.code!r}) before it made its app"
            )
            imports.explain(failure, None)
            raise failure from ended
        # What is left out is what comes behind: routes may be missing.
        if imports.taken and ended.code not in (None, 0):
            failure = RuntimeError(f"{program.target} ended with SystemExit({ended.code!r})")
            imports.explain(failure, None)
            raise failure from ended
    except Exception as error:
        imports.explain(error, None)
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
    from pyreframework.program import execution

    execution.run(code, module.__dict__)


def code_of(program: Program) -> tuple[CodeType, ModuleSpec, str | None]:
    """Return the code of a program, the spec of its module, and its file."""
    from importlib.machinery import PathFinder, SourceFileLoader

    if program.kind == "file":
        source = SourceFileLoader(WORKER_NAME, program.target)
        if program.code:
            from marshal import loads

            code = loads(program.code.encode("latin-1"))  # noqa: S302 - ours, see `compiled`
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


def stop_worker(native: AppTable) -> None:
    """Run the ``on_worker_stop`` hooks and flush what the worker has printed.

    A hook that raises is reported, and the next one runs.
    """
    from pyreframework.program import imports

    # Hooks close what others have made, which may be stand-ins.
    imports.set_serving(False)
    app = apps.loaded
    if app is not None and app.native is native:
        app.end_worker()
        app.loop.close()
    console.settle(for_good=True)
