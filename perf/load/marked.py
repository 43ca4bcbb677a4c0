"""Clients whose requests end in every way there is, and that look for others in what they get.

Each request carries an id of its own, which comes back in headers and body, and nobody else's may.
The application is `isolation_app.py`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from perf.harness.exchange import Answer, BadAnswer, Client, Closed
from perf.load.faults import Faults

WORKS = {"answer": 40, "wait": 10, "late": 5, "leave": 15, "raise": 10, "cancel": 10}
OF_COROUTINES = {**WORKS, "group": 10, "timeout": 5}
KINDS = {"plain": 4, "coroutine": 9, "plain-main": 1, "coroutine-main": 4}
MARKS = ("none", "none", "task", "name", "callback")
SILENCE_S = 30.0
"""A client that has waited so long for an answer has lost it, on the slowest machine."""
PIPELINE_MAX = 4

_EXPECTED = {"raise": 418, "cancel": 500}
_IN_TIME = 504
"""What every request may become on a machine that is busy."""


@dataclass
class Tally(Faults):
    """What became of the requests."""

    sent: int = 0
    left: int = 0
    """Connections that were closed before an answer came."""
    closed: int = 0
    """Connections that the server closed before an answer came."""
    statuses: Counter[int] = field(default_factory=Counter)
    works: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Request:
    name: str
    kind: str
    work: str
    wire: bytes


class Crowd:
    """The clients, a thread for each connection."""

    def __init__(self, port: int, *, connections: int, seed: str) -> None:
        """Prepare them; the same seed draws the same requests for each."""
        self.tally = Tally()
        self._port = port
        self._seed = seed
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=[number]) for number in range(connections)
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        count = 0
        client: Client | None = None
        while not self._is_over.is_set():
            drawn = []
            for _ in range(chance.choice((1, 1, 1, PIPELINE_MAX))):
                count += 1
                drawn.append(_draw(chance, f"{number}.{count}", self._port))
            try:
                client = client or Client(self._port, SILENCE_S)
                client.send(b"".join(one.wire for one in drawn))
                stays = self._answers(client, drawn, chance)
            except Closed:
                # One that takes too long is given up with its connection and those behind it.
                with self._lock:
                    self.tally.closed += 1
                stays = False
            except BadAnswer as error:
                with self._lock:
                    self.tally.fault(f"{[one.name for one in drawn]}: {error}")
                stays = False
            if not stays and client is not None:
                client.close()
                client = None
        if client is not None:
            client.close()

    def _answers(self, client: Client, drawn: list[_Request], chance: random.Random) -> bool:
        """Read all answers, or leave before; return whether the connection can go on."""
        for number, one in enumerate(drawn):
            with self._lock:
                self.tally.sent += 1
                self.tally.works[one.work] += 1
            if one.work == "leave":
                time.sleep(chance.random() * 0.02)
                with self._lock:
                    self.tally.sent += len(drawn) - number - 1
                    self.tally.left += 1
                return False
            answer = client.answer()
            with self._lock:
                self.tally.statuses[answer.status] += 1
                for text in _faults(one, answer):
                    self.tally.fault(f"{one.name} ({one.kind}, {one.work}): {text}")
            if answer.headers.get("connection") == "close":
                with self._lock:
                    self.tally.sent += len(drawn) - number - 1
                return False
        return True


def _draw(chance: random.Random, name: str, port: int) -> _Request:
    kind = chance.choices([*KINDS], [*KINDS.values()])[0]
    works = OF_COROUTINES if kind.startswith("coroutine") else WORKS
    work = chance.choices([*works], [*works.values()])[0]
    ms = chance.randint(120, 220) if work == "late" else chance.randint(0, 20)
    if work == "leave":
        ms = chance.randint(1, 40)
    target = f"/{kind}/{name}?id={name}&work={work}&ms={ms}&mark={chance.choice(MARKS)}"
    head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Request-ID: {name}\r\n\r\n"
    return _Request(name, kind, work, head.encode())


def _faults(one: _Request, answer: Answer) -> list[str]:
    """Return everything in an answer that is not this request's."""
    # One that is late gets its answer if nobody had the time to interrupt it.
    expected = _EXPECTED.get(one.work, 200)
    found = []
    if answer.status not in (expected, _IN_TIME):
        found.append(f"{answer.status} instead of {expected}: {answer.body[:200]!r}")
    if answer.status == 200 and answer.body.decode() != one.name:
        found.append(f"traces: {answer.body.decode()}")
    if answer.status == 418 and answer.body.decode() != f"left of {one.name}":
        found.append(f"another's exception: {answer.body.decode()}")
    for header, value in answer.headers.items():
        if header in ("x-owner", "x-request-id") and value != one.name:
            found.append(f"{header}: {value}")
        if header.startswith(("x-own-", "x-left-")) and header.split("-", 2)[2] != one.name:
            found.append(f"header {header}")
    return found


def check_written(file: Path, tally: Tally) -> Counter[str]:
    """See what the application has written: each request that began has ended once.

    Returns how many lines of each kind there are.
    """
    counts: Counter[str] = Counter()
    # Requests that have begun and not ended, and callbacks that were asked for and not called.
    begun: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    with file.open() as lines:
        for line in lines:
            word, _, name = line.rstrip("\n").partition(" ")
            counts[word] += 1
            match word:
                case "begin":
                    begun[name] += 1
                case "end":
                    begun[name] -= 1
                case "calling":
                    asked[name] += 1
                case "called":
                    asked[name] -= 1
                case _:
                    tally.fault(line.strip())
            if begun and begun.get(name) == 0:
                del begun[name]
            if asked and asked.get(name) == 0:
                del asked[name]
    for name, count in begun.items():
        tally.fault(f"{name}: {'no' if count > 0 else 'more than one'} after hook")
    for name, count in asked.items():
        tally.fault(f"{name}: done callback {'never' if count > 0 else 'more than once'} called")
    return counts
