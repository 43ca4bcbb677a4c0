"""Which routes of a worker's app use modules that do not load here, and so go elsewhere.

Every worker looks for itself once its program is loaded; the first decides, and the others must not
need more. Imported only in workers.
"""

from __future__ import annotations

import sys

from pyreframework.handlers.absent import stood_in
from pyreframework.handlers.injection import evaluated
from pyreframework.handlers.signatures import Parameter, name_of, parameters
from pyreframework.program import imports
from pyreframework.program.apps import FALLBACK
from pyreframework.program.reach import Graph
from pyreframework.program.unasked import loads_late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from pyreframework.program.apps import App


def find(app: App, first: bool) -> list[tuple[int, str]]:
    """Return the routes that cannot run in this worker, by number, and why: ``it uses numpy``.

    Behind them come notes for the banner, by numbers below `FALLBACK`.

    Args:
        app: The app, with all its routes and hooks.
        first: This worker is the first. It also imports what handlers import when they run, to
            learn whether that is refused.
    """
    if not first and not imports.reasons and not any(map(loads_late, list(sys.modules.values()))):
        return []
    moved = [(number, why(user, modules)) for number, user, modules in survey(app, first)]
    return moved + notes()


def notes() -> list[tuple[int, str]]:
    """Return what else to say at the start, by numbers below any route's."""
    texts = [
        f"{module} does not load in workers, where {place} goes on without it"
        for module, place in sorted(imports.caught.items())
    ]
    return [(FALLBACK - 1 - index, text) for index, text in enumerate(texts)]


def survey(app: App, eager: bool) -> list[tuple[int, str, set[str]]]:
    """Return the routes that cannot run in this worker, what of them uses modules, and which.

    Args:
        app: The app, with all its routes and hooks.
        eager: Import what handlers import when they run.
    """
    if eager and imports.reasons:
        from pyreframework.program import differences

        # The first worker decides; what differs by chance in another one is not to end the start.
        differences.find()
    while True:
        follow(app)
        follow_hooks(app, eager)
        taken = len(imports.taken)
        found = explore(app, eager)
        # Modules that only handlers import are loaded on the way, and may take values too.
        if len(imports.taken) == taken:
            return found


def follow_hooks(app: App, eager: bool) -> None:
    """Find out what hooks of the start change for stand-ins, and what they leave running.

    That is not followed on: hooks run when all else has been loaded.
    """
    if imports.reasons:
        from pyreframework.program import handed

        if eager:
            from pyreframework.program import touched

            touched.find(app)
        handed.find(app)


def follow(app: App) -> None:
    """Find out where plain values out of stand-ins went, if there are any."""
    if imports.reasons:
        from pyreframework.program import handed

        handed.note(app)
    if imports.taken or imports.tainted:
        from pyreframework.program import flow

        flow.follow(app)


def explore(app: App, eager: bool) -> list[tuple[int, str, set[str]]]:
    """Return what `survey` does, for the plain values that are known so far."""
    graph = Graph(eager)
    hooks = [
        (f"the {kind} hook {name_of(hook)}", graph.add(hook)) for kind, hook in app.request_hooks()
    ]
    handlers = [
        (number, [graph.add(root) for root in roots(handler)])
        for number, handler, gil in app.handlers()
        if not gil
    ]
    reached = graph.spread()
    for where, module in imports.unfollowed.items():
        return [(number, f"what {where} takes", {module}) for number, _ in handlers]
    for words, root in hooks:
        if root in reached:
            # A hook is part of every route.
            return [(number, words, reached[root]) for number, _ in handlers]
    found = []
    for number, numbers in handlers:
        modules = set[str]().union(*(reached.get(root, ()) for root in numbers))
        if modules:
            found.append((number, "it", modules))
    return found


def note_start_hooks(app: App) -> None:
    """Count as stand-ins the globals that ``on_worker_start`` hooks assign, if these use any.

    For those who do not run the hooks, and so do not see what they assign.
    """
    from pyreframework.program.execution import function_of
    from pyreframework.program.sources import declared_global

    graph = Graph(eager=True)
    hooks = [(hook, graph.add(hook)) for hook in app.start_hooks()]
    reached = graph.spread()
    for hook, number in hooks:
        for module in reached.get(number, ()):
            function = function_of(hook)
            if function is not None:
                for name in declared_global(function.__code__):
                    imports.tainted[id(function.__globals__), name] = module


def why(user: str, modules: set[str]) -> str:
    """Return in words why routes move.

    Example:
        >>> why("it", {"numpy"})
        'it uses numpy, which does not load in workers'
        >>> why("what fill() at app.py:9 takes", {"numpy"})
        'fill() at app.py:9 takes a value out of numpy, which does not load in workers, and it \
cannot be told where that goes: take it in the handlers that use it, or catch the ImportError'
    """
    where = user.removeprefix("what ").removesuffix(" takes")
    if user != f"what {where} takes":
        return f"{user} {uses(modules)}"
    missing = uses(modules).removeprefix("uses ")
    return (
        f"{where} takes a value out of {missing}, and it cannot be told where that goes: take it "
        "in the handlers that use it, or catch the ImportError"
    )


def uses(modules: set[str]) -> str:
    """Return the words for modules that are missing.

    Example:
        >>> uses({"numpy"})
        'uses numpy, which does not load in workers'
        >>> uses({"numpy", "orjson", "pandas"})
        'uses numpy, orjson and pandas, which do not load in workers'
    """
    *most, last = sorted(modules)
    names = f"{', '.join(most)} and {last}" if most else last
    return f"uses {names}, which {'do' if most else 'does'} not load in workers"


def roots(handler: object) -> Iterator[object]:
    """Yield where a handler begins: itself, and what its arguments and result are annotated as."""
    yield handler
    if stood_in(handler):
        return
    found = parameters(handler) or []
    for owner in {parameter.owner for parameter in found}:
        found.append(Parameter("return", owner, False, False, False))
    for parameter in found:
        annotation = parameter.annotation()
        if isinstance(annotation, str):
            annotation = evaluated(annotation, parameter)
        yield annotation


def name_routes(app: App) -> None:
    """Let stand-ins tell from the code at work which route it is."""
    from pyreframework.program.standins import routes

    labels = [f"{method} {path}" for method, path in app.native.route_table()]
    for number, handler, _ in app.handlers():
        label = "the fallback" if number == FALLBACK else labels[number]
        code = code_of(handler)
        if code is not None:
            routes.setdefault(code, []).append(label)


def code_of(handler: object, depth: int = 0) -> CodeType | None:
    """Return the code that runs first when a handler is called, if it is Python."""
    if depth > 8 or stood_in(handler):
        return None
    code: CodeType | None = getattr(handler, "__code__", None)
    if code is not None:
        return code
    inner = getattr(handler, "__func__", None) or getattr(handler, "func", None)
    if inner is None and not isinstance(handler, type):
        inner = getattr(type(handler), "__call__", None)  # noqa: B004 - the function is wanted
    return None if inner is None else code_of(inner, depth + 1)
