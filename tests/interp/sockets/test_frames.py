"""What a client must not send, frame by frame, and how that ends (RFC 6455 sections 5 to 8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Wire,
    close_frame,
    deflated,
    frame,
)
from serving import Server, serve

LIMIT = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("sockets", max_message_size=LIMIT) as server:
        yield server


BROKEN: dict[str, tuple[bytes, int]] = {
    # Section 5.2.
    **{f"reserved bits {bits}": (frame(TEXT, b"x", reserved=bits), 1002) for bits in range(1, 8)},
    **{f"opcode {code}": (frame(code, b"x"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a length in 2 bytes for 1": (frame(TEXT, b"x", length_bytes=2), 1002),
    "a length in 8 bytes for 2": (frame(TEXT, b"x" * 200, length_bytes=8), 1002),
    "a length with its highest bit": (b"\x81\xff" + b"\xff" * 8 + b"abcd", 1002),
    # Section 5.1.
    "no mask": (frame(TEXT, b"x", key=None), 1002),
    # Section 5.4.
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a continuation behind the end": (
        frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b") + frame(CONTINUATION, b"c"),
        1002,
    ),
    "a message in a message": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002),
    # Section 5.5.
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, b"x", final=False), 1002),
    "a pong in fragments": (frame(PONG, b"x", final=False), 1002),
    "a close frame in fragments": (frame(CLOSE, b"\x03\xe8", final=False), 1002),
    "a close frame of 1 byte": (frame(CLOSE, b"\x03"), 1002),
    **{
        f"code {code}": (close_frame(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
    },
    "a reason that is no UTF-8": (close_frame(1000, b"\xff"), 1007),
    # Section 8.1.
    "text that is no UTF-8": (frame(TEXT, b"\xc0\xaf"), 1007),
    "text that is cut off": (frame(TEXT, b"\xe2\x82"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "no UTF-8 in a fragment": (frame(TEXT, b"a\xff", final=False), 1007),
    "text that is cut off at the end of fragments": (
        frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"\x82"),
        1007,
    ),
    # Section 7.4.1: too long.
    "a message that is too long": (frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "its head alone": (frame(BINARY, b"x" * (LIMIT + 1))[:14], 1009),
    "fragments that are too long": (
        frame(BINARY, b"x" * LIMIT, final=False) + frame(CONTINUATION, b"x"),
        1009,
    ),
}
RIGHT: dict[str, bytes] = {
    "a message as long as may be": frame(BINARY, b"x" * LIMIT),
    "an empty message": frame(TEXT),
    "empty fragments": frame(TEXT, final=False)
    + frame(CONTINUATION, final=False)
    + frame(CONTINUATION),
    "a character over fragments": frame(TEXT, b"\xe2", final=False)
    + frame(PING, b"x" * 125)
    + frame(CONTINUATION, b"\x82\xac"),
    "another mask": frame(TEXT, b"x" * 1000, key=b"\0\0\0\0"),
}
COMPRESSED: dict[str, tuple[bytes, int]] = {
    "no deflate": (frame(TEXT, b"\xff\xff\xff\xff\xff", reserved=4), 1002),
    "a compressed ping": (frame(PING, b"x", reserved=4), 1002),
    "a compressed continuation": (
        frame(TEXT, deflated(b"x")[:1], reserved=4, final=False)
        + frame(CONTINUATION, deflated(b"x")[1:], reserved=4),
        1002,
    ),
    "another reserved bit": (frame(TEXT, deflated(b"x"), reserved=6), 1002),
    "text that is no UTF-8": (frame(TEXT, deflated(b"\xff\xfe"), reserved=4), 1007),
    "a message that gets too long": (
        frame(BINARY, deflated(b"\0" * (LIMIT + 1)), reserved=4),
        1009,
    ),
}


def expect_failure(wire: Wire, code: int) -> None:
    """Expect a close frame with a reason, behind what was right, and the end."""
    while (found := wire.message()).opcode == TEXT:
        pass
    assert (found.opcode, found.code) == (CLOSE, code), found
    assert found.payload[2:].decode()
    wire.expect_end()


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("kind", ["async", "def"])
def test_broken_frames_close(server: Server, kind: str, case: str) -> None:
    sent, code = BROKEN[case]
    with Wire.open(server, f"/{kind}/echo") as wire:
        wire.say("before")
        assert wire.text() == "before"
        wire.send(sent)
        expect_failure(wire, code)


SHORT = [case for case, (sent, _) in BROKEN.items() if len(sent) < 1000]


@pytest.mark.parametrize("case", SHORT)
def test_broken_frames_close_byte_by_byte(server: Server, case: str) -> None:
    sent, code = BROKEN[case]
    with Wire.open(server, "/async/echo") as wire:
        wire.send_pieces(bytes([byte]) for byte in sent)
        expect_failure(wire, code)


@pytest.mark.parametrize("case", RIGHT)
def test_right_frames_do_not(server: Server, case: str) -> None:
    with Wire.open(server, "/async/echo") as wire:
        wire.send(RIGHT[case])
        wire.message()
        wire.close()


@pytest.mark.parametrize("case", COMPRESSED)
def test_broken_compression_closes(server: Server, case: str) -> None:
    sent, code = COMPRESSED[case]
    with Wire.open(server, "/async/echo", [DEFLATE]) as wire:
        wire.send(sent)
        expect_failure(wire, code)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_may_be_sent_are_given_back(server: Server, code: int) -> None:
    with Wire.open(server, "/async/echo") as wire:
        wire.send(close_frame(code, b"a reason of at most 123 bytes"))
        wire.expect_close(code)
        wire.expect_end()


def test_a_close_frame_without_a_code(server: Server) -> None:
    with Wire.open(server, "/async/echo") as wire:
        wire.send(close_frame(None))
        wire.expect_close(1005)
        wire.expect_end()


def test_nothing_is_looked_at_behind_a_close_frame(server: Server) -> None:
    with Wire.open(server, "/async/echo") as wire:
        wire.send(frame(TEXT, b"one") + close_frame() + frame(TEXT, b"two") + b"\xff" * 100)
        assert wire.text() == "one"
        wire.expect_close(1000)
        wire.expect_end()
