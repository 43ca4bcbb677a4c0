"""How a WebSocket ends: by its handler, by its client, by time, by the server's own end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from frames import PING, PONG, TEXT, Wire, close_frame, frame, handshake
from gate import Gate
from places import PLACES
from serving import Server, is_supervisor, serve, wait_until

KINDS = pytest.mark.parametrize("kind", ["async", "def"])


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets", **PLACES[request.param]) as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    with serve("sockets", ws_ping=0.2) as server:
        yield server


@pytest.fixture(scope="module")
def unhurried() -> Iterator[Server]:
    with serve("sockets", ws_ping=0) as server:
        yield server


@KINDS
def test_a_handler_closes(server: Server, kind: str) -> None:
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/close/4321") as wire:
        assert wire.text() == "before"
        assert wire.expect_close(4321).payload[2:] == b"a reason"
        # It waits for the client's close frame before it closes the connection.
        wire.expect_silence(0.05)
        wire.say("nobody reads this")
        wire.send(close_frame(4321))
        wire.expect_end()
    found = server.output.wait_for("late: the WebSocket is closed", since=seen)
    assert found.string == "late: the WebSocket is closed True 4321 a reason"


@KINDS
def test_an_exception_closes_with_1011_and_is_logged_once(server: Server, kind: str) -> None:
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/raise") as wire:
        wire.say("now")
        assert wire.expect_close(1011).payload[2:] == b""
        wire.send(close_frame(1011))
        wire.expect_end()
    server.output.wait_for("RuntimeError: after the handshake", since=seen)
    wait_until(lambda: f"GET /{kind}/raise" in server.output.text(), "the log names the route")
    lines = server.output.lines[seen:]
    assert sum("RuntimeError: after the handshake" in line for line in lines) == 1


@KINDS
@pytest.mark.parametrize("how", ["close", "end", "reset"])
def test_a_handler_learns_how_its_client_has_gone(server: Server, kind: str, how: str) -> None:
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/silent") as wire:
        if how == "close":
            wire.close(3001)
        elif how == "end":
            wire.finish_sending()
            wire.expect_end()
        else:
            wire.abort()
    code = 3001 if how == "close" else 1006
    server.output.wait_for(f"silent: None {code}", since=seen)


@KINDS
def test_a_sender_learns_that_its_client_has_gone(server: Server, kind: str) -> None:
    """It raises ConnectionError, which ends the handler, and is nothing to log."""
    before = server.descriptors()
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/flood/1000000/65536") as wire:
        wire.message()
        wire.abort()
    wait_until(lambda: server.descriptors() <= before, "the connection is closed")
    with Wire.open(server, f"/{kind}/echo") as wire:
        wire.say("x")
        assert wire.text() == "x"
    assert "Error" not in "\n".join(server.output.lines[seen:])


def test_a_client_that_does_not_answer_the_close_frame(unhurried: Server) -> None:
    with (
        Wire.open(unhurried, "/async/close/1000") as one,
        Wire.open(unhurried, "/def/close/1000") as other,
    ):
        for wire in (one, other):
            assert wire.text() == "before"
            wire.expect_close(1000)
        # Nothing comes for some seconds, then the end.
        for wire in (one, other):
            wire.expect_end()


def test_one_who_reads_slowly_gets_all_that_came_before_the_close(unhurried: Server) -> None:
    """He has his time as long as he reads, and may say what he likes meanwhile."""
    seen = len(unhurried.output.lines)
    with Wire.open(unhurried, "/async/flood/3/1000000", receive_bytes=65536) as wire:
        unhurried.output.wait_for("flooded", since=seen)
        # Longer than the server waits for one who does not.
        until = time.monotonic() + 7.0
        while time.monotonic() < until:
            wire.receive(20_000)
            wire.send(frame(PING))
            time.sleep(0.1)
        assert [len(wire.message().payload) for _ in range(3)] == [1_000_000] * 3
        wire.expect_close(1000)
        wire.send(close_frame(1000))
        wire.expect_end()


@KINDS
def test_a_handler_that_is_busy_holds_up_no_close(unhurried: Server, kind: str) -> None:
    with Gate() as gate, Wire.open(unhurried, f"/{kind}/gate/{gate.port}/busy") as wire:
        assert wire.text() == "here"
        gate.entered()
        wire.send(close_frame(1000))
        wire.expect_close(1000)
        wire.expect_end()
        gate.release_all()


@KINDS
def test_a_silent_client_is_pinged(impatient: Server, kind: str) -> None:
    with Wire.open(impatient, f"/{kind}/echo") as wire:
        for _ in range(3):
            found = wire.read()
            assert (found.opcode, found.payload) == (PING, b"")
            wire.send(frame(PONG))
        # Whatever it says shows that it is there.
        for _ in range(3):
            assert wire.read().opcode == PING
            wire.send(frame(TEXT, b"x"))
            assert wire.read().opcode == TEXT
        wire.close()


@KINDS
def test_a_client_that_does_not_answer_pings_is_closed(impatient: Server, kind: str) -> None:
    seen = len(impatient.output.lines)
    with Wire.open(impatient, f"/{kind}/silent") as wire:
        assert wire.read().opcode == PING
        wire.expect_end()
    impatient.output.wait_for("silent: None 1006", since=seen)


@KINDS
def test_half_a_head_is_no_answer_to_a_ping(impatient: Server, kind: str) -> None:
    """What has come before, and waits for its rest, does not show that the client is there."""
    seen = len(impatient.output.lines)
    with Wire.open(impatient, f"/{kind}/silent") as wire:
        wire.send(frame(TEXT, b"x")[:1])
        assert wire.read().opcode == PING
        wire.expect_end()
    impatient.output.wait_for("silent: None 1006", since=seen)


@KINDS
def test_a_ping_of_one_who_reads_nothing_keeps_nobody_busy(unhurried: Server, kind: str) -> None:
    """The pong waits until the client reads, although half of a head lies behind the ping."""
    with Wire.open(unhurried, f"/{kind}/flood/400/1000000", receive_bytes=65536) as wire:
        wire.message()
        standing = [unhurried.cpu_s()]

        def stands() -> bool:
            standing.append(unhurried.cpu_s())
            return len(standing) > 50 and standing[-1] - standing[-50] <= 0.02

        wait_until(stands, "nothing is written any more")
        wire.send(frame(PING, b"there?") + frame(TEXT, b"x")[:1])
        with unhurried.connect() as peer:
            # So many turns of each reactor have come since.
            for _ in range(20):
                assert peer.get("/plain-request").text == "plain"
        before = unhurried.cpu_s()
        with pytest.raises(AssertionError, match="much"):
            wait_until(lambda: unhurried.cpu_s() - before > 0.15, "much is computed", 0.5)
        wire.abort()


@KINDS
def test_who_reads_nothing_is_not_read_from(server: Server, kind: str) -> None:
    """A handler that does not receive stops its client; then everything comes, in order."""
    with Gate() as gate, Wire.open(server, f"/{kind}/gate/{gate.port}/full") as wire:
        assert wire.text() == "here"
        gate.entered()
        part = frame(TEXT, b"x" * 60_000)
        wire.socket.settimeout(0.5)
        sent = 0
        data = part * 4
        try:
            while sent < 512 * 1024 * 1024:
                sent += wire.socket.send(data[sent % len(part) :][: len(part)])
        except TimeoutError:
            pass
        assert sent < 64 * 1024 * 1024, "it was read although nobody received"
        wire.socket.settimeout(30)
        gate.release_all()
        rest = -sent % len(part)
        wire.send(part[len(part) - rest :] if rest else b"")
        wire.send(frame(TEXT, b"how much"))
        count = (sent + rest) // len(part)
        assert wire.text() == str(count * 60_000 + len("how much"))
        wire.close()


@KINDS
def test_a_slow_reader_stops_its_sender(server: Server, kind: str) -> None:
    """What is sent waits in bounded memory until it is read, and all of it comes."""
    count, size = 600, 100_000
    seen = len(server.output.lines)
    before = server.resident_bytes()
    with Wire.open(server, f"/{kind}/flood/{count}/{size}", receive_bytes=65536) as wire:
        first = wire.message()
        assert "flooded" not in server.output.lines[seen:]
        assert server.resident_bytes() - before < 30_000_000
        got = [first, *(wire.message() for _ in range(count - 1))]
        assert [int.from_bytes(one.payload[:4]) for one in got] == list(range(count))
        assert all(len(one.payload) == size for one in got)
        wire.expect_close(1000)
    server.output.wait_for("flooded", since=seen)


@KINDS
def test_both_directions_at_once_do_not_block_each_other(server: Server, kind: str) -> None:
    """A client that writes without reading, against an echo: each direction stops by itself."""
    part = frame(TEXT, b"y" * 50_000)
    with Wire.open(server, f"/{kind}/echo") as wire:
        wire.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 512 * 1024 * 1024:
                sent += wire.socket.send(part[sent % len(part) :])
        except TimeoutError:
            pass
        assert sent < 256 * 1024 * 1024
        wire.socket.settimeout(30)
        whole, rest = divmod(sent, len(part))
        for _ in range(whole):
            assert len(wire.message().payload) == 50_000
        if rest:
            wire.send(part[rest:])
            assert len(wire.message().payload) == 50_000
        wire.close()


@KINDS
@pytest.mark.parametrize("mode", [None, "default"])
def test_a_server_that_stops_says_goodbye(kind: str, mode: str | None) -> None:
    with serve("sockets", mode=mode) as server:
        with Gate() as gate:
            wires = [Wire.open(server, f"/{kind}/silent") for _ in range(3)]
            asking = server.connect()
            asking.send(handshake(f"/{kind}/pending/{gate.port}/late"))
            gate.entered()
            server.signal(signal.SIGTERM)
            for wire in wires:
                wire.expect_close(1001)
                wire.send(close_frame(1001))
                wire.expect_end()
            # One whose handshake is answered only now gets the same.
            gate.release("late")
            head = b""
            while b"\r\n\r\n" not in head:
                head += asking.socket.recv(1)
            late = Wire.__new__(Wire)
            late.socket, late.received = asking.socket, bytearray()
            late.expect_close(1001)
            late.send(close_frame(1001))
            late.expect_end()
        assert server.wait() == 0
        server.output.wait_for("silent: None 1001")


def test_a_client_that_does_not_go_does_not_hold_up_the_end() -> None:
    with serve("sockets", shutdown_timeout=20) as server:
        wires = [Wire.open(server, f"/{kind}/silent") for kind in ("async", "def")]
        server.signal(signal.SIGTERM)
        for wire in wires:
            wire.expect_close(1001)
        assert server.wait() == 0
        for wire in wires:
            wire.expect_end()


def test_memory_and_descriptors_come_back() -> None:
    with serve("sockets", workers=1) as server:

        def talk(count: int) -> None:
            for number in range(count):
                kind = ("async", "def")[number % 2]
                with Wire.open(server, f"/{kind}/echo") as wire:
                    wire.say("x" * 1000)
                    assert len(wire.text()) == 1000
                    if number % 3:
                        wire.close()
                    elif number % 2:
                        wire.abort()

        talk(300)
        before, descriptors = server.resident_bytes(), server.descriptors()
        talk(1500)
        wait_until(lambda: server.descriptors() <= descriptors, "descriptors come back")
        grown = server.resident_bytes() - before
        assert grown < 4_000_000, f"{grown} bytes more"


def test_close_frames_cross(server: Server) -> None:
    with Wire.open(server, "/async/close/1000", behind=close_frame(1000)) as wire:
        assert wire.text() == "before"
        wire.expect_close(1000)
        wire.expect_end()


@KINDS
def test_a_restart_sends_clients_to_the_next_process(kind: str) -> None:
    with serve("sockets") as server:
        wire = Wire.open(server, f"/{kind}/echo")
        wire.say("one")
        assert wire.text() == "one"
        server.signal(signal.SIGHUP)
        wire.expect_close(1001)
        wire.send(close_frame(1001))
        wire.expect_end()
        wire.socket.close()
        server.output.wait_for("serves now")
        wait_until(lambda: is_supervisor(server.pid), "the process before has left")
        with Wire.open(server, f"/{kind}/echo") as again:
            again.say("two")
            assert again.text() == "two"
            again.close()
