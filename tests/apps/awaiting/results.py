"""What handlers may return or raise, and what may be a handler."""

import asyncio
from dataclasses import dataclass

from awaiting.common import ON_MAIN, app

from pyreframework import HTTPError, PyreResponse


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
    yield "text"


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
