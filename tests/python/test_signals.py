"""Stop requests: from signals, threads and descriptors; and what was there is put back."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pyreframework.serving.signals.stop import (
    SAME_SIGNAL_SECONDS,
    STOP_SIGNALS,
    News,
    Stop,
    nothing,
)


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def all_news(stop: Stop) -> Iterator[News]:
    """What there is to tell, until nothing has come for a while."""
    while True:
        try:
            yield stop.news.get(timeout=0.05)
        except queue.Empty:
            return


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    with Stop() as stop:
        os.kill(os.getpid(), number)
        stop.wait()


def test_request_from_a_thread() -> None:
    with Stop() as stop:
        threading.Thread(target=stop.request).start()
        stop.wait()


def test_request_through_the_descriptor() -> None:
    with Stop() as stop:
        os.write(stop.fd, b"\0")
        stop.wait()


def test_many_requests_do_not_block() -> None:
    with Stop() as stop:
        for _ in range(100_000):
            stop.request()
        stop.wait()


def test_what_was_there_is_put_back() -> None:
    def own(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, own)
    before = signal.getsignal(signal.SIGINT)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(writer)
    try:
        with Stop():
            assert signal.getsignal(signal.SIGTERM) is not own
        assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        assert signal.set_wakeup_fd(-1) == writer
        os.close(reader)
        os.close(writer)


def test_nothing_is_left_behind() -> None:
    descriptors, threads = open_descriptors(), threading.active_count()
    for _ in range(3):
        with Stop() as stop:
            stop.request()
            stop.wait()
    stop.request()
    assert open_descriptors() == descriptors
    assert threading.active_count() == threads


def test_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Stop() as stop:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        stop.request()
        stop.wait()


def test_signals_of_others_are_no_request() -> None:
    caught = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: caught.set())
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert caught.wait(10)
            assert set(all_news(stop)) <= {News.HANDLED}
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_without_signals_on_another_thread() -> None:
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    seen = []

    def enter() -> None:
        with Stop() as stop:
            seen.append([signal.getsignal(number) for number in STOP_SIGNALS])
            stop.request()
            stop.wait()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [handlers]


@pytest.mark.parametrize("hold", ["time.sleep(60)", "threading.Event().wait()"])
def test_second_signal_ends_the_process(hold: str) -> None:
    text = f"""
import threading, time
from pyreframework.serving.signals.stop import Stop
with Stop() as stop:
    print("ready", flush=True)
    stop.wait()
    print("asked", flush=True)
    {hold}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    with process:
        for line in ("ready\n", "asked\n"):
            assert process.stdout.readline() == line
            # One that comes soon after the first is taken for that one again. When the first came
            # is known once it is answered, and not when it was sent.
            time.sleep(SAME_SIGNAL_SECONDS)
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
        assert process.stderr.read() == "pyre: stopped at once by a second signal\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_as_handlers_are_set(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """It counts as soon as it does nothing else."""
    plain = signal.signal

    def setting(given: int, handler: object) -> object:
        before = plain(given, handler)  # type: ignore[arg-type]
        if given == number and handler is nothing:
            os.kill(os.getpid(), number)
        return before

    monkeypatch.setattr(signal, "signal", setting)
    with Stop() as stop:
        assert stop.news.get(timeout=30) is News.STOP
        assert stop.is_asked
