"""The client of bodies that flow finds what it looks for; no engine is needed."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Callable, Coroutine

import pytest

from perf.load.flows import answers, frames
from perf.load.flows.client import FlowTally
from perf.load.flows.drawn import WORKS, Drawn
from perf.load.flows.talk import Talk
from perf.load.flows.wire import Leave, Left, Wire, Wrong

HEAD = b"HTTP/1.1 200 OK\r\nX-Request-ID: a\r\nTransfer-Encoding: chunked\r\n"
PIECES = [b"a 0 0 2\n!!", b"a 1 0 0\n", b'a 0 1 1\n"', b'a 1 1 3\n"""']
EVENTS = [b"id: 0\nevent: piece\ndata: a 0\n\n", b"id: 1\nevent: piece\ndata: a 1\ndata: .\n\n"]
EVENT_HEAD = HEAD + b"Content-Type: text/event-stream\r\n"

type Check = Callable[[Wire], Coroutine[None, None, object]]


def chunks(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces)


def told(check: Check, *data: bytes, leave: Leave | None = None) -> object:
    """What a check returns that is sent this, and then the end."""

    async def run() -> object:
        reader = asyncio.StreamReader()
        for one in data:
            reader.feed_data(one)
        reader.feed_eof()
        # Nothing is sent here.
        wire = Wire(reader, None, random.Random(1), leave or Leave(), is_slow=False)  # type: ignore[arg-type]
        return await check(wire)

    return asyncio.run(run())


def pieces(*, breaks: bool = False) -> Check:
    return lambda wire: answers.pieces(wire, "a", 2, 2, breaks=breaks)


def test_right_pieces_are_found_right() -> None:
    assert told(pieces(), HEAD, b"\r\n", chunks(PIECES), b"0\r\n\r\n") == 4
    whole = b"".join(PIECES)
    assert told(pieces(), HEAD, b"\r\n", chunks([whole[:9], whole[9:]]), b"0\r\n\r\n") == 4
    length = b"HTTP/1.1 200 OK\r\nX-Request-ID: a\r\nContent-Length: %d\r\n\r\n" % len(whole)
    assert told(pieces(), length + whole) == 4
    assert told(pieces(breaks=True), HEAD, b"\r\n", chunks(PIECES)) == 4


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (chunks([PIECES[0], *PIECES]), "piece 0 of sender 0, not 1"),
        (chunks(PIECES[1:]) + b"0\r\n\r\n", "piece 1 of sender 0, not 0"),
        (chunks(PIECES[:-1]) + b"0\r\n\r\n", r"only \[2, 1\] of 2"),
        (chunks([*PIECES[::-1]]), "piece 1 of sender 1, not 0"),
        (chunks([b'a 0 0 2\n!"']), "bytes of others"),
        (chunks([b"b 0 0 0\n"]), "no piece of"),
        (chunks([*PIECES, b"a 0 2 0\n"]), "piece 2"),
        (chunks(PIECES), "ended after"),
        (chunks(PIECES).replace(b"a\r\n", b"9\r\n", 1), "another size"),
        (b"x\r\n", "no size"),
    ],
)
def test_wrong_pieces_are_found(body: bytes, text: str) -> None:
    with pytest.raises(Wrong, match=text):
        told(pieces(), HEAD, b"\r\n", body)


def test_an_answer_that_should_break_off_and_looks_whole() -> None:
    with pytest.raises(Wrong, match="looks whole"):
        told(pieces(breaks=True), HEAD, b"\r\n", chunks(PIECES), b"0\r\n\r\n")


def test_the_answer_of_another() -> None:
    with pytest.raises(Wrong, match="200 for 'b'"):
        told(pieces(), HEAD.replace(b"ID: a", b"ID: b"), b"\r\n")
    with pytest.raises(Wrong, match="without having asked"):
        told(pieces(), b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"\r\n")


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (EVENTS, ""),
        ([EVENTS[0], b":\n\n", EVENTS[1]], ""),
        (EVENTS[:1], "1 of 2 events"),
        (EVENTS[::-1], "not event 0"),
        ([EVENTS[0], *EVENTS], "not event 1"),
        ([EVENTS[0], EVENTS[1].replace(b"a 1", b"a 2")], "data of event 1"),
        ([*EVENTS, b"id"], r"2 of 2 events, then b'id'"),
    ],
)
def test_events(events: list[bytes], text: str) -> None:
    def run() -> object:
        data = (EVENT_HEAD, b"\r\n", chunks(events), b"0\r\n\r\n")
        return told(lambda wire: answers.events(wire, "a", 2, 3), *data)

    if text:
        with pytest.raises(Wrong, match=text):
            run()
    else:
        assert run() == 2


