"""Which answers of an app are compressed (RFC 9110 section 8.4).

What is set here is acted upon by the engine, in the threads that make answers. Workers check it as
well, and otherwise only note it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# What is text, or as good as that. Pictures, films, fonts and archives are compressed already.
TYPES = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-javascript",
    "application/manifest+json",
    "application/x-ndjson",
    "application/yaml",
    "application/graphql",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "application/x-web-app-manifest+json",
    "font/ttf",
    "font/otf",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
)

# Of each coding: the level that is used, and the range that there is.
LEVELS = {"zstd": (3, 1, 19), "br": (4, 0, 11), "gzip": (6, 1, 9)}

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class Compressing:
    """The part of `Pyre` that says which answers are compressed."""

    if TYPE_CHECKING:

        @property
        def serving(self) -> bool:
            """Whether ``run()`` is at work on this app."""
            ...

    def __init__(self) -> None:
        super().__init__()
        # For the engine: a name each, and behind a space its value.
        self.compresses: list[str] = []

    @property
    def decodes_requests(self) -> bool:
        """Whether bodies are decoded that clients have compressed."""
        return "decode" in self.compresses

    def enable_compression(
        self,
        minimum: int = 1024,
        types: str | Iterable[str] = TYPES,
        level: int | Mapping[str, int] | None = None,
        codings: str | Iterable[str] = ("zstd", "br", "gzip"),
        *,
        decode_requests: bool = False,
    ) -> None:
        """Compress what handlers answer, for clients that take it (RFC 9110 section 12.5.3).

        The weights of ``Accept-Encoding`` decide, and of codings that a client likes equally the
        first one is taken. Pieces of an answer are compressed one by one, each of which a client
        can read when it is sent. After hooks see the body as it was. What has
        ``Content-Encoding``, ``Content-Range``, a digest or ``Cache-Control: no-transform`` stays
        as it is, as do files and what the server answers without a handler. Called again, it
        replaces what was said before.

        Args:
            minimum: Bodies of fewer bytes stay as they are, unless the client takes nothing else.
            types: Media types, each with at most one ``*``; several are a list, or one text with
                commas. Event streams are compressed only if ``text/event-stream`` is named.
            level: How hard it is tried, for all codings or by their names: 1 to 9 for gzip, 0 to
                11 for br, 1 to 19 for zstd.
            codings: Which there are, in the order in which they are taken: zstd, br and gzip.
            decode_requests: Whether bodies of requests with a ``Content-Encoding`` of gzip, br or
                zstd are decoded (RFC 9110 section 8.4) wherever a handler reads them: ``body``,
                ``json()``, ``form()``, ``stream()`` and the others. ``max_body_size`` bounds what
                comes and what comes out of it (413); what has another coding is answered 415, what
                is malformed 400, once the handler reads it. Headers stay as they were sent.

        Raises:
            ValueError: Something is out of range, or names nothing that there is.
            TypeError: Something has the wrong type.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_compression(minimum=500, level={"br": 5}, codings=("br", "gzip"))
        """
        if self.serving:
            raise RuntimeError("the app is being served: call enable_compression() before run()")
        if isinstance(minimum, bool) or not isinstance(minimum, int):
            raise TypeError(f"enable_compression: minimum is a number of bytes, not {minimum!r}")
        if not 0 <= minimum <= 2**31 - 1:
            raise ValueError(
                f"enable_compression: minimum is from 0 to {2**31 - 1} bytes, not {minimum}"
            )
        names = [one.lower() for one in _several("codings", codings)]
        for name in names:
            if name not in LEVELS:
                raise ValueError(f"enable_compression: {name!r} is no coding: {_known()}")
        if len(set(names)) < len(names):
            raise ValueError("enable_compression: codings names one twice")
        levels = _levels(level)
        compresses = [f"minimum {minimum}"]
        compresses += [f"type {_media_type(one)}" for one in _several("types", types)]
        compresses += [f"coding {name} {levels[name]}" for name in names]
        if not isinstance(decode_requests, bool):
            raise TypeError(
                f"enable_compression: decode_requests is True or False, not {decode_requests!r}"
            )
        if decode_requests:
            compresses.append("decode")
        self.compresses = compresses


def refusal(status: int, coding: str) -> Exception:
    """Return what is raised where a body is read that cannot be decoded; called by the engine.

    Args:
        status: 400 if it is malformed, 413 if it is too long, 415 if its coding is not known.
        coding: Which one it has, if that is known.
    """
    from pyreframework.errors import BodyError

    if status == 400:
        # RFC 9659 section 3 bounds what a decoder has to keep.
        window = ", with a window of at most 8 MiB" if coding == "zstd" else ""
        return BodyError(400, f"the body is not what its Content-Encoding says: {coding}{window}")
    if status == 413:
        return BodyError(413, f"the body is too large, once it is decoded ({coding})")
    known = ", ".join(LEVELS)
    # RFC 9110 section 12.5.3: what would be taken is said in a 415.
    detail = f"the body has a Content-Encoding that is not decoded here: it may have one of {known}"
    return BodyError(415, detail, {"Accept-Encoding": known})


def _known() -> str:
    """Return which codings there are."""
    return f"there are {', '.join(LEVELS)}"


def _levels(given: Any) -> dict[str, int]:
    """Return the level of each coding."""
    levels = {name: default for name, (default, _, _) in LEVELS.items()}
    if given is None:
        return levels
    if isinstance(given, int):
        given = dict.fromkeys(LEVELS, given)
    if not hasattr(given, "items"):
        kind = type(given).__qualname__
        raise TypeError(f"enable_compression: level is an int, or a dict of them, not {kind}")
    for name, level in given.items():
        if name not in LEVELS:
            raise ValueError(f"enable_compression: level: {name!r} is no coding: {_known()}")
        if isinstance(level, bool) or not isinstance(level, int):
            raise TypeError(f"enable_compression: the level of {name} is an int, not {level!r}")
        _, least, most = LEVELS[name]
        if not least <= level <= most:
            raise ValueError(
                f"enable_compression: the level of {name} is from {least} to {most}, not {level}"
            )
        levels[name] = level
    return levels


def _media_type(given: str) -> str:
    """Return a media type, or a pattern of some, in lower case."""
    name = given.strip().lower()
    kind, slash, rest = name.partition("/")
    if not (slash and kind and rest and set(kind + rest) <= TOKEN):
        raise ValueError(
            f"enable_compression: {given!r} is no media type: write one as text/html, without "
            "parameters, or several as text/*"
        )
    if name.count("*") > 1:
        raise ValueError(f"enable_compression: {given!r} has more than one '*'")
    return name


def _several(name: str, given: Any) -> list[str]:
    """Return what is given as a list, or as one text with commas."""
    several: list[Any]
    if isinstance(given, str):
        several = [one.strip() for one in given.split(",") if one.strip()]
    elif isinstance(given, bytes) or not hasattr(given, "__iter__"):
        kind = type(given).__qualname__
        raise TypeError(f"enable_compression: {name} is a str or a list of them, not {kind}")
    else:
        several = list(given)
    for one in several:
        if not isinstance(one, str):
            kind = type(one).__qualname__
            raise TypeError(f"enable_compression: {name} has to be of str: {kind} is in it")
    if not several:
        raise ValueError(f"enable_compression: {name} names nothing")
    return several
