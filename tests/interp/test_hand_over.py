"""Short handlers run on the thread that reads, and never keep others waiting for long."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from dialogue import request
from gate import Gate
from proven import (
    ESTIMATE,
    IN_FLIGHT,
    INLINE,
    NEVER_TAKEN_BACK,
    SOON_PROVEN,
    TAKEN_BACK,
    at_gate,
    block,
    hold,
    is_short,
    number,
    prove,
    samples,
    serve_one,
    wakes,
)
from serving import Server, wait_until

PROOF = 4
"""Calls that prove a route to be short, in the program of these tests."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Each test may use any route."""
    with serve_one(env=SOON_PROVEN) as server:
        yield server
        wait_until(lambda: number(server, IN_FLIGHT) == 0, "all have come back")


def test_a_route_becomes_short(server: Server) -> None:
    """Then all of its calls run on one thread, which is counted."""
    with serve_one() as server, server.connect() as peer:
        assert not is_short(server, "/a")
        for _ in range(PROOF - 1):
            peer.get("/a")
        assert not is_short(server, "/a")
        prove(server, "/a")
        assert is_short(server, "/a")
        assert not is_short(server, "/b")

        def all_are_inline() -> bool:
            before = number(server, INLINE)
            threads = {peer.get("/a").text for _ in range(20)}
            return number(server, INLINE) == before + 20 and len(threads) == 1

        wait_until(all_are_inline, "twenty calls in a row run on the thread that reads")


@pytest.mark.parametrize("threads", [2, 31])
def test_with_few_and_with_many_threads(threads: int) -> None:
    with serve_one(threads=threads) as server:
        prove(server, "/a")


def test_some_routes_never_are(server: Server) -> None:
    """Neither those that may not, nor those that leave something to be done after the answer."""
    prove(server, "/a")
    with server.connect() as peer:
        for path in ("/ring", "/main", "/async", "/async/wait", "/leaves"):
            before = number(server, INLINE)
            for _ in range(PROOF * 4):
                assert peer.get(path).status == 200
            assert not is_short(server, path)
            assert number(server, INLINE) == before, path


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ({"hand_over": "ring"}, {}),
        ({"threads": 1}, {}),
        ({"threads": 32}, {}),
        ({"mode": "default"}, {}),
        ({}, {"TEST_ASYNC_HOOK": "1"}),
    ],
    ids=["ring", "one thread", "all threads", "main", "hook that is a coroutine"],
)
def test_no_route_ever_is(options: dict[str, object], env: dict[str, str]) -> None:
    with serve_one(env=env, **options) as server, server.connect() as peer:
        for _ in range(PROOF * 10):
            assert peer.get("/a").status == 200
        assert samples(server, "pyre_route_short") == []
        assert samples(server, INLINE) == []


def test_short_route_that_blocks() -> None:
    """Others are answered, it is answered in the end, and proves itself again, for longer."""
    with serve_one() as server, Gate() as gate, server.connect() as other:
        prove(server, "/a", "/b")
        for turn in (1, 2):
            with block(server, gate, "/a", "a") as peer:
                assert not is_short(server, "/a")
                for path in ("/b", "/c", "/async", "/main", "/livez", "/no-such"):
                    assert other.get(path).status == (404 if path == "/no-such" else 200)
                prove(server, "/b")
                gate.release("a", f"in the end {turn}")
                assert peer.reply().text == f"in the end {turn}"
                # The mean of sixteen, of which one took ten milliseconds at least.
                assert number(server, ESTIMATE, 'route="/a"') >= 0.01 / 16 * 0.99
                for _ in range(PROOF * 4**turn - 1):
                    assert peer.get("/a").status == 200
                assert not is_short(server, "/a")
                prove(server, "/a")


def test_it_is_taken_back_once(server: Server) -> None:
    """However long the handler takes, and whatever else comes."""
    with Gate() as gate, block(server, gate, "/a", "a") as peer:
        before = number(server, TAKEN_BACK)
        for _ in range(3):
            prove(server, "/b")
            assert gate.is_empty(0.02)
        assert number(server, TAKEN_BACK) == before
        gate.release("a")
        assert peer.reply().text == "released"
        prove(server, "/a", "/b")


def test_another_lane_carries_the_reactor_meanwhile() -> None:
    """One of the same worker, though the other worker has nothing to do."""
    with serve_one(workers=2) as server, Gate() as gate, block(server, gate, "/a", "a") as peer:
        prove(server, "/b")
        gate.release("a")
        assert peer.reply().text == "released"


