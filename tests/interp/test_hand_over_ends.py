"""Lanes that carry a reactor, or have lost it: time limits, others in their place, the end."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from typing import Self

import pytest
from dialogue import Peer, request
from gate import Gate
from proven import (
    IN_FLIGHT,
    INLINE,
    NEVER_TAKEN_BACK,
    SOON_PROVEN,
    TAKEN_BACK,
    at_gate,
    block,
    hold,
    lanes,
    number,
    prove,
    serve_one,
)
from serving import Server, wait_until

TOO_LONG = {"error": "request timeout"}


def hold_inline(server: Server, gate: Gate, path: str, name: str, do: str = "hold") -> Peer:
    """A client whose handler is at the gate while nobody has the reactor."""
    while True:
        prove(server, path)
        before = number(server, INLINE)
        peer = hold(server, gate, path, name, do)
        with server.connect() as other:
            other.send(request("GET", "/livez"))
            try:
                other.expect_silence(0.05)
            except AssertionError:
                # It was in the ring.
                gate.release(name)
                peer.reply()
                peer.socket.close()
                assert number(server, INLINE) == before
                continue
        return peer


@pytest.mark.parametrize("env", [{}, NEVER_TAKEN_BACK], ids=["taken back", "inline"])
def test_an_endless_loop_is_interrupted(env: dict[str, str]) -> None:
    """504; connection and thread go on."""
    held = hold_inline if env else block
    with serve_one(env=SOON_PROVEN | env) as server, Gate() as gate:

        def is_interrupted() -> bool:
            with held(server, gate, "/limited", "loop", "overrun") as peer:
                reply = peer.reply()
                assert (reply.status, reply.json()) == (504, TOO_LONG)
                # On a busy machine the interruption may be late, and then the connection ends.
                return not reply.closes and peer.get("/limited").status == 200

        wait_until(is_interrupted, "it was interrupted in time")
        expect_lanes(server, gate, 2)
        prove(server, "/limited")


def test_what_cannot_be_interrupted_is_given_up() -> None:
    """504 from the reactor, which was taken back; another lane takes the place of the one stuck."""
    with serve_one() as server, Gate() as gate:
        threads = lanes(server)
        with block(server, gate, "/limited", "stuck") as peer:
            prove(server, "/a")
            reply = peer.reply()
            assert (reply.status, reply.json()) == (504, TOO_LONG)
            peer.expect_end()
            assert number(server, "pyre_timeouts_total") == 1
            wait_until(lambda: lanes(server) == threads + 1, "another lane has come")
            expect_lanes(server, gate, 2)
            gate.release("stuck")
        wait_until(lambda: number(server, IN_FLIGHT) == 0, "it has come back")
        expect_lanes(server, gate, 2)
        prove(server, "/a", "/limited")


def expect_lanes(server: Server, gate: Gate, threads: int) -> None:
    """So many slow handlers run at the same time, not one more, and short ones beside them."""
    prove(server, "/a")
    with ExitStack() as stack:
        slow = [stack.enter_context(hold(server, gate, "/ring", f"{n}")) for n in range(threads)]
        more = stack.enter_context(server.connect())
        more.send(at_gate("/ring", gate, "more"))
        assert gate.is_empty(0.05)
        prove(server, "/a")
        for turn, peer in enumerate(slow):
            gate.release(f"{turn}")
            assert peer.reply().text == "released"
        assert gate.entered() == "more"
        gate.release("more")
        assert more.reply().text == "released"


def test_lane_that_is_replaced_while_it_carries() -> None:
    """One that came back after all goes aside, also if the reactor was never taken from it."""
    with serve_one(env=NEVER_TAKEN_BACK) as server, Gate() as gate:
        threads = lanes(server)
        with hold_inline(server, gate, "/limited", "stuck") as peer:
            wait_until(lambda: lanes(server) == threads + 1, "another lane has come")
            gate.release("stuck")
            peer.reply()
        expect_lanes(server, gate, 2)


def test_stuck_lanes_are_replaced_while_one_carries() -> None:
    with serve_one(request_timeout=0.3) as server, Gate() as gate:
        prove(server, "/a")
        threads = lanes(server)
        with ExitStack() as stack:
            stuck = [stack.enter_context(hold(server, gate, "/ring", f"s{n}")) for n in range(2)]
            for peer in stuck:
                reply = peer.reply()
                assert (reply.status, reply.json()) == (504, TOO_LONG)
            wait_until(lambda: lanes(server) == threads + 2, "two other lanes have come")
            prove(server, "/a")
            gate.release_all()
        wait_until(lambda: number(server, IN_FLIGHT) == 0, "the two have come back")
        assert lanes(server) == threads + 2


def test_threads_do_not_grow_in_number() -> None:
    """However often a reactor is taken back."""
    env = {"TEST_TAKE_BACK_MS": "1", "TEST_PROOF_CALLS": "2", "TEST_PROOF_CALLS_MAX": "2"}
    with serve_one(env=env) as server, server.connect() as peer:
        threads = lanes(server)

        def was_taken_back_often() -> bool:
            for _ in range(20):
                for target in ("/a", "/a", "/a", "/a?do=sleep&seconds=0.005"):
                    assert peer.get(target).status == 200
            return number(server, TAKEN_BACK) >= 200

        wait_until(was_taken_back_often, "the reactor was taken back 200 times")
        assert lanes(server) == threads
        assert number(server, IN_FLIGHT) == 0
        prove(server, "/a")
        with Gate() as gate:
            expect_lanes(server, gate, 2)


def expect_end(server: Server, peer: Peer, text: str) -> None:
    """The last answer comes, says that it is the last, and the server ends well."""
    reply = peer.reply()
    assert (reply.status, reply.text, reply.closes) == (200, text, True)
    peer.expect_end()
    assert server.wait() == 0


def test_stop_while_a_lane_carries_an_idle_reactor() -> None:
    with serve_one() as server, server.connect() as idle:
        prove(server, "/a")
        assert idle.get("/a").status == 200
        server.signal(signal.SIGTERM)
        idle.expect_end()
        assert server.wait() == 0


def test_stop_while_a_handler_has_blocked_the_reactor() -> None:
    with serve_one() as server, Gate() as gate, block(server, gate, "/a", "a") as peer:
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        peer.expect_silence(0.02)
        gate.release("a", "late")
        expect_end(server, peer, "late")


def test_stop_while_the_reactor_is_away() -> None:
    """Nobody can have it before the handler ends: then everything goes its way."""
    with serve_one(env=NEVER_TAKEN_BACK) as server, Gate() as gate:
        with hold_inline(server, gate, "/a", "a") as peer:
            server.signal(signal.SIGTERM)
            peer.expect_silence(0.05)
            gate.release("a", "late")
            expect_end(server, peer, "late")


@pytest.mark.parametrize("env", [{}, NEVER_TAKEN_BACK], ids=["taken back", "away"])
def test_handler_that_does_not_end(env: dict[str, str]) -> None:
    """It is abandoned after `shutdown_timeout`, wherever the reactor is."""
    with serve_one(env=env, shutdown_timeout=0.3) as server, Gate() as gate:
        held = hold_inline if env else block
        with held(server, gate, "/a", "a"):
            server.signal(signal.SIGTERM)
            assert server.wait() == 1
            assert "gave up" in server.output.text()


def test_pipeline_under_way_at_a_stop() -> None:
    """Every request that had been received is answered."""
    with serve_one() as server, Gate() as gate, server.connect() as peer:
        prove(server, "/a")
        peer.send(request("GET", "/a") + at_gate("/a", gate, "a") + request("GET", "/a") * 50)
        assert gate.entered() == "a"
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        gate.release("a")
        replies = [peer.reply() for _ in range(52)]
        assert [reply.closes for reply in replies] == [False] * 51 + [True]
        assert replies[1].text == "released"
        assert all(reply.text.isdigit() for reply in replies[:1] + replies[2:])
        peer.expect_end()
        assert server.wait() == 0


class Clients:
    """Clients that call short routes all the time, and note whatever goes wrong."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.mistakes: list[str] = []
        self.count = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.call) for _ in range(3)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def call(self) -> None:
        try:
            while not self.over.is_set():
                with self.server.connect() as peer:
                    self.use(peer)
        except BaseException as error:
            self.mistakes.append(repr(error))

    def use(self, peer: Peer) -> None:
        """Pipelines of three on one connection, until an answer says that it is the last."""
        while not self.over.is_set():
            peer.send(request("GET", "/a") * 3)
            replies = [peer.reply() for _ in range(3)]
            assert all(reply.status == 200 and reply.text.isdigit() for reply in replies)
            self.count += 3
            if replies[-1].closes:
                return

    def expect_more(self) -> None:
        before = self.count
        wait_until(lambda: self.count > before + 30 or self.mistakes, "clients go on")
        assert not self.mistakes


def pid_of(server: Server) -> int:
    return int(server.get("/pid").text)


def test_restart_under_traffic() -> None:
    """No client notices, not even the one whose handler had blocked the reactor."""
    with serve_one() as server, Gate() as gate:
        before = pid_of(server)
        with (
            block(server, gate, "/b", "b") as held,
            server.connect() as other,
            Clients(server) as clients,
        ):
            clients.expect_more()
            server.signal(signal.SIGHUP)
            wait_until(lambda: other.get("/pid").closes, "the process before is leaving")
            assert pid_of(server) != before
            clients.expect_more()
            gate.release("b", "late")
            reply = held.reply()
            assert (reply.text, reply.closes) == ("late", True)
            held.expect_end()
            clients.expect_more()
        assert clients.mistakes == []
        prove(server, "/a")


def test_process_is_replaced_after_so_many_requests() -> None:
    """Those that run on the thread that reads count as well."""
    with serve_one(max_requests=300) as server:
        with Clients(server) as clients:
            before = pid_of(server)
            wait_until(lambda: pid_of(server) != before, "another process serves")
            clients.expect_more()
        assert clients.mistakes == []
