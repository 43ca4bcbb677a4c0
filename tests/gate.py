"""Gates: handlers stay where they are until the test lets them go."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Self

from dialogue import PEER_S, Peer, request
from serving import Server, wait_until


class Gate:
    """Holds handlers until the test lets them go.

    A handler enters by connecting to `port`, sends its name in a line and waits for a line, which
    is its answer. So a test knows which handlers run, and decides when each returns.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for held in self._held.values():
            held.close()

    def __del__(self) -> None:
        self.__exit__()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def entered(self, timeout_s: float = PEER_S) -> str:
        """The name of the next handler that comes in."""
        self._listener.settimeout(timeout_s)
        try:
            held, _ = self._listener.accept()
        except TimeoutError:
            raise AssertionError("no handler came to the gate") from None
        held.settimeout(PEER_S)
        name = b""
        while not name.endswith(b"\n"):
            part = held.recv(100)
            assert part, "a handler left before it had said its name"
            name += part
        self._held[name.decode().strip()] = held
        return name.decode().strip()

    def hold(self, peer: Peer, name: str) -> None:
        """Have a peer ask for ``/wait`` of the program, whose handler is held here."""
        peer.send(request("GET", f"/wait/{self.port}/{name}"))
        assert self.entered() == name

    def is_empty(self, seconds: float) -> bool:
        """Whether nobody (else) comes in for a while."""
        self._listener.settimeout(seconds)
        try:
            held, _ = self._listener.accept()
        except TimeoutError:
            return True
        held.close()
        return False

    def release(self, name: str, answer: str = "released") -> None:
        with self._held.pop(name) as held:
            held.sendall(answer.encode() + b"\n")

    def release_all(self) -> None:
        for name in list(self._held):
            self.release(name)

    def release_all_but(self, stays: str) -> None:
        for name in [name for name in self._held if name != stays]:
            self.release(name)


def stop_beside_held_requests(server: Server, number: int) -> None:
    """Send a stop signal while handlers run: they are let finish, and nobody else is let in."""
    with Gate() as gate, ExitStack() as stack:
        peers = {name: stack.enter_context(server.connect()) for name in ("a", "b", "c")}
        for name, peer in peers.items():
            gate.hold(peer, name)
        server.signal(number)
        wait_until(lambda: not server.listens(), "new connections are refused")
        for name, peer in peers.items():
            peer.expect_silence(0.05)
            gate.release(name, f"late {name}")
            reply = peer.reply()
            assert (reply.status, reply.text) == (200, f"late {name}")
            assert reply.closes
            peer.expect_end()
    assert server.wait() == 0
