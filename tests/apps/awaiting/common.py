"""The app whose routes the other files register, and what several of them use."""

import asyncio
import contextvars
import os

from pyreframework import Pyre

app = Pyre()
# With it every route is one of the main interpreter, next to workers that have nothing to do.
ON_MAIN = True if os.environ.get("TEST_GIL") else None
variable = contextvars.ContextVar("variable", default="unset")
events = {}
notes = []


def event_of(name):
    return events.setdefault(name, asyncio.Event())


class Yields:
    def __init__(self, thing):
        self.thing = thing

    def __await__(self):
        return (yield self.thing)
