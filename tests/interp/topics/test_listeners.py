"""Those who listen: how long they do, when they are too slow, and what their frames are."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack

import pytest
from dialogue import Peer, request
from frames import DEFLATE, PING, PONG, TEXT, Frame, Wire, close_frame, frame, inflated
from places import MODES
from serving import Server, serve, wait_until
from streaming import metric, receive_until
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

LONG = "what is said often, is said often, is said often; " * 40


def listening(server: Server, topic: str, **options: int) -> Wire:
    wire = Wire.open(server, f"/listen/{topic}", **options)
    assert wire.text() == "listens"
    return wire


def events(server: Server, query: str, **options: int) -> Peer:
    peer = server.connect(**options)
    peer.send(request("GET", f"/events?{query}"))
    receive_until(peer, b"\r\n\r\n")
    return peer


def subscriptions(server: Server) -> float:
    return metric(server, "pyre_topic_subscriptions")


@MODES
def test_a_subscription_ends_with_its_connection(mode: str | None) -> None:
    with serve("topics", mode=mode, metrics=True) as server:
        wires = [listening(server, "t") for _ in range(6)]
        queries = ["topic=t&topic=u", "topic=t&topic=u&keep=1"] * 3
        streams = [events(server, query) for query in queries]
        assert subscriptions(server) == 6 + 12
        wires.pop().close()
        wires.pop().abort()
        streams.pop().abort()
        streams.pop().abort()
        wait_until(lambda: subscriptions(server) == 4 + 8, "four have gone")
        # One that has only closed its side is gone soon, though nothing is published.
        streams[0].finish_sending()
        wait_until(lambda: subscriptions(server) == 4 + 6, "one more has gone")
        for peer in wires + streams[1:]:
            peer.abort()
        wait_until(lambda: subscriptions(server) == 0, "nobody listens")


def test_a_stream_that_the_program_forgets_goes_on_and_its_connection_is_used_again() -> None:
    with serve("topics", metrics=True, workers=1, io_workers=1) as server:
        with events(server, "topic=t&keep=1") as kept, events(server, "topic=t") as forgotten:
            for number in range(3):
                server.post("/publish/def", b"%d" % number)
                expected = b"data: %d\n\n" % number
                receive_until(kept, expected)
                receive_until(forgotten, expected)
            server.post("/close-kept", b"")
            receive_until(kept, b"0\r\n\r\n")
            # The same connection, now with another stream.
            kept.send(request("GET", "/events?topic=u"))
            receive_until(kept, b"\r\n\r\n")
            server.post("/publish/def", b"not for it")
            server.post("/publish/def?topic=u", b"for it")
            assert b"not for it" not in receive_until(kept, b"data: for it\n\n")
            receive_until(forgotten, b"data: not for it\n\n")


def test_what_is_published_goes_behind_an_event_that_is_half_sent() -> None:
    with serve("topics", workers=1, io_workers=1) as server, server.connect() as half:
        half.send(request("GET", "/half"))
        receive_until(half, b"data: ha\r\n")
        # Behind that one in the order in which they hear of it.
        with listening(server, "t") as wire:
            server.post("/publish/def", b"one")
            server.post("/publish/def", b"two")
            assert [wire.text(), wire.text()] == ["one", "two"]
            server.post("/other-half", b"")
            rest = receive_until(half, b"data: two\n\n\r\n")
            assert re.findall(rb"lf\n\n|data: \w+\n\n", rest) == [
                b"lf\n\n",
                b"data: one\n\n",
                b"data: two\n\n",
            ]


def test_http_1_0_and_head_hear_it_or_nothing() -> None:
    with serve("topics", metrics=True) as server:
        with server.connect() as old:
            old.send(b"GET /events?topic=t HTTP/1.0\r\n\r\n")
            receive_until(old, b"\r\n\r\n")
            server.post("/publish/def", b"a")
            assert receive_until(old, b"\n\n") == b"data: a\n\n"
        wait_until(lambda: subscriptions(server) == 0, "it has gone")
        assert server.request("HEAD", "/events?topic=t").status == 200
        assert subscriptions(server) == 0


@MODES
def test_who_does_not_read_is_dropped_and_the_others_do_not_wait(mode: str | None) -> None:
    with serve("topics", mode=mode, metrics=True, body_timeout=60) as server, ExitStack() as stack:
        slow = stack.enter_context(listening(server, "t", receive_bytes=4096))
        mute = stack.enter_context(listening(server, "t", receive_bytes=4096))
        deaf = stack.enter_context(events(server, "topic=t", receive_bytes=4096))
        quick = stack.enter_context(listening(server, "t"))
        stream = stack.enter_context(events(server, "topic=t"))
        data = b"x" * 60_000
        published = 0

        def are_dropped() -> bool:
            nonlocal published
            published += 1
            assert server.post("/publish/def", data).text == "None"
            # Others have it at once.
            assert quick.message().payload == data
            receive_until(stream, data + b"\n\n")
            return metric(server, "pyre_topic_dropped_subscribers_total") == 3

        wait_until(are_dropped, "all three are dropped")
        server.output.wait_for("left with 1013 too slow for its topics the client was dropped")
        # What it gets if it reads after all is whole up to the end, which says why.
        found: list[Frame] = []
        while not found or found[-1].opcode == TEXT:
            found.append(slow.read())
        assert found[-1].code == 1013
        assert {one.payload for one in found[:-1]} == {data}
        assert len(found) - 1 < published
        # To the other one it is clear that this is not the whole.
        assert not deaf.rest().endswith(b"0\r\n\r\n")
        # One that reads nothing any more is not kept for as long as others are.
        wait_until(lambda: subscriptions(server) == 2, "two listen on")
        assert mute.socket.fileno() != -1


def test_what_is_counted() -> None:
    with serve("topics", metrics=True, io_workers=1) as server:
        with listening(server, "t") as wire, events(server, "topic=t") as stream:
            server.post("/publish/def", b"abc")
            server.post("/publish/def?topic=nobody", b"abc")
            assert wire.text() == "abc"
            receive_until(stream, b"data: abc\n\n")
            found = {
                name: metric(server, name)
                for name in (
                    "pyre_topic_deliveries_total",
                    "pyre_topic_subscriptions",
                    "pyre_topic_dropped_subscribers_total",
                    'pyre_websocket_messages_total{direction="sent"}',
                    'pyre_websocket_bytes_total{direction="sent"}',
                )
            }
            assert list(found.values()) == [2, 2, 0, 2, len("listens") + 3]
            # The clock of the program publishes as well.
            assert metric(server, "pyre_topic_publications_total") >= 2
            wire.close()


@pytest.mark.parametrize("way", ["async", "timeout", "patient"])
def test_a_publisher_that_is_faster_than_the_reactors_is_told_or_waits(way: str) -> None:
    with serve("topics", metrics=True, request_timeout=0) as server, ExitStack() as stack:
        # They read nothing, and are many: each message takes a reactor long.
        peers = [stack.enter_context(events(server, "topic=flood")) for _ in range(100)]
        if way == "patient":
            flood = stack.enter_context(server.connect())
            flood.send(request("GET", "/flood/patient?60000"))
            flood.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                flood.socket.recv(1)
            flood.socket.settimeout(60)
        else:
            answer = server.get(f"/flood/{way}").text
            number, _, said = answer.partition(" ")
            # 16 MiB are on their way.
            assert int(number) > 10_000
            assert ("asyncio.to_thread" if way == "async" else "there was no room") in said
            assert server.resident_bytes() < 512 << 20
        for peer in peers:
            peer.abort()
        wait_until(lambda: subscriptions(server) == 0, "nobody listens")
        if way == "patient":
            assert flood.reply().text == "all were taken"
        with listening(server, "flood") as wire:
            server.post("/publish/def?topic=flood", b"again")
            assert wire.text() == "again"
            wire.close()


def test_pings_pongs_and_what_is_published_are_whole_frames() -> None:
    with serve("topics", io_workers=1) as server, listening(server, "t") as wire:
        for number in range(50):
            wire.send(frame(PING, b"%d" % number))
            server.post("/publish/def", b"%d" % number)
        found = [wire.read() for _ in range(100)]
        for opcode in (PONG, TEXT):
            payloads = [one.payload for one in found if one.opcode == opcode]
            assert payloads == [b"%d" % number for number in range(50)]
        wire.close()


def test_only_who_keeps_no_context_hears_it_compressed() -> None:
    name, value = DEFLATE
    alone = (name, f"{value}; server_no_context_takeover; server_max_window_bits=10")
    with serve("topics") as server, ExitStack() as stack:
        wires = [
            stack.enter_context(Wire.open(server, "/async", headers))
            for headers in ([], [DEFLATE], [alone], [alone])
        ]
        for _ in range(3):
            for wire in wires:
                wire.say("+" + LONG[:200])
                assert wire.text() == "+" + LONG[:200]
            server.post("/publish/def?topic=" + LONG[:200].replace(" ", "%20"), LONG.encode())
            found = [wire.message() for wire in wires]
            assert [one.is_compressed for one in found] == [False, False, True, True]
            assert found[2].payload == found[3].payload
            assert len(found[2].payload) < len(LONG) / 10
            assert inflated(found[2].payload) == found[1].payload == LONG.encode()
        # Others with a window of another size have it in their own.
        wider = (name, f"{value}; server_no_context_takeover")
        with Wire.open(server, "/listen/t", [wider]) as wire, listening(server, "t") as plain:
            assert wire.text() == "listens"
            server.post("/publish/def", LONG.encode())
            assert inflated(wire.message().payload) == plain.message().payload
            # Short ones are as they are for all.
            server.post("/publish/def", b"short")
            assert not wire.message().is_compressed


def test_clients_with_compression_read_both_kinds_of_messages() -> None:
    own = [LONG + str(number) for number in range(20)]
    published = ["published " + text for text in own]

    async def talk_to(server: Server) -> None:
        url = server.url.replace("http://", "ws://") + "/async"
        keeping, alone = (
            ClientPerMessageDeflateFactory(server_no_context_takeover=is_alone)
            for is_alone in (False, True)
        )
        async with (
            connect(url, compression=None, extensions=[keeping]) as one,
            connect(url, compression=None, extensions=[alone]) as two,
        ):
            for client in (one, two):
                await client.send("+t")
                assert await client.recv() == "+t"
            heard: list[list[str | bytes]] = [[], []]
            for text in own:
                # Answers are compressed with what was before, if the client keeps that.
                await one.send(text)
                await two.send(text)
                await one.send("!t published " + text)
                heard[0] += [await one.recv() for _ in range(3)]
                heard[1] += [await two.recv() for _ in range(2)]
            for of_one in heard:
                assert [text for text in of_one if text in own] == own
                assert [text for text in of_one if text in published] == published

    with serve("topics") as server:
        asyncio.run(asyncio.wait_for(talk_to(server), 60))


@MODES
def test_at_the_stop_listeners_are_told(mode: str | None) -> None:
    with serve("topics", mode=mode, shutdown_timeout=20) as server:
        with events(server, "topic=t") as stream, listening(server, "t") as wire:
            server.post("/publish/def", b"last")
            assert wire.text() == "last"
            receive_until(stream, b"data: last\n\n")
            server.signal(15)
            # A stream that nobody has any more ends in order, and holds up nothing.
            assert stream.rest().endswith(b"0\r\n\r\n")
            wire.expect_close(1001)
            wire.send(close_frame(1001))
            assert server.wait(15) == 0


@MODES
def test_what_is_published_before_a_stop_is_heard_before_the_goodbye(mode: str | None) -> None:
    with serve("topics", mode=mode, shutdown_timeout=20) as server, ExitStack() as stack:
        streams = [stack.enter_context(events(server, "topic=t")) for _ in range(60)]
        wires = [stack.enter_context(listening(server, "t")) for _ in range(4)]
        assert server.post("/publish/last/50", b"").text == "None"
        for wire in wires:
            assert [wire.text() for _ in range(50)] == [f"last {number}" for number in range(50)]
            wire.expect_close(1001)
            wire.send(close_frame(1001))
        for stream in streams:
            rest = stream.rest()
            assert (rest.count(b"data: last "), rest[-5:]) == (50, b"0\r\n\r\n")
        assert server.wait(15) == 0
