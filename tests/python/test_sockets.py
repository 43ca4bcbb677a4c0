"""How a thread waits for messages of a WebSocket."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework.handlers.sockets import receive_later


class Ws:
    """A WebSocket that no message comes to."""

    def __init__(self, *left: tuple[Any, ...] | None) -> None:
        self.left = list(left)

    def _wait_for_message(self, seconds: float) -> bool:
        assert seconds > 0
        return False

    def _take(self, wanted: int) -> tuple[Any, ...] | None:
        return self.left.pop(0) if self.left else None


def test_what_another_thread_has_left_is_received() -> None:
    """Whoever receives takes all that is there at once; others are told of what comes behind."""
    assert receive_later(Ws(None, ("left",)), 0, None) == "left"  # type: ignore[arg-type]
    assert receive_later(Ws(()), 0, None) is None  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        receive_later(Ws(), 0, 0.01)  # type: ignore[arg-type]
