"""What the programs on the life of a server ask: an echo of a number, and work of known length."""

import os
import time

from pyreframework import Pyre

WORK_S = 0.005

app = Pyre()


@app.get("/")
def hello(req):
    return "Hello, World!"


@app.get("/number/{number}")
def number(req, number):
    return number


@app.get("/sleepy/{number}")
def sleepy(req, number):
    time.sleep(0.02)
    return number


@app.get("/wait")
def wait(req):
    time.sleep(WORK_S)
    return "done"


@app.get("/compute")
def compute(req):
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass
    return "done"


@app.get("/spin")
def spin(req):
    while True:
        pass


@app.get("/stubborn")
def stubborn(req):
    """Goes on whatever is raised in it, until the test lets it end."""
    while not os.path.exists(os.environ["PERF_RELEASE"]):
        try:
            for _ in range(1_000_000):
                pass
        except BaseException:  # noqa: BLE001 - that is what it is for
            continue
    return "released"


app.enable_health_probes()

if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "2")),
    )
