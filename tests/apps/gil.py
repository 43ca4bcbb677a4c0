"""A program that holds GILs, as a C extension does that forgets to let go."""

import ctypes
import time

import gates

from pyreframework import Pyre, get_gil_metrics

app = Pyre()
app.enable_metrics()
# Calls through it keep the GIL.
holding = ctypes.PyDLL(None)


def hold_the_gil(seconds):
    holding.usleep(int(seconds * 1e6))


@app.get("/hold/{seconds:float}")
def hold(seconds: float):
    hold_the_gil(seconds)
    return "held"


@app.get("/sleep/{seconds:float}")
def sleep(seconds: float):
    time.sleep(seconds)
    return "slept"


@app.get("/figures")
def figures(req):
    return list(get_gil_metrics())


@app.get("/wait/{port:int}/{name}")
def wait(port: int, name):
    return gates.hold(port, name)


app.run()