def test_route_that_is_short_no_more() -> None:
    """Nothing has to be taken back for that, and others that are short do not hide it."""
    with serve_one(env=NEVER_TAKEN_BACK) as server, server.connect() as peer:
        prove(server, "/a", "/b")

        def is_found_out() -> bool:
            assert peer.get("/b").status == 200
            assert peer.get("/a?do=sleep&seconds=0.002").text == "slept"
            return not is_short(server, "/a")

        wait_until(is_found_out, "/a is short no more")
        assert number(server, ESTIMATE, 'route="/a"') > 0.0002
        prove(server, "/b")
        prove(server, "/a")


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("is_carried", [False, True], ids=["at home", "carried"])
def test_as_many_slow_handlers_as_threads(threads: int, is_carried: bool) -> None:
    """Exactly so many run, and short ones are answered all the same."""
    with serve_one(threads=threads) as server, Gate() as gate, ExitStack() as stack:
        prove(server, "/a", "/b")
        if not is_carried:
            with block(server, gate, "/b", "b") as peer:
                gate.release("b")
                assert peer.reply().text == "released"
        slow = [
            stack.enter_context(hold(server, gate, "/ring", str(turn))) for turn in range(threads)
        ]
        more = stack.enter_context(server.connect())
        more.send(at_gate("/ring", gate, "more"))
        if not is_carried:
            assert gate.is_empty(0.02)
            # The call for which the reactor leaves its keeper.
            assert server.get("/a").status == 200
        for _ in range(3):
            prove(server, "/a")
            assert gate.is_empty(0.02)
        gate.release("0")
        assert slow[0].reply().text == "released"
        assert gate.entered() == "more"
        prove(server, "/a")
        gate.release_all()
        for peer in (*slow[1:], more):
            assert peer.reply().text == "released"


def test_one_of_the_slow_handlers_has_blocked_the_reactor() -> None:
    """It is one of those that may run, and the last lane goes on with what is short."""
    with serve_one(threads=2) as server, Gate() as gate:
        prove(server, "/a", "/b")
        with hold(server, gate, "/ring", "slow") as slow, block(server, gate, "/a", "a") as blocked:
            more = server.connect()
            more.send(at_gate("/ring", gate, "more"))
            for _ in range(3):
                prove(server, "/b")
                assert gate.is_empty(0.02)
            gate.release("a")
            assert blocked.reply().text == "released"
            assert gate.entered() == "more"
            gate.release_all()
            assert (slow.reply().text, more.reply().text) == ("released", "released")


def test_short_handler_blocks_beside_as_many_as_threads() -> None:
    """No lane is left, and the first that comes back is for what is short."""
    with serve_one(threads=2) as server, Gate() as gate, ExitStack() as stack:
        prove(server, "/a", "/b")
        slow = [stack.enter_context(hold(server, gate, "/ring", f"slow-{n}")) for n in range(2)]
        blocked = stack.enter_context(block(server, gate, "/a", "a"))
        more, short = (stack.enter_context(server.connect()) for _ in range(2))
        more.send(at_gate("/ring", gate, "more"))
        short.send(request("GET", "/b"))
        short.expect_silence(0.02)
        assert server.get("/livez").status == 200
        gate.release("slow-0")
        assert slow[0].reply().text == "released"
        assert short.reply().status == 200
        prove(server, "/b")
        assert gate.is_empty(0.02)
        gate.release("a")
        assert blocked.reply().text == "released"
        assert gate.entered() == "more"
        gate.release_all()
        assert (slow[1].reply().text, more.reply().text) == ("released", "released")


def test_what_comes_before_a_slow_call_does_not_wait_for_it(server: Server) -> None:
    """The answers of a pipeline keep their order."""
    prove(server, "/a")
    for first in ("/a", "/b"):
        with server.connect() as peer, Gate() as gate:
            short = request("GET", first)
            peer.send(short + at_gate("/ring", gate, "slow") + short)
            assert gate.entered() == "slow"
            assert peer.reply().text.isdigit()
            prove(server, "/a")
            gate.release("slow", "slow")
            assert [peer.reply().text.isdigit() for _ in range(2)] == [False, True]


def test_pipeline_with_a_call_that_blocks_the_reactor(server: Server) -> None:
    """All of it is answered, in its order, also what comes while it waits."""
    with Gate() as gate, server.connect() as peer:
        short, blocking = request("GET", "/a"), at_gate("/a", gate, "a")
        prove(server, "/a")
        before = number(server, TAKEN_BACK)
        peer.send(short * 2 + blocking + short)
        assert gate.entered() == "a"
        peer.send(short + blocking)
        prove(server, "/b")
        gate.release("a", "first")
        assert gate.entered() == "a"
        gate.release("a", "second")
        replies = [peer.reply().text for _ in range(6)]
        assert [text if not text.isdigit() else "" for text in replies] == [
            *("", "", "first", "", ""),
            "second",
        ]
        assert number(server, TAKEN_BACK) > before


