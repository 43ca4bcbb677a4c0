"""Handlers that leave something with the task of their request, in every way that asyncio has."""

import asyncio
import contextvars
import gc
import os
import weakref

from pyreframework import Pyre, PyreRequest

if os.environ.get("TEST_PYTHON_TASKS"):
    # As `nest_asyncio` does; with all else that belongs to them, as CPython's own tests do.
    asyncio.Task = asyncio.tasks.Task = asyncio.tasks._PyTask
    asyncio.Future = asyncio.futures.Future = asyncio.futures._PyFuture
    for name, function in list(vars(asyncio.tasks).items()):
        if name.startswith("_py_"):
            public = name.removeprefix("_py_")
            for place in (asyncio, asyncio.tasks):
                for known in (public, f"_{public}"):
                    if hasattr(place, known):
                        setattr(place, known, function)

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None


class Same:
    """Equal to all of its kind."""

    def __init__(self, word):
        self.word = word

    def __eq__(self, other):
        return isinstance(other, Same)

    __hash__ = None


variable = contextvars.ContextVar("variable", default=None)
given = contextvars.ContextVar("given", default=None)
given.set(Same("at first"))
users = weakref.WeakKeyDictionary()
contexts = []
"""Weak references, each with a word: contexts cannot be keys."""
kept = []
called = []
ended = []
gate = asyncio.Event()
waiting = []


class Shown:
    """What JSON asks the program about."""


app.json_default = lambda shown: variable.get()

if os.environ.get("TEST_HOOKS"):

    @app.after_request
    async def after(req, resp):
        """With one the task of a request that has waited goes on behind the handler."""

    @app.exception_handler(ZeroDivisionError)
    async def divided(req, error):
        await asyncio.sleep(0)
        return "divided"


def marks(task):
    """What can be found on a task, by everybody who knows it."""
    context = task.get_context()
    word = context.get(given)
    return {
        "user": users.get(task),
        "attribute": getattr(task, "user", None),
        "name": task.get_name(),
        "cancelling": task.cancelling(),
        "callbacks": len(task._callbacks or ()),
        "variable": variable.get(),
        "given": word and word.word,
        "context": [text for known, text in contexts if known() is context],
        "known": [
            any(thing is known for known in kept)
            for thing in (task, context, task.get_coro(), task._asyncio_future_blocking)
        ],
    }


def leave(kind, word):
    task = asyncio.current_task()
    match kind:
        case "user":
            users.setdefault(task, word)
        case "user-of-context":
            contexts.append((weakref.ref(task.get_context()), word))
        case "finalizer":
            weakref.finalize(task, called.append, word)
        case "attribute":
            task.user = word
        case "name":
            task.set_name(word)
        case "callback":
            task.add_done_callback(lambda done: called.append(word))
        case "printed-callback":
            task.add_done_callback(lambda done: print(f"called for {word}", flush=True))
        case "variable":
            variable.set(word)
        case "variable-and-back":
            variable.reset(variable.set(word))
        case "equal":
            given.set(Same(word))
        case "equal-and-back":
            given.reset(given.set(Same(word)))
        case "task":
            kept.append(task)
        case "context":
            kept.append(task.get_context())
        case "coroutine":
            kept.append(task.get_coro())
        case "cancel":
            task.cancel(word)
        case "cancel-and-back":
            task.cancel(word)
            task.uncancel()
        case "error":
            raise ZeroDivisionError(word)
        case "others-user":
            for other in asyncio.all_tasks() - {task}:
                users[other] = word
        case "others-attribute":
            for other in asyncio.all_tasks() - {task}:
                other.user = word
        case "others-variable":
            for other in asyncio.all_tasks() - {task}:
                other.get_context().run(variable.set, word)
        case "others-cancel":
            for other in asyncio.all_tasks() - {task}:
                if "no request" in repr(other):
                    other.cancel(word)
        case "others-task":
            kept.extend(asyncio.all_tasks() - {task})
        case "nothing":
            pass
        case _:
            raise ValueError(kind)


@app.get("/leave/{kind}/{word}", gil=ON_MAIN)
async def leaver(req: PyreRequest, kind, word):
    if req.query == "wait":
        await asyncio.sleep(0.001)
    try:
        leave(kind, word)
        return word
    finally:
        if req.query == "wait-after":
            await asyncio.sleep(0)


@app.get("/look", gil=ON_MAIN)
async def look(req: PyreRequest):
    if req.query:
        await asyncio.sleep(0)
    return marks(asyncio.current_task())


@app.get("/name", gil=ON_MAIN)
async def name(req: PyreRequest):
    if req.query:
        await asyncio.sleep(0)
    return asyncio.current_task().get_name()


@app.get("/id", gil=ON_MAIN)
async def identity():
    return str(id(asyncio.current_task()))


@app.get("/group", gil=ON_MAIN)
async def group():
    """Everything that is taken aback by a task which somebody has cancelled."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        parts = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
    return [part.result() for part in parts]


@app.get("/hang", gil=ON_MAIN, request_timeout=0.1)
async def hang():
    await asyncio.sleep(60)


@app.get("/hang/{word}", gil=ON_MAIN, request_timeout=0)
async def hang_until_cancelled(word):
    kept.append(word)
    try:
        await asyncio.sleep(60)
    finally:
        ended.append(word)


@app.get("/hangs/{word}", gil=ON_MAIN)
async def hangs(word):
    return word in kept


@app.get("/ended/{word}", gil=ON_MAIN)
async def has_ended(word):
    return word in ended


@app.get("/together/{count:int}", gil=ON_MAIN)
async def together(count):
    """Wait until so many requests are here; each has a task, and all of these are idle then."""
    together.here += 1
    while together.here % count:
        await asyncio.sleep(0.001)
    return "together"


together.here = 0


async def stand_at_the_gate(word):
    waiting.append(word)
    await gate.wait()


@app.get("/gate/raise/{word}", gil=ON_MAIN)
async def raise_behind_the_gate(word):
    variable.set(word)
    await stand_at_the_gate(word)
    raise ZeroDivisionError(word)


@app.get("/gate/show/{word}", gil=ON_MAIN)
async def show_behind_the_gate(word):
    await stand_at_the_gate(word)
    return {"variable": Shown()}


@app.get("/gate/set/{word}", gil=ON_MAIN)
async def set_and_show_behind_the_gate(word):
    variable.set(word)
    await stand_at_the_gate(word)
    return {"variable": Shown()}


@app.get("/gate", gil=ON_MAIN)
async def look_at_the_gate():
    return waiting


@app.get("/gate/open", gil=ON_MAIN)
async def open_the_gate():
    gate.set()
    gate.clear()
    shown = list(waiting)
    waiting.clear()
    return shown


@app.get("/later/{word}", gil=ON_MAIN)
async def later(word):
    """Use what was kept."""
    for thing in kept:
        if isinstance(thing, contextvars.Context):
            thing.run(variable.set, word)
        elif isinstance(thing, asyncio.Task):
            thing.cancel(word)
            users[thing] = word
            thing.user = word
    return word


@app.get("/forget", gil=ON_MAIN)
async def forget():
    gc.collect()
    shown = list(called)
    for things in (kept, called, ended, users, contexts):
        things.clear()
    return shown


app.run()
