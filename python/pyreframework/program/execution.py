"""Goes on in the program's modules behind statements that need what is refused in a worker.

``model = joblib.load("model.bin")`` at the top of a module is no import: a library imports numpy
for it, and the refusal comes out of the call. Or a stand-in is asked for what it cannot give, as in
``json.loads(settings.text)``. What such a statement would have assigned is a stand-in then, and the
module goes on behind it. The same goes for ``on_worker_start`` hooks, which set globals.

Imported in a worker when the program has failed.
"""

from __future__ import annotations

import sys

from pyreframework.handlers.absent import stood_in
from pyreframework.program import imports, ownership, refusals, sources
from pyreframework.program.apps import Enrolled
from pyreframework.program.taints import Place, Withheld

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _ast import stmt
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, FrameType, FunctionType
    from typing import Any

CONSTANTS = (str, bytes, int, float, tuple, type(None))
UNWRAP_MAX = 16
ASSIGNING = (
    "AnnAssign", "Assign", "AsyncFunctionDef", "AugAssign", "ClassDef", "For", "FunctionDef", "If",
    "Try", "With",
)  # fmt: skip
DEFINING = ("AsyncFunctionDef", "ClassDef", "FunctionDef", "Import", "ImportFrom")


def leave_out(
    error: BaseException, code: CodeType, space: dict[str, Any], seen: int
) -> CodeType | None:
    """Return the code of a module behind the statement that raised, None if that is not to be run.

    It is not if that was not for a module that does not load, if the statement assigns nothing or
    has to do with an app, or if a ``try`` around the module's import goes on.

    Args:
        error: What was raised.
        code: The code of the module.
        space: Its globals, where what the statement would have assigned is a stand-in now.
        seen: How many refusals there had been before.
    """
    module = missing_for(error, seen) or doubted(code, error)
    if module is None or refusals.is_caught(sys._getframe(1), error):  # noqa: SLF001
        return None
    statement, rest = split(code, error)
    if statement is None:
        return None
    if names_an_app(statement, space):
        # What is said of the start that fails names the module and the place.
        known = any(
            one.space is space and sources.covers(statement, one.line)
            for _, places in imports.taken.values()
            for one in places
        )
        if not known and refusals.refusal(error, ()) is None:
            note_left(code, error, space, module)
        return None
    note(module, error)
    note_left(code, error, space, module)
    assign_stand_ins(statement, space, module)
    from pyreframework.program import ahead

    ahead.watch_callers(sys._getframe(1))  # noqa: SLF001
    return rest


def missing_for(error: BaseException, seen: int) -> str | None:
    """Return the module for the lack of which something failed, or None for any other failure.

    Args:
        error: What was raised.
        seen: How many refusals there had been before.
    """
    withheld = withheld_in(error)
    if withheld is not None:
        return withheld.module
    reason = refusals.refusal(error, ())
    if reason is not None:
        return refusals.refused_module(imports.refused[seen:], error, reason)
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if not ownership.is_ours(frame.f_globals):
            for module in stand_ins_of(frame, trace.tb_lineno):
                return module
        trace = trace.tb_next
    return lost_by(error)


def withheld_in(error: BaseException) -> Withheld | None:
    """Return what says that a plain value was withheld, if that has led to an error."""
    link: BaseException | None = error
    for _ in range(refusals.CHAIN_MAX):
        if link is None or isinstance(link, Withheld):
            return link
        link = link.__cause__ or link.__context__
    return None


def doubted(code: CodeType, error: BaseException) -> str | None:
    """Return the module out of which a plain value came that the statement which raised looks at.

    None if there is no such value, or the statement is not one that checks.
    """
    if not imports.tainted and not imports.taken:
        return None
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    statement = (
        None if trace is None else next(iter(sources.enclosing(code, trace.tb_lineno)), None)
    )
    if trace is None or statement is None or not sources.is_check(statement, trace.tb_lineno):
        return None
    space = trace.tb_frame.f_globals
    for module, places in imports.taken.values():
        if any(one.space is space and sources.covers(statement, one.line) for one in places):
            return module
    from pyreframework.program import taints

    return taints.tainted_by(statement, space)


def lost_by(error: BaseException) -> str | None:
    """Return what a library lost with a refused extension that an error misses, or the library.

    It counts as a module that does not load from here on. What the program does while it is loaded
    has been done on the main interpreter before, and did not fail there.
    """
    if not imports.without:
        return None
    from pyreframework.program import losses

    found = losses.lost_name(error)
    if found is not None:
        imports.lost.add(found[0])
        imports.reasons.setdefault(*found)
        return found[0]
    package = losses.blamed(error)
    if package is not None:
        imports.reasons.setdefault(package, losses.reason_for(package) or "")
    return package


def note(module: str, error: BaseException) -> None:
    """Note why a module has stand-ins, if it has none yet."""
    imports.reasons.setdefault(module, refusals.refusal(error, ()) or "")


