"""From a handler's signature to the plan by which the engine calls it.

A handler takes the request, path parameters by name, or both, or nothing. The plan says what goes
into each position; it is worked out once, when the route is registered, so that a call costs no
look-up. Imports nothing that workers do not have.
"""

from __future__ import annotations

from pyreframework import program
from pyreframework.engine import PyreRequest
from pyreframework.signatures import Parameter, name_of, parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    type Slot = tuple[str, str] | None
    type Plan = tuple[Slot, ...] | None
    type Handler = Callable[..., object]

REQUEST_NAMES = ("req", "request")
REQUEST_ANNOTATIONS = ("PyreRequest", "pyreframework.PyreRequest")
CONVERTERS: dict[object, str] = {str: "str", int: "int", float: "float", bool: "bool"}
CONVERTERS_BY_TEXT = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "UUID": "uuid",
    "uuid.UUID": "uuid",
    "object": "",
}


def path_names(pattern: str) -> list[str]:
    """Return the names of the parameters of a path pattern, in order.

    Says nothing about a pattern that is wrong: the router does, when the route is added.

    Example:
        >>> path_names("/users/{id:int}/files/{*rest}")
        ['id', 'rest']
    """
    names: list[str] = []
    rest = pattern
    while True:
        _, brace, rest = rest.partition("{")
        if not brace:
            return names
        inside, _, rest = rest.partition("}")
        names.append(inside.removeprefix("*").partition(":")[0])


def require_callable(call: object, use: str) -> None:
    """Raise unless ``call`` can be called.

    Raises:
        TypeError: It cannot serve as ``use``, such as ``"before_request"``.
    """
    if not callable(call):
        raise TypeError(f"{use} needs a function, not {type(call).__qualname__}")


def plan_for(handler: Handler, names: Sequence[str], where: str) -> tuple[Handler, Plan]:
    """Work out how ``handler`` is called on a route whose path has the parameters ``names``.

    Args:
        handler: Anything callable.
        names: Parameters of the path.
        where: The route or use, for messages.

    Returns:
        What to call (the handler itself, or a function that passes some values on by name), and the
        plan for it: None for a call with the request alone, else what each position gets: None for
        the request, or the name of a path parameter and its converter.

    Raises:
        ValueError: A parameter can be filled from nowhere, or its annotation has no converter.

    Example:
        >>> def show(req, id: int): ...
        >>> plan_for(show, ["id"], "GET /users/{id}")[1]
        (None, ('id', 'int'))
    """
    found = parameters(handler)
    if found is None:
        return handler, None
    slots: list[Slot] = []
    named: list[str] = []
    gap = False
    for index, parameter in enumerate(found):
        if is_request(parameter, index, names):
            slot: Slot = None
        elif parameter.name in names:
            slot = (parameter.name, converter(parameter, handler, where))
        elif parameter.optional:
            gap = True
            continue
        else:
            raise ValueError(
                f"{where}: {name_of(handler)} takes {parameter.name!r}, which is not in the path "
                "and has no default"
            )
        if parameter.by_position and not gap:
            slots.append(slot)
        elif parameter.by_keyword:
            slots.append(slot)
            named.append(parameter.name)
        else:
            raise ValueError(
                f"{where}: {name_of(handler)} takes {parameter.name!r} by position only, behind a "
                "parameter that is not in the path"
            )
    if named:
        return by_name(handler, tuple(named)), tuple(slots)
    return handler, (None if slots == [None] else tuple(slots))


def is_request(parameter: Parameter, index: int, names: Sequence[str]) -> bool:
    """Tell whether a parameter stands for the request.

    It does if it is annotated so, if it is called ``req`` or ``request``, or if it comes first,
    must be given, and is no path parameter.
    """
    if parameter.name in REQUEST_NAMES and (index == 0 or parameter.name not in names):
        return True
    if index == 0 and not parameter.optional and parameter.name not in names:
        return True
    annotation = parameter.annotation()
    return annotation is PyreRequest or annotation in REQUEST_ANNOTATIONS


def converter(parameter: Parameter, handler: Handler, where: str) -> str:
    """Return the converter for an annotation; "" leaves it to the type in the pattern."""
    annotation = parameter.annotation()
    if isinstance(annotation, str):
        written = annotation.strip("'\" ")
        if written in CONVERTERS_BY_TEXT:
            return CONVERTERS_BY_TEXT[written]
        annotation = evaluated(written, parameter)
    for _ in range(8):  # NewType of Annotated of Optional: no one nests them deeper.
        if program.stood_in(annotation) is not None:
            return ""  # The main interpreter knows what it is, and runs the handler.
        if annotation is None or annotation is object or str(annotation) == "typing.Any":
            return ""
        if isinstance(annotation, type) and annotation in CONVERTERS:
            return CONVERTERS[annotation]
        if getattr(annotation, "__qualname__", "") == "UUID" and (
            getattr(annotation, "__module__", "") == "uuid"
        ):
            return "uuid"
        inner = unwrapped(annotation)
        if inner is None:
            break
        annotation = inner
    raise ValueError(
        f"{where}: {name_of(handler)} wants {parameter.name!r} as {parameter.annotation()!r}; a "
        "path parameter can be str, int, float, bool or uuid.UUID"
    )


def evaluated(written: str, parameter: Parameter) -> object:
    """Return what an annotation stands for, or its text if a name in it is not known."""
    try:
        return eval(written, parameter.owner.__globals__)  # noqa: S307 - the user's source
    except (NameError, AttributeError, SyntaxError, TypeError):
        return written


def unwrapped(annotation: object) -> object:
    """Return the type inside ``NewType``, ``Annotated``, ``Optional`` or ``type``, else None."""
    for attribute in ("__supertype__", "__value__"):
        inner: object = getattr(annotation, attribute, None)
        if inner is not None:
            return inner
    if hasattr(annotation, "__metadata__"):
        return getattr(annotation, "__origin__", None)
    arguments = [one for one in getattr(annotation, "__args__", ()) if one is not type(None)]
    is_union = type(annotation).__name__ in ("Union", "UnionType", "_UnionGenericAlias")
    return arguments[0] if is_union and len(arguments) == 1 else None


def by_name(handler: Handler, names: tuple[str, ...]) -> Handler:
    """Return a function that gives the last values it gets to ``handler`` by name."""
    count = len(names)

    def call(*values: object) -> object:
        return handler(*values[:-count], **dict(zip(names, values[-count:], strict=True)))

    call.__qualname__ = name_of(handler)
    return call
