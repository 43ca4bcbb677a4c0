"""Sessions that a test has left open, answered for while the server stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from pyreframework.testing.conversation import ENDING_S, Conversation, Deadline


class Answering:
    """The WebSockets of one server; may be used from several threads.

    A server that stops says goodbye, and waits for the answer. A session answers while its test
    uses it, and no test uses all of its sessions while it waits for the server to stop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conversations: WeakSet[Conversation] = WeakSet()

    def add(self, conversation: Conversation) -> None:
        """Answer for this one as well, as long as somebody knows it."""
        with self._lock:
            self._conversations.add(conversation)

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Answer for all that are open during the block, which returns once the server has ended.

        Each then knows why it has ended, and keeps the messages that came before.
        """
        with self._lock:
            waiting = [each for each in self._conversations if each.close_code is None]
        threads = {}
        for conversation in waiting:
            # A daemon: at the end of a process nobody waits for what a server leaves open.
            thread = threading.Thread(
                target=conversation.answer, name="pyre-test-answer", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # None begins any more, as the process ends: the server is not to wait for this one.
                conversation.abort()
            else:
                threads[conversation] = thread
        # Whoever interrupts it does not wait any more: the threads end with their connections.
        yield
        until = Deadline(ENDING_S)
        for conversation, thread in threads.items():
            thread.join(until.left(0.0))
            # Of a server that could not be ended, connections may have been left open.
            if thread.is_alive():
                conversation.abort()
                thread.join()
