"""The user's program in a worker, from its start to its end, as the engine calls it.

It is loaded from texts, which are all that can travel to another interpreter, see `rerun`. The app
to serve is the one made at the same place in the order of apps; ``run()`` on it hands it over and
ends the program there.

Everything at module level here is state of one interpreter. Imported in every worker, so it imports
nothing but what every interpreter has.
"""

from __future__ import annotations

import sys

from pyreframework.engine import note_import
from pyreframework.logs import records, streams
from pyreframework.program import apps, frames
from pyreframework.program.apps import HandedOver, Loading
from pyreframework.program.rerun import Program, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.engine import AppTable


# Before 3.14 interpreters count up the versions of immutable types in one place and without a lock
# (gh-116909). Two that do so at the same time may give one version to two types, and the caches of
# attributes then take one type for the other: programs are loaded one after the other there.
MAY_LOAD_TOGETHER = sys.version_info >= (3, 14)

# What is registered with the app on the main interpreter, and what the program's names hold there.
expected: list[str] = []
facts = ""


def load(texts: list[str]) -> AppTable:
    """Run the user's program in this worker and return the app to serve, frozen.

    Args:
        texts: What `description.describe` returned on the main interpreter.

    Raises:
        RuntimeError: The program made no such app here.
    """
    global expected, facts
    from pyreframework.program import imports, ownership

    frames.guard()
    program = Program.unpack(texts)
    ownership.own_packages.update(program.own)
    if imports.listener is None:
        imports.listener = note_import
    imports.install()
    sys.argv[:] = program.argv
    sys.path[:] = program.path
    streams.adopt(is_worker=True)
    streams.catch_the_rest()
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


def refuse(native: AppTable, difference: str | None) -> str | None:
    """Return why this worker cannot serve: its app is not that of the main interpreter.

    Args:
        native: The app that `load` returned.
        difference: How the routes differ, if they do.

    Returns:
        The difference and the remedy; None if there is none.
    """
    from pyreframework.program import imports
    from pyreframework.program.outline import OTHER_SECRET, REMEDY, compare, outline

    app = apps.loaded
    assert app is not None, "load() comes before refuse()"
    assert app.native is native, "one app to an interpreter"
    detail = compare(outline(app), expected)
    found = difference or detail
    if found is None:
        return None
    if found == OTHER_SECRET:
        return found
    if imports.reasons:
        from pyreframework.program import advice

        why = advice.blame(f"{found} {detail}")
        if why is not None:
            return f"{found}; {why}"
    # Which way a `try` around an import goes may be what makes the difference.
    places = [
        f"; {module} does not load in workers, where {place} goes on without it"
        for module, place in sorted(imports.caught.items())
    ]
    if imports.reasons and not places:
        from pyreframework.program import advice

        places = [f"; {advice.doubt()}"]
    return f"{found}; {REMEDY}{''.join(places)}"


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
    immutable = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
    flags_of = type.__dict__["__flags__"].__get__
    # By address, and kept meanwhile: a metaclass of the program may compare and hash as it likes.
    kinds: list[type] = [object]
    seen = {id(object)}
    for kind in kinds:
        if flags_of(kind) & immutable:
            # A look-up that finds what every type has, and runs nobody's code.
            type.__getattribute__(kind, "__init__")
        one: type
        for one in type.__subclasses__(kind):
            if id(one) not in seen:
                seen.add(id(one))
                kinds.append(one)


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
    streams.settle(for_good=True)
