"""A body as it comes, in other pieces: of one size, as text, as lines."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator

# What ends a line of an event stream, and of most other texts. `str.splitlines` also splits at
# characters that may stand in JSON, such as U+2028.
LINE_END = re.compile("\r\n|\n|\r")


def regrouped[Piece: (str, bytes)](
    pieces: Iterable[Piece], size: int | None, join: Callable[[list[Piece]], Piece]
) -> Iterator[Piece]:
    """Yield pieces of this size, the last one shorter; None leaves them as they come.

    Raises:
        ValueError: The size is not above 0.

    Example:
        >>> list(regrouped(["ab", "c", "defgh"], 3, "".join))
        ['abc', 'def', 'gh']
    """
    if size is None:
        yield from pieces
        return
    if size < 1:
        raise ValueError(f"chunk_size has to be above 0, not {size}")
    held: list[Piece] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length < size:
            continue
        joined = join(held)
        end = length - length % size
        for start in range(0, end, size):
            yield joined[start : start + size]
        held, length = [joined[end:]], length - end
    if length:
        yield join(held)


def texts(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    r"""Yield the text of pieces that may be cut inside of a character.

    Bytes that do not belong there become U+FFFD.

    Example:
        >>> list(texts([b"caf\xc3", b"\xa9", b"!"], "utf-8"))
        ['caf', 'é', '!']
    """
    decoder = getincrementaldecoder(encoding)("replace")
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def lines(pieces: Iterable[str]) -> Iterator[str]:
    r"""Yield lines without their ends - CR, LF or both - each as soon as it has ended.

    Example:
        >>> list(lines(["on", "e\r", "\ntwo\n\nth", "ree"]))
        ['one', 'two', '', 'three']
    """
    held: list[str] = []
    after_cr = False
    for piece in pieces:
        # A line is told at its CR, which may be all that ends it.
        text = piece[1:] if after_cr and piece.startswith("\n") else piece
        after_cr = piece.endswith("\r")
        first, *others = LINE_END.split(text)
        held.append(first)
        for other in others:
            yield "".join(held)
            held = [other]
    if last := "".join(held):
        yield last
