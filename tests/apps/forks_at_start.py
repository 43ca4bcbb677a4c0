"""Forks on and on from before the start, on a thread of the program's own."""

import os
import signal
import threading

from pyreframework import Pyre

app = Pyre()
ended = threading.Event()
codes: list[int] = []


def fork_on_and_on() -> None:
    while not ended.is_set():
        pid = os.fork()
        if pid == 0:
            # A child that hangs shows in its code.
            signal.alarm(20)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


forks = threading.Thread(target=fork_on_and_on)


@app.get("/codes", gil=True)
def end():
    """Every code that a child has ended with."""
    ended.set()
    forks.join()
    return sorted(set(codes))


if __name__ == "__main__":
    forks.start()
    try:
        app.run()
    finally:
        ended.set()
