"""The program of the main interpreter, run again in a worker as ``multiprocessing``'s spawn does.

The main interpreter describes it as a list of texts, see `description`; a worker runs it as a
module named ``__mp_main__``, so that code under ``if __name__ == "__main__":`` stays out.

A program that is named as ``module:attribute`` is imported under its own name instead, and the
attribute is the app, or makes it; ``run()`` then only returns.

Imported in every worker, so it imports nothing but what every interpreter has.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec

from pyreframework.program import apps
from pyreframework.program.apps import WORKER_NAME, app_from, attribute_of, imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import Loader
    from types import CodeType


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
    from _frozen_importlib_external import PathFinder, SourceFileLoader

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
