"""Everything that a handler, a hook or a result can do wrong, on every kind of route.

`/{kind}/{failure}` fails in the handler; the headers `X-Before`, `X-After`, `X-Handler` and
`X-Fallback` name a failure of a hook, if the program has hooks (`HOOKS=def` or `HOOKS=async`). Each
says first which request it is, so that the test finds its record in the log.
"""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import operator
import os
import sys
from collections.abc import Mapping

from pyreframework import HTTPError, Pyre, PyreResponse

app = Pyre()


class Bare(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("cannot say")

    __repr__ = __str__


class Exits(Exception):
    def __str__(self):
        raise SystemExit("from __str__")

    __repr__ = __str__


class Handled(Exception):
    pass


class Nasty:
    """An object that nobody should ask for its text."""

    def __repr__(self):
        raise ValueError("no text of mine")

    __str__ = __repr__


class Slippery:
    """An object of which nothing can be asked."""

    def __getattribute__(self, name):
        raise KeyError(name)


class ModelDump:
    def model_dump(self, mode):
        raise SystemExit(3)


class Wrong(Mapping):
    def __iter__(self):
        raise KeyError("no keys")

    def __len__(self):
        return 1

    def __getitem__(self, key):
        raise KeyError(key)


class WrongDecimal(decimal.Decimal):
    def __str__(self):
        raise ArithmeticError("no digits")


class WrongDate(datetime.date):
    def isoformat(self):
        raise KeyboardInterrupt


class Choice(enum.Enum):
    NASTY = Nasty()


@dataclasses.dataclass
class Data:
    nasty: object = dataclasses.field(default_factory=Nasty)


class Default:
    """A result of which `json_default` makes what is named."""

    def __init__(self, failure):
        self.failure = failure


def deep(n=0):
    return deep(n + 1) + 1


class DeepSlots:
    """Recursion through C: each level is a call of a slot."""

    def __add__(self, other):
        return operator.add(self, other)

    def __getattr__(self, name):
        return getattr(self, name + "x")

    def __eq__(self, other):
        return other == self

    __hash__ = None


def nested(levels, wrap=lambda inner: [inner]):
    value = []
    for _ in range(levels):
        value = wrap(value)
    return value


def cyclic():
    value = {}
    value["self"] = [value]
    return value


def raises(error):
    raise error


def chained():
    try:
        raise LookupError("inner")
    except LookupError as error:
        raise Unprintable from error


def exhausted():
    return next(iter(()))


def generator_of(failure):
    yield 1
    FAILURES[failure]()


def partial_chain():
    call = functools.partial(int)
    for _ in range(20_000):
        call = functools.partial(Chain(call))
    return call()


class Chain:
    def __init__(self, call):
        self.call = call

    def __call__(self):
        return self.call()


# What runs in the handler; those that return give a result that cannot be sent.
FAILURES = {
    "exception": lambda: raises(LookupError("wrong")),
    "assertion": lambda: raises(AssertionError()),
    "group": lambda: raises(ExceptionGroup("several", [ValueError("a"), TypeError("b")])),
    "chained": chained,
    "unprintable": lambda: raises(Unprintable),
    "exits-when-printed": lambda: raises(Exits),
    "http-error-of-wrong-detail": lambda: raises(HTTPError(400, Nasty())),
    "exit": lambda: sys.exit(7),
    "exit-zero": lambda: sys.exit(),
    "exit-builtin": lambda: raises(SystemExit(Nasty())),
    "interrupt": lambda: raises(KeyboardInterrupt),
    "cancelled": lambda: raises(asyncio.CancelledError),
    "generator-exit": lambda: raises(GeneratorExit),
    "stop-iteration": exhausted,
    "stop-async-iteration": lambda: raises(StopAsyncIteration),
    "bare": lambda: raises(Bare("bare")),
    "base": lambda: raises(BaseException("base")),
    "base-group": lambda: raises(BaseExceptionGroup("several", [KeyboardInterrupt()])),
    "memory-bytes": lambda: bytearray(1 << 62),
    "memory-list": lambda: [None] * (1 << 59),
    "recursion": deep,
    "recursion-add": lambda: DeepSlots() + DeepSlots(),
    "recursion-getattr": lambda: DeepSlots().missing,
    "recursion-compare": lambda: DeepSlots() == DeepSlots(),
    "recursion-repr": lambda: repr(nested(200_000)),
    "recursion-compare-lists": lambda: nested(200_000) == nested(200_000),
    "recursion-json": lambda: json.dumps(nested(200_000)),
    "recursion-partial": partial_chain,
    "result-object": object,
    "result-nasty": Nasty,
    "result-slippery": Slippery,
    "result-type": lambda: Nasty,
    "result-exception": lambda: LookupError("returned"),
    "result-nasty-str-in-json": lambda: {"a": Nasty()},
    "result-nasty-key": lambda: {Nasty(): 1},
    "result-slippery-in-json": lambda: [Slippery()],
    "result-complex": lambda: [1j],
    "result-nan": lambda: {"a": [float("nan")]},
    "result-model-dump": lambda: [ModelDump()],
    "result-mapping": Wrong,
    "result-decimal": lambda: [WrongDecimal(1)],
    "result-date": lambda: [WrongDate(2024, 1, 1)],
    "result-enum": lambda: [Choice.NASTY],
    "result-dataclass": Data,
    "result-deep": lambda: nested(300),
    "result-very-deep": lambda: nested(200_000),
    "result-deep-mappings": lambda: nested(200_000, lambda inner: {"a": inner}),
    "result-deep-generators": lambda: nested(100_000, lambda inner: (inner for _ in [1])),
    "result-cycle": cyclic,
    "result-generator": lambda: {"items": generator_of("exit")},
    "result-status-nasty": lambda: ("body", Nasty()),
    "result-headers": lambda: ("body", 200, {"X-A": Nasty()}),
    "result-response": lambda: PyreResponse(Nasty()),
    "result-response-status": lambda: PyreResponse("x", status_code=1000),
    "default-exception": lambda: Default("exception"),
    "default-exit": lambda: Default("exit"),
    "default-interrupt": lambda: Default("interrupt"),
    "default-recursion": lambda: Default("recursion"),
    "default-unknown": lambda: Default("result-nasty"),
    "default-endless": lambda: Default("default-endless"),
}


def failing(req, failure):
    print(f"{failure} fails in {req.id}", flush=True)
    return FAILURES[failure]()


def default(value):
    if isinstance(value, Default):
        return FAILURES[value.failure]()
    raise TypeError("unknown to json_default")


app.json_default = default


@app.get("/def/{failure}")
def handler(req, failure):
    return failing(req, failure)


@app.get("/gil/{failure}", gil=True)
def gil_handler(req, failure):
    return failing(req, failure)


@app.get("/async/{failure}")
async def at_once(req, failure):
    return failing(req, failure)


@app.get("/async-later/{failure}")
async def after_a_while(req, failure):
    await asyncio.sleep(0.001)
    return failing(req, failure)


@app.get("/async-gil/{failure}", gil=True)
async def gil_at_once(req, failure):
    return failing(req, failure)


@app.get("/async-gil-later/{failure}", gil=True)
async def gil_later(req, failure):
    await asyncio.sleep(0.001)
    return failing(req, failure)


class BadYield:
    def __await__(self):
        yield "not a future"


async def later(failure):
    await asyncio.sleep(0.001)
    FAILURES[failure]()


@app.get("/task/{failure}")
async def task(req, failure):
    """A task of its own, which fails when the answer is out."""
    left.add(asyncio.create_task(later(failure)))
    return "left"


@app.get("/callback/{failure}")
async def callback(req, failure):
    asyncio.get_running_loop().call_soon(FAILURES[failure])
    return "left"


@app.get("/awaited-task/{failure}")
async def awaited_task(req, failure):
    print(f"{failure} fails in {req.id}", flush=True)
    await asyncio.create_task(later(failure))


@app.get("/group/{failure}")
async def group(req, failure):
    print(f"{failure} fails in {req.id}", flush=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(later(failure))


@app.get("/loop/{what}")
async def loop(req, what):
    """What should not be done to a loop that others use."""
    print(f"{what} fails in {req.id}", flush=True)
    running = asyncio.get_running_loop()
    match what:
        case "bad-yield":
            await BadYield()
        case "cancel-itself":
            asyncio.current_task().cancel()
            await asyncio.sleep(1)
        case "run":
            asyncio.run(later("exception"))
        case "until-complete":
            running.run_until_complete(later("exception"))
        case "close":
            running.close()
        case "stop":
            running.stop()
            await asyncio.sleep(0.001)
            raise LookupError("it went on")


left = set()


@app.get("/async-fine")
async def async_fine(req):
    await asyncio.sleep(0)
    return "fine"


@app.get("/fine")
def fine(req):
    return "fine"


@app.get("/gil-fine", gil=True)
def gil_fine(req):
    return "fine"


def before(req):
    failure = req.header("x-before")
    return failing(req, failure) if failure else None


def after(req, resp):
    failure = req.header("x-after")
    return failing(req, failure) if failure else None


def on_handled(req, error):
    return failing(req, req.header("x-handler"))


def fallback(req):
    return failing(req, req.header("x-fallback"))


def later_of(hook):
    """The same as a coroutine function, which waits before it fails."""

    @functools.wraps(hook)
    async def waiting(*arguments):
        await asyncio.sleep(0.001)
        return hook(*arguments)

    return waiting


def handled(req):
    raise Handled


if hooks := os.environ.get("HOOKS"):
    kind = later_of if hooks == "async" else lambda hook: hook
    app.before_request(kind(before))
    app.after_request(kind(after))
    app.exception_handler(Handled)(kind(on_handled))
    app.fallback(kind(fallback))
    app.get("/handled", handled)
    app.get("/gil-handled", handled, gil=True)


if __name__ == "__main__":
    app.run()
