"""The checking client finds what it looks for; no engine is needed."""

from __future__ import annotations

import argparse
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from perf.hand_over_stress import Look, Watched, faults
from perf.harness.counters import TAKEN_BACK
from perf.load import checked
from perf.load.checked import Client, Tally
from perf.load.crowd import Crowd
from perf.load.drawn import WORKS, Plan
from perf.load.flows.client import FlowTally
from perf.tests.peers import Peer

type Answers = list[bytes]
type Spoil = Callable[[int, Answers], Answers]
"""Changes what is sent, given the number of the first answer on its connection."""


def right(head: bytes, body: bytes) -> bytes:
    """What the program that is asked answers."""
    lines = head.decode().split("\r\n")
    path, _, query = lines[0].split(" ")[1].partition("?")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    name = next(line.partition(": ")[2] for line in lines if line.startswith("X-Request-ID"))
    _, route, *words = path.split("/")
    pattern = f"/{route}/{{word}}" if words else f"/{route}"
    status, text = b"200 OK", f"{name} {pattern} {''.join(words)}\n".encode() + body
    text += b"." * int(asked["pad"])
    if asked["work"] == "raise":
        status, text = b"418 I'm a teapot", f"raised of {name}".encode()
    elif asked["work"] == "fail":
        status, text = b"500 Internal Server Error", b'{"error":"internal server error"}'
    length = b"%d" % len(text)
    fields = b"X-Request-ID: " + name.encode() + b"\r\nContent-Length: " + length
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n\r\n" + text


def asker(head: bytes) -> str:
    return head.decode().partition("X-Request-ID: ")[2].split("\r\n")[0].rpartition(".")[0]


