"""The control socket of a process and its supervisor: messages stay whole, sockets arrive."""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from pyreframework.serving.processes.channel import DESCRIPTORS_MAX, Channel, close_all, parts


@pytest.fixture
def line() -> Iterator[tuple[Channel, Channel]]:
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


def inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


def open_descriptors() -> int:
    # What earlier tests have left in cycles is not to be closed while another one counts.
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_messages_keep_their_bounds(line: tuple[Channel, Channel]) -> None:
    one, other = line
    one.tell("ready")
    one.tell("files", {"a": [1, 2, 3]}, None)
    assert other.receive() == ["ready"]
    assert other.receive() == ["files", {"a": [1, 2, 3]}, None]
    other.tell("leave")
    assert one.receive() == ["leave"]


def test_listeners_come_before_the_message_behind_them(line: tuple[Channel, Channel]) -> None:
    one, other = line
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        sent = [
            ("127.0.0.1:0", [a.fileno(), b.fileno()], None),
            ("fd:3", [], None),
            ("unix:/a", [b.fileno()], f"1:{2**64 - 1}"),
        ]
        one.tell_listeners(sent)
        one.tell("ready")
        assert other.receive() == ["ready"]
        taken = other.take_listeners()
        assert [(address, file) for address, _, file in taken] == [
            ("127.0.0.1:0", None),
            ("unix:/a", f"1:{2**64 - 1}"),
        ]
        del sent[1]
        for (_, ours, _), (_, theirs, _) in zip(sent, taken, strict=True):
            assert list(map(inode, ours)) == list(map(inode, theirs))
            assert not any(map(os.get_inheritable, theirs))
        close_all(taken)
    assert taken == [] == other.take_listeners()


def test_more_sockets_than_a_message_holds(line: tuple[Channel, Channel]) -> None:
    one, other = line
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        count = 2 * DESCRIPTORS_MAX + 1
        one.tell_listeners([("a:1", [listener.fileno()] * count, None)])
        one.tell("ready")
        assert other.receive() == ["ready"]
        assert [len(sockets) for _, sockets, _ in other.listeners] == [count]
        close_all(other.take_listeners())
    assert open_descriptors() == before


def test_nothing_is_kept_of_what_nobody_takes(line: tuple[Channel, Channel]) -> None:
    one, other = line
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one.tell_listeners([("a:1", [listener.fileno()], None)])
        one.tell("ready")
        other.receive()
        other.close()
    assert open_descriptors() == before - 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_kept_of_what_is_refused(line: tuple[Channel, Channel], when: str) -> None:
    """Whether it has arrived by then or not."""
    one, other = line
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if when == "after":
            other.refuse_listeners()
        one.tell_listeners([("a:1", [listener.fileno()] * (DESCRIPTORS_MAX + 1), None)])
        one.tell_listeners([("b:1", [listener.fileno()], None)])
        one.tell("ready")
        assert other.receive() == ["ready"]
        other.refuse_listeners()
        assert other.take_listeners() == []
    assert open_descriptors() == before


def test_nothing_is_kept_of_what_did_not_all_find_room(line: tuple[Channel, Channel]) -> None:
    one, other = line
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = open_descriptors()
        one.tell_listeners([("a:1", [listener.fileno()] * 5, None)])
        # The lowest number that is free, and one more.
        with open(os.devnull) as lowest:
            number = lowest.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 1, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                other.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert open_descriptors() == before


def test_whoever_waits_hears_of_the_end(line: tuple[Channel, Channel]) -> None:
    """Which is ours; what had arrived is read before."""
    one, other = line
    one.tell("ready")
    other.end()
    assert [other.receive(), other.receive(), one.receive()] == [["ready"], [], []]


@pytest.mark.parametrize("unread", [False, True])
def test_the_other_side_is_gone(line: tuple[Channel, Channel], unread: bool) -> None:
    one, other = line
    if unread:
        one.tell("leave")
    other.close()
    assert one.receive() == []
    one.tell("stop")
    assert one.receive() == []


def test_what_was_said_before_the_end_is_heard_though_something_was_not_read(
    line: tuple[Channel, Channel],
) -> None:
    """The system tells of the reset first, before what is still to be read."""
    one, other = line
    assert other.tell("leave")
    assert one.tell("apps", 2)
    assert one.tell("stopping", True)
    one.close()
    assert other.receive() == ["apps", 2]
    assert other.receive() == ["stopping", True]
    assert other.receive() == []
    assert other.receive() == []


def test_nothing_yet(line: tuple[Channel, Channel]) -> None:
    one, _ = line
    one.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        one.receive()


def test_what_finds_no_room_is_not_said(line: tuple[Channel, Channel]) -> None:
    """A side that does not read holds up nobody, and hears of all that was said."""
    one, other = line
    said = 0
    while one.tell("files", {"a": "x" * 1000}, seconds=0):
        said += 1
    assert said
    for _ in range(said):
        assert other.receive()[0] == "files"
    assert one.tell("ready")
    assert other.receive() == ["ready"]


@pytest.mark.parametrize(
    "name",
    [
        "проект/" * 16 + "модуль",
        os.fsdecode(b"\xff\xfe") * 100,
        # What a process with an ASCII locale has for the bytes of "é".
        "\udcc3\udca9" * 100,
    ],
    ids=["cyrillic", "no text", "UTF-8 in the C locale"],
)
def test_many_files_with_long_names_come_in_whole_messages(
    line: tuple[Channel, Channel], name: str
) -> None:
    one, other = line
    files = {f"/srv/{name}_{number}.py": [1764475000123456789, number, 1] for number in range(500)}
    found: dict[str, object] = {}
    for some in parts(files):
        assert one.tell("files", some)
        found |= other.receive()[1]
    assert found == files


@pytest.mark.parametrize("data", [b"x" * 100_000, b"[", b"\xff", b"{}", b"[]"])
def test_what_is_no_message_is_an_error_of_the_system(
    line: tuple[Channel, Channel], data: bytes
) -> None:
    """Whoever hears it can go on with the next."""
    one, other = line
    one.socket.send(data)
    one.tell("ready")
    with pytest.raises(OSError, match="no message"):
        other.receive()
    assert other.receive() == ["ready"]