def test_long_pipeline_of_short_calls(server: Server) -> None:
    """Once it is known what its calls take, they do not cost the reactor: none is long."""
    call = request("GET", "/a?do=compute&seconds=0.0001")
    with server.connect() as peer:

        def all_are_inline() -> bool:
            prove(server, "/a")
            inline, taken_back = number(server, INLINE), number(server, TAKEN_BACK)
            peer.send(call * 256)
            assert [peer.reply().text for _ in range(256)] == ["computed"] * 256
            # Together they take longer than it takes to be found out.
            is_same = number(server, TAKEN_BACK) == taken_back
            return is_same and number(server, INLINE) >= inline + 256

        wait_until(all_are_inline, "a pipeline of short calls runs on the thread that reads")


def test_nobody_else_waits_for_a_crowd_of_short_calls() -> None:
    """Neither replies from rings, nor requests for other threads, or for none."""
    calls = request("GET", "/a?do=compute&seconds=0.0001") * 16
    paths = ["/ring", "/main", "/async", "/livez", "/no-such"]
    with serve_one(env=NEVER_TAKEN_BACK) as server, Gate() as gate, ExitStack() as stack:
        slow = stack.enter_context(hold(server, gate, "/ring", "slow"))
        others = [stack.enter_context(server.connect()) for _ in paths]
        crowd = [stack.enter_context(server.connect()) for _ in range(300)]
        prove(server, "/a", "/b")
        # Nobody has the reactor meanwhile, so it finds half a second of calls at once.
        inline = stack.enter_context(hold(server, gate, "/b", "inline"))
        for peer in crowd:
            peer.send(calls)
        gate.release("inline")
        assert inline.reply().text == "released"
        select.select([peer.socket for peer in crowd], [], [])
        gate.release("slow")
        for peer, path in zip(others, paths, strict=True):
            peer.send(request("GET", path))
        assert slow.reply().text == "released"
        assert [peer.reply().status for peer in others] == [200] * 4 + [404]
        answered, _, _ = select.select([peer.socket for peer in crowd], [], [], 0)
        assert len(answered) < len(crowd)
        for peer in crowd:
            assert [peer.reply().text for _ in range(16)] == ["computed"] * 16


def test_crowd_of_short_calls_is_more_than_may_wait() -> None:
    calls = request("GET", "/a?do=compute&seconds=0.0001") * 16
    with serve_one(env=NEVER_TAKEN_BACK, queue_depth=8) as server, Gate() as gate:
        with ExitStack() as stack:
            crowd = [stack.enter_context(server.connect()) for _ in range(300)]
            prove(server, "/a", "/b")
            inline = stack.enter_context(hold(server, gate, "/b", "inline"))
            for peer in crowd:
                peer.send(calls)
            gate.release("inline")
            assert inline.reply().text == "released"
            assert {peer.reply().status for peer in crowd for _ in range(16)} == {200, 503}
        prove(server, "/a", "/b")


def test_requests_that_come_in_pieces(server: Server) -> None:
    prove(server, "/a")
    pipeline = request("GET", "/a") * 3
    with server.connect() as peer:
        for cut in range(1, len(pipeline), 7):
            peer.send(pipeline[:cut])
            # What is whole is answered at once.
            whole = cut // (len(pipeline) // 3)
            assert all(peer.reply().status == 200 for _ in range(whole))
            peer.send(pipeline[cut:])
            assert all(peer.reply().status == 200 for _ in range(3 - whole))


def test_client_that_has_said_all_it_wants_gets_its_answer(server: Server) -> None:
    """RFC 9112 section 9.6: one side may be closed before the other."""
    prove(server, "/a")
    with server.connect() as peer:
        peer.send(request("GET", "/a") * 3)
        peer.finish_sending()
        assert [peer.reply().status for _ in range(3)] == [200] * 3
        peer.expect_end()
    with Gate() as gate, block(server, gate, "/a", "a") as peer:
        peer.finish_sending()
        gate.release("a", "in time")
        assert peer.reply().text == "in time"
        peer.expect_end()


SIZE = 300_000
"""Bytes of an answer, so many that the rest of its job goes another time."""


def test_large_answers(server: Server) -> None:
    """They go in parts, each when the one before is written, and wait for nobody else."""
    prove(server, "/big/1", "/a")
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", f"/big/{SIZE}") * 30 + request("GET", "/a"))
        # It does not read, so not all of it can have been written.
        for _ in range(3):
            prove(server, "/a")
        assert [len(peer.reply().body) for _ in range(30)] == [SIZE] * 30
        assert peer.reply().text.isdigit()


