"""Describes the program of the main interpreter, so that workers can load it.

As a list of texts, the only thing that can travel to another interpreter; `rerun` reads them.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES

from pyreframework.program import apps
from pyreframework.program.apps import WORKER_NAME, is_app
from pyreframework.program.outline import key
from pyreframework.program.ownership import is_ours, is_program, is_standard
from pyreframework.program.rerun import Program, find
from pyreframework.program.unasked import dict_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from pyreframework.program.apps import App

# The module that `share_name` has given the name that the program's own file has in workers.
shared: ModuleType | None = None


def pack(program: Program) -> list[str]:
    """Return the texts that `Program.unpack` reads.

    Names of files, and what else the system has given, need not be text; what cannot travel as
    such is written in its bytes.
    """
    counts = (len(program.argv), len(program.own), len(program.outline))
    numbers = (program.number, program.stop_fd, int(program.debug), *counts)
    lists = (*program.argv, *program.own, *program.outline, *program.path)
    code = program.code if program.file is None else compiled(program.file)
    texts = (
        program.kind,
        program.target,
        *map(str, numbers),
        program.log,
        code,
        program.facts,
        *lists,
    )
    return [text.encode("utf-8", "surrogatepass").decode("latin-1") for text in texts]


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
    if kind != "attribute" or Program(kind, target, number, -1, debug, [], []).file is not None:
        share_name(main)
    path = [entry for entry in sys.path if isinstance(entry, str)]
    argv = list(sys.argv)
    mine = own(target)
    facts = facts_of(app, mine)
    program = Program(
        kind, target, number, stop_fd, debug, argv, path, mine, log, outline=outline, facts=facts
    )
    return pack(program)


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
        for attribute, value in list(dict_of(module).items())
        if value is app and name != WORKER_NAME
    }
    if "__main__" in found:
        described = describe(app.number, stop_fd, debug, log, outline, app)
        if described is not None:
            return described
        # A session at a prompt, or `python -c`, has only imported it.
        del found["__main__"]
    if not found:
        return None
    name = app.made_in if app.made_in in found else next(iter(found))
    file = dict_of(sys.modules[name]).get("__file__")
    try:
        spec = find(name)
    except (ImportError, AttributeError):
        spec = None  # What the name calls its package is none.
    # Test runners import files by names that lead nowhere.
    source = name if spec is not None and spec.origin == file else file
    if source is None:
        return None
    if source is not name and source.endswith(".py"):
        share_name(sys.modules[name])
    path = [entry for entry in sys.path if isinstance(entry, str)]
    target = f"{source}:{found[name]}"
    argv = list(sys.argv)
    number, mine = app.number, own(target)
    facts = facts_of(app, mine)
    kind = "attribute"
    program = Program(
        kind, target, number, stop_fd, debug, argv, path, mine, log, outline=outline, facts=facts
    )
    return pack(program)


def twin(app: App) -> str | None:
    """Return what to say if the file that has the app was loaded twice, and the other got routes.

    So it is where the file that is run imports a module that imports it in turn: it is loaded again
    under its own name, and makes another app there. The other one counts if it has the same name in
    a module of the same file, and more routes.
    """
    modules = [
        (name, vars(module))
        for name, module in list(sys.modules.items())
        if type(module) is type(sys) and name != WORKER_NAME
    ]
    for name, space in modules:
        file = space.get("__file__")
        names = [attribute for attribute, value in list(space.items()) if value is app]
        if type(file) is not str or not names:
            continue
        for other_name, other in modules:
            second = other.get(names[0])
            if (
                other is space
                or other.get("__file__") != file
                or not is_app(second)
                or second is app
                or len(second.listed) <= len(app.listed)
            ):
                continue
            served = {(method, path) for method, path, _, _ in app.listed}
            method, path, handler, _ = next(
                one for one in second.listed if (one[0], one[1]) not in served
            )
            return (
                f"{file} was loaded twice, as {name} and as {other_name}, and has made an app each "
                f"time: {name}.{names[0]} is served and has {len(served)} routes, "
                f"{other_name}.{names[0]} has {len(second.listed)}, such as {method} {path} by "
                f"{key(handler)}. Make the app in a module of its own that the others import"
            )
    return None


def share_name(module: ModuleType) -> None:
    """Let this interpreter know the program's own file by the name that workers have for it.

    A pickle names the module of a class, so what a worker has written names that one. It is
    `multiprocessing`, which does the same, or the program if the name has another module already.
    """
    global shared
    if sys.modules.get(WORKER_NAME) is shared:
        # It comes behind the module's own name, by which the module is looked for.
        sys.modules.pop(WORKER_NAME, None)
        sys.modules[WORKER_NAME] = shared = module


def facts_of(app: App | None, packages: list[str]) -> str:
    """Return what the program's names hold here, for workers; see `facts`.

    Empty where only modules of Python and of the program are loaded: no worker is refused these.
    """
    if app is None or not is_foreign():
        return ""
    from pyreframework.program import facts

    return facts.written(facts.collect(app, set(packages)))


def is_foreign() -> bool:
    """Tell whether anything is loaded that a worker might be refused.

    That is what is neither Python's own nor of the program in Python.
    """
    for name, module in list(sys.modules.items()):
        space = vars(module) if type(module) is type(sys) else {}
        if is_standard(name) or is_ours(space):
            continue
        extension = text_of(space.get("__file__")).endswith(tuple(EXTENSION_SUFFIXES))
        if extension or not is_program(space):
            return True
    return False
