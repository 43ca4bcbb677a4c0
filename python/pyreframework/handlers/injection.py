"""From a handler's signature to the plan by which the engine calls it.

A handler takes the request, path parameters by name, or both, or nothing. The plan says what goes
into each position; it is worked out once, when the route is registered, so that a call costs no
look-up. Imports nothing that workers do not have.
"""

from __future__ import annotations

from pyreframework.engine import PyreRequest, PyreWebSocket
from pyreframework.handlers.absent import stood_in
from pyreframework.handlers.signatures import Parameter, Signature, name_of, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    type Slot = tuple[str, str] | None
    type Plan = tuple[Slot, ...] | None
    type Handler = Callable[..., object]


class Wanted:
    """What the first parameter of a handler stands for: how that is called, and its class.

    Args:
        kind: The class.
        names: What parameters are called that want one.
        hint: Where one is, for those who want it from a handler of the other kind.
    """

    __slots__ = ("hint", "kind", "names", "texts")

    def __init__(self, kind: type, names: tuple[str, ...], hint: str) -> None:
        self.kind = kind
        self.names = names
        self.hint = hint
        # For those who import it for type checkers only.
        self.texts = (kind.__name__, f"pyreframework.{kind.__name__}")


REQUEST = Wanted(PyreRequest, ("req", "request"), ": the request is ws.request")
WEBSOCKET = Wanted(PyreWebSocket, ("ws", "websocket"), ": register it by app.websocket()")
# NewType of Annotated of Optional of a text: no one nests them deeper.
NESTING_MAX = 12
UNWRAP_MAX = 64
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


def require_arguments(call: Handler, names: Sequence[str], use: str) -> None:
    """Raise if ``call`` cannot be called with one argument for each name, by position.

    What cannot be known, as of builtins, is let through.

    Raises:
        TypeError: It takes fewer, or needs more; the message says what it is called with.
    """
    signature = None if stood_in(call) else signature_of(call)
    if signature is None:
        return
    own = [parameter for parameter in signature.found if not parameter.through]
    passes_on = signature.any_position or len(own) < len(signature.found)
    places = [parameter for parameter in own if parameter.by_position]
    required = [parameter for parameter in own if not parameter.optional]
    more = [parameter for parameter in required if parameter not in places[: len(names)]]
    if more or (len(places) < len(names) and not passes_on):
        takes = ", ".join(parameter.name for parameter in own)
        raise TypeError(
            f"{use} is called as {name_of(call)}({', '.join(names)}), and it takes ({takes}): "
            + (f"give {more[0].name!r} a default or leave it out" if more else "let it take that")
        )


