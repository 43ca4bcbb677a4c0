"""What the log says while workers start, by a clock of the test's."""

from __future__ import annotations

import tracemalloc

import pytest

from pyreframework.serving import progress
from pyreframework.serving.progress import Progress, names, waiting, warn_of_tracing

SERVING, LOADING = ("serving", ""), ("loading", "")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    class Logger:
        def info(self, form: str, *arguments: object) -> None:
            lines.append(form % arguments)

        warning = info

    monkeypatch.setattr(progress.records, "logger", lambda name: Logger())
    return lines


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_quick_start_is_not_worth_a_word(told: list[str]) -> None:
    clock = Clock()
    start = Progress(False, clock)
    for workers in ([LOADING] * 2, [SERVING, LOADING], [SERVING] * 2):
        clock.now += 1.4
        start.tell(workers)
    # The last is told of when it has started, however long that took.
    assert told == []


def test_a_slow_start_says_again_and_again_what_it_waits_for(told: list[str]) -> None:
    clock = Clock()
    start = Progress(False, clock)
    for _ in range(7):
        clock.now += 1
        start.tell([SERVING, ("loading", "httpx")])
    assert told == [
        "1 of 2 workers has started (3.0 s); worker 1 is importing httpx",
        "1 of 2 workers has started (6.0 s); worker 1 is importing httpx",
    ]


def test_verbose_tells_of_each_worker_once(told: list[str]) -> None:
    clock = Clock()
    start = Progress(True, clock)
    for workers in ([LOADING] * 3, [LOADING, SERVING, LOADING], [SERVING] * 3, [SERVING] * 3):
        clock.now += 0.25
        start.tell(workers)
    assert told == [
        "worker 1 has started (0.5 s), 1 of 3 workers",
        "worker 0 has started (0.8 s), 2 of 3 workers",
        "worker 2 has started (0.8 s), 3 of 3 workers",
    ]


def test_workers_at_the_same_are_counted_together() -> None:
    workers = [SERVING, ("loading", "a"), ("loading", "a"), ("starting", ""), ("making", "")]
    assert waiting(workers, 1) == (
        "1 of 5 workers has started (1.0 s); workers 1 and 2 are importing a, "
        "worker 3 is running its start hooks, worker 4 makes its interpreter"
    )
    assert waiting([LOADING] * 20, 61.26) == (
        "0 of 20 workers have started (61.3 s); 20 workers are loading the program"
    )
    assert waiting([LOADING], 1).startswith("0 of 1 worker has started")


def test_what_a_hook_imports_is_not_the_program() -> None:
    """The engine shows the last import that has not ended; one of a thread may go on for ever."""
    assert waiting([("starting", "httpx")], 1).endswith("worker 0 is running its start hooks")


def test_names() -> None:
    assert [names(range(count)) for count in (1, 2, 4, 5)] == [
        "worker 0", "workers 0 and 1", "workers 0, 1, 2 and 3", "5 workers",
    ]  # fmt: skip


def test_a_start_while_memory_is_traced_warns(told: list[str]) -> None:
    warn_of_tracing()
    assert told == []
    tracemalloc.start()
    try:
        warn_of_tracing()
    finally:
        tracemalloc.stop()
    (line,) = told
    assert "tracemalloc" in line and 'mode="default"' in line
