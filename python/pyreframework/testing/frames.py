"""WebSocket frames as a client has them (RFC 6455 section 5): masked out, strictly checked in."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_bytes

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# Section 5.5: of a control frame.
CONTROL_BYTES_MAX = 125
# Section 7.4.1.
PROTOCOL_ERROR, INVALID_DATA = 1002, 1007
# Section 7.1.5: what stands for the code of a close frame that has none.
NO_CODE = 1005


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong with the same data."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing follows from this side."""

    code: int
    reason: str


type Event = str | bytes | Ping | Pong | Close
"""What comes: a text, a message of bytes, or what the protocol itself has to say."""


class BrokenRule(Exception):
    """What has come is not what the RFC lets a server send.

    Args:
        code: The code to close with.
        text: What is wrong.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def is_code(code: int) -> bool:
    """Tell whether a close frame may have this code (section 7.4, and the registry of IANA).

    Example:
        >>> [code for code in (999, 1000, 1004, 1005, 1006, 1011, 1015, 3000, 4999, 5000)
        ...  if is_code(code)]
        [1000, 1011, 3000, 4999]
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def masked(payload: bytes, key: bytes) -> bytes:
    """Return a payload with a mask of four bytes over it; again, the payload (section 5.3).

    Example:
        >>> masked(masked(b"Hello", b"1234"), b"1234")
        b'Hello'
    """
    length = len(payload)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(length)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame, masked as those of clients are."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += bytes([0x80 | 126]) + length.to_bytes(2)
    else:
        head += bytes([0x80 | 127]) + length.to_bytes(8)
    key = token_bytes(4)
    return head + key + masked(payload, key)


def close_payload(code: int | None, reason: str) -> bytes:
    """Return what stands in a close frame.

    Raises:
        TypeError: They are no number and no text.
        ValueError: The code must not be sent, the reason is too long, or stands without a code.
    """
    if code is not None and not isinstance(code, int):
        raise TypeError(f"code is an int, or None, not {type(code).__qualname__}")
    if not isinstance(reason, str):
        raise TypeError(f"reason is a str, not {type(reason).__qualname__}")
    if code is None:
        if reason:
            raise ValueError("a reason needs a code before it")
        return b""
    if not is_code(code):
        raise ValueError(
            f"a close frame has a code of 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code}"
        )
    payload = code.to_bytes(2) + reason.encode()
    if len(payload) > CONTROL_BYTES_MAX:
        raise ValueError(f"a reason has at most 123 bytes of UTF-8, not {len(payload) - 2}")
    return payload


class Frames:
    """What a server sends, as it comes; made of it is one event after the other."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._kind: int | None = None
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._bytes += data

    @property
    def waiting(self) -> int:
        """Bytes that have come and are not part of an event yet."""
        return len(self._bytes) + sum(map(len, self._parts))

    def next(self) -> Event | None:
        """Return what has come next, or None if that is not whole yet.

        Raises:
            BrokenRule: It is nothing that a server may send.
        """
        while (found := self._frame()) is not None:
            is_final, opcode, payload = found
            if opcode >= CLOSE:
                return control(opcode, payload)
            if opcode != CONTINUATION:
                self._kind = opcode
            self._parts.append(payload)
            if is_final:
                return self._message()
        return None

    def _message(self) -> str | bytes:
        kind, parts = self._kind, self._parts
        self._kind, self._parts = None, []
        data = b"".join(parts)
        return utf8(data, "a text") if kind == TEXT else data

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """Return the next whole frame: whether it is the last of its message, opcode, payload."""
        head = self._head()
        if head is None:
            return None
        is_final, opcode, start, length = head
        end = start + length
        if len(self._bytes) < end:
            return None
        payload = bytes(self._bytes[start:end])
        del self._bytes[:end]
        return is_final, opcode, payload

    def _head(self) -> tuple[bool, int, int, int] | None:
        """Check the next head as far as it has come: where its payload begins, and how long."""
        have = self._bytes
        if len(have) < 2:
            return None
        is_final, opcode, length = have[0] >= 0x80, have[0] & 0x0F, have[1] & 0x7F
        if have[0] & 0x70:
            raise BrokenRule(PROTOCOL_ERROR, "a reserved bit is set, and no extension is agreed on")
        if have[1] & 0x80:
            raise BrokenRule(PROTOCOL_ERROR, "a frame of a server is masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise BrokenRule(PROTOCOL_ERROR, f"there is no opcode {opcode}")
        if opcode >= CLOSE and (length > CONTROL_BYTES_MAX or not is_final):
            raise BrokenRule(PROTOCOL_ERROR, "a control frame is too long, or a fragment")
        if opcode < CLOSE and (opcode == CONTINUATION) != (self._kind is not None):
            raise BrokenRule(PROTOCOL_ERROR, "a fragment is out of place")
        if length < 126:
            return is_final, opcode, 2, length
        # Section 5.2: the shortest form of a length is the only one, and the highest bit is 0.
        start, least, most = (4, 126, 1 << 16) if length == 126 else (10, 1 << 16, 1 << 63)
        if len(have) < start:
            return None
        length = int.from_bytes(have[2:start])
        if not least <= length < most:
            raise BrokenRule(PROTOCOL_ERROR, f"a length of {length} is not in its shortest form")
        return is_final, opcode, start, length


def control(opcode: int, payload: bytes) -> Ping | Pong | Close:
    """Return what a control frame says."""
    if opcode == PING:
        return Ping(payload)
    if opcode == PONG:
        return Pong(payload)
    if not payload:
        return Close(NO_CODE, "")
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not is_code(code):
        raise BrokenRule(PROTOCOL_ERROR, f"a close frame has the code {payload[:2].hex()}")
    return Close(code, utf8(payload[2:], "the reason of a close frame"))


def utf8(data: bytes, what: str) -> str:
    """Return the text of bytes that have to be UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BrokenRule(INVALID_DATA, f"{what} is no UTF-8: {error}") from error
