"""Routes that fork, on the main interpreter and in workers."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from gates import hold

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def hello(req: Any) -> str:
    return "hello"


def in_child(work: Callable[[], object]) -> int:
    """Run something in a forked process, and return that one's number."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@app.get("/fork", gil=True)
def fork(req: Any) -> int:
    return code_of(in_child(lambda: None))


@app.get("/fork-to-the-end", gil=True)
def fork_to_the_end(req: Any) -> int:
    """The child ends as programs do, with everything that is done then."""
    pid = os.fork()
    if pid == 0:
        from threading import Thread

        thread = Thread(target=lambda: os.write(1, b"thread of the child\n"))
        thread.start()
        thread.join()
        import gc

        gc.collect()
        # What is left of the handler is not the child's to go on with.
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]
        sys.stdout.flush()
        os._exit(7)
    return code_of(pid)


@app.get("/return", gil=True)
def returns(req: Any) -> str:
    pid = os.fork()
    return "child" if pid == 0 else str(code_of(pid))


@app.get("/return-async", gil=True)
async def returns_async(req: Any) -> str:
    pid = os.fork()
    return "child" if pid == 0 else str(code_of(pid))


@app.get("/return-behind/{port:int}", gil=True)
def returns_behind(req: Any, port: int) -> str:
    """Forks when the gate lets it, and returns in both processes."""
    hold(port, "fork")
    os.fork()
    return "forked"


@app.get("/return-behind-async/{port:int}", gil=True)
async def returns_behind_async(req: Any, port: int) -> str:
    hold(port, "fork")
    os.fork()
    return "forked"


def pay(name: str) -> str:
    os.write(1, f"paid {name}\n".encode())
    return "paid"


@app.get("/pay/{name}", gil=True)
def pays(req: Any, name: str) -> str:
    return pay(name)


@app.get("/pay-async/{name}", gil=True)
async def pays_async(req: Any, name: str) -> str:
    return pay(name)


together: list[asyncio.Future[None]] = []


async def wait_together() -> None:
    future = asyncio.get_running_loop().create_future()
    together.append(future)
    await future


@app.get("/together/fork", gil=True)
async def fork_together(req: Any) -> str:
    await wait_together()
    os.fork()
    return "forked"


@app.get("/together/pay/{name}", gil=True)
async def pay_together(req: Any, name: str) -> str:
    await wait_together()
    return pay(name)


@app.get("/together/wait-for/{number:int}", gil=True)
async def wait_for(req: Any, number: int) -> bool:
    return len(together) == number


@app.get("/together/go", gil=True)
async def go_together(req: Any) -> str:
    """Lets all of them go on in one turn of the loop."""
    for future in together:
        future.set_result(None)
    return "gone"


@app.get("/tasks", gil=True)
def leaves_tasks(req: Any) -> str:
    req.add_task(os.fork)
    req.add_task(pay, "later")
    return "left"


@app.get("/tasks-async", gil=True)
async def leaves_tasks_async(req: Any) -> str:
    async def fork() -> None:
        os.fork()

    async def later() -> None:
        pay("later")

    req.add_task(fork)
    req.add_task(later)
    return "left"


@app.get("/stay/{port:int}", gil=True)
def stay(req: Any, port: int) -> int:
    """A child that stays until the gate lets it go."""
    return in_child(lambda: hold(port, "child"))


@app.get("/stay-full/{port:int}", gil=True)
def stay_full(req: Any, port: int) -> int:
    """The same, from a process that has no descriptor left just then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    opened: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))

    def work() -> None:
        for descriptor in opened:
            os.close(descriptor)
        hold(port, "child")

    pid = in_child(work)
    for descriptor in opened:
        os.close(descriptor)
    return pid


@app.get("/log", gil=True)
def log(req: Any) -> int:
    def work() -> None:
        logging.getLogger("child").warning("logged by the child %s", os.getpid())
        logging.shutdown()

    return code_of(in_child(work))


@app.get("/stop", gil=True)
def stop(req: Any) -> int:
    return code_of(in_child(app.stop))


@app.get("/run", gil=True)
def run(req: Any) -> int:
    def work() -> None:
        try:
            app.run(port=0)
        except RuntimeError as error:
            os.write(1, f"refused: {error}\n".encode())

    return code_of(in_child(work))


@app.get("/handlers", gil=True)
def handlers(req: Any) -> int:
    def work() -> None:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.set_wakeup_fd(-1) == -1
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()

    return code_of(in_child(work))


def square(number: int) -> int:
    return number * number


def pool(kind: str) -> list[int]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as executor:
        return list(executor.map(square, range(4)))


def old_pool(kind: str) -> list[int]:
    with multiprocessing.get_context(kind).Pool(2) as made:
        return list(made.map(square, range(4)))


def process(kind: str) -> int | None:
    made: Any = multiprocessing.get_context(kind)
    started = made.Process(target=square, args=(2,))
    started.start()
    started.join()
    code: int | None = started.exitcode
    return code


def preexec(kind: str) -> str:
    def said() -> None:
        os.write(1, b"before ")

    done = subprocess.run(["/bin/echo", "after"], preexec_fn=said, capture_output=True, text=True)
    return done.stdout.strip()


WAYS: dict[str, Callable[[str], object]] = {
    "pool": pool, "old-pool": old_pool, "process": process, "preexec": preexec,
}  # fmt: skip


@app.get("/main/{way}/{kind}", gil=True)
def on_main(req: Any, way: str, kind: str) -> object:
    return WAYS[way](kind)


@app.get("/worker/{way}/{kind}")
def on_worker(req: Any, way: str, kind: str) -> object:
    return WAYS[way](kind)


if __name__ == "__main__":
    app.run()
