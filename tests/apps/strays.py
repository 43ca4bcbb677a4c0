"""What Python itself writes to standard error: tracebacks of threads, and warnings."""

import os
import sys

from pyreframework import Pyre

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None

if os.environ.get("TEST_HOOKS"):
    import threading
    import warnings

    threading.excepthook = lambda args: print("my hook:", args.exc_value, file=sys.stderr)

    def show(message, *rest, **named):
        print("my warning:", message, file=sys.stderr)

    warnings.showwarning = show


@app.get("/thread", gil=ON_MAIN)
def raises_in_thread():
    from threading import Thread

    thread = Thread(target=fail, name="mine")
    thread.start()
    thread.join()
    return "joined"


def fail():
    raise KeyError("in the\nthread")


@app.get("/exit", gil=ON_MAIN)
def exits_in_thread():
    from threading import Thread

    thread = Thread(target=sys.exit)
    thread.start()
    thread.join()
    return "joined"


@app.get("/warning", gil=ON_MAIN)
def warns():
    import warnings

    warnings.simplefilter("always")
    warnings.warn("careful\nhere", UserWarning, stacklevel=1)
    return "warned"


@app.get("/coroutine", gil=ON_MAIN)
def forgets():
    later()
    return "forgotten"


async def later():
    pass


app.run()
