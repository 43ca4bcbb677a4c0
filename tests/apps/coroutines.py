"""Coroutines as handlers: what asyncio offers, used inside of them."""

import asyncio
import contextvars
import gc
import os
import socket
import sys
import threading
from dataclasses import dataclass

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse

app = Pyre()
# With it every route is one of the main interpreter, next to workers that have nothing to do.
ON_MAIN = True if os.environ.get("TEST_GIL") else None
variable = contextvars.ContextVar("variable", default="unset")
events = {}
kept = []
notes = []
background = set()


def event_of(name):
    return events.setdefault(name, asyncio.Event())


async def at_gate(port, name):
    """Wait at the test's gate without blocking; the answer is what the test says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(name.encode() + b"\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.decode().strip()


@dataclass
class Point:
    x: int
    y: int


RESULTS = {
    "str": "text",
    "bytes": b"bytes",
    "bytearray": bytearray(b"array"),
    "dict": {"a": [1, 2.5, None]},
    "list": [1, "two"],
    "int": 5,
    "bool": True,
    "none": None,
    "tuple": ("made", 201),
    "headers": ("made", 201, {"X-A": "1"}),
    "dataclass": Point(1, 2),
    "response": PyreResponse("teapot", status_code=418, headers={"X-B": "2"}),
    "unknown": object(),
    "nan": float("nan"),
}


@app.get("/sync/{kind}", gil=ON_MAIN)
def result(kind):
    return RESULTS[kind]


@app.get("/async/{kind}", gil=ON_MAIN)
async def result_at_once(kind):
    return RESULTS[kind]


@app.get("/later/{kind}", gil=ON_MAIN)
async def result_later(kind):
    await asyncio.sleep(0)
    return RESULTS[kind]


@app.get("/hello", gil=ON_MAIN)
async def hello():
    return "hello"


@app.get("/plain", gil=ON_MAIN)
def plain():
    return "plain"


@app.get("/main", gil=True)
async def on_main():
    await asyncio.sleep(0)
    return "main"


@app.get("/number/{n:int}", gil=ON_MAIN)
async def number(n):
    for _ in range(n % 4):
        await asyncio.sleep(0)
    return str(n)


@app.get("/sync-number/{n:int}", gil=ON_MAIN)
def sync_number(n):
    return str(n)


@app.get("/gil-number/{n:int}", gil=True)
def gil_number(n):
    return str(n)


@app.get("/coroutine-of-def", gil=ON_MAIN)
def gives_coroutine():
    """No ``async def``, but what it returns is a coroutine; it is awaited."""
    return result_later("str")


@app.get("/generator", gil=ON_MAIN)
async def generator():
    yield "never"


@app.get("/raise/{kind}", gil=ON_MAIN)
async def raising(kind):
    if kind.startswith("late-"):
        await asyncio.sleep(0)
        kind = kind.removeprefix("late-")
    match kind:
        case "value":
            raise ValueError("secret of the coroutine")
        case "http":
            raise HTTPError(402, "pay")
        case "exit":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "cancelled":
            raise asyncio.CancelledError
        case "stop":
            raise StopAsyncIteration
        case "group":
            raise ExceptionGroup("several", [ValueError("a")])
        case "recursion":
            return await raising(kind)


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


@app.get("/timeout/{seconds:float}", gil=ON_MAIN)
async def timeout(seconds):
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return f"timed out, cancelling {asyncio.current_task().cancelling()}"


@app.get("/wait-for", gil=ON_MAIN)
async def wait_for():
    assert await asyncio.wait_for(result_later("str"), 10) == "text"
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        return "timed out"


@app.get("/group", gil=ON_MAIN)
async def group():
    """The group knows the task of the request before that has waited for anything."""
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(asyncio.sleep(0, n)) for n in range(5)]
    return [task.result() for task in made]


@app.get("/failing-group", gil=ON_MAIN)
async def failing_group():
    async def fail():
        raise ValueError("one of them")

    try:
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(asyncio.Event().wait())
            tasks.create_task(fail())
    except ExceptionGroup as errors:
        return {
            "errors": [str(error) for error in errors.exceptions],
            "other": other.cancelled(),
            "cancelling": asyncio.current_task().cancelling(),
        }


@app.get("/gather", gil=ON_MAIN)
async def gather():
    return await asyncio.gather(*(asyncio.sleep(0.001 * n, n) for n in range(5)))


@app.get("/queue", gil=ON_MAIN)
async def queue():
    items = asyncio.Queue(1)

    async def produce():
        for n in range(10):
            await items.put(n)

    producer = asyncio.create_task(produce())
    taken = [await items.get() for _ in range(10)]
    await producer
    return taken


@app.get("/lock", gil=ON_MAIN)
async def lock():
    mutex, inside = asyncio.Lock(), []

    async def enter(n):
        async with mutex:
            inside.append(n)
            await asyncio.sleep(0)
            inside.append(n)

    await asyncio.gather(*(enter(n) for n in range(3)))
    return inside


@app.get("/to-thread", gil=ON_MAIN)
async def to_thread():
    variable.set("carried")
    return await asyncio.to_thread(
        lambda: [variable.get(), threading.current_thread() is not threading.main_thread()]
    )


@app.get("/streams", gil=ON_MAIN)
async def streams():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"shout\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return line


@app.get("/tls/{port:int}", gil=ON_MAIN)
async def tls(req, port):
    import ssl

    context = ssl.create_default_context(cafile=os.environ["TEST_CERTIFICATE"])
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(b"over tls\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


@app.get("/subprocess", gil=ON_MAIN)
async def subprocess():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=-1, stdout=-1
    )
    out, _ = await process.communicate(b"abc\n")
    return {"out": out.decode().strip(), "code": process.returncode}


@app.get("/udp", gil=ON_MAIN)
async def udp():
    received = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            received.set_result(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Protocol, ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", transport.get_extra_info("sockname"))
    data = await received
    transport.close()
    return data


@app.get("/httpx/{port:int}", gil=ON_MAIN)
async def with_httpx(port):
    """Asks this very server, on this very loop."""
    import httpx

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        replies = await asyncio.gather(*(client.get(f"/number/{n}") for n in range(8)))
        await client.get("/hello")
    return [reply.text for reply in replies]


@app.get("/postgres/{port:int}", gil=ON_MAIN)
async def postgres(port):
    import asyncpg

    pool = await asyncpg.create_pool(
        host="127.0.0.1", port=port, user="pyre", database="postgres", min_size=1, max_size=4
    )
    async with pool:
        rows = await asyncio.gather(
            *(pool.fetchval("select $1::int * 2 from pg_sleep(0.01)", n) for n in range(8))
        )
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("create temp table t (a int, b text)")
            await connection.executemany("insert into t values ($1, $2)", [(1, "x"), (2, "y")])
            table = [tuple(row) for row in await connection.fetch("select * from t order by a")]
        try:
            async with asyncio.timeout(0.05):
                await pool.fetchval("select pg_sleep(30)")
        except TimeoutError:
            table.append("timed out")
        table.append(await pool.fetchval("select 'still there'"))
    return {"rows": rows, "table": table}


@app.get("/context/set/{value}", gil=ON_MAIN)
async def context_set(req, value):
    before = variable.get()
    variable.set(value)
    if req.query == "wait":
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    task = asyncio.create_task(context_of_task())
    return [before, variable.get(), await task]


async def context_of_task():
    return variable.get()


@app.get("/context/set-at-once/{value}", gil=ON_MAIN)
async def context_set_at_once(value):
    before = variable.get()
    variable.set(value)
    return [before, variable.get()]


@app.get("/context", gil=ON_MAIN)
async def context():
    return variable.get()


@app.get("/context/sync", gil=ON_MAIN)
def context_sync():
    return variable.get()


@app.get("/context/hold/{port:int}/{value}", gil=ON_MAIN)
async def context_hold(port, value):
    variable.set(value)
    await at_gate(port, value)
    return variable.get()


@app.get("/cancel/self", gil=ON_MAIN)
async def cancel_self():
    """The next wait raises, wherever the request to cancel came from."""
    task = asyncio.current_task()
    task.cancel("enough")
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        seen = [str(error), task.cancelling(), task.uncancel(), task.cancelling()]
        await asyncio.sleep(0)
        return seen
    return "not cancelled"


@app.get("/cancel/self/zero", gil=ON_MAIN)
async def cancel_self_before_sleep_zero():
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        return "cancelled"
    return "not cancelled"


@app.get("/cancel/self/later", gil=ON_MAIN)
async def cancel_self_later():
    await asyncio.sleep(0)
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        return "cancelled"
    return "not cancelled"


@app.get("/cancel/self/return", gil=ON_MAIN)
async def cancel_self_and_return():
    """It never waits again, so nothing comes of it."""
    asyncio.current_task().cancel()
    return "returned"


@app.get("/cancel/self/impossible", gil=ON_MAIN)
async def cancel_self_and_await_garbage(req):
    if req.query == "later":
        await asyncio.sleep(0)
    asyncio.current_task().cancel("goes first")
    try:
        await Yields(5)
    except asyncio.CancelledError as error:
        return str(error)


@app.get("/cancel/self/unhandled", gil=ON_MAIN)
async def cancel_self_unhandled():
    asyncio.current_task().cancel()
    await asyncio.sleep(10)


@app.get("/cancel/by-other", gil=ON_MAIN)
async def cancel_by_other():
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel, "by a callback")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        return str(error)


@app.get("/cancel/shield", gil=ON_MAIN)
async def cancel_shielded():
    inner = asyncio.create_task(asyncio.sleep(0.01, "survived"))
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    try:
        await asyncio.shield(inner)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        return await inner


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


@app.get("/generators", gil=ON_MAIN)
async def generators():
    async def count():
        try:
            for n in range(3):
                yield n
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            notes.append("generator closed")

    whole = [n async for n in count()]
    async for n in count():
        if n == 1:
            break
    while notes.count("generator closed") < 2:
        gc.collect()
        await asyncio.sleep(0)
    notes[:] = [note for note in notes if note != "generator closed"]
    return whole


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


class Yields:
    def __init__(self, thing):
        self.thing = thing

    def __await__(self):
        return (yield self.thing)


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


@app.get("/hold/{name}", gil=ON_MAIN)
async def hold(name):
    notes.append(name)
    await event_of(name).wait()
    notes.remove(name)
    return name


@app.get("/held", gil=ON_MAIN)
async def held():
    return len(notes)


@app.get("/release/{name}", gil=ON_MAIN)
async def release(name):
    event_of(name).set()
    events.pop(name)
    return "released"


@app.get("/gate/{port:int}/{name}", gil=ON_MAIN)
async def gate(port, name):
    return await at_gate(port, name)


@app.post("/keep", gil=ON_MAIN)
async def keep(req):
    kept.append(req)
    await asyncio.sleep(0)
    return "kept"


@app.get("/kept", gil=ON_MAIN)
async def show_kept():
    found = [[req.method, req.path, req.text(), req.header("x-n")] for req in kept]
    kept.clear()
    return found


@app.post("/echo", gil=ON_MAIN)
async def echo(req):
    """Reads the request after others have been served meanwhile."""
    await asyncio.sleep(0.001)
    return {"body": req.text(), "n": req.header("x-n"), "query": req.query_params}


@app.get("/requests", gil=ON_MAIN)
async def requests():
    gc.collect()
    return sum(isinstance(thing, PyreRequest) for thing in gc.get_objects())


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


class Callable:
    async def __call__(self, req):
        await asyncio.sleep(0)
        return "object"

    async def method(self, req):
        await asyncio.sleep(0)
        return "method"


app.get("/kinds/object", Callable(), gil=ON_MAIN)
app.get("/kinds/method", Callable().method, gil=ON_MAIN)
app.get("/kinds/lambda", lambda req: result_later("str"), gil=ON_MAIN)


@app.fallback
async def fallback(req):
    await asyncio.sleep(0)
    return f"no {req.path}", 404


app.run()
