"""What a callable takes, read from its code object.

`inspect` would answer the same questions, but it costs each worker megabytes of imports and it
believes ``__wrapped__`` over the wrapper, which may take something else. Here partials, bound
methods, decorated functions and callable objects are unwrapped by hand; what has no Python code
(builtins) has no signature. Registration only; imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import Any

VARARGS, VARKEYWORDS = 0x04, 0x08
GENERATOR, COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200
UNWRAP_MAX = 64


class Parameter:
    """One parameter of a callable, and how a value can get into it."""

    __slots__ = (
        "by_keyword", "by_position", "index", "name", "optional", "owner", "through", "twin",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        owner: FunctionType,
        optional: bool,
        by_position: bool,
        by_keyword: bool,
        index: int = 0,
    ) -> None:
        self.name = name
        self.owner = owner
        self.optional = optional
        self.by_position = by_position
        self.by_keyword = by_keyword
        # Its place in its own function, behind what a method is bound to.
        self.index = index
        # It is one of a wrapped function, which the wrapper may fill itself.
        self.through = False
        # What a wrapped function has in the same place, under another name.
        self.twin: Parameter | None = None

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


class Signature:
    """What a callable takes.

    The outermost function is looked at first. What a wrapper passes on through ``*args`` and
    ``**kwargs`` is known if it has ``__wrapped__`` (``functools.wraps``): then the parameters of
    the wrapped function come behind its own, those of the same names excepted.
    """

    __slots__ = ("any_name", "any_position", "found", "given")

    def __init__(self, found: list[Parameter], any_position: bool, any_name: bool) -> None:
        self.found = found
        # It takes further arguments, nobody knows which: by position, by name.
        self.any_position = any_position
        self.any_name = any_name
        # Names that a partial has given.
        self.given: frozenset[str] = frozenset()

    def takes_anything(self) -> bool:
        """Tell whether it takes arguments by position of which nothing is known."""
        return self.any_position and not any(one.by_position for one in self.found)


def parameters(call: Any) -> list[Parameter] | None:
    """Return what ``call`` takes, in order, or None if that cannot be known.

    Example:
        >>> [p.name for p in parameters(lambda req, id=1: None)]
        ['req', 'id']
        >>> parameters(print) is None
        True
    """
    signature = signature_of(call)
    if signature is None or signature.takes_anything():
        return None
    return signature.found


def signature_of(call: Any, bound: int = 0, depth: int = 0) -> Signature | None:
    """Return what ``call`` takes, or None if that cannot be known.

    Args:
        call: Anything that can be called.
        bound: How many arguments it is given before all others: ``self`` or ``cls``.
        depth: How many wrappers are around it.
    """
    if depth > UNWRAP_MAX:
        return None
    if is_partial(call):
        inner = signature_of(call.func, bound, depth + 1)
        return None if inner is None else bind(inner, call.args, call.keywords)
    if hasattr(call, "__func__") and hasattr(call, "__self__"):
        return signature_of(call.__func__, bound + 1, depth + 1)
    if hasattr(call, "__code__"):
        return of_function(call, bound, depth)
    # Which class it is does not matter here: only what its method takes.
    method: Any = call.__init__ if isinstance(call, type) else type(call).__call__  # type: ignore[misc]
    wrapped = None if isinstance(call, type) else getattr(call, "__wrapped__", None)
    if hasattr(method, "__code__"):
        inner = None if wrapped is None else signature_of(wrapped, bound, depth + 1)
        return of_function(method, bound + 1, depth, inner)
    if wrapped is not None:
        return signature_of(wrapped, bound, depth + 1)
    if hasattr(method, "__wrapped__"):
        return signature_of(method, bound + 1, depth + 1)
    return None


def of_function(
    function: FunctionType, bound: int, depth: int, inner: Signature | None = None
) -> Signature:
    """Return what a Python function takes.

    Args:
        function: The function.
        bound: How many arguments it is given before all others.
        depth: How many wrappers are around it.
        inner: What the object wraps whose ``__call__`` it is.
    """
    code = function.__code__
    count, only = code.co_argcount, code.co_posonlyargcount
    required = count - len(function.__defaults__ or ())
    own = [
        Parameter(name, function, index >= required, True, index >= only, index - bound)
        for index, name in enumerate(code.co_varnames[:count])
    ][bound:]
    keyword_defaults = function.__kwdefaults__ or {}
    only_named = code.co_varnames[count : count + code.co_kwonlyargcount]
    own += [
        Parameter(name, function, name in keyword_defaults, False, True, count + index - bound)
        for index, name in enumerate(only_named)
    ]
    args, keywords = bool(code.co_flags & VARARGS), bool(code.co_flags & VARKEYWORDS)
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and (args or keywords):
        inner = signature_of(wrapped, bound, depth + 1) or inner
    if inner is None or not (args or keywords):
        return Signature(own, args, keywords)
    return passing_on(own, inner, args, keywords)


def passing_on(own: list[Parameter], inner: Signature, args: bool, keywords: bool) -> Signature:
    """Return what a wrapper takes that passes on what it does not name itself."""
    names = {parameter.name for parameter in own}
    through = [parameter for parameter in inner.found if parameter.name not in names]
    for place, parameter in enumerate(own):
        if parameter.by_position and place < len(inner.found):
            twin = inner.found[place]
            parameter.twin = twin if twin in through and twin.by_position else None
    for parameter in through:
        parameter.through = True
        parameter.by_position = parameter.by_position and args
        parameter.by_keyword = parameter.by_keyword and keywords
    return Signature(own + through, args and inner.any_position, keywords and inner.any_name)


def bind(inner: Signature, args: tuple[object, ...], keywords: dict[str, object]) -> Signature:
    """Return what is left to give after a partial has given ``args`` and ``keywords``."""
    left: list[Parameter] = []
    named = False
    skip = len(args)
    for parameter in inner.found:
        if parameter.by_position and skip > 0:
            skip -= 1
        elif parameter.name in keywords and parameter.by_keyword:
            named = named or parameter.by_position
        else:
            # Behind one given by name, the others can only be given by name as well.
            parameter.by_position = parameter.by_position and not named
            parameter.index -= len(args)
            left.append(parameter)
    signature = Signature(left, inner.any_position, inner.any_name)
    signature.given = inner.given | keywords.keys()
    return signature


def is_partial(call: Any) -> bool:
    """Tell whether ``call`` is a ``functools.partial``, without importing functools."""
    return (
        type(call).__module__ == "functools"
        and hasattr(call, "func")
        and hasattr(call, "args")
        and hasattr(call, "keywords")
    )


def is_async(call: Any) -> bool:
    """Tell whether calling gives a coroutine or an async generator."""
    return bool(flags_of(call) & (COROUTINE | ITERABLE_COROUTINE | ASYNC_GENERATOR))


def kind_of(call: Any) -> str:
    """Return what calling gives, in words: ``def``, ``async def``, or what makes pieces."""
    flags = flags_of(call)
    if flags & ASYNC_GENERATOR:
        return "async generator"
    if flags & GENERATOR and not flags & ITERABLE_COROUTINE:
        return "generator"
    return "async def" if flags & (COROUTINE | ITERABLE_COROUTINE) else "def"


def flags_of(call: Any, depth: int = 0) -> int:
    """Return the flags of the code that a call runs first; 0 if it is none of Python's."""
    if depth > UNWRAP_MAX:
        return 0
    code: CodeType | None = getattr(call, "__code__", None)
    if code is not None:
        return code.co_flags
    if is_partial(call):
        return flags_of(call.func, depth + 1)
    if hasattr(call, "__func__"):
        return flags_of(call.__func__, depth + 1)
    if isinstance(call, type) or depth > 0:
        return 0
    return flags_of(type(call).__call__, 1)


def name_of(call: Any) -> str:
    """Return a name for messages, such as ``Users.show``."""
    name = getattr(call, "__qualname__", None)
    if isinstance(name, str):
        return name
    if is_partial(call):
        return f"partial of {name_of(call.func)}"
    return type(call).__qualname__
