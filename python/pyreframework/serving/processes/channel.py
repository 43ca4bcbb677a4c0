"""The line between a serving process and its supervisor: messages, some with listening sockets.

A pair of Unix sockets that keep the bounds of messages. Each message is a list in JSON, its first
item says what it is. Descriptors travel beside the bytes, so that none has to be inherited.

    to the serving process:   listener..., start; later leave, stop or at once
    from the serving process: listener..., ready; later renew, stopping; and files, if it is watched
"""

from __future__ import annotations

import errno
import json
import os
import socket
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    # Each with its address, and the number of its file if it has one: a path may lead elsewhere
    # meanwhile.
    type Listeners = list[tuple[str, list[int], str | None]]

MESSAGE_BYTES_MAX = 65536
# The kernel takes 253 in one message.
DESCRIPTORS_MAX = 128
BESIDE_BYTES_MAX = socket.CMSG_SPACE(DESCRIPTORS_MAX * array("i").itemsize)


class Channel:
    """One end of the line."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.listeners: Listeners = []

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return both ends of a new line."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self.socket.fileno()

    def tell(self, *message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message; if the other side is gone, whoever receives will see it."""
        data = json.dumps(message).encode()
        try:
            if descriptors:
                socket.send_fds(self.socket, [data], descriptors)
            else:
                self.socket.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def tell_listeners(self, listeners: Listeners) -> None:
        """Send listening sockets; the other side has them in ``listeners`` when it has read on."""
        filled = [listener for listener in listeners if listener[1]]
        for entry, (address, sockets, file) in enumerate(filled):
            for start in range(0, len(sockets), DESCRIPTORS_MAX):
                some = sockets[start : start + DESCRIPTORS_MAX]
                self.tell("listener", entry, address, file, descriptors=some)

    def receive(self) -> list[Any]:
        """Return the next message that is no listener, or an empty list: the other side is gone.

        Waits for one, unless the socket does not block; then BlockingIOError says that there is
        none yet.

        Raises:
            OSError: This process may not open the sockets that came.
        """
        while True:
            try:
                # socket.recv_fds() forgets the flags, so that programs we start would inherit them.
                data, beside, flags, _ = self.socket.recvmsg(
                    MESSAGE_BYTES_MAX, BESIDE_BYTES_MAX, socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                return []
            if flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, "Too many open files for those that were handed over")
            if not data:
                return []
            message: list[Any] = json.loads(data)
            if message[0] != "listener":
                return message
            self.keep(message[1], message[2], message[3], descriptors_in(beside))

    def keep(self, entry: int, address: str, file: str | None, sockets: list[int]) -> None:
        """Note listening sockets that have arrived; entries come in their order."""
        if entry == len(self.listeners):
            self.listeners.append((address, [], file))
        self.listeners[entry][1].extend(sockets)

    def take_listeners(self) -> Listeners:
        """Return the listening sockets that have arrived; they are the caller's to close."""
        taken, self.listeners = self.listeners, []
        return taken

    def close(self) -> None:
        """Hang up, and close what nobody has taken."""
        self.socket.close()
        close_all(self.take_listeners())


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
