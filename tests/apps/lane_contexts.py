"""What is set where the program is loaded, as handlers see it on whatever thread they run."""

import contextvars
import decimal
import os
import threading
import time

from pyreframework import Pyre

app = Pyre()

variable = contextvars.ContextVar("variable", default="not set")
hooked = contextvars.ContextVar("hooked", default="not set")
variable.set("at the top")
decimal.getcontext().rounding = decimal.ROUND_HALF_UP
ON_MAIN = True if os.environ.get("TEST_GIL") else None


@app.on_worker_start
def start():
    hooked.set("by a hook")


def seen():
    rounded = decimal.Decimal("2.5").quantize(decimal.Decimal(1))
    return [str(rounded), variable.get(), hooked.get()]


@app.get("/seen", gil=ON_MAIN)
def of_thread(req):
    return seen()


@app.get("/wait", gil=ON_MAIN)
def after_a_while(req):
    time.sleep(0.05)
    return seen()


@app.get("/names", gil=ON_MAIN)
def names(req):
    thread = threading.current_thread()
    return [thread.name, threading.Thread(target=print).daemon]


@app.get("/late/{file:path}", gil=ON_MAIN)
def late(req, file: str):
    def work():
        threading.Event().wait(1)
        with open(f"/{file}", "w") as out:
            out.write("done")

    threading.Thread(target=work).start()
    return "later"


if os.environ.get("TEST_COROUTINES"):

    @app.get("/async", gil=ON_MAIN)
    async def of_loop(req):
        return seen()


if __name__ == "__main__":
    app.run()