def note_left(code: CodeType, error: BaseException, space: dict[str, Any], module: str) -> None:
    """Note the statement that is left behind: what else it would have done is missing too."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    assert trace is not None, "the statement was found by it"
    place = Place(code, trace.tb_lineno, space, None, False)
    imports.taken[module, id(code), place.line] = (module, [place])


def stand_ins_of(frame: FrameType, line: int) -> Iterator[str]:
    """Yield the modules for which the code of a frame has stand-ins at hand where it failed."""
    code = frame.f_code
    if code.co_name == "<module>":
        names: Iterable[str] = ()
        for statement in sources.enclosing(code, line)[-1:]:
            names = sources.named(statement)
    else:
        names = [*code.co_varnames, *code.co_names]
    for name in names:
        module = stood_in(frame.f_locals.get(name, frame.f_globals.get(name)))
        if module is not None:
            yield module


def split(code: CodeType, error: BaseException) -> tuple[stmt | None, CodeType | None]:
    """Return the statement of a module that raised, if it assigns, and the code behind it.

    One that only uses a stand-in, such as ``register(np.ndarray, encode)``, does so for things that
    are not there either, and nothing is lost with it.
    """
    import __future__

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    tree = sources.tree(code.co_filename)
    if trace is None or tree is None:
        return None, None
    body: list[stmt] = tree.body  # type: ignore[attr-defined]
    line = trace.tb_lineno
    index = next((at for at, one in enumerate(body) if sources.covers(one, line)), None)
    if index is None:
        return None, None
    kind = type(body[index]).__name__
    if sources.is_check(body[index], line):
        # It was no failure on the main interpreter.
        allowed = True
    elif isinstance(error, SystemExit):
        allowed = False
    elif withheld_in(error) is not None:
        allowed = kind not in DEFINING
    elif kind == "Expr" or changes_only(body[index]):
        allowed = refusals.refusal(error, ()) is None and not failed_in_library(error)
    else:
        allowed = kind in ASSIGNING and bool(sources.assigned(body[index]))
    if not allowed:
        return None, None
    flags = 0
    for feature in __future__.all_feature_names:
        flags |= code.co_flags & getattr(__future__, feature).compiler_flag
    rest = sources.module_of(body[index + 1 :])
    return body[index], compile(rest, code.co_filename, "exec", flags, dont_inherit=True)


def changes_only(statement: stmt) -> bool:
    """Tell whether an assignment only changes objects that it names no name for.

    As ``decimal.getcontext().prec = settings.prec``.
    """
    return type(statement).__name__ in ("Assign", "AugAssign") and not sources.assigned(statement)


def failed_in_library(error: BaseException) -> bool:
    """Tell whether a library has failed for what it goes on without, and not the program."""
    if not imports.without:
        return False
    from pyreframework.program import losses

    return losses.lost_name(error) is None and losses.blamed(error) is not None


def names_an_app(statement: stmt, space: dict[str, Any]) -> bool:
    """Tell whether a statement makes an app, or may be there to register something with one."""
    from pyreframework.program.acting import concerns_app

    return concerns_app(statement, space)


def assign_stand_ins(statement: stmt, space: dict[str, Any], module: str) -> None:
    """Give stand-ins to what a statement would have assigned."""
    from pyreframework.program.standins import StandIn

    stored = sources.stored(statement)
    for name in sources.assigned(statement):
        if name not in stored:
            # An object that would have been changed.
            if not ownership.is_standard_module(space.get(name)):
                imports.tainted[id(space), name] = module
        elif name not in space or holds_state(space[name]):
            space[name] = StandIn(module, name)


def start_without(hook: Callable[..., object], error: BaseException) -> bool:
    """Tell whether a worker can start although a hook of its start raised.

    It can if the hook needed a module that is refused. The globals that it would have set, and the
    objects of the program that it names and may have changed, count as stand-ins.
    """
    function = function_of(hook)
    module = missing_for(error, len(imports.refused))
    if module is None or function is None:
        return False
    space = function.__globals__
    from pyreframework.program.standins import StandIn

    note(module, error)
    code = function.__code__
    imports.failed_hooks[id(code)] = module
    assigned = sources.declared_global(code)
    for name in assigned:
        space[name] = StandIn(module, name)
    for name in code.co_names:
        if name in assigned or name not in space or issubclass(type(space[name]), CONSTANTS):
            continue
        if holds_state(space[name]):
            imports.tainted[id(space), name] = module
    return True


def function_of(hook: Any) -> FunctionType | None:
    """Return the function of the program that a hook is, or wraps."""
    from types import FunctionType

    for _ in range(UNWRAP_MAX):
        if isinstance(hook, type):
            # An async context manager, as a lifespan.
            hook = getattr(hook, "__aenter__", None)
        inner = getattr(hook, "__wrapped__", None) or getattr(hook, "__func__", None)
        if inner is None:
            break
        hook = inner
    if isinstance(hook, FunctionType) and ownership.is_program(hook.__globals__):
        return hook
    return None


def holds_state(value: object) -> bool:
    """Tell whether a global is no module, function, class or app: something that may change."""
    from types import FunctionType, ModuleType

    return not issubclass(type(value), (ModuleType, FunctionType, type, Enrolled))
