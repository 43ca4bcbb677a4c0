"""The test client's WebSocket and a server that says exactly what a test wants, right or wrong."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from dialogue import PEER_S

from pyreframework.testing import WebSocketDisconnect, WebSocketProtocolError, WebSocketTestSession
from pyreframework.testing.answering import Answering
from pyreframework.testing.bodies import Encoded
from pyreframework.testing.connections import Connections
from pyreframework.testing.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    BrokenRule,
    Close,
    Event,
    Frames,
    Ping,
    Pong,
    frame,
    masked,
)
from pyreframework.testing.handshake import GUID, asking
from pyreframework.testing.outgoing import Outgoing
from pyreframework.testing.streamed import StreamedResponse
from pyreframework.testing.websocket import begun

type Talk = Callable[[socket.socket], object]


def sent(opcode: int, payload: bytes = b"", *, final: bool = True, first: int = 0) -> bytes:
    """A frame as servers send them; `first` is added to its first byte."""
    length = len(payload)
    head = bytes([opcode | (0x80 if final else 0) | first])
    if length < 126:
        head += bytes([length])
    elif length < 65536:
        head += bytes([126]) + length.to_bytes(2)
    else:
        head += bytes([127]) + length.to_bytes(8)
    return head + payload


def events(data: bytes, step: int) -> list[Event]:
    """What comes of bytes that arrive so many at a time."""
    frames, found = Frames(), []
    for start in range(0, len(data), step):
        frames.feed(data[start : start + step])
        while (event := frames.next()) is not None:
            found.append(event)
    assert frames.waiting == 0
    return found


# Frames.


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (sent(TEXT, "caf\xe9".encode()), ["caf\xe9"]),
        (sent(TEXT) + sent(BINARY), ["", b""]),
        (sent(BINARY, b"x" * 125), [b"x" * 125]),
        (sent(BINARY, b"x" * 126), [b"x" * 126]),
        (sent(BINARY, b"x" * 65536), [b"x" * 65536]),
        # Cut inside of a character, with control frames between.
        (
            sent(TEXT, b"caf\xc3", final=False)
            + sent(PING, b"1")
            + sent(CONTINUATION, b"", final=False)
            + sent(PONG)
            + sent(CONTINUATION, b"\xa9"),
            [Ping(b"1"), Pong(b""), "caf\xe9"],
        ),
        (sent(CLOSE), [Close(1005, "")]),
        (sent(CLOSE, b"\x03\xe8"), [Close(1000, "")]),
        (sent(CLOSE, b"\x0f\xa0why \xc3\xa9"), [Close(4000, "why \xe9")]),
    ],
)
def test_frames_that_are_right(data: bytes, expected: list[Event], step: int) -> None:
    assert events(data, step) == expected


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (sent(TEXT, first=0x40), 1002, "reserved bit"),
        (sent(TEXT, first=0x10), 1002, "reserved bit"),
        (frame(TEXT, b"a"), 1002, "masked"),
        (sent(3), 1002, "no opcode 3"),
        (sent(11), 1002, "no opcode 11"),
        (sent(PING, b"x" * 126), 1002, "too long"),
        (sent(PING, final=False), 1002, "a fragment"),
        (sent(CONTINUATION), 1002, "out of place"),
        (sent(TEXT, final=False) + sent(TEXT), 1002, "out of place"),
        (sent(TEXT) + sent(CONTINUATION), 1002, "out of place"),
        (b"\x81\x7e\x00\x05hello", 1002, "a length of 5"),
        (b"\x81\x7f" + (65535).to_bytes(8) + b"x" * 65535, 1002, "a length of 65535"),
        (b"\x81\x7f" + (1 << 63).to_bytes(8), 1002, "shortest form"),
        (sent(CLOSE, b"\x03"), 1002, "the code 03"),
        (sent(CLOSE, b"\x03\xed"), 1002, "the code 03ed"),
        (sent(CLOSE, b"\x03\xe8\xff"), 1007, "reason of a close frame is no UTF-8"),
        (sent(TEXT, b"\xc3"), 1007, "a text is no UTF-8"),
        (sent(TEXT, b"\xed\xa0\x80"), 1007, "a text is no UTF-8"),
    ],
)
def test_frames_that_are_wrong(data: bytes, code: int, why: str, step: int) -> None:
    with pytest.raises(BrokenRule, match=why) as e:
        events(data, step)
    assert e.value.code == code


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 65535, 65536])
def test_frames_of_the_client_are_masked(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    written = frame(BINARY, payload[:size])
    length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    assert written[0] == 0x80 | BINARY
    assert written[1] & 0x80
    start = 2 + length_bytes
    key, rest = written[start : start + 4], written[start + 4 :]
    assert bytes(byte ^ key[at % 4] for at, byte in enumerate(rest)) == payload[:size]
    assert masked(rest, key) == payload[:size]


# A conversation.


def exactly(peer: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        part = peer.recv(count - len(got))
        assert part, f"the client left after {got!r}"
        got += part
    return got


def received(peer: socket.socket) -> tuple[int, bytes]:
    """The next frame of the client: opcode and payload."""
    first, second = exactly(peer, 2)
    assert first & 0x80
    assert 0x80 <= second < 0x80 + 126
    key = exactly(peer, 4)
    return first & 0x0F, masked(exactly(peer, second & 0x7F), key)


def accepts(talk: Talk, behind: bytes = b"", **fields: str | None) -> Talk:
    """Answer a handshake, with frames right behind it, and go on."""

    def answer(peer: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(peer, 1)
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        given: dict[str, str | None] = {
            "Upgrade": "WebSocket",
            "Connection": "upgrade",
            "Sec-WebSocket-Accept": accept,
        }
        given |= {name.replace("_", "-"): value for name, value in fields.items()}
        lines = [f"{name}: {value}\r\n" for name, value in given.items() if value is not None]
        text = f"HTTP/1.1 101 Switching Protocols\r\n{''.join(lines)}\r\n"
        peer.sendall(text.encode() + behind)
        talk(peer)

    return answer


@contextmanager
def session(talk: Talk, *subprotocols: str) -> Iterator[WebSocketTestSession]:
    """A session with a server that talks so; what that raises is raised at the end."""
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            with listener.accept()[0] as peer:
                peer.settimeout(PEER_S)
                talk(peer)
        except BaseException as error:  # raised again below
            failures.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        outgoing = Outgoing("GET", "/", Encoded(None))
        fields = outgoing.fields({"Host": "a"}, asking(subprotocols))
        try:
            incoming = Connections().begin(url, None, outgoing, fields, PEER_S)
            response = StreamedResponse(incoming, "GET", f"{url}/", [], 0.0, {})
            ws = begun(incoming, response, fields, PEER_S, Answering())
            try:
                yield ws
            finally:
                ws.abort()
        finally:
            thread.join()
    if failures:
        raise failures[0]


def test_a_ping_is_answered_while_the_test_receives() -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(sent(PING, b"are you there"))
        assert received(peer) == (PONG, b"are you there")
        peer.sendall(sent(PONG, b"nobody asked") + sent(TEXT, b"good"))
        peer.sendall(sent(CLOSE, b"\x03\xe9bye"))
        assert received(peer) == (CLOSE, b"\x03\xe9")

    with session(accepts(talk)) as ws:
        assert ws.receive_text() == "good"
        with pytest.raises(WebSocketDisconnect, match="1001 bye"):
            ws.receive_text()


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_frames_that_come_together_with_the_handshake(size: int) -> None:
    behind = sent(BINARY, b"x" * size) + sent(CLOSE)

    def talk(peer: socket.socket) -> None:
        assert received(peer) == (CLOSE, b"")

    with session(accepts(talk, behind)) as ws:
        assert ws.receive_bytes() == b"x" * size
        with pytest.raises(WebSocketDisconnect, match="1005"):
            ws.receive()


def test_closing_waits_for_the_answer_and_drops_what_comes_before() -> None:
    def talk(peer: socket.socket) -> None:
        assert received(peer) == (CLOSE, b"\x0f\xa0why")
        peer.sendall(sent(TEXT, b"dropped") + sent(CLOSE, b"\x0f\xa0"))

    with session(accepts(talk)) as ws:
        ws.close(4000, "why")
        assert (ws.close_code, ws.close_reason) == (4000, "")


@pytest.mark.parametrize(
    ("wrong", "code"), [(sent(3), b"\x03\xea"), (sent(TEXT, b"\xff"), b"\x03\xef")]
)
def test_a_server_that_breaks_a_rule_is_told_and_left(wrong: bytes, code: bytes) -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(sent(TEXT, b"good") + wrong)
        assert received(peer) == (CLOSE, code)

    with session(accepts(talk)) as ws:
        assert ws.receive_text() == "good"
        with pytest.raises(WebSocketProtocolError, match=r"http://.*/: "):
            ws.receive_text()
        with pytest.raises(WebSocketDisconnect):
            ws.receive_text()


def test_frames_behind_a_close_frame() -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(sent(CLOSE, b"\x03\xe8") + sent(TEXT, b"late"))
        assert received(peer) == (CLOSE, b"\x03\xe8")

    with (
        session(accepts(talk)) as ws,
        pytest.raises(WebSocketProtocolError, match="6 bytes follow"),
    ):
        ws.receive()


@pytest.mark.parametrize("cut", [b"", b"\x81", b"\x81\x05hel", sent(TEXT, b"a", final=False)])
def test_a_server_that_goes_without_a_word(cut: bytes) -> None:
    with session(accepts(lambda peer: peer.sendall(sent(TEXT, b"a") + cut))) as ws:
        assert ws.receive_text() == "a"
        with pytest.raises(WebSocketDisconnect, match="without a close frame") as e:
            ws.receive_text()
        assert (e.value.code, e.value.reason) == (1006, "")


def test_time_outs_name_what_is_missing() -> None:
    gone = threading.Event()

    def talk(peer: socket.socket) -> None:
        assert received(peer)[0] == CLOSE
        gone.wait(PEER_S)

    with session(accepts(talk, b"\x81\x05hel")) as ws:
        with pytest.raises(
            TimeoutError, match=r"no message in 0\.01 s .*: 5 bytes of one have come"
        ):
            ws.receive(timeout=0.01)
        with pytest.raises(TimeoutError, match=r"did not answer a close frame in 0\.01 s"):
            ws.close(timeout=0.01)
        assert ws.close_code == 1006
        gone.set()


def test_a_server_that_closes_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyreframework.testing.conversation.ENDING_S", 0.05)
    gone = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(sent(CLOSE, b"\x03\xe8"))
        assert received(peer)[0] == CLOSE
        gone.wait(PEER_S)

    with session(accepts(talk)) as ws:
        with pytest.raises(WebSocketProtocolError, match=r"closed \(1000\), but has not ended"):
            ws.receive()
        gone.set()
        assert ws.close_code == 1000


# Handshakes.


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"Upgrade": "h2c"}, "Upgrade of the handshake is 'h2c'"),
        ({"Upgrade": None}, "Upgrade of the handshake is ''"),
        ({"Connection": "keep-alive"}, "Connection of the handshake is 'keep-alive'"),
        ({"Sec_WebSocket_Accept": "x"}, "Sec-WebSocket-Accept of the handshake is 'x'"),
        ({"Sec_WebSocket_Extensions": "permessage-deflate"}, "an extension is used"),
        ({"Sec_WebSocket_Protocol": "c"}, "nobody has offered: c"),
    ],
)
def test_answers_that_do_not_fit_the_handshake(fields: dict[str, str | None], why: str) -> None:
    def talk(peer: socket.socket) -> None:
        with suppress(ConnectionResetError):
            assert peer.recv(1) == b""

    with pytest.raises(WebSocketProtocolError, match=why):
        with session(accepts(talk, **fields), "a", "b"):
            pass


def test_a_subprotocol_that_was_offered() -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(sent(TEXT, b"a"))

    with session(accepts(talk, Sec_WebSocket_Protocol="b"), "a", "b") as ws:
        assert ws.accepted_subprotocol == "b"
        assert ws.receive_text() == "a"
