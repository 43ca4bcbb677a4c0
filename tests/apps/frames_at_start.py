"""Asks for the frames of all threads on and on, from before the start."""

import sys
import threading

from pyreframework import Pyre

app = Pyre()
app.get("/", lambda req: "hello")


def look_on_and_on() -> None:
    while True:
        sys._current_frames()


if __name__ == "__main__":
    threading.Thread(target=look_on_and_on, daemon=True).start()
    app.run()
