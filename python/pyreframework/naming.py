"""``app.url_for``: the address of a route by its name.

Imported when the first address is made.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    type Named = tuple[str, str, bool]

# RFC 3986 section 3.3: what may stand in a segment as it is, but `&` and `'`, which HTML escapes.
SEGMENT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$()*+,;=:@")
# Of a query, besides: what would separate or join.
QUERY = SEGMENT.difference("+;=") | {"/", "?"}
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
DIGITS = frozenset("0123456789")


def address(named: Sequence[Named], name: str, params: dict[str, object]) -> str:
    """Return the path of the route of this name, with a query of what is no parameter of it.

    Args:
        named: Of each route its name, its path, and whether that name was given to it.
        name: The name.
        params: Parameters of its path, and others.

    Raises:
        ValueError: No route has this name or several have it, or a parameter does not fit.
        TypeError: A parameter is missing, or of a type that no address has.

    Example:
        >>> address([("show", "/users/{id:int}", False)], "show", {"id": 7, "tab": "a b"})
        '/users/7?tab=a%20b'
    """
    pattern = pattern_of(named, name)
    left = dict(params)
    made = []
    rest = pattern
    use = f"url_for({name!r})"
    while True:
        static, brace, rest = rest.partition("{")
        made.append(spelled(static))
        if not brace:
            break
        inside, _, rest = rest.partition("}")
        parameter, _, kind = inside.removeprefix("*").partition(":")
        kind = "rest" if inside.startswith("*") else kind or "str"
        if parameter not in left:
            raise TypeError(f"{use} needs {parameter}=, for {pattern}")
        made.append(converted(left.pop(parameter), kind, f"{use}: {parameter}"))
    path = "".join(made)
    # What browsers do to a path before they send it, and what they take for another server.
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise ValueError(f"{use}: {path!r} has a segment that browsers take away: '.' or '..'")
    if path.startswith("//"):
        raise ValueError(f"{use}: {path!r} would be the address of another server")
    query = "&".join(pairs(left, use))
    return f"{path}?{query}" if query else path


def pattern_of(named: Sequence[Named], name: str) -> str:
    """Return the path of the route of this name; one that was given goes before others."""
    if not isinstance(name, str):
        raise TypeError(f"url_for() takes the name of a route, not {type(name).__qualname__}")
    for is_given in (True, False):
        paths = dict.fromkeys(
            path for one, path, given in named if (one, given) == (name, is_given)
        )
        if len(paths) == 1:
            return next(iter(paths))
        if paths:
            raise ValueError(
                f"url_for({name!r}): several routes have this name ({', '.join(paths)}): give them "
                f'names of their own, as in @app.get(path, name="...")'
            )
    known = ", ".join(sorted({one for one, _, _ in named})) or "none"
    raise ValueError(f"url_for({name!r}): no route has this name; there are: {known}")


def converted(value: object, kind: str, what: str) -> str:
    """Return a parameter as it stands in a path."""
    text = plain(value, what)
    if not text and kind != "rest":
        raise ValueError(f"{what} is empty, which the route does not take")
    fits = {"int": is_int, "float": is_float, "uuid": is_uuid}.get(kind)
    if fits is not None and not fits(text):
        raise ValueError(f"{what} is of the type {kind}, and {value!r} is none")
    if kind in {"path", "rest"}:
        return "/".join(encoded(piece, SEGMENT) for piece in text.split("/"))
    return encoded(text, SEGMENT)


def plain(value: object, what: str) -> str:
    """Return a value as text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return written_out(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    # Without an import of its module: a `uuid.UUID`.
    if type(value).__name__ == "UUID" and type(value).__module__ == "uuid":
        return str(value)
    raise TypeError(f"{what} is a str, a number or a UUID, not {type(value).__qualname__}")


def written_out(number: str) -> str:
    """Return a number without an exponent, which a route's ``float`` does not take.

    Example:
        >>> written_out("-1.5e-07"), written_out("1e+22"), written_out("0.25")
        ('-0.00000015', '10000000000000000000000', '0.25')
    """
    mantissa, mark, exponent = number.partition("e")
    if not mark:
        return number
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    point = len(whole) + int(exponent)
    digits = (whole + fraction).ljust(point, "0")
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point]}" + (f".{digits[point:]}" if digits[point:] else "")


def pairs(params: dict[str, object], use: str) -> Iterable[str]:
    """Return the pairs of a query: None is left out, and of a list each value is a pair."""
    for name, value in params.items():
        if value is None:
            continue
        for one in value if isinstance(value, (list, tuple)) else (value,):
            text = (
                ("true" if one else "false")
                if isinstance(one, bool)
                else plain(one, f"{use}: {name}")
            )
            yield f"{encoded(name, QUERY)}={encoded(text, QUERY)}"


def encoded(text: str, kept: frozenset[str]) -> str:
    """Return a text with all percent-encoded that is not kept.

    Raises:
        ValueError: It has a lone surrogate.
    """
    if kept.issuperset(text):
        return text
    return "".join(
        char if char in kept else "".join(f"%{byte:02X}" for byte in char.encode()) for char in text
    )


def spelled(static: str) -> str:
    """Return what a pattern has between its parameters as it stands in a path."""
    pieces = []
    for at, char in enumerate(static):
        digits = static[at + 1 : at + 3]
        is_escape = char == "%" and len(digits) == 2 and HEXADECIMAL.issuperset(digits)
        pieces.append(char if char == "/" or is_escape else encoded(char, SEGMENT))
    return "".join(pieces)


def is_int(text: str) -> bool:
    """Whether a route's ``int`` takes this."""
    digits = text.removeprefix("-")
    return 1 <= len(digits) <= 640 and DIGITS.issuperset(digits)


def is_float(text: str) -> bool:
    """Whether a route's ``float`` takes this."""
    whole, point, fraction = text.removeprefix("-").partition(".")
    return (
        1 <= len(whole) <= 308
        and DIGITS.issuperset(whole + fraction)
        and (not point or 1 <= len(fraction) <= 640)
    )


def is_uuid(text: str) -> bool:
    """Whether a route's ``uuid`` takes this."""
    if len(text) == 36:
        is_plain = all(text[at] == "-" for at in (8, 13, 18, 23))
        text = text.replace("-", "")
        return is_plain and len(text) == 32 and HEXADECIMAL.issuperset(text)
    return len(text) == 32 and HEXADECIMAL.issuperset(text)
