"""What a program leaves to the end of Python happens in every process, also in those replaced."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from gate import Gate
from places import MODES
from restarting import Write, alive, restart, serving_pid, started
from serving import is_supervisor, serve, wait_until

LEFT_TO_THE_END = """
    audit = open({audit!r}, "a")

    class Closes:
        def __del__(self):
            os.write(2, b"destructor in %d\\n" % os.getpid())

    thing = Closes()

    @app.get("/order/{name}", gil=True)
    def order(req, name: str):
        print(name, os.getpid(), file=audit)
        return f"{thing and os.getpid()}"
"""


@MODES
@pytest.mark.parametrize("arguments", ["", "reload=True"], ids=["restart", "reload"])
def test_files_are_written_and_destructors_run(
    write: Write, tmp_path: Path, arguments: str, mode: str | None
) -> None:
    """At the end of a process that has a supervisor, as at that of one that has none."""
    audit = tmp_path / "audit.csv"
    extra = LEFT_TO_THE_END.replace("{audit!r}", repr(str(audit)))
    with serve(write(arguments, extra), mode=mode, workers=1) as server:
        if not arguments:
            restart(server)
        pid = server.get("/order/plum").text
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert f"plum {pid}" in audit.read_text()
    assert f"destructor in {pid}" in server.output.text()


JOBS = """
    import gzip, threading
    from concurrent.futures import ThreadPoolExecutor
    pool = ThreadPoolExecutor(2)
    audit = open({audit!r}, "a")
    raw = open({audit!r} + ".raw", "ab")
    import gc
    gc.freeze()

    def job(kind, port):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(f"{kind}\\n".encode())
            gate.makefile().readline()
        if kind == "pool":
            # What is accepted before is done, although Python takes nothing new at its end.
            print("queued", os.getpid(), file=audit)
        print(kind, os.getpid(), file=audit)
        raw.write(kind.encode())

    @app.get("/order/{port:int}")
    def order(req, port: int):
        pool.submit(job, "pool", port)
        threading.Thread(target=job, args=["thread", port]).start()
        return f"{os.getpid()}"
"""


def test_jobs_of_a_process_that_is_replaced_first(write: Write, tmp_path: Path) -> None:
    """What it has accepted is finished and written, and signals are passed on meanwhile."""
    audit = tmp_path / "audit.csv"
    extra = JOBS.replace("{audit!r}", repr(str(audit)))
    with serve(write(extra=extra), mode="default") as server, Gate() as gate:
        pid = server.get(f"/order/{gate.port}").text
        assert {gate.entered(), gate.entered()} == {"pool", "thread"}
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"shutdown of {pid}")
        assert serving_pid(server) == started(server)
        assert not is_supervisor(server.pid)
        gate.release_all()
        wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
        said = audit.read_text().splitlines()
        assert sorted(said) == [f"pool {pid}", f"queued {pid}", f"thread {pid}"]
        assert sorted(Path(f"{audit}.raw").read_bytes()) == sorted(b"poolthread")


# The last request is answered before anybody waits for that.
AT_ONCE = """
    start = threading.Thread.start
    def start_and_end(thread):
        start(thread)
        if getattr(thread._target, "__name__", "") == "drain_slowly":
            thread.join()
    threading.Thread.start = start_and_end
"""


@pytest.mark.parametrize("drains", ["", AT_ONCE], ids=["in time", "at once"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_while_jobs_are_finished(
    write: Write, tmp_path: Path, number: signal.Signals, drains: str
) -> None:
    """A stop reaches the process that serves at once; a restart comes once they are."""
    extra = JOBS.replace("{audit!r}", repr(str(tmp_path / "audit.csv"))) + drains
    with serve(write(extra=extra), mode="default") as server, Gate() as gate:
        server.get(f"/order/{gate.port}")
        assert {gate.entered(), gate.entered()} == {"pool", "thread"}
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"shutdown of {server.pid}")
        new = started(server)
        server.signal(number)
        if number == signal.SIGTERM:
            server.output.wait_for(f"past run in {new}")
            wait_until(lambda: not server.listens(), "nobody is kept waiting")
            gate.release_all()
            assert server.wait() == 0
        else:
            gate.release_all()
            wait_until(lambda: started(server) != new, "yet another one is started")
            wait_until(lambda: serving_pid(server) == started(server), "it serves")


def test_a_thread_that_does_not_end(write: Write) -> None:
    """It is left behind when the time is over that a process has for its end."""
    extra = """
    import threading
    from pyreframework.serving.signals import endings
    endings.HOOKS_SECONDS, endings.THREADS_SECONDS = 0.5, 0.1
    threading.Thread(target=threading.Event().wait).start()
    from pyreframework.serving import replaceable
    replaceable.LEAVE_SECONDS = 0.1
"""
    with serve(write("shutdown_timeout=0.1", extra)) as server:
        # No thread is left in the one that has to end by itself.
        write()
        server.signal(signal.SIGHUP)
        server.output.wait_for("a thread of the program did not end in .* s; leaving without it")
        wait_until(lambda: is_supervisor(server.pid), "the first process is the supervisor")
        assert serving_pid(server) == started(server)


def test_a_pool_of_processes_ends_with_the_first_process(write: Write) -> None:
    extra = """
    from concurrent.futures import ProcessPoolExecutor
    pool = ProcessPoolExecutor(1)

    @app.get("/pool")
    def of_pool(req):
        return str(pool.submit(os.getpid).result())
"""
    with serve(write(extra=extra), mode="default") as server:
        worker = int(server.get("/pool").text)
        restart(server)
        assert not alive(worker)
