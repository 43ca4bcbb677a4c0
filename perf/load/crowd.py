"""Several clients that check what they are answered, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from perf.load.checked import Client, Tally
from perf.load.flows.client import FlowClient, FlowTally


class Progress(NamedTuple):
    """What a client has seen so far."""

    sent: int
    answered: int
    faults: int


class Crowd:
    """The clients, from their start to their end."""

    def __init__(
        self,
        port: int,
        *,
        clients: int,
        connections: int,
        seed: str,
        routes: int,
        seconds: float,
        flows: int = 0,
    ) -> None:
        """Start to send.

        Args:
            port: Where the server listens, on 127.0.0.1.
            clients: How many processes.
            connections: Of all of them together, at least one for each.
            seed: What is drawn depends on it.
            routes: How many the program has.
            seconds: For how long to send.
            flows: Connections of one more process, whose bodies flow.
        """
        self.tally = Tally()
        """What the clients that have ended have seen."""
        self.flows = FlowTally()
        """And the one whose bodies flow."""
        self._progress: dict[int, Progress] = {}
        self._running = {}
        context = multiprocessing.get_context("spawn")
        shares = [
            connections // clients + (number < connections % clients) for number in range(clients)
        ]
        kinds = [(_send, share) for share in shares] + [(_flow, flows)] * (flows > 0)
        for number, (target, share) in enumerate(kinds):
            ours, theirs = context.Pipe(duplex=False)
            options = (port, share, seed, routes, seconds, number)
            process = context.Process(target=target, args=(theirs, *options), daemon=True)
            process.start()
            theirs.close()
            self._running[ours] = (number, process)

    @property
    def goes_on(self) -> bool:
        """Whether a client is still at it."""
        return bool(self._running)

    @property
    def progress(self) -> Progress:
        """The sums over all clients, of a moment ago."""
        columns = zip(*self._progress.values(), strict=True)
        return Progress(*map(sum, columns)) if self._progress else Progress(0, 0, 0)

    def listen(self, seconds: float) -> None:
        """Take in what the clients tell, until there is something or for a while."""
        for pipe in wait(list(self._running), seconds):
            assert isinstance(pipe, Connection)
            number, process = self._running[pipe]
            try:
                told = pipe.recv()
            except EOFError:
                process.join()
                self.tally.fault(f"client {number} has ended with exit code {process.exitcode}")
                del self._running[pipe]
                continue
            if isinstance(told, Progress):
                self._progress[number] = told
            else:
                (self.flows if isinstance(told, FlowTally) else self.tally).add(told)
                process.join()
                del self._running[pipe]

    def give_up(self) -> None:
        """End the clients that are still at it, which is a fault of each."""
        for number, process in self._running.values():
            process.kill()
            process.join()
            self.tally.fault(f"client {number} would not end")
        self._running.clear()


def _send(
    pipe: Connection, port: int, share: int, seed: str, routes: int, seconds: float, number: int
) -> None:
    client = Client(
        "127.0.0.1", port, connections=share, seed=seed, routes=routes, name=str(number)
    )

    def tell(tally: Tally) -> None:
        pipe.send(Progress(tally.sent, tally.answered, tally.faults))

    pipe.send(client.run(seconds=seconds, tell=tell))


def _flow(
    pipe: Connection, port: int, share: int, seed: str, routes: int, seconds: float, number: int
) -> None:
    client = FlowClient(
        "127.0.0.1", port, connections=share, seed=seed, routes=routes, name=f"f{number}"
    )

    def tell(tally: FlowTally) -> None:
        pipe.send(Progress(tally.begun, tally.ended, tally.faults))

    pipe.send(client.run(seconds=seconds, tell=tell))