def test_bodies() -> None:
    found = hashlib.sha256(b"abc").hexdigest()
    head = b"HTTP/1.1 200 OK\r\nX-Request-ID: a\r\nContent-Length: %d\r\n\r\n"

    def digest(wire: Wire) -> Coroutine[None, None, None]:
        return answers.digest(wire, "a", b"abc", None, is_last=False)

    right = f"a 3 {found}".encode()
    told(digest, head % len(right), right)
    for wrong in (right.replace(b" 3 ", b" 2 "), right[:-1] + b"-"):
        with pytest.raises(Wrong, match="of 3 bytes"):
            told(digest, head % len(wrong), wrong)
    told(lambda wire: answers.same(wire, "a", b"abc", None), head % 3, b"abc")
    for other, text in ((b"ab", "2 of 3"), (b"abb", "other bytes"), (b"abcd", "other bytes")):
        with pytest.raises(Wrong, match=text):
            told(lambda wire: answers.same(wire, "a", b"abc", None), head % len(other), other)


def opcode(kind: int, payload: bytes) -> bytes:
    """A frame of a server."""
    return bytes([0x80 | kind, len(payload)]) + payload


async def _talk(spoil: Callable[[list[bytes]], list[bytes]]) -> int:
    """Have a conversation with a server that echoes, after something was done to what it says."""
    chance = random.Random(5)
    talk = Talk("a", "/x", 0, 0, chance)
    talk._offer, talk._goes_ahead, talk._closes_early = "", True, False  # noqa: SLF001
    reader = asyncio.StreamReader()
    wire = Wire(reader, None, chance, Leave(), is_slow=False)  # type: ignore[arg-type]
    checking = asyncio.create_task(talk.check(wire))
    key = talk._key  # noqa: SLF001
    accept = frames.base64.b64encode(frames.hashlib.sha1(key.encode() + frames._GUID).digest())  # noqa: SLF001
    reader.feed_data(
        b"HTTP/1.1 101 Switching Protocols\r\nX-Request-ID: a\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    talk._expected.extend([(1, b"echo 0"), (2, b"echo 1"), (1, b"")])  # noqa: SLF001
    said = [opcode(kind, payload) for kind, payload in talk._expected]  # noqa: SLF001
    talk._close, talk._closed_at = b"\x03\xe8bye", float("inf")  # noqa: SLF001
    for one in spoil([*said, opcode(8, b"\x03\xe8bye")]):
        reader.feed_data(one)
    reader.feed_eof()
    return await checking


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda said: said, ""),
        (lambda said: [said[0], *said], "not 2 b'echo 1'"),
        (lambda said: said[1:], "not 1 b'echo 0'"),
        (lambda said: [*said[:2], said[3]], "1 messages have not come back"),
        (lambda said: [said[1], said[0], *said[2:]], "not 1 b'echo 0'"),
        (lambda said: [opcode(2, b"echo 0"), *said[1:]], "not 1 b'echo 0'"),
        (lambda said: [*said[:3], opcode(1, b"more"), said[3]], "a message too many"),
        (lambda said: [*said[:3], opcode(8, b"\x03\xe9")], "closed with"),
        (lambda said: said[:3], "ended after"),
        (lambda said: [*said, b"x"], "more than was asked for"),
        (lambda said: [opcode(10, b"?"), *said], "a pong that nobody asked for"),
        (lambda said: [b"\xc1\x00", *said], "a frame that begins with"),
    ],
)
def test_echoes(spoil: Callable[[list[bytes]], list[bytes]], text: str) -> None:
    if text:
        with pytest.raises(Wrong, match=re.escape(text)):
            asyncio.run(_talk(spoil))
    else:
        assert asyncio.run(_talk(spoil)) == 3


def test_a_client_leaves_where_it_was_drawn() -> None:
    with pytest.raises(Left):
        told(pieces(), HEAD, leave=Leave(received=1))


def test_everything_is_drawn_and_the_same_seed_draws_the_same() -> None:
    def works(seed: str) -> list[str]:
        drawn = Drawn("a", seed, routes=64)
        return [step.work for _ in range(50) for step in drawn.steps()]

    assert set(works("1")) == set(WORKS)
    assert works("1") == works("1") != works("2")


def test_what_was_begun_has_ended_once() -> None:
    def faults(*lines: str) -> list[str]:
        tally = FlowTally()
        tally.check_noted(lines)
        return tally.wrong

    assert faults("begin a", "begin b", "end a", "end b") == []
    assert faults("begin a") == ["a: begun 1 times, ended 0 times"]
    assert faults("begin a", "end a", "end a") == ["a: begun 1 times, ended 2 times"]
    assert faults("begin a", "end a", "begin a", "end a") == ["a: begun 2 times, ended 2 times"]
