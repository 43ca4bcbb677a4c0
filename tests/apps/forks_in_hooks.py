"""Forks in a hook on the main interpreter; what the child does there is the test's to say."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from pyreframework import Pyre

FORKS_IN, WAY = os.environ["FORKS_IN"], os.environ["WAY"]


def fork(place: str) -> None:
    """Fork if this is the place."""
    if place != FORKS_IN or __name__ != "__main__":
        return
    pid = os.fork()
    if pid == 0:
        if WAY == "exit":
            print("the child says")
            sys.exit(7)
        if WAY == "raise":
            raise RuntimeError("raised by the child")
        return
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(1, f"the child ended with {code}\n".encode())


def note(place: str) -> None:
    if __name__ == "__main__":
        os.write(1, f"behind {place}\n".encode())


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    note("lifespan")
    fork("lifespan")
    yield
    fork("the end of lifespan")


app = Pyre(lifespan=lifespan)
app.get("/", lambda req: "hello", gil=True)


@app.on_startup
def startup() -> None:
    fork("on_startup")


@app.on_startup
async def startup_async() -> None:
    note("on_startup")
    await asyncio.sleep(0)
    fork("async on_startup")


@app.on_startup
def behind_startup() -> None:
    note("async on_startup")


app.on_worker_start(lambda: fork("on_worker_start"))
app.on_worker_start(lambda: note("on_worker_start"))


app.on_worker_stop(lambda: note("the end of lifespan"))
app.on_worker_stop(lambda: fork("on_worker_stop"))
app.on_worker_stop(lambda: note("on_worker_stop"))
app.on_shutdown(lambda: fork("on_shutdown"))
app.on_shutdown(lambda: note("on_shutdown"))

asked: list[bool] = []


def is_ready() -> bool:
    if not asked:
        asked.append(True)
        fork("readiness check")
    return True


if __name__ == "__main__":
    app.enable_health_probes(readiness_check=is_ready)
    signal.signal(signal.SIGUSR1, lambda number, frame: fork("signal handler"))
    app.run()
    os.write(1, b"behind run\n")
