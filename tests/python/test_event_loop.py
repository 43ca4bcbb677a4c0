"""What an interpreter has beside its event loop: the threads of generators and of WebSockets."""

from __future__ import annotations

import sys
import threading

import pytest

from pyreframework.handlers.event_loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.handlers.generators import Threads


@pytest.mark.parametrize("kind", ["open_threads", "open_socket_threads"])
def test_lanes_that_come_together_are_given_the_same_threads(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the loop knows is closed at the end, and only that is bounded."""
    for _ in range(20):
        # As in a worker before it has needed any: importing lets others run.
        monkeypatch.delitem(sys.modules, "pyreframework.handlers.generators", raising=False)
        loop = Loop()
        got: list[Threads] = []
        gate = threading.Barrier(4)

        def come(
            loop: Loop = loop, got: list[Threads] = got, gate: threading.Barrier = gate
        ) -> None:
            gate.wait(60)
            got.append(getattr(loop, kind)())

        lanes = [threading.Thread(target=come) for _ in range(4)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join(60)
        assert [one is got[0] for one in got] == [True] * 4
        assert loop.close()