def plan_for(
    handler: Handler, names: Sequence[str], where: str, wanted: Wanted = REQUEST
) -> tuple[Handler, Plan]:
    """Work out how ``handler`` is called on a route whose path has the parameters ``names``.

    Args:
        handler: Anything callable.
        names: Parameters of the path.
        where: The route or use, for messages.
        wanted: What it is called with besides them.

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
    signature = None if stood_in(handler) else signature_of(handler)
    if signature is None:
        return handler, None
    planning = Planning(handler, names, where, signature, wanted)
    for parameter in signature.found:
        planning.fill(parameter)
    planning.fill_the_rest()
    slots = tuple(planning.slots)
    if planning.named:
        return by_name(handler, tuple(planning.named)), slots
    return handler, (None if slots == (None,) else slots)


class Planning:
    """A plan in the making: what the parameters of a handler get, in their order."""

    def __init__(
        self,
        handler: Handler,
        names: Sequence[str],
        where: str,
        signature: Signature,
        wanted: Wanted,
    ) -> None:
        self.handler = handler
        self.names = names
        self.where = where
        self.signature = signature
        self.wanted = wanted
        self.slots: list[Slot] = []
        # The last of them, if they are given by name.
        self.named: list[str] = []
        # A parameter was left out: those behind it go by name.
        self.gap = False
        self.has_request = False
        self.filled: set[str] = set(signature.given)
        # Parameters of a wrapped function that its wrapper has under another name.
        self.renamed: list[Parameter] = []
        self.asked_for = any(asks_for(one, names, wanted) for one in signature.found)

    def fill(self, parameter: Parameter) -> None:
        """Say what a parameter gets."""
        if parameter in self.renamed:
            return
        source = self.source(parameter)
        if source is not None and source is parameter.twin:
            self.renamed.append(source)
        if source is None:
            if parameter.optional or parameter.through:
                # What a wrapper asks nobody for it fills itself, as a database or a user: in the
                # same place if it passes on by position only.
                self.gap = self.gap or parameter.by_keyword or not parameter.through
                return
            is_request = self.wanted is WEBSOCKET and asks_for(parameter, self.names, REQUEST)
            raise ValueError(
                f"{self.where}: {name_of(self.handler)} takes {parameter.name!r}, which is not in "
                f"the path and has no default"
                + (
                    REQUEST.hint
                    if is_request
                    else f": write {{{parameter.name}}} in the path, or give it one"
                )
            )
        if self.is_request(source):
            other = WEBSOCKET if self.wanted is REQUEST else REQUEST
            if is_annotated(source, other):
                raise ValueError(
                    f"{self.where}: {name_of(self.handler)} takes a {other.kind.__name__} as "
                    f"{parameter.name!r}, and is called with a {self.wanted.kind.__name__}"
                    + other.hint
                )
            if self.has_request and parameter.through:
                return  # The wrapper passes its own on.
            self.has_request = True
            self.add(parameter, None)
        else:
            self.filled.add(source.name)
            self.add(parameter, (source.name, converter(source, self.handler, self.where)))

    def source(self, parameter: Parameter) -> Parameter | None:
        """Return by whose name and annotation a parameter is filled: its own, or of its twin."""
        if asks_for(parameter, self.names, self.wanted) or parameter.name in self.names:
            return parameter
        twin = parameter.twin
        if twin is not None and (self.is_request(twin) or twin.name in self.names):
            return twin
        return parameter if self.is_request(parameter) else None

    def is_request(self, parameter: Parameter) -> bool:
        """Tell whether a parameter stands for the request.

        It does if it asks for it, or if it comes first, must be given, and is no path parameter.
        What comes first in a wrapped function that asks for the request elsewhere is not it.
        """
        if asks_for(parameter, self.names, self.wanted):
            return True
        if parameter.index != 0 or parameter.optional or parameter.name in self.names:
            return False
        if self.wanted is WEBSOCKET and self.asked_for:
            return False
        return not (parameter.through and self.asked_for)

    def add(self, parameter: Parameter, slot: Slot) -> None:
        """Put a value into a parameter, by position as long as that goes."""
        if parameter.by_position and not self.gap:
            self.slots.append(slot)
        elif parameter.by_keyword:
            self.slots.append(slot)
            self.named.append(parameter.name)
        elif parameter.by_position and parameter.through and not self.named:
            self.slots.append(slot)
        elif not parameter.by_position:
            raise ValueError(
                f"{self.where}: {name_of(self.handler)} takes {parameter.name!r} by name only, and "
                "its wrapper passes nothing on by name: let that take **kwargs too"
            )
        else:
            raise ValueError(
                f"{self.where}: {name_of(self.handler)} takes {parameter.name!r} by position only, "
                "behind a parameter that is not in the path"
            )

    def fill_the_rest(self) -> None:
        """Give ``*args`` the request, and ``**kwargs`` what nothing else takes of the path."""
        signature = self.signature
        if signature.takes_anything():
            self.slots.insert(0, None)
        if signature.any_name:
            for name in self.names:
                if name not in self.filled:
                    self.slots.append((name, ""))
                    self.named.append(name)


def asks_for(parameter: Parameter, names: Sequence[str], wanted: Wanted) -> bool:
    """Tell whether a parameter is called as the request is, such as ``req``, or annotated so."""
    if parameter.name in wanted.names and (parameter.index == 0 or parameter.name not in names):
        return True
    return is_annotated(parameter, wanted)


def is_annotated(parameter: Parameter, wanted: Wanted) -> bool:
    """Tell whether the annotation of a parameter asks for this."""
    kind = meaning(parameter)
    return kind is wanted.kind or (isinstance(kind, str) and kind in wanted.texts)


def converter(parameter: Parameter, handler: Handler, where: str) -> str:
    """Return the converter for an annotation; "" leaves it to the type in the pattern."""
    annotation = meaning(parameter)
    if stood_in(annotation) is not None:
        return ""  # The main interpreter knows what it is, and runs the handler.
    if isinstance(annotation, str):
        # Imported for type checkers only, perhaps.
        if annotation in CONVERTERS_BY_TEXT:
            return CONVERTERS_BY_TEXT[annotation]
        raise ValueError(
            f"{where}: {name_of(handler)} wants {parameter.name!r} as {annotation!r}, which is not "
            "defined there: import or define it above the handler, not for type checkers alone"
        )
    if annotation is None or annotation is object or str(annotation) == "typing.Any":
        return ""
    if isinstance(annotation, type) and annotation in CONVERTERS:
        return CONVERTERS[annotation]
    if getattr(annotation, "__qualname__", "") == "UUID" and (
        getattr(annotation, "__module__", "") == "uuid"
    ):
        return "uuid"
    raise ValueError(
        f"{where}: {name_of(handler)} wants {parameter.name!r} as {parameter.annotation()!r}; a "
        "path parameter can be str, int, float, bool or uuid.UUID"
    )


def meaning(parameter: Parameter) -> object:
    """Return the type that an annotation means, without what is around it.

    The text of one with a name that is not known, None if there is none.
    """
    annotation = parameter.annotation()
    for _ in range(NESTING_MAX):
        if stood_in(annotation) is not None:
            return annotation
        if type(annotation).__name__ == "ForwardRef":
            # `Optional["int"]`
            annotation = getattr(annotation, "__forward_arg__", annotation)
        if isinstance(annotation, str):
            value = evaluated(annotation, parameter)
            if value is annotation:
                return annotation.strip("'\" ")
            annotation = value
            continue
        if isinstance(annotation, type) and not hasattr(annotation, "__supertype__"):
            return annotation
        inner = unwrapped(annotation)
        if inner is None:
            break
        annotation = inner
    return annotation


def evaluated(written: str, parameter: Parameter) -> object:
    """Return what a text stands for as an annotation, or itself if a name in it is not known.

    Names are looked up where `typing.get_type_hints` does: among the globals of the function that
    is wrapped at last, which has the annotations of its wrappers, and its type parameters.
    """
    function: object = parameter.owner
    for _ in range(UNWRAP_MAX):
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    space = getattr(function, "__globals__", parameter.owner.__globals__)
    type_parameters = {one.__name__: one for one in getattr(function, "__type_params__", ())}
    try:
        value: object = eval(written, space, type_parameters)  # noqa: S307 - the user's source
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the text is what there is
        return written
    return value


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
