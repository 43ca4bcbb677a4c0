"""Who may publish, what, and who hears it: WebSockets and event streams of all workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from dialogue import Peer, request
from frames import BINARY, TEXT, Wire
from places import PLACES
from serving import Server, serve
from streaming import framed, receive_until

WAYS = ["def", "async", "main", "thread", "loop", "task"]


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("topics", **PLACES[request.param]) as server:
        yield server


def listening(server: Server, topic: str, kind: str = "async") -> Wire:
    wire = Wire.open(server, f"/{kind}")
    order(wire, f"+{topic}")
    return wire


def order(wire: Wire, text: str) -> None:
    wire.say(text)
    assert wire.text() == text


def events(server: Server, query: str) -> Peer:
    peer = server.connect()
    peer.send(request("GET", f"/events?{query}"))
    receive_until(peer, b"\r\n\r\n")
    return peer


def event(peer: Peer) -> str:
    """The next event, which is a chunk of its own."""
    chunk = receive_until(peer, b"\n\n\r\n")
    size, _, data = chunk.partition(b"\r\n")
    assert framed(data[:-2]) == chunk, (size, data)
    return data[:-4].decode()


@pytest.mark.parametrize("way", WAYS)
def test_whoever_publishes_all_hear_it(server: Server, way: str) -> None:
    with ExitStack() as stack:
        kinds = ("async", "def") * 3
        wires = [stack.enter_context(listening(server, "t", kind)) for kind in kinds]
        streams = [stack.enter_context(events(server, "topic=t")) for _ in range(4)]
        for number in range(3):
            text = f"{number} ä\N{GRINNING FACE}\n second line"
            assert server.post(f"/publish/{way}", text.encode()).text == "None"
            for wire in wires:
                found = wire.message()
                assert (found.opcode, found.payload.decode()) == (TEXT, text)
            for stream in streams:
                assert event(stream) == f"data: {number} ä\N{GRINNING FACE}\ndata:  second line"


def test_hooks_tasks_of_the_start_and_the_listener_himself_publish(server: Server) -> None:
    with listening(server, "t") as wire, listening(server, "t", "def") as other:
        server.get("/not-events", [("X-Publish", "by a hook")])
        assert wire.text() == other.text() == "by a hook"
        wire.say("!t by himself")
        assert other.text() == "by himself"
        # His own answer may overtake what he publishes.
        assert {wire.text(), wire.text()} == {"by himself", "!t by himself"}
    with listening(server, "clock") as wire:
        first = int(wire.text().removeprefix("tick "))
        assert wire.text() == f"tick {first + 1}"


@pytest.mark.parametrize(
    ("form", "body", "opcode", "payload", "data"),
    [
        ("text", b"", TEXT, b"", "data: "),
        ("text", b"a\r\nb\rc\n", TEXT, b"a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: "),
        ("text", b"x" * 70_000, TEXT, b"x" * 70_000, "data: " + "x" * 70_000),
        ("bytes", "ä".encode(), BINARY, "ä".encode(), "data: ä"),
        ("buffer", b"ab", BINARY, b"ab", "data: ab"),
        ("json", b'{"a": [1, "\xc3\xa4"]}', TEXT, b'{"a":[1,"\xc3\xa4"]}', 'data: {"a":[1,"ä"]}'),
        ("json", b"null", TEXT, b"null", "data: null"),
    ],
    ids=["empty", "lines", "long", "bytes", "buffer", "json", "null"],
)
def test_what_can_be_published(
    server: Server, form: str, body: bytes, opcode: int, payload: bytes, data: str
) -> None:
    with listening(server, "t") as wire, events(server, "topic=t") as stream:
        assert server.post(f"/publish/def?as={form}", body).text == "None"
        found = wire.message()
        assert (found.opcode, found.payload) == (opcode, payload)
        assert event(stream) == data


def test_events_have_a_type_and_an_id(server: Server) -> None:
    with listening(server, "t") as wire, events(server, "topic=t") as stream:
        server.post("/publish/def?event=news&id=7", b"a")
        assert event(stream) == "event: news\nid: 7\ndata: a"
        assert wire.text() == "a"
        for query, said in (
            ("event=a%0Ab", "event of an event has a line end"),
            ("id=a%0Db", "id of an event has a line end, or NUL"),
            ("id=%00", "id of an event has a line end, or NUL"),
        ):
            assert server.post(f"/publish/def?{query}", b"a").text.endswith(said)


def test_bytes_that_are_no_text_are_refused_where_event_streams_listen(server: Server) -> None:
    # Streams of the tests before may not have ended yet.
    to = "/publish/def?topic=bytes&as=bytes"
    with listening(server, "bytes") as wire:
        assert server.post(to, b"\xff\0").text == "None"
        assert wire.message().payload == b"\xff\0"
        with events(server, "topic=bytes") as stream:
            answer = server.post(to, b"\xff").text
            assert answer.startswith("ValueError: event streams have subscribed to 'bytes'")
            server.post(to, b"a")
            assert event(stream) == "data: a"
        assert wire.message().payload == b"a"


def test_subscribing_again_and_ending_it(server: Server) -> None:
    with listening(server, "a") as wire:
        for text in ("+a", "+b", "-a", "-a", "-never"):
            order(wire, text)
        server.post("/publish/def?topic=a", b"not heard")
        server.post("/publish/def?topic=b", b"once")
        assert wire.text() == "once"
        order(wire, "+a")
        server.post("/publish/def?topic=a", b"again")
        assert wire.text() == "again"


def test_who_subscribes_hears_what_is_published_behind_that_and_nothing_before(
    server: Server,
) -> None:
    for _ in range(20):
        with Wire.open(server, "/cut") as wire:
            assert wire.text() == "behind"
            wire.say("go on")
            assert wire.text() == "again"


def test_a_stream_hears_what_is_published_before_it_is_returned(server: Server) -> None:
    for _ in range(5):
        with events(server, "topic=t&topic=u&early=news&own=1") as stream:
            assert event(stream) == "data: own"
            assert event(stream) == "data: news"
            server.post("/publish/def?topic=u", b"later")
            assert event(stream) == "data: later"


def test_messages_of_one_publisher_come_in_order(server: Server) -> None:
    count = 300
    with ExitStack() as stack:
        wires = [stack.enter_context(listening(server, "t")) for _ in range(4)]
        streams = [stack.enter_context(events(server, "topic=t")) for _ in range(2)]
        peers = [stack.enter_context(server.connect()) for _ in range(3)]
        for number, peer in enumerate(peers):
            peer.send(request("POST", f"/publish/row/{count}", body=f"p{number}".encode()))
        heard = [[wire.text() for _ in range(3 * count)] for wire in wires]
        heard += [[event(one).removeprefix("data: ") for _ in range(3 * count)] for one in streams]
        for peer in peers:
            peer.reply()
        for of_one in heard:
            for number in range(3):
                own = [text for text in of_one if text.startswith(f"p{number} ")]
                assert own == [f"p{number} {at}" for at in range(count)]
        # All hear the same order, whoever publishes.
        assert all(of_one == heard[0] for of_one in heard)


def test_a_topic_has_a_name(server: Server) -> None:
    length = "ValueError: the name of a topic has 1 to 256 bytes in UTF-8"
    found = json.loads(server.get("/bad-names").body)
    assert found[:6] == [length] * 6
    assert [text.partition(":")[0] for text in found[6:8]] == ["UnicodeEncodeError"] * 2
    assert found[8:] == ["TypeError: topic must be a str, not int"] * 2


def test_a_connection_has_a_bound_of_topics(server: Server) -> None:
    with Wire.open(server, "/async") as wire:
        order(wire, "*128")
        order(wire, "+topic 5")
        wire.say("+one more")
        assert wire.text() == "RuntimeError: a connection subscribes to at most 128 topics"
        order(wire, "-topic 5")
        order(wire, "+one more")


def test_only_event_streams_subscribe(server: Server) -> None:
    refused = "only event streams subscribe to topics"
    assert server.get("/not-events").text.split("\n") == [refused] * 2 + ["the stream is closed"]
