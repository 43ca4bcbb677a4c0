"""Refusals: how they are told from other errors, what was refused, and what to say of it.

CPython refuses extensions in a worker by an ``ImportError``, and some calls by a ``RuntimeError``.
What has been refused so far is in the state of `imports`. Imported in a worker when an import, or
the program, has failed.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES

from pyreframework.handlers.absent import WorkerImportError
from pyreframework.program import imports, ownership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType

# What CPython, and extensions that check for themselves (by PyO3, by Cython), say when they refuse.
REFUSALS = ("subinterpreter", "once per interpreter", "one interpreter per process")
# What it says of calls that it refuses in a worker: processes by fork, and threads that pools need.
DAEMON = "daemon threads are disabled in this"
REFUSED_CALLS = (
    "not supported for isolated subinterpreters",
    "not supported within subinterpreters",
    DAEMON,
)
# What raises without saying so: no pool of this kind works there, and its own thread has found out.
POOLS = "concurrent.futures.process"
CHAIN_MAX = 64


def explain(error: BaseException, route: str | None) -> None:
    """Complete what an exception in a worker says, if an import was refused.

    Args:
        error: What was raised.
        route: By the handler of which route, or None while the program is loaded.
    """
    link: BaseException | None = error
    for _ in range(CHAIN_MAX):
        if link is None:
            break
        if isinstance(link, WorkerImportError):
            link.route = link.route or route
            return
        if refuses_call(link):
            error.add_note(remedy_of_call(link, route))
            return
        if refuses(link):
            if route is not None:
                remedy = f"{route} runs on a worker: register the route with gil=True"
            else:
                remedy = (
                    "this happened while a worker loaded the program: call it in the handlers that "
                    'use it, and register these with gil=True, or use run(mode="default")'
                )
            error.add_note(remedy)
            return
        link = link.__cause__ or link.__context__
    if imports.without:
        from pyreframework.program import losses

        losses.explain(error, route)
    if route is None and imports.taken:
        from pyreframework.program.advice import advice

        error.add_note(advice())
    if route is None:
        for module, place in imports.caught.items():
            error.add_note(
                f"in a worker {place} goes on without {module}, which does not load there"
            )


def explain_call(error: BaseException) -> None:
    """Complete what a hook raised in a worker, if CPython has refused a call there."""
    link: BaseException | None = error
    for _ in range(CHAIN_MAX):
        if link is None:
            break
        if refuses_call(link):
            error.add_note(remedy_of_call(link, None))
            break
        link = link.__cause__ or link.__context__


def remedy_of_call(error: BaseException, route: str | None) -> str:
    """Return what to say of a call that CPython refuses in a worker, in a handler or elsewhere."""
    text = "workers take no fork and no daemon threads, so no pools of processes: "
    if route is not None:
        text += f"{route} runs on a worker: register the route with gil=True"
    else:
        text += 'call it in a route with gil=True or in on_startup, or use run(mode="default")'
    if DAEMON in str(error):
        text += "; a thread works with daemon=False, and on_worker_stop has to end it"
    return text


def is_caught(frame: FrameType | None, error: BaseException) -> FrameType | None:
    """Return the frame, this one or a caller, in which code of the program catches an error."""
    from pyreframework.program import sources

    while frame is not None:
        if ownership.is_program(frame.f_globals) and sources.catches(frame, frame.f_lineno, error):
            return frame
        frame = frame.f_back
    return None


def refused_module(extensions: Sequence[str], error: BaseException, reason: str) -> str:
    """Return which module was refused, where it was not the program that imported it."""
    if extensions:
        name = extensions[-1]
    else:
        # `module numpy._core._multiarray_umath does not support loading in subinterpreters`
        words = reason.split()
        name = words[1] if words[0] == "module" else str(getattr(error, "name", None) or words[0])
    return name.partition(".")[0]


def refuses(error: BaseException) -> bool:
    """Tell whether an error says that an extension does not load in sub-interpreters."""
    return isinstance(error, ImportError) and any(text in str(error) for text in REFUSALS)


def refuses_call(error: BaseException) -> bool:
    """Tell whether an error says that CPython refuses a call in sub-interpreters."""
    if type(error).__module__ == POOLS:
        return True
    return type(error) is RuntimeError and any(text in str(error) for text in REFUSED_CALLS)


def refusal(error: BaseException, extensions: Sequence[str]) -> str | None:
    """Return why an import failed, if it did because of an extension that was refused.

    Args:
        error: What the import raised.
        extensions: What was refused during the import. Some packages find out that none of their
            parts could be imported and raise an error that says nothing of the first one.
    """
    reason = None
    link: BaseException | None = error
    for _ in range(CHAIN_MAX):
        if link is None:
            break
        if refuses(link):
            # The first error is the plainest; packages wrap it into pages of advice.
            lines = str(link).splitlines()
            said = next(
                (line for line in lines if any(text in line for text in REFUSALS)), lines[0]
            )
            reason = said.removeprefix("Original error was: ")
        link = link.__cause__ or link.__context__
    if reason is not None:
        return reason
    left = [name for name in extensions if name not in imports.replaced]
    if not left:
        return None
    return f"module {left[0]} does not support loading in subinterpreters"


def refused_import(name: str) -> str | None:
    """Import a module as a library does; return the module that is refused with it, or None."""
    before, seen = set(sys.modules), len(imports.refused)
    try:
        imports.plain_import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - also panics of Rust; it will raise when called
        from pyreframework.program import missing

        reason = refusal(error, imports.refused[seen:])
        missing.drop_orphans(before)
        if reason is None:
            return None
        module = refused_module(imports.refused[seen:], error, reason)
        imports.reasons.setdefault(module, reason)
        return module
    return None


def reason_of(module: str) -> str:
    """Return why an extension of a module was refused."""
    for left in imports.without.values():
        for name, reason in left.items():
            if name.partition(".")[0] == module:
                return reason
    return ""


def is_program_source(name: str, error: BaseException) -> bool:
    """Tell whether a module that failed with an error is Python code of the program.

    One that refuses by itself, with an error of its own, counts as an extension.
    """
    if refuses(error):
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None and trace.tb_frame.f_globals.get("__name__") == name:
            return False
    spec = spec_of(name)
    if spec is None or is_extension(spec):
        return False
    origin = spec.origin or ""
    own = name.partition(".")[0] in ownership.own_packages or ownership.is_program_file(origin)
    return own if origin.startswith("/") else spec.origin is None


def spec_of(name: str) -> ModuleSpec | None:
    """Return the spec of a module, or None if there is none or its package is not loaded."""
    parent, _, _ = name.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    found = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def is_extension(spec: ModuleSpec | None) -> bool:
    """Tell whether a module is an extension."""
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
