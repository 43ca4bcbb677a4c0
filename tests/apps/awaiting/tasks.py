"""The task and the loop of a request, in the hands of itself and of others; also what is wrong."""

import asyncio
import sys

from awaiting.common import ON_MAIN, Yields, app, event_of, notes
from awaiting.results import result_later
from gates import at_gate

background = set()


@app.get("/task", gil=ON_MAIN)
async def task_of_request(req):
    """The same task and loop from the first line to the last."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    known = task in asyncio.all_tasks()
    seen = []
    for _ in range(3):
        seen.append(asyncio.current_task() is task and asyncio.get_running_loop() is loop)
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    seen.append(asyncio.current_task() is task)
    return {
        "seen": seen,
        "known": known,
        "loop": loop is task.get_loop(),
        "done": task.done(),
        "type": isinstance(task, asyncio.Task),
        "cancelling": task.cancelling(),
        "name": isinstance(task.get_name(), str),
        "repr": "GET /task" in repr(task),
        "running": loop.is_running(),
    }


@app.get("/no-loop", gil=ON_MAIN)
def no_loop():
    """A plain handler sees no loop, and may run one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result_later("str"))
    return "a loop runs"


tasks = {}


@app.get("/tasks/store/{name}", gil=ON_MAIN)
async def task_store(req, name):
    tasks[name] = asyncio.current_task()
    if req.query == "return":
        return "stored"
    try:
        await event_of(name).wait()
    except asyncio.CancelledError as error:
        return f"cancelled {error}"
    return "released"


@app.get("/tasks/known/{name}", gil=ON_MAIN)
async def task_known(name):
    return name in tasks


@app.get("/tasks/cancel/{name}", gil=ON_MAIN)
async def task_cancel(name):
    return tasks.pop(name).cancel("by another request")


@app.get("/tasks/await/{name}", gil=ON_MAIN)
async def task_await(name):
    task = tasks[name]
    notes.append("awaits")
    result = await task
    notes.remove("awaits")
    return [result, task.done()]


@app.get("/loop/{what}", gil=ON_MAIN)
async def loop_in_use(what):
    """What programs should not do with a loop that is not theirs; it goes on."""
    loop = asyncio.get_running_loop()
    waiting = asyncio.sleep(0)
    try:
        match what:
            case "stop":
                loop.stop()
            case "close":
                loop.close()
            case "run":
                loop.run_until_complete(waiting)
    except RuntimeError as error:
        waiting.close()
        return str(error)
    return await waiting


@app.get("/background/start/{port:int}", gil=ON_MAIN)
async def background_start(port):
    async def work():
        notes.append(await at_gate(port, "background"))
        event_of("background").set()

    task = asyncio.create_task(work())
    background.add(task)
    task.add_done_callback(background.discard)
    return "started"


@app.get("/background/wait", gil=ON_MAIN)
async def background_wait():
    await event_of("background").wait()
    event_of("background").clear()
    return notes.pop()


@app.get("/done-callback/{how}", gil=ON_MAIN)
async def done_callback(how):
    if how == "later":
        await asyncio.sleep(0)
    asyncio.current_task().add_done_callback(lambda task: event_of("done").set())
    return "added"


@app.get("/done-callback", gil=ON_MAIN)
async def done_callback_ran():
    await event_of("done").wait()
    event_of("done").clear()
    return "ran"


@app.get("/wrong/{kind}", gil=ON_MAIN)
async def wrong(req, kind):
    if req.query == "later":
        await asyncio.sleep(0)
    try:
        match kind:
            case "garbage":
                await Yields(5)
            case "future":
                await Yields(asyncio.get_running_loop().create_future())
            case "itself":
                await asyncio.current_task()
            case "other-loop":
                other = asyncio.new_event_loop()
                try:
                    await other.create_future()
                finally:
                    other.close()
            case "not-awaitable":
                await 5
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@app.get("/exception-context", gil=ON_MAIN)
async def exception_context():
    """Nothing of an earlier request is being handled here."""
    return repr(sys.exception())


@app.get("/nested-run", gil=ON_MAIN)
async def nested_run():
    coroutine = result_later("str")
    try:
        asyncio.run(coroutine)
    except RuntimeError as error:
        coroutine.close()
        return str(error)
