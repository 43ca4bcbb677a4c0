"""Handlers that ask for the frames of all threads, as profilers do."""

import sys
import threading
from _thread import get_ident

from pyreframework import Pyre

app = Pyre()
release = threading.Event()


def looked():
    """What the handler sees, in plain values."""
    frames = sys._current_frames()
    own = frames[get_ident()]
    globals_of_others = [
        frame.f_globals for frame in frames.values() if frame.f_globals.get("app") is not None
    ]
    return {
        "count": len(frames),
        "own": own is sys._getframe(),
        "foreign": sum(space["app"] is not app for space in globals_of_others),
        "where": __name__,
        "idents": sorted(frames),
        "ident": get_ident(),
        "names": sorted(frame.f_code.co_name for frame in frames.values()),
    }


def exceptions():
    try:
        return len(sys._current_exceptions())
    except RuntimeError as error:
        return str(error)


@app.get("/")
def worker():
    return looked()


@app.get("/main", gil=True)
def main():
    return looked()


@app.get("/many")
def worker_many():
    return sum(len(sys._current_frames()) > 0 for _ in range(60))


@app.get("/main/many", gil=True)
def main_many():
    return sum(len(sys._current_frames()) > 0 for _ in range(60))


@app.get("/exceptions")
def worker_exceptions():
    return exceptions()


@app.get("/main/exceptions", gil=True)
def main_exceptions():
    return exceptions()


@app.get("/waits")
def waits():
    """Stays until another request of this worker releases it."""
    release.wait(20)
    return "released"


@app.get("/release")
def let_go():
    release.set()
    return "done"


if __name__ == "__main__":
    before = sys._current_frames, sys._current_exceptions
    app.run()
    restored = (sys._current_frames, sys._current_exceptions) == before
    print("restored:", restored, flush=True)
