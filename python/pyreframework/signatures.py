"""What a callable takes, read from its code object.

`inspect` would answer the same questions, but it costs each worker megabytes of imports and it
follows ``__wrapped__`` even where the wrapper takes something else. Here partials, bound methods,
decorated functions and callable objects are unwrapped by hand; what has no Python code (builtins)
has no signature. Registration only; imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import Any

VARARGS, VARKEYWORDS = 0x04, 0x08
COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0x80, 0x100, 0x200
UNWRAP_MAX = 64


class Parameter:
    """One parameter of a callable, and how a value can get into it."""

    __slots__ = ("by_keyword", "by_position", "name", "optional", "owner")

    def __init__(
        self, name: str, owner: FunctionType, optional: bool, by_position: bool, by_keyword: bool
    ) -> None:
        self.name = name
        self.owner = owner
        self.optional = optional
        self.by_position = by_position
        self.by_keyword = by_keyword

    def annotation(self) -> object:
        """Return the annotation as written: an object, a text not evaluated yet, or None."""
        try:
            annotations = self.owner.__annotations__
        except NameError:
            # From 3.14 on annotations are evaluated when read; one may name what only a type
            # checker imports. Text is what `from __future__ import annotations` would give.
            from annotationlib import Format, get_annotations  # type: ignore[import-not-found, unused-ignore]

            annotations = get_annotations(self.owner, format=Format.STRING)
        return annotations.get(self.name)


def parameters(call: Any, depth: int = 0) -> list[Parameter] | None:
    """Return what ``call`` takes, in order, or None if that cannot be known.

    ``*args`` and ``**kwargs`` are not listed. A wrapper that takes them and has ``__wrapped__``
    (``functools.wraps``) takes what the wrapped function takes.

    Example:
        >>> [p.name for p in parameters(lambda req, id=1: None)]
        ['req', 'id']
        >>> parameters(print) is None
        True
    """
    if depth > UNWRAP_MAX:
        return None
    if is_partial(call):
        inner = parameters(call.func, depth + 1)
        return None if inner is None else bind(inner, call.args, call.keywords)
    if hasattr(call, "__func__") and hasattr(call, "__self__"):
        return without_first(parameters(call.__func__, depth + 1))
    if hasattr(call, "__code__"):
        return of_function(call, depth)
    if hasattr(call, "__wrapped__"):
        return parameters(call.__wrapped__, depth + 1)
    # Which class it is does not matter here: only what its method takes.
    method = call.__init__ if isinstance(call, type) else type(call).__call__  # type: ignore[misc]
    if hasattr(method, "__code__") or hasattr(method, "__wrapped__"):
        return without_first(parameters(method, depth + 1))
    return None


def of_function(function: FunctionType, depth: int) -> list[Parameter] | None:
    """Return what a Python function takes."""
    code = function.__code__
    count, only = code.co_argcount, code.co_posonlyargcount
    open_ended = code.co_flags & (VARARGS | VARKEYWORDS)
    wrapped = getattr(function, "__wrapped__", None)
    if open_ended and wrapped is not None:
        inner = parameters(wrapped, depth + 1)
        if inner is not None and not code.co_flags & VARARGS:
            for parameter in inner[count:]:
                parameter.by_position = False
        return inner
    if code.co_flags & VARARGS and count == 0:
        return None
    required = count - len(function.__defaults__ or ())
    found = [
        Parameter(name, function, index >= required, True, index >= only)
        for index, name in enumerate(code.co_varnames[:count])
    ]
    keyword_defaults = function.__kwdefaults__ or {}
    only_named = code.co_varnames[count : count + code.co_kwonlyargcount]
    return found + [
        Parameter(name, function, name in keyword_defaults, False, True) for name in only_named
    ]


def bind(
    found: list[Parameter], args: tuple[object, ...], keywords: dict[str, object]
) -> list[Parameter]:
    """Return what is left to give after a partial has given ``args`` and ``keywords``."""
    left: list[Parameter] = []
    named = False
    skip = len(args)
    for parameter in found:
        if parameter.by_position and skip > 0:
            skip -= 1
        elif parameter.name in keywords and parameter.by_keyword:
            named = named or parameter.by_position
        else:
            # Behind one given by name, the others can only be given by name as well.
            parameter.by_position = parameter.by_position and not named
            left.append(parameter)
    return left


def without_first(found: list[Parameter] | None) -> list[Parameter] | None:
    """Return the parameters but the first, which is ``self`` or ``cls``."""
    return found if found is None else found[1:]


def is_partial(call: Any) -> bool:
    """Tell whether ``call`` is a ``functools.partial``, without importing functools."""
    return (
        type(call).__module__ == "functools"
        and hasattr(call, "func")
        and hasattr(call, "args")
        and hasattr(call, "keywords")
    )


def is_async(call: Any, depth: int = 0) -> bool:
    """Tell whether calling gives a coroutine or an async generator."""
    if depth > UNWRAP_MAX:
        return False
    code: CodeType | None = getattr(call, "__code__", None)
    if code is not None:
        return bool(code.co_flags & (COROUTINE | ITERABLE_COROUTINE | ASYNC_GENERATOR))
    if is_partial(call):
        return is_async(call.func, depth + 1)
    if hasattr(call, "__func__"):
        return is_async(call.__func__, depth + 1)
    if isinstance(call, type) or depth > 0:
        return False
    return is_async(type(call).__call__, 1)


def name_of(call: Any) -> str:
    """Return a name for messages, such as ``Users.show``."""
    name = getattr(call, "__qualname__", None)
    if isinstance(name, str):
        return name
    if is_partial(call):
        return f"partial of {name_of(call.func)}"
    return type(call).__qualname__
