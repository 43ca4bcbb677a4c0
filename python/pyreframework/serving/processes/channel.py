"""What a serving process and its supervisor say: messages, some with listening sockets.

A pair of Unix sockets that keep the bounds of messages. Each message is a list in JSON, its first
item says what it is. Descriptors travel beside the bytes, so that none has to be inherited.

    to the serving process:   listener..., start, once it asks; later leave, stop, stop all or
                              at once
    from the serving process: ask; listener..., ready; later renew, stopping; and apps, as their
                              number changes, and files, if it is watched
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import threading
import time
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    # Each with its address, and the number of its file if it has one: a path may lead elsewhere
    # meanwhile.
    type Listeners = list[tuple[str, list[int], str | None]]

MESSAGE_BYTES_MAX = 65536
# How long a message waits for room where the other side does not read, or is not run for a while:
# one that can be done without, and one without which nothing goes on.
TELL_SECONDS, INSIST_SECONDS = 0.5, 60.0
# The kernel takes 253 in one message.
DESCRIPTORS_MAX = 128
BESIDE_BYTES_MAX = socket.CMSG_SPACE(DESCRIPTORS_MAX * array("i").itemsize)


class Channel:
    """One end of a control socket.

    One thread receives; another may take, refuse and close what has arrived.
    """

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.listeners: Listeners = []
        # Whether listening sockets that arrive are kept.
        self.keeps = True
        # Held where descriptors change hands: each is closed once, and none is overlooked.
        self.lock = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return both ends of a new one."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self.socket.fileno()

    def tell(
        self, *message: object, descriptors: Sequence[int] = (), seconds: float = TELL_SECONDS
    ) -> bool:
        """Send a message; if the other side is gone, whoever receives will see it.

        Args:
            message: What to say, to be written as JSON.
            descriptors: What goes with it.
            seconds: How long to wait for room.

        Returns:
            False if there was no room in that time, so that nothing is said.
        """
        data = encoded(message)
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        due = time.monotonic() + seconds
        while True:
            try:
                self.socket.sendmsg([data], beside if descriptors else [], socket.MSG_DONTWAIT)
            except BlockingIOError:
                left = due - time.monotonic()
                room = select.poll()
                room.register(self.socket, select.POLLOUT)
                if left <= 0 or not room.poll(left * 1000):
                    return False
            except (BrokenPipeError, ConnectionResetError):
                return True
            else:
                return True

    def insist(self, *message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message without which nothing goes on.

        Raises:
            TimeoutError: The other side has not read for very long.
        """
        if not self.tell(*message, descriptors=descriptors, seconds=INSIST_SECONDS):
            raise TimeoutError(
                errno.ETIMEDOUT, f"a process of this server has read nothing for {INSIST_SECONDS} s"
            )

    def tell_listeners(self, listeners: Listeners) -> None:
        """Send listening sockets; the other side has them in ``listeners`` when it has read on."""
        filled = [listener for listener in listeners if listener[1]]
        for entry, (address, sockets, file) in enumerate(filled):
            for start in range(0, len(sockets), DESCRIPTORS_MAX):
                some = sockets[start : start + DESCRIPTORS_MAX]
                self.insist("listener", entry, address, file, descriptors=some)

    def start(self, listeners: Listeners, activated: int, is_watched: bool) -> None:
        """Give a process that asks what it is to start with.

        Not before: as long as messages are unread, so are the sockets in them, and whoever has a
        copy of the other end would hold these open after that process has ended.

        Args:
            listeners: The sockets, by address, which stay the caller's too.
            activated: How many of them a service manager has opened.
            is_watched: Whether it is to tell which files its program comes from.

        Raises:
            OSError: It does not take them.
        """
        self.tell_listeners(listeners)
        self.insist("start", activated, is_watched)

    def receive(self) -> list[Any]:
        """Return the next message that is no listener, or an empty list: the other side is gone.

        Waits for one, unless the socket does not block; then BlockingIOError says that there is
        none yet.

        Raises:
            OSError: This process may not open the sockets that came, or what came is no message.
        """
        was_reset = False
        while True:
            try:
                # socket.recv_fds() forgets the flags, so that programs we start would inherit them.
                data, beside, flags, _ = self.socket.recvmsg(
                    MESSAGE_BYTES_MAX, BESIDE_BYTES_MAX, socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                # The other side has left something unread. What it has said before is still here.
                if was_reset:
                    return []
                was_reset = True
                continue
            if flags & socket.MSG_CTRUNC:
                # Nobody would know of those that did find room.
                close_all([("", descriptors_in(beside), None)])
                raise OSError(errno.EMFILE, "Too many open files for those that were handed over")
            if not data:
                return []
            message = decoded(data) if not flags & socket.MSG_TRUNC else None
            if message is None:
                close_all([("", descriptors_in(beside), None)])
                raise OSError(errno.EBADMSG, "What the other process has said is no message")
            if message[0] != "listener":
                return message
            self.keep(message[1], message[2], message[3], descriptors_in(beside))

    def keep(self, entry: int, address: str, file: str | None, sockets: list[int]) -> None:
        """Note listening sockets that have arrived; entries come in their order."""
        with self.lock:
            if self.keeps:
                if entry == len(self.listeners):
                    self.listeners.append((address, [], file))
                self.listeners[entry][1].extend(sockets)
                return
        close_all([(address, sockets, file)])

    def take_listeners(self) -> Listeners:
        """Return the listening sockets that have arrived; they are the caller's to close."""
        with self.lock:
            taken, self.listeners = self.listeners, []
        return taken

    def refuse_listeners(self) -> None:
        """Close the listening sockets that nobody has taken, and those that are still to arrive.

        As long as a copy is open, connections are taken, which wait for whoever accepts them.
        """
        with self.lock:
            self.keeps = False
        close_all(self.take_listeners())

    def end(self) -> None:
        """Hang up; whoever waits for a message reads what has arrived, and then that it is all."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up, and close what nobody has taken."""
        self.socket.close()
        self.refuse_listeners()

    def forget(self) -> None:
        """Do the same in a process that was forked, perhaps while a thread held the lock."""
        self.lock = threading.Lock()
        self.close()


def encoded(message: Sequence[object]) -> bytes:
    """Return the bytes of a message. Names of files may be no UTF-8, and stay as they are."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> list[Any] | None:
    """Return the message of these bytes; None if they are none."""
    try:
        message = json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return message if isinstance(message, list) and message else None


def parts(files: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield files in parts that are not too much for one message."""
    some: dict[str, object] = {}
    room = MESSAGE_BYTES_MAX // 2
    for path, state in files.items():
        size = len(encoded([path, state]))
        if some and size > room:
            yield some
            some, room = {}, MESSAGE_BYTES_MAX // 2
        some[path] = state
        room -= size
    if some:
        yield some


def descriptors_in(beside: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors that came with a message."""
    found = array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def close_all(listeners: Listeners) -> None:
    """Close listening sockets."""
    for _, sockets, _ in listeners:
        for descriptor in sockets:
            os.close(descriptor)
    listeners.clear()