@pytest.mark.parametrize("how", ["abort", "close"])
def test_client_goes_while_its_handler_has_blocked_the_reactor(server: Server, how: str) -> None:
    """The handler can find out, and nothing is left of it."""
    with Gate() as gate:
        open_before = number(server, "pyre_connections_open")
        peer = block(server, gate, "/watched", "a")
        gate.release("a", "look")
        assert gate.entered() == "a"
        assert server.get("/seen").json() == [False]
        peer.abort() if how == "abort" else peer.socket.close()

        def is_noticed() -> bool:
            gate.release("a", "look")
            assert gate.entered() == "a"
            return bool(server.get("/seen").json()[-1])

        wait_until(is_noticed, "the handler knows that nobody waits for it")
        gate.release("a", "enough")
        wait_until(lambda: number(server, IN_FLIGHT) == 0, "nothing is in flight")
        assert number(server, "pyre_connections_open") == open_before
        prove(server, "/watched")


@pytest.mark.parametrize(("do", "status"), [("fail", 500), ("fail-as-asked", 418)])
def test_handler_that_raises(server: Server, do: str, status: int) -> None:
    with server.connect() as peer:

        def is_inline() -> bool:
            prove(server, "/a")
            before = number(server, INLINE)
            assert peer.get(f"/a?do={do}").status == status
            return number(server, INLINE) == before + 1

        wait_until(is_inline, "it raises on the thread that reads")
        assert peer.get("/a").status == 200


@pytest.mark.parametrize(("do", "status"), [("fail", 500), ("fail-as-asked", 418)])
def test_handler_that_raises_once_the_reactor_was_taken_back(
    server: Server, do: str, status: int
) -> None:
    with Gate() as gate, block(server, gate, "/a", "a", do) as peer:
        prove(server, "/b")
        gate.release("a")
        assert peer.reply().status == status
        assert peer.get("/a").status == 200


def test_short_route_that_leaves_a_task() -> None:
    """Its answer does not wait for the task, nor do others; and it is short no more."""
    with serve_one() as server, Gate() as gate, server.connect() as peer:
        prove(server, "/may-leave", "/b")
        before = number(server, TAKEN_BACK)
        peer.send(at_gate("/may-leave", gate, "task"))
        assert peer.reply().text.isdigit()
        assert gate.entered() == "task"
        assert number(server, TAKEN_BACK) == before + 1
        assert not is_short(server, "/may-leave")
        prove(server, "/b")
        gate.release("task")
        prove(server, "/may-leave")


