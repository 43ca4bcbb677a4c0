"""The clients of bodies, events and WebSockets find what they look for; no engine is needed."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from perf import tokens
from perf.harness import turns
from perf.harness.contenders import rival_names
from perf.harness.others import Others
from perf.harness.peak import Peak, rss_kib
from perf.load import bodies, echoes, events, held
from perf.load.bodies import PIECE, WrongBody
from perf.load.echoes import Talk, WrongEcho
from perf.load.held import EventStream, WebSocket, WrongAnswer
from perf.tests.peers import Peer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Serving(Peer):
    """Reads the head of a request, and hands the connection to a function."""

    def __init__(self, answer: Callable[[socket.socket, bytes], None]) -> None:
        self.answer = answer
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            self.answer(connection, received)

    def close(self) -> None:
        self.listener.close()


def chunks(body: bytes, *lengths: int) -> Iterator[bytes]:
    """Cut a body into chunks of these lengths, over and over."""
    at = number = 0
    while at < len(body):
        part = body[at : at + lengths[number % len(lengths)]]
        yield b"%x\r\n%b\r\n" % (len(part), part)
        at, number = at + len(part), number + 1
    yield b"0\r\n\r\n"


def sending(data: bytes) -> Serving:
    return Serving(lambda connection, _: connection.sendall(data))


BODY = (PIECE * 5)[:300_001]


@pytest.mark.parametrize("lengths", [(65536,), (1, 70_000, 3), (300_001,), (5000,)])
def test_a_body_may_be_cut_anywhere(lengths: tuple[int, ...]) -> None:
    with closing(sending(CHUNKED + b"".join(chunks(BODY, *lengths)))) as peer:
        found = bodies.read(peer.port, "/", len(BODY))
    assert (found.body_bytes, found.is_whole) == (len(BODY), True)
    assert found.rate > 0


def test_a_body_may_come_byte_by_byte() -> None:
    body = bodies.Body()
    for byte in b"".join(chunks(BODY[:3000], 1000)):
        assert not body.is_whole
        body.take(memoryview(bytes([byte])))
    assert (body.received, body.is_whole) == (3000, True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"".join(chunks(BODY[:200_000] + b"x" + BODY[200_001:], 65536)), "other bytes"),
        (b"".join(chunks(BODY[:1000] + BODY[1016:], 65536)), "other bytes"),
        (b"".join(chunks(BODY[:-1], 65536)), "300000 bytes, not 300001"),
        (b"".join(chunks(BODY, 65536))[:-5], "ended after 300001"),
        (b"".join(chunks(BODY, 65536)) + b"x", "behind the last chunk"),
        (b"2\r\n00xx", "a chunk ends in|ended after 2"),
        (b"2\r\n00xx\r\n", "a chunk ends in"),
        (b"two\r\n", "no chunk"),
        (b"7" * 100, "no chunk"),
    ],
)
def test_a_body_that_is_another(data: bytes, text: str) -> None:
    with closing(sending(CHUNKED + data)) as peer, pytest.raises(WrongBody, match=text):
        bodies.read(peer.port, "/", len(BODY))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED.replace(b"200 OK", b"500 No"), b"HTTP"]
)
def test_a_body_that_is_no_answer_in_chunks(head: bytes) -> None:
    with closing(sending(head)) as peer, pytest.raises(WrongBody, match="no answer"):
        bodies.read(peer.port, "/", len(BODY))


def test_a_slow_reader_is_cut_short() -> None:
    data = CHUNKED + b"".join(chunks(PIECE * 32, 65536))
    with closing(sending(data)) as peer:
        found = bodies.read(peer.port, "/", len(PIECE) * 32, rate=1e6, seconds=0.1)
    # Faster it cannot be: two seconds are needed for all of it.
    assert not found.is_whole
    assert found.rate < 2


def counting(answer: Callable[[bytes], str]) -> Serving:
    """Reads a whole body, and answers what a function makes of it."""

    def serve(connection: socket.socket, received: bytes) -> None:
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(1 << 20)
        text = answer(body).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))

    return Serving(serve)


def test_an_upload_is_answered_with_its_length() -> None:
    count = 3_000_001
    with closing(counting(lambda body: str(len(body)))) as peer:
        assert bodies.send(peer.port, "/upload", count).body_bytes == count
        with pytest.raises(WrongBody, match="3000001"):
            bodies.send_to_check(peer.port, "/upload", count)
    with closing(counting(lambda body: f"{len(body)} {zlib.crc32(body)}")) as peer:
        bodies.send_to_check(peer.port, "/upload", count)
    short = counting(lambda body: str(len(body) - 1))
    with closing(short) as peer, pytest.raises(WrongBody, match="3000000"):
        bodies.send(peer.port, "/upload", count)


def event(number: int, late_s: float = 0.0) -> bytes:
    due = time.monotonic_ns() - int(late_s * 1e9)
    return b"data: %d %d token\n\n" % (number, due)


def streaming(parts: Callable[[], Iterator[bytes]], end: bytes = b"0\r\n\r\n") -> Serving:
    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(CHUNKED)
        for part in parts():
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(end)

    return Serving(serve)


def heard(peer: Serving, **changes: Any) -> events.Heard:
    options = {"clients": 4, "count": 10, "per_second": 100, "patience_s": 10.0, **changes}
    return events.run(peer.port, **options)


def test_events_are_counted_and_timed() -> None:
    def parts() -> Iterator[bytes]:
        yield b": a comment\n\n" + event(0, 1.0) + event(1, 1.0)[:9]
        yield event(1, 1.0)[9:]
        yield from (event(number, 1.0) for number in range(2, 10))

    with closing(streaming(parts)) as peer:
        found = heard(peer)
    assert (found.wrong, found.whole, len(found.late_ns)) == ([], 4, 40)
    assert min(found.late_ns) >= 1e9
    assert len(found.first_ns) == 4


@pytest.mark.parametrize(
    ("numbers", "end", "text"),
    [
        ([*range(5), *range(6, 11)], b"0\r\n\r\n", "instead of event 5"),
        ([0, 0], b"0\r\n\r\n", "instead of event 1"),
        (range(9), b"0\r\n\r\n", "ended after 9 of 10"),
        (range(10), b"", "ended after 10 of 10"),
        (range(10), b"0\r\n\r\n0\r\n\r\n", "no chunk"),
    ],
)
def test_events_that_are_others(numbers: list[int], end: bytes, text: str) -> None:
    with closing(streaming(lambda: map(event, numbers), end)) as peer:
        found = heard(peer, clients=1)
    assert found.whole == 0
    assert [text in wrong for wrong in found.wrong] == [True]


def test_events_that_do_not_come() -> None:
    is_over = threading.Event()

    def parts() -> Iterator[bytes]:
        yield event(0)
        is_over.wait(60)

    with closing(streaming(parts)) as peer:
        found = heard(peer, clients=1, patience_s=0.2)
        is_over.set()
    assert found.wrong == ["a stream with 1 of 10 events at the end of the time"]


def test_late_events_stand_in_the_table() -> None:
    first, second = (tokens.Case(name, None) for name in ("pyre", "rival"))  # type: ignore[arg-type]
    for case, cost in ((first, 10.0), (second, 30.0)):
        case.cpu_us += [cost, cost * 2]
        for values in (
            case.first_ms,
            case.p50_ms,
            case.p99_ms,
            case.longest_ms,
            case.late,
            case.busy,
        ):
            values += [1.0, 90.0]
    header, _, _, row, _, note = tokens.table([first, second]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, row)]
    found = dict(zip(*cells, strict=True))
    assert (found["x pyre"], found["max ms"], found["missing"]) == ("3.00", "90.0", "0")
    assert "busy for more than 80 %" in note


def frames(spoil: Callable[[bytes], bytes] = lambda data: data, first: bytes = b"") -> Serving:
    """Speaks WebSocket, with clients whose masks are zero and whose frames come one by one."""

    def serve(connection: socket.socket, received: bytes) -> None:
        key = received.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = b64encode(hashlib.sha1(key + guid, usedforsecurity=False).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept
        connection.sendall(head + b"\r\n\r\n" + first)
        reader = connection.makefile("rb")
        while head := reader.read(2):
            data = reader.read(4 + (head[1] & 127))[4:]
            if head[0] != 0x8A:
                connection.sendall(spoil(bytes([head[0], len(data)]) + data))
            if head[0] == 0x88:
                return

    return Serving(serve)


def test_echoes_are_counted() -> None:
    with closing(frames()) as peer:
        assert echoes.run(peer.port, "/ws", Talk(2, 4, 125), 0.2) > 0


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "not what was sent"),
        (lambda data: data + data, "not what was sent"),
        (lambda data: b"", "nothing came back"),
    ],
)
def test_echoes_that_are_wrong(spoil: Callable[[bytes], bytes], text: str) -> None:
    with closing(frames(spoil)) as peer, pytest.raises(WrongEcho, match=text):
        echoes.run(peer.port, "/ws", Talk(1, 1, 125), 0.2, patience_s=0.0)


def test_a_handshake_that_is_refused() -> None:
    refusal = sending(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    with closing(refusal) as peer, pytest.raises(WrongEcho, match="503"):
        echoes.opened(peer.port, "/ws")


def test_a_websocket_that_is_held_answers_pings() -> None:
    with closing(frames(first=b"\x89\x02hi")) as peer:
        one = WebSocket.opened(peer.port, "/ws", 0)
        one.talk()
        one.leave()
    with closing(frames(lambda data: data[:-1] + b"?")) as peer:
        one = WebSocket.opened(peer.port, "/ws", 5000)
        assert one.connection.getsockname()[0] == held.source(5000) == "127.0.0.3"
        with pytest.raises(WrongAnswer, match="no answer to a close frame"):
            one.leave()
        one.connection.close()


def test_an_event_stream_that_is_held_has_brought_an_event() -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream\r\n\r\n")
    with closing(sending(head + b"d\r\ndata: hello\n\n\r\n")) as peer:
        EventStream.opened(peer.port, "/", 0).leave()
    with closing(sending(head)) as peer, pytest.raises(WrongAnswer, match="no event"):
        EventStream.opened(peer.port, "/", 0)


def test_the_peak_of_memory_is_seen() -> None:
    class Own:
        def processes(self) -> list[int]:
            return [os.getpid()]

    before = rss_kib([os.getpid()])
    with Peak(Own()) as peak:  # type: ignore[arg-type]
        large = bytearray(b"x") * (32 << 20)
        # It looks once more at the end.
    assert peak.kib - before > 20 << 10
    assert len(large) == 32 << 20


def test_rounds_turn() -> None:
    assert [turns.turned("abc", number) for number in (0, 1, 5)] == [[*"abc"], [*"bca"], [*"cab"]]
    assert turns.beside([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == "4.00 (2.00)"
    assert (turns.ratio([1.0], []), turns.middle([])) == ("-", "-")


def test_the_load_keeps_off_the_cores_of_the_server() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with turns.kept_off({core}):
        assert os.sched_getaffinity(0) == (before - {core} or before)
    assert os.sched_getaffinity(0) == before


def test_rivals_are_listed_by_what_they_serve() -> None:
    names = [rival_names(extra=True, serves=what) for what in ("routes", "events", "echoes")]
    assert all(names)
    assert len({name for some in names for name in some}) == sum(map(len, names))


def test_what_others_used_is_told_apart() -> None:
    line = Others([]).line()
    assert re.fullmatch(r"- meanwhile others used \d+\.\d\d of \d+ cores, and the host .*", line)
