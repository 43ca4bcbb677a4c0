"""A client that sends exactly so many requests, in rounds that are all alike.

In each round every connection gets one pipeline; the next round starts when all are answered.
"""

from __future__ import annotations

import socket

from perf.harness.exchange import BadAnswer, request
from perf.icount.scenario import Scenario

_TIMEOUT_S = 30.0
_OK = b"HTTP/1.1 200 OK\r\n"


class Client:
    """Connections that stay open from one count to the next."""

    def __init__(self, port: int, scenario: Scenario) -> None:
        self.scenario = scenario
        self.sockets = [
            socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
            for _ in range(scenario.connections)
        ]
        route = scenario.route
        self.pipeline = request(route.method, route.path, port, route.body) * scenario.depth
        for connection in self.sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def requests_per_round(self) -> int:
        """How many requests one round sends."""
        return self.scenario.depth * self.scenario.connections

    def close(self) -> None:
        """Close all connections."""
        for connection in self.sockets:
            connection.close()

    def rounds(self, count: int) -> int:
        """Send that many rounds and return the number of requests.

        Raises:
            BadAnswer: An answer was not 200, or did not come.
        """
        for _ in range(count):
            for connection in self.sockets:
                connection.sendall(self.pipeline)
            for connection in self.sockets:
                self._read(connection)
        return count * self.requests_per_round

    def _read(self, connection: socket.socket) -> None:
        """Read one answer for each request of a pipeline; all of them have the same length."""
        received = b""
        expected = None
        while expected is None or len(received) < expected:
            data = connection.recv(262144)
            if not data:
                raise BadAnswer("the server closed the connection")
            received += data
            expected = expected or self._expected(received)
        if len(received) != expected or received.count(_OK) != self.scenario.depth:
            raise BadAnswer(f"not {self.scenario.depth} answers: {received[:60]!r}")

    def _expected(self, received: bytes) -> int | None:
        head, end, _ = received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        return (len(head) + 4 + int(length)) * self.scenario.depth