def test_what_follows_a_call_that_leaves_a_task_does_not_wait_for_that() -> None:
    with serve_one(env=NEVER_TAKEN_BACK) as server, Gate() as gate, server.connect() as peer:
        prove(server, "/may-leave")
        peer.send(at_gate("/may-leave", gate, "task") + at_gate("/ring", gate, "ring"))
        assert sorted(gate.entered() for _ in range(2)) == ["ring", "task"]
        gate.release_all()
        assert [peer.reply().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("path", ["/a", "/ring"])
def test_handler_that_holds_the_gil(server: Server, path: str) -> None:
    """What needs no Python is answered meanwhile, and afterwards all goes on as before."""
    prove(server, "/a", "/b")
    with (
        Gate() as gate,
        server.connect() as other,
        hold(server, gate, path, "a", "hold-with-gil") as peer,
    ):
        before = number(server, TAKEN_BACK)
        if path == "/a":
            assert before > 0
        for _ in range(3):
            with server.connect() as short:
                short.send(request("GET", "/b"))
                assert other.get("/livez").status == 200
                assert other.get("/no-such").status == 404
                short.expect_silence(0.05)
        gate.release("a")
        assert peer.reply().text == "released"
        prove(server, "/a", "/b")


def test_python_that_computes(server: Server) -> None:
    """Short handlers take their turns; here only one of them can end the computing."""
    prove(server, "/a", "/enough")
    with Gate() as gate, hold(server, gate, "/ring", "spins", "spin") as peer:
        with server.connect() as other:
            for _ in range(100):
                assert other.get("/a").status == 200
            assert other.get("/enough").text == "enough"
        assert peer.reply().text == "spun"


def test_short_handler_that_computes_after_all(server: Server) -> None:
    prove(server, "/enough")
    with Gate() as gate, block(server, gate, "/a", "spins", "spin") as peer:
        assert server.get("/enough").text == "enough"
        assert peer.reply().text == "spun"


@pytest.mark.parametrize("path", ["/ring", "/a"])
@pytest.mark.parametrize("asked", ["/b", "/ring", "/async", "/main", "/livez"])
def test_handler_that_asks_its_own_server(server: Server, path: str, asked: str) -> None:
    prove(server, "/a", "/b")
    with server.connect() as peer:
        text = peer.get(f"{path}?do=ask&port={server.port}&path={asked}").text
        assert text.startswith("asked ")


def test_coroutine_that_blocks_its_loop(server: Server) -> None:
    """The loop is another thread: `def` handlers do not wait for it, short or not."""
    prove(server, "/a", "/b")
    with Gate() as gate, ExitStack() as stack:
        on_loop = stack.enter_context(hold(server, gate, "/async", "loop"))
        waiting = stack.enter_context(server.connect())
        waiting.send(request("GET", "/async/wait"))
        prove(server, "/a")
        blocked = stack.enter_context(block(server, gate, "/a", "a"))
        prove(server, "/b")
        waiting.expect_silence(0.02)
        gate.release("loop")
        assert on_loop.reply().text == "released"
        assert waiting.reply().text.isdigit()
        gate.release("a")
        assert blocked.reply().text == "released"


def test_coroutines_while_the_reactor_is_home(server: Server) -> None:
    with Gate() as gate, block(server, gate, "/a", "a") as peer, server.connect() as other:
        for path in ("/async", "/async/wait", "/main"):
            assert other.get(path).status == 200
        gate.release("a")
        assert peer.reply().text == "released"


def test_requests_in_flight_are_counted() -> None:
    with serve_one(max_in_flight=2) as server, Gate() as gate, ExitStack() as stack:
        prove(server, "/a", "/b")
        with server.connect() as peer:
            peer.send(request("GET", "/b") * 10)
            assert [peer.reply().status for _ in range(10)] == [200] * 10
        blocked = stack.enter_context(block(server, gate, "/a", "a"))
        assert server.get("/b").status == 200
        slow = stack.enter_context(hold(server, gate, "/ring", "slow"))
        refused = server.get("/b")
        assert (refused.status, refused.header("retry-after")) == (503, "1")
        for name, peer in (("a", blocked), ("slow", slow)):
            gate.release(name)
            assert peer.reply().text == "released"
            assert server.get("/b").status == 200
        prove(server, "/a", "/b")


@pytest.mark.parametrize("env", [{}, NEVER_TAKEN_BACK], ids=["taken back", "inline"])
def test_durations(env: dict[str, str]) -> None:
    """The log and the histogram tell how long a call took, be the reactor taken back or not."""
    seconds = 0.03
    options = {"access_log": True, "log_format": "json"}
    with serve_one(env=env, **options) as server:
        prove(server, "/a")
        summed = "pyre_request_duration_seconds_sum"
        before = number(server, summed, 'route="/a"')
        slow = server.get(f"/a?do=sleep&seconds={seconds}", [("X-Request-ID", "slow")])
        assert slow.text == "slept"
        assert number(server, summed, 'route="/a"') - before >= seconds
        assert number(server, TAKEN_BACK) == (0 if env else 1)
        assert server.stop() == 0
        lines = server.output.text().splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    (logged,) = [one for one in records if one.get("request_id") == "slow"]
    assert (logged["path"], logged["status"]) == ("/a", 200)
    assert logged["duration_ms"] >= seconds * 1000


def test_idle_server_does_nothing(server: Server) -> None:
    """The lane sleeps in its poll, and who watches it sleeps as well."""
    prove(server, "/a")

    def nobody_wakes() -> bool:
        before = wakes(server, "pyre-reactor-0") + wakes(server, "pyre-worker-0")
        time.sleep(0.2)
        return wakes(server, "pyre-reactor-0") + wakes(server, "pyre-worker-0") == before

    wait_until(nobody_wakes, "nobody wakes any more")
    prove(server, "/a")


def test_ids_and_hooks(server: Server) -> None:
    """Hooks run on the thread of their handler, and each request has an id of its own."""
    prove(server, "/hooked")
    with server.connect() as peer:
        ids = [f"mine-{turn}" for turn in range(10)]
        peer.send(b"".join(request("GET", "/hooked", [("X-Request-ID", one)]) for one in ids))
        replies = [peer.reply() for _ in ids]
    assert [reply.header("x-request-id") for reply in replies] == ids
    for reply, one in zip(replies, ids, strict=True):
        its, before, thread = reply.text.split()
        assert (its, before) == (one, thread)
        assert reply.header("x-after") == thread
