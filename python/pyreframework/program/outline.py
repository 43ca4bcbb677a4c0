"""What decides the answers of an app, in texts that can travel to another interpreter.

Each interpreter runs the program for itself, so what is registered there may differ: a hook that
is registered in ``main()``, a fallback where an import decides. A worker compares what it has with
what the main interpreter has, and refuses the start if an answer could depend on where it is made.
What only runs on the main interpreter (``on_startup``, ``on_shutdown``) may differ.

Functions are told apart by their names and by where they are defined. What has a stand-in in a
worker counts as equal. Imported in every worker.
"""

from __future__ import annotations

from pyreframework.handlers.absent import stood_in
from pyreframework.handlers.signatures import is_partial, name_of
from pyreframework.program.apps import WORKER_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyreframework.program.apps import App

# What stands in for something is equal to whatever that is.
ANYTHING = "?"
SEPARATOR = "\x1f"
HERE, THERE = "this worker", "the main interpreter"
MAIN_MODULES = ("__main__", WORKER_NAME)
DEPTH_MAX = 16
# Calls that are known by their arguments, and what of them is not shown.
CALLS = ("app.sessions()", "app.enable_csrf()")
HIDDEN = "secret"
OTHER_SECRET = (
    f"{CALLS[0]} has another secret in {HERE} than in {THERE}: read it from the environment or "
    "from a file; one that the program makes is another one in each interpreter that runs it"
)
REMEDY = (
    "a program must register the same routes, hooks and handlers in the same order wherever it is "
    "imported: at the top level of a module, not in what only runs under "
    '`if __name__ == "__main__":`'
)


def outline(app: App) -> list[str]:
    """Return what is registered with an app: kind, subject and function of each in a text."""
    found = []
    for (method, path, handler, gil), options in zip(app.listed, app.chosen, strict=True):
        # No worker calls what only runs on the main interpreter. That the route has `gil=True` in
        # both is compared with its options.
        found.append(("handler", f"{method} {path}", ANYTHING if gil else key(handler)))
        found += [("option", f"{method} {path}", option) for option in options]
    found += [("folder", prefix, place) for prefix, place in app.folders]
    if app.template_options is not None:
        found.append(("templates", "", app.template_options["folder"]))
    found += [(kind, subject, key(call)) for kind, subject, call in app.registered]
    for kind, call in app.singles():
        if call is not None:
            found.append((kind, "", key(call)))
    if app.shares:
        found.append(("enable_cors", "", ", ".join(app.shares)))
    found += [(call, "", said) for call, said in app.protections()]
    found += app.of_clients()
    if app.compresses:
        found.append(("enable_compression", "", ", ".join(app.compresses)))
    if app.gives_ids:
        found.append(("enable_request_id", "", "on"))
    return [SEPARATOR.join(plain(part) for part in entry) for entry in found]


def compare(here: list[str], there: list[str]) -> str | None:
    """Return how a worker differs from the main interpreter, in words, or None if it does not."""
    mine, others = by_kind(here), by_kind(there)
    for kind in [*others, *(kind for kind in mine if kind not in others)]:
        difference = of_kind(kind, mine.get(kind, []), others.get(kind, []))
        if difference is not None:
            return difference
    return None


def of_kind(kind: str, here: list[list[str]], there: list[list[str]]) -> str | None:
    """Return how the entries of one kind differ."""
    if len(here) != len(there):
        more, fewer = (here, there) if len(here) > len(there) else (there, here)
        where = HERE if more is here else THERE
        left = list(fewer)
        for entry in more:
            twin = next((one for one in left if is_same(one, entry)), None)
            if twin is None:
                return f"{words(kind, entry)} is only in {where}"
            left.remove(twin)
        return f"{words(kind, more[-1])} is only in {where}"
    for place, (mine, other) in enumerate(zip(here, there, strict=True)):
        if is_same(mine, other):
            continue
        if kind in CALLS and mine[0] == HIDDEN:
            return OTHER_SECRET
        if kind in CALLS:
            return f"{kind} has {mine[0]}={mine[1]} in {HERE} and {other[0]}={other[1]} in {THERE}"
        if kind == "option":
            return f"{mine[0]} has {mine[1]} in {HERE} and {other[1]} in {THERE}"
        if kind == "handler" and mine[0] != other[0]:
            return f"route {place} is {mine[0]} in {HERE} and {other[0]} in {THERE}"
        if kind == "handler":
            return f"{mine[0]} is answered by {mine[1]} in {HERE} and by {other[1]} in {THERE}"
        return f"{kind} {place} is {subject(mine)} in {HERE} and {subject(other)} in {THERE}"
    return None


def words(kind: str, entry: list[str]) -> str:
    """Return what an entry is called."""
    is_one = kind == "enable_request_id" or kind in CALLS
    return kind if is_one else f"the {kind} {subject(entry)}"


def subject(entry: list[str]) -> str:
    """Return what an entry is about: a function, and for which exceptions it is there."""
    name, function = entry
    return f"{function} for {name}" if name else function


def by_kind(texts: list[str]) -> dict[str, list[list[str]]]:
    """Return the entries of each kind, in their order."""
    found: dict[str, list[list[str]]] = {}
    for text in texts:
        kind, *rest = text.split(SEPARATOR)
        found.setdefault(kind, []).append(rest)
    return found


def is_same(one: list[str], other: list[str]) -> bool:
    """Tell whether two entries are equal, as far as that can be told."""
    return all(
        mine == its
        or ANYTHING in (mine, its)
        # A function in C has no place, and one in Python that does its work elsewhere has.
        or (("(" in mine) != ("(" in its) and mine.partition(" (")[0] == its.partition(" (")[0])
        for mine, its in zip(one, other, strict=True)
    )


def key(call: Any) -> str:
    """Return by what a function is known in every interpreter: its name, and its file and line."""
    inner = call
    for _ in range(DEPTH_MAX):
        if stood_in(inner) is not None:
            return ANYTHING
        if is_partial(inner):
            inner = inner.func
        elif hasattr(inner, "__func__") and hasattr(inner, "__self__"):
            inner = inner.__func__
        else:
            break
    code = getattr(inner, "__code__", None)
    if code is None and not isinstance(inner, type):
        code = getattr(type(inner).__call__, "__code__", None)
    file, line = getattr(code, "co_filename", None), getattr(code, "co_firstlineno", 0)
    # What was made from a text has names as they come.
    if not isinstance(file, str) or file.startswith("<"):
        return name_of(call)
    return f"{name_of(call)} ({file.rpartition('/')[2]}:{line})"


def name_of_type(kind: object) -> str:
    """Return by what a type of exception is known in every interpreter."""
    if stood_in(kind) is not None:
        return ANYTHING
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", "")
    return name if module in (*MAIN_MODULES, "builtins") else f"{module}.{name}"


def plain(text: str) -> str:
    """Return a text that any encoding has, without what separates parts."""
    return text.replace(SEPARATOR, " ").encode("utf-8", "backslashreplace").decode()
