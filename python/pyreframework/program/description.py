"""Describes the program of the main interpreter, so that workers can load it.

As a list of texts, the only thing that can travel to another interpreter; `rerun` reads them.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES

from pyreframework.program import apps
from pyreframework.program.apps import WORKER_NAME
from pyreframework.program.ownership import is_ours, is_program, is_standard
from pyreframework.program.rerun import Program, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.program.apps import App


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
    number, mine = app.number, own(target)
    facts = facts_of(app, mine)
    kind = "attribute"
    program = Program(
        kind, target, number, stop_fd, debug, argv, path, mine, log, outline=outline, facts=facts
    )
    return pack(program)


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
        extension = str(space.get("__file__")).endswith(tuple(EXTENSION_SUFFIXES))
        if extension or not is_program(space):
            return True
    return False