def requests(received: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Take the whole requests out of what has come."""
    while (end := received.find(b"\r\n\r\n")) >= 0:
        head, start = bytes(received[:end]), end + 4
        body = b""
        if b"\r\nContent-Length: " in head:
            length = int(head.partition(b"\r\nContent-Length: ")[2].split(b"\r\n")[0])
            body = bytes(received[start : start + length])
            if len(body) < length:
                return
            start += length
        elif b"\r\nTransfer-Encoding: " in head:
            while True:
                line = received.find(b"\r\n", start)
                if line < 0:
                    return
                length = int(received[start:line], 16)
                start = line + 2 + length + 2
                if len(received) < start:
                    return
                body += received[line + 2 : line + 2 + length]
                if length == 0:
                    break
        del received[:start]
        yield head, body


class Obedient(Peer):
    """A server that gives the right answers, unless something spoils them."""

    def __init__(self, spoil: Spoil = lambda _, answers: answers) -> None:
        self.spoil = spoil
        self.askers: set[str] = set()
        """Who has asked: the names of requests without their numbers."""
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        received = bytearray()
        count = 0
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    received += data
                    found = list(requests(received))
                    self.askers.update(asker(head) for head, _ in found)
                    answers = [right(head, body) for head, body in found]
                    connection.sendall(b"".join(self.spoil(count, answers)))
                    count += len(answers)
            except OSError:
                return


def run(server: Obedient, requests: int = 400) -> Tally:
    client = Client("127.0.0.1", server.port, connections=6, seed="s", routes=4)
    try:
        return client.run(requests=requests)
    finally:
        server.listener.close()


def test_right_answers_are_found_right() -> None:
    tally = run(Obedient(), 2000)
    assert (tally.faults, tally.lost, tally.wrong) == (0, 0, [])
    assert tally.is_accounted_for
    assert tally.sent >= 2000
    assert tally.answered == tally.statuses.total()
    assert set(tally.statuses) == {200, 418, 500}
    assert set(tally.works) == {work.name for work in WORKS}
    assert tally.closed > 0
    assert tally.abandoned > 0
    # One is opened for each that was closed before the end.
    assert tally.connections > 6


def swapped(_: int, answers: Answers) -> Answers:
    return [*answers[:-2], *reversed(answers[-2:])]


def doubled(count: int, answers: Answers) -> Answers:
    return [*answers, *(answers[-1:] if count > 5 else [])]


def dropped(count: int, answers: Answers) -> Answers:
    return answers[1:] if count > 5 else answers


def cut(count: int, answers: Answers) -> Answers:
    return [one.replace(b"\r\n\r\n", b"\r\n\r\n\0")[:-1] if count > 5 else one for one in answers]


def other_status(count: int, answers: Answers) -> Answers:
    return [one.replace(b" 200 OK", b" 503 Busy") if count > 5 else one for one in answers]


def other_name(count: int, answers: Answers) -> Answers:
    return [one.replace(b"-ID: a", b"-ID: b") if count > 5 else one for one in answers]


def no_length(_: int, answers: Answers) -> Answers:
    return [one.replace(b"Content-Length", b"Content-Width") for one in answers]


def no_http(_: int, answers: Answers) -> Answers:
    return [one.replace(b"HTTP/1.1", b"ICY") for one in answers]


def closing(_: int, answers: Answers) -> Answers:
    return [one.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) for one in answers]


def ended(count: int, answers: Answers) -> Answers:
    if count > 5:
        raise ConnectionError
    return answers


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (swapped, " with the id "),
        (doubled, "an answer too many|with the id"),
        (dropped, " with the id "),
        (cut, r"\\x00"),
        (other_status, "503 .*, not 200 "),
        (other_name, "with the id 'b"),
        (no_length, "no length"),
        (no_http, "no status line"),
        (closing, "it says that it closes"),
        (ended, "closed after|receiving|sending"),
    ],
)
def test_wrong_answers_are_found(spoil: Spoil, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # One that is dropped at the very end shows by its absence only.
    monkeypatch.setattr(checked, "STALL_S", 2.0)
    tally = run(Obedient(spoil))
    assert tally.faults >= 1
    assert tally.is_accounted_for
    assert re.search(text, tally.wrong[0]), tally.wrong


def test_an_answer_that_does_not_come_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "STALL_S", 0.5)
    # The last answer of each batch, with nothing behind it that could show that it is missing.
    tally = run(Obedient(lambda _, answers: answers[:-1]), 20)
    assert tally.lost >= 1
    assert any("no answer for 0.5 s" in text for text in tally.wrong)


def test_the_same_seed_draws_the_same() -> None:
    def drawn(name: str, seed: str) -> list[bytes]:
        plan = Plan(name, seed, routes=64)
        return [request.wire for _ in range(50) for request in plan.batch()]

    assert drawn("a.1", "1") == drawn("a.1", "1")
    assert drawn("a.1", "1") != drawn("a.1", "2")
    # Names differ anyway; what is asked has to differ, too.
    assert len(drawn("a.1", "1")) != len(drawn("a.2", "1"))


def test_pieces_are_all_of_it() -> None:
    plan = Plan("a", "1", routes=64)
    for length in (1, 2, 3, 1000):
        wire = bytes(index % 251 for index in range(length))
        for _ in range(50):
            pieces = plan.pieces(wire)
            assert b"".join(pieces) == wire
            assert all(pieces)


def test_works_add_up() -> None:
    assert sum(work.of_thousand for work in WORKS) == 1000


def test_tasks_run_once() -> None:
    def checked_tasks(*run: str) -> list[str]:
        tally = Tally(tasks={"a", "b"}, doubtful_tasks={"c"})
        tally.check_tasks(run)
        return tally.wrong

    assert checked_tasks("b", "a") == []
    assert checked_tasks("b", "c", "a") == []
    assert checked_tasks("a") == ["b: its task has not run"]
    assert checked_tasks("a", "b", "b") == ["b: its task has run 2 times"]
    assert checked_tasks("a", "b", "c", "c") == ["c: its task has run 2 times"]
    assert checked_tasks("a", "b", "d") == ["d: a task that nobody left"]


def test_what_clients_have_seen_adds_up() -> None:
    one = Tally(sent=3, answered=2, abandoned=1, statuses=Counter({200: 2}), longest_s=2.0)
    two = Tally(sent=5, answered=5, statuses=Counter({200: 4, 500: 1}), longest_s=1.0, tasks={"x"})
    two.fault("something")
    one.add(two)
    assert (one.sent, one.answered, one.abandoned, one.faults) == (8, 7, 1, 1)
    assert one.statuses == {200: 6, 500: 1}
    assert (one.longest_s, one.tasks, one.wrong) == (2.0, {"x"}, ["something"])
    assert one.is_accounted_for


def test_a_crowd_has_all_connections() -> None:
    server = Obedient()
    crowd = Crowd(server.port, clients=2, connections=5, seed="1", routes=4, seconds=1.5)
    while crowd.goes_on:
        crowd.listen(1.0)
    server.listener.close()
    assert crowd.tally.wrong == []
    assert server.askers == {"0.0", "0.1", "0.2", "1.0", "1.1"}
    assert 0 < crowd.progress.answered <= crowd.tally.answered


def test_a_client_that_dies_is_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    crowd = Crowd(port, clients=1, connections=1, seed="1", routes=4, seconds=1.0)
    while crowd.goes_on:
        crowd.listen(1.0)
    assert crowd.tally.wrong == ["client 0 has ended with exit code 1"]


def watched(rss_kib: list[int], threads: int = 9, files: int = 20) -> Watched:
    """Looks, a second apart, of which the first five are the warm-up; more while under load."""
    looks = [Look(float(at), rss, 30, 50) for at, rss in enumerate(rss_kib)]
    after = Look(float(len(looks)), rss_kib[-1], threads, files)
    return Watched(Look(0.0, 500, 9, 20), looks, after, warm_s=5.0)


def test_growth_is_what_comes_after_the_warm_up() -> None:
    steady = watched([100, 900, 950, 990, 1000, *[1000] * 20])
    assert (steady.growth_kib, steady.threads_added, steady.files_added) == (0, 0, 0)
    growing = watched([100] * 5 + [100 + 10 * n for n in range(20)], 11, 23)
    # Middles of the first two and of the last two.
    assert (growing.warm_kib, growing.last_kib, growing.growth_kib) == (105, 285, 180)
    assert (growing.threads_added, growing.threads_most, growing.files_added) == (2, 30, 3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"code": 1}, ["exit code 1"]),
        ({"code": None}, ["exit code None"]),
        ({"log": "a\nthread 'x' panicked at y\nb"}, ["thread 'x' panicked at y"]),
        ({"sent": 6}, ["6 requests, 4 + 1 accounted for"]),
        ({"faults": 3, "wrong": ["one"]}, ["one", "2 more of these"]),
        ({"growth": 5000}, ["memory has grown by 5000 KiB"]),
        ({"threads": 1}, ["1 threads were added"]),
        ({"files": 2}, ["2 descriptors were added"]),
        ({"lost": 1}, ["7 begun, 5 + 1 accounted for"]),
        ({"unended": ["two"]}, ["two"]),
        ({"taken_back": 9.0}, ["reactors were hardly ever taken back"]),
        ({"taken_back": 0.0, "hand_over": "ring"}, []),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, Any], expected: list[str]) -> None:
    seen = {"code": 0, "log": "", "sent": 5, "faults": 0, "wrong": []}
    seen |= {"files": 0, "lost": 0, "unended": []}
    seen |= {"growth": 0, "threads": 0, "taken_back": 100.0, "hand_over": "auto"} | changes
    tally = Tally(sent=seen["sent"], answered=4, abandoned=1, faults=seen["faults"])
    tally.wrong = seen["wrong"]
    flows = FlowTally(begun=7, ended=6 - seen["lost"], abandoned=1)
    for text in seen["unended"]:
        flows.fault(text)
    rss_kib = [1000] * 20 + [1000 + seen["growth"]] * 5
    during = watched(rss_kib, 9 + seen["threads"], 20 + seen["files"])
    chosen = argparse.Namespace(
        growth_max_kib=4096, threads_added_max=0, taken_back_min=1.0, hand_over=seen["hand_over"]
    )
    counted = {TAKEN_BACK: seen["taken_back"]}
    assert faults((tally, flows), during, counted, (seen["code"], seen["log"]), chosen) == expected
