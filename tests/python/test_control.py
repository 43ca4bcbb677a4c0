"""Whose line a process finds, and what it hears over it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pyreframework.serving.processes import control as controls
from pyreframework.serving.processes.channel import Channel
from pyreframework.serving.processes.control import VARIABLE, ControlSocket, is_alive
from pyreframework.serving.signals import stop as stops
from pyreframework.serving.signals.stop import News, Stop


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Channel, int]]:
    """The supervisor's end of a line, and the descriptor of the other end."""
    ours, theirs = Channel.pair()
    descriptor = theirs.socket.detach()
    os.set_inheritable(descriptor, True)
    monkeypatch.setenv(VARIABLE, f"{descriptor}:{os.getppid()}")
    # It is for good in a process that a supervisor ends.
    monkeypatch.setattr(stops, "is_over_elsewhere", threading.Event())
    yield ours, descriptor
    ours.close()


def test_the_line_is_found_once(supervised: tuple[Channel, int]) -> None:
    ours, descriptor = supervised
    ours.tell("start", 2, False)
    control = ControlSocket.find()
    assert control is not None and control.activated == 2
    assert VARIABLE not in os.environ
    assert not os.get_inheritable(descriptor)
    assert ControlSocket.find() is None
    ours.close()
    assert control.thread is not None
    control.thread.join(30)
    control.channel.close()


@pytest.mark.parametrize(
    ("said", "heard"), [("leave", News.LEAVE), ("stop", News.STOP), (None, News.STOP)]
)
def test_what_is_said_is_heard(
    supervised: tuple[Channel, int], said: str | None, heard: News
) -> None:
    """Also if the supervisor is gone."""
    ours, _ = supervised
    ours.tell("start", 0, False)
    control = ControlSocket.find()
    assert control is not None
    with Stop() as stop:
        control.attach(stop)
        if said is None:
            ours.close()
        else:
            ours.tell(said)
        assert stop.news.get(timeout=30) is heard
        control.attach(None)
    ours.close()
    assert control.thread is not None
    control.thread.join(30)
    control.channel.close()


def test_one_that_was_given_up_before_it_asked(supervised: tuple[Channel, int]) -> None:
    """It stops as soon as there is something to stop."""
    ours, _ = supervised
    ours.tell("stop")
    control = ControlSocket.find()
    assert control is not None and control.stopped
    assert ours.receive() == ["ask"]
    with Stop() as stop:
        control.attach(stop)
        assert stop.news.get(timeout=30) is News.STOP
        assert stop.is_asked
        control.attach(None)
    control.channel.close()


def test_a_supervisor_that_does_not_read_for_a_while(
    supervised: tuple[Channel, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said waits for it, however often files are looked for meanwhile."""
    ours, _ = supervised
    looked = threading.Semaphore(0)
    files = {f"/srv/{number}.py": [number, 1, 1] for number in range(1000)}

    def program_files(_more: object) -> dict[str, list[int]]:
        looked.release()
        return files

    monkeypatch.setattr(controls, "program_files", program_files)
    monkeypatch.setattr(controls, "LOOK_SECONDS", 0.01)
    ours.tell("start", 0, True)
    control = ControlSocket.find()
    assert control is not None and control.thread is not None
    for _ in range(3):
        assert looked.acquire(timeout=30)
    while control.channel.tell("files", {"x" * 1000: [1, 1, 1]}, seconds=0):
        pass
    ready = threading.Thread(target=control.ready, args=[[], 1.0])
    ready.start()
    for _ in range(5):
        assert looked.acquire(timeout=30)
    told: dict[str, object] = {}
    assert ours.receive() == ["ask"]
    while (said := ours.receive())[0] != "ready":
        told |= said[1]
    ready.join(30)
    assert not ready.is_alive() and control.thread.is_alive()
    assert files.items() <= told.items()
    ours.close()
    control.thread.join(30)
    control.channel.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_before_anybody_listens(supervised: tuple[Channel, int], when: str) -> None:
    """The supervisor is gone, or has asked for a stop, while the program is still loaded."""
    ours, _ = supervised
    if when == "after":
        ours.tell("start", 0, False)
    ours.close()
    control = ControlSocket.find()
    assert control is not None
    if control.thread is not None:
        control.thread.join(30)
    with Stop() as stop:
        control.attach(stop)
        assert stop.news.get(timeout=30) is News.STOP
        control.attach(None)
    control.channel.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("said", ["stop all", None])
def test_what_another_thread_begins_to_serve_after_the_end_of_all_stops_too(
    supervised: tuple[Channel, int], when: str, said: str | None
) -> None:
    """Nobody would tell it any more. ``when``: whether the process had asked what to start with."""
    ours, _ = supervised
    if when == "after":
        ours.tell("start", 0, False)
    if said is not None:
        ours.tell(said)
    ours.close()
    control = ControlSocket.find()
    assert control is not None
    if control.thread is not None:
        control.thread.join(30)
    heard: list[tuple[News, bool]] = []

    def serve() -> None:
        with Stop() as stop:
            heard.append((stop.news.get(timeout=30), stop.is_asked))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(60)
    assert heard == [(News.STOP, True)]
    control.channel.close()


def test_strangers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the variable of a living process that is not our parent, nor another socket."""
    with (
        socket.socket(socket.AF_INET) as stranger,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sibling,
    ):
        os.set_inheritable(stranger.fileno(), True)
        parent = os.getppid()
        for value in (
            f"{stranger.fileno()}:{sibling.pid}", f"{stranger.fileno()}:{parent}",
            f"99999:{parent}", f"0:{parent}", "", "1", f"-1:{parent}", f"x:{parent}",
        ):  # fmt: skip
            monkeypatch.setenv(VARIABLE, value)
            assert ControlSocket.find() is None
        assert os.get_inheritable(stranger.fileno())
        stranger.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)


def test_processes_that_are_and_are_not() -> None:
    assert is_alive(os.getpid()) and is_alive(1)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_alive(gone.pid)
