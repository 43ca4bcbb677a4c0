"""What a worker has something else for than the main interpreter, by whatever way it came there."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from places import MAIN, WORKER
from serving import Server, Write, run_to_end, serve
from workshop import LAZILY

HEAD = """
import asyncio
import contextlib
import functools
import importlib
import inspect
import os
import random
import sys
import threading
import time
import numpy as np
from pydantic import BaseModel, ValidationError
from pyreframework import HTTPError, Pyre

class Settings(BaseModel):
    token: str | None = "secret"
    nothing: str | None = None
    number: int = 3
    keys: list[str] = ["a", "b"]
    hosts: str = "x,y"
    debug: bool = True

s = Settings()

def parse(value):
    return value.split(",") if isinstance(value, str) else ["default"]

@functools.singledispatch
def kind(value):
    return "another"

@kind.register
def _(value: int):
    return "number"

app = Pyre()
"""
# Each gives a value V that is another one where numpy and pydantic are only stand-ins.
EXPRESSIONS = {
    "isinstance": "V = isinstance(s.token, str)",
    "conditional": "V = sorted(s.keys) if isinstance(s.keys, list) else None",
    "function": "V = parse(s.hosts)",
    "type_is": "V = type(s.number) is int",
    "type_name": "V = type(s.number).__name__",
    "class_name": "V = s.number.__class__.__name__",
    "subclass": "V = issubclass(type(s.number), int)",
    "subclass_of_it": "V = issubclass(Settings, BaseModel)",
    "dispatch": "V = kind(s.number)",
    "match": "match s.token:\n    case str():\n        V = 1\n    case _:\n        V = 2",
    "callable": "V = callable(s.token)",
    "isclass": "V = inspect.isclass(np.ndarray)",
    "dir": "V = 'mean' in dir(np)",
    "modules": "V = 'numpy' in sys.modules",
    "hasattr": "V = hasattr(np, 'bool8')",
    "getattr": "V = getattr(np, 'bool8', None) is None",
    "is_not_none": "V = s.nothing is not None",
    "is_true": "V = s.debug is True",
    "except_own": (
        "try:\n    np.linalg.inv(np.zeros((2, 2)))\n    V = False\n"
        "except np.linalg.LinAlgError:\n    V = True"
    ),
    "except_attribute": "try:\n    np.bool8\n    V = True\nexcept AttributeError:\n    V = False",
    "except_value": "try:\n    Settings(number='x')\n    V = 1\nexcept ValueError:\n    V = 2",
    "except_zero": "try:\n    1 // (s.number - 3)\n    V = 1\nexcept ZeroDivisionError:\n    V = 2",
    "except_index": "try:\n    s.keys[7]\n    V = 1\nexcept IndexError:\n    V = 2",
    "suppress": (
        "V = 1\nwith contextlib.suppress(ValidationError):\n    Settings(number='x')\n    V = 2"
    ),
    "device": ("try:\n    np.cuda.synchronize()\n    V = 'gpu'\nexcept Exception:\n    V = 'cpu'"),
    "table": "V = {'on': isinstance(s.token, str)}",
    "loop": "V = []\nfor one in (s.token, 1):\n    if isinstance(one, str):\n        V.append(1)",
    "nested": "V = [None, (1, {'a': s.nothing is None})]",
}
# What differs between interpreters, and has nothing to do with what is missing.
INNOCENT = """
STARTED = time.time()
TOKEN = random.random()
LOCK = threading.Lock()
NUMBER = id(LOCK)
NAME = __name__
STATS = {"since": time.monotonic(), "count": 0}

class Clock:
    def __init__(self):
        self.since = time.monotonic()

CLOCK = Clock()

@app.get("/innocent")
def innocent():
    STATS["count"] += 1
    return [__name__, STARTED > 0, TOKEN < 2, NUMBER > 0, NAME == __name__, CLOCK.since > 0]

@app.get("/locked")
def locked():
    with LOCK:
        return __name__
"""


def routes(names: list[str]) -> str:
    return "".join(
        f"@app.get('/{name}')\ndef get_{name}():\n    return [__name__, VALUE_{name}]\n"
        for name in names
    )


def answers(server: Server, names: list[str]) -> dict[str, object]:
    found = {}
    for name in names:
        reply = server.get(f"/{name}")
        assert reply.status == 200, name
        found[name] = reply.json()
    return found


def test_constants_are_those_of_the_main_interpreter(write: Write) -> None:
    names = list(EXPRESSIONS)
    constants = "".join(
        code.replace("V", f"VALUE_{name}").replace("VALUE_" + name + "al", "Val") + "\n"
        for name, code in EXPRESSIONS.items()
    )
    file = write("program.py", HEAD + constants + INNOCENT + routes(names) + "app.run()\n")
    with serve(file, mode="default") as server:
        expected = answers(server, names)
    with serve(file) as server:
        assert answers(server, names) == expected
        assert server.get("/innocent").json() == [WORKER, True, True, True, True, True]
        assert server.get("/locked").text == WORKER


def test_what_hooks_set_is_that_of_the_main_interpreter(write: Write) -> None:
    names = list(EXPRESSIONS)
    hooks = ""
    for name, code in EXPRESSIONS.items():
        body = code.replace("V", f"VALUE_{name}").replace("VALUE_" + name + "al", "Val")
        hooks += f"VALUE_{name} = None\n@app.on_worker_start\ndef set_{name}():\n"
        hooks += textwrap.indent(f"global VALUE_{name}\n{body}\n", "    ")
    file = write("program.py", HEAD + hooks + INNOCENT + routes(names) + "app.run()\n")
    with serve(file, mode="default") as server:
        expected = answers(server, names)
    with serve(file) as server:
        assert answers(server, names) == expected
        assert server.get("/innocent").json()[0] == WORKER


def test_a_check_that_depends_on_a_type_lets_nobody_in(write: Write) -> None:
    file = write(
        "program.py",
        HEAD
        + textwrap.dedent(
            """
            NEED_AUTH = isinstance(s.token, str)

            @app.get("/")
            def index(req):
                if NEED_AUTH and req.header("x-token") != s_token():
                    raise HTTPError(401)
                return "in"

            def s_token():
                return "secret"

            app.get("/plain", lambda req: __name__)
            app.run()
            """
        ),
    )
    with serve(file) as server:
        assert server.get("/").status == 401
        assert server.get("/", headers=[("x-token", "secret")]).text == "in"
        assert server.get("/plain").text == WORKER


SHAPES = """
FLAG = isinstance(s.token, str)

class Options:
    on = isinstance(s.token, str)
    plain = 1

class State:
    def __init__(self):
        self.on = isinstance(s.token, str)
        self.model = np.zeros(2)
        self.plain = 2

    def is_on(self):
        return self.on

    def is_plain(self):
        return self.plain

    def where(self):
        return [__name__, self.on]

state = State()

def with_default(on=isinstance(s.token, str)):
    return on

def make(on):
    def inner():
        return on
    return inner

closed = make(isinstance(s.token, str))
partly = functools.partial(lambda on: on, isinstance(s.token, str))
config = type("Config", (), {})()
config.on = isinstance(s.token, str)

app.get("/class", lambda req: [__name__, Options.on])
app.get("/class-plain", lambda req: [__name__, Options.plain])
app.get("/object", lambda req: [__name__, state.on])
app.get("/object-plain", lambda req: [__name__, state.plain])
app.get("/method", lambda req: [__name__, state.is_on()])
app.get("/method-plain", lambda req: [__name__, state.is_plain()])
app.get("/bound", state.where)
app.get("/unnamed", State().where)
app.get("/default", lambda req: [__name__, with_default()])
app.get("/closed", lambda req: [__name__, closed()])
app.get("/partial", lambda req: [__name__, partly()])
app.get("/lambda", lambda req, on=isinstance(s.token, str): [__name__, on])
app.get("/made", (lambda on: lambda req: [__name__, on])(isinstance(s.token, str)))
app.get("/config", lambda req: [__name__, config.on])
app.run()
"""


def test_wherever_such_a_value_is_kept(write: Write) -> None:
    file = write("program.py", HEAD + SHAPES)
    with serve(file) as server:
        for path in (
            "class", "object", "method", "bound", "unnamed", "default", "closed", "partial",
            "lambda", "made", "config",
        ):  # fmt: skip
            assert (path, server.get(f"/{path}").json()) == (path, [MAIN, True])
        for path, value in (("class-plain", 1), ("object-plain", 2), ("method-plain", 2)):
            assert (path, server.get(f"/{path}").json()) == (path, [WORKER, value])


FILLED = """
table = {}

def fill():
    table["on"] = isinstance(s.token, str)

fill()
app.get("/", lambda req: [__name__, table["on"]])
app.run()
"""


def test_a_table_that_a_function_fills(write: Write) -> None:
    with serve(write("program.py", HEAD + FILLED)) as server:
        assert server.get("/").json() == [MAIN, True]


MODULES = {
    "getattr": "getattr(settings, 'PAGE_SIZE')",
    "function": "setting('PAGE_SIZE')",
    "proxy": "proxy.PAGE_SIZE",
    "all": "ALL['PAGE_SIZE']",
    "vars": "vars(settings)['PAGE_SIZE']",
    "dict": "settings.__dict__['PAGE_SIZE']",
    "globals": "globals()['SIZE']",
    "modules": "sys.modules[__name__].SIZE",
    "eval": "eval('SIZE')",
    "handed": "handed(settings)",
    "import_module": "importlib.import_module('own_settings').PAGE_SIZE",
}


def test_a_module_that_is_reached_as_a_whole(write: Write) -> None:
    """What it has taken out of a stand-in may be read by any name."""
    write("own_settings.py", "import numpy as np\nPAGE_SIZE = int(np.int64(20))\nPLAIN = 7\n")
    text = """
    import importlib
    import sys
    import numpy as np
    import own_settings as settings
    from pyreframework import Pyre

    SIZE = int(np.int64(20))
    app = Pyre()

    def setting(name):
        return getattr(settings, name)

    class Proxy:
        def __getattr__(self, name):
            return getattr(settings, name)

    proxy = Proxy()
    ALL = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}

    def handed(module):
        return module.PAGE_SIZE

    @app.get("/lazy")
    def lazy():
        import own_settings
        return [__name__, getattr(own_settings, "PAGE_SIZE")]

    @app.get("/lazy-plain")
    def lazy_plain():
        import own_settings
        return [__name__, own_settings.PLAIN]

    app.get("/plain", lambda req: [__name__, settings.PLAIN])
    """
    gets = "".join(
        f"app.get('/{name}', lambda req: [__name__, {code}])\n" for name, code in MODULES.items()
    )
    file = write("program.py", textwrap.dedent(text) + gets + "app.run()\n")
    with serve(file) as server:
        for name in [*MODULES, "lazy"]:
            assert (name, server.get(f"/{name}").json()) == (name, [MAIN, 20])
        for name in ("plain", "lazy-plain"):
            assert server.get(f"/{name}").json() == [WORKER, 7]


REFUSED = {
    "if": ("if Settings().debug:\n    app.get('/a', one)", "pydantic"),
    "option": ("app.get('/a', one, request_timeout=float(np.float64(0.3)))", "numpy"),
    "path": ("app.get(f'/v{int(np.int64(2))}/x', one)", "numpy"),
    "loop": ("for n in ['a', 'b', 'c'][:int(np.int64(2))]:\n    app.get('/' + n, one)", "numpy"),
    "except": (
        "try:\n    Settings(number='x')\nexcept ValidationError:\n    app.get('/a', one)",
        "pydantic",
    ),
    "hasattr": ("if hasattr(np, 'bool8'):\n    app.get('/a', one)", "numpy"),
    "hook": ("if isinstance(s.token, str):\n    app.before_request(lambda req: None)", "pydantic"),
    "called": ("if parse(s.hosts) != ['default']:\n    app.get('/a', one)", "pydantic"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_start_that_is_refused_names_the_module_and_the_place(case: str, write: Write) -> None:
    code, module = REFUSED[case]
    head = HEAD + "def one(req):\n    return 1\n\napp.get('/', one)\n"
    text = head + f"{code}\nif __name__ == '__main__':\n    app.run()\n"
    file = write("program.py", text)
    ending = run_to_end(file)
    words = (
        f"in a worker {module} does not load, and program.py:{head.count(chr(10)) + 1} got a value"
    )
    assert (ending.code, words in ending.output) == (3, True), ending.output
    assert "__name__ ==" not in ending.output
    doctor = subprocess.run(
        [sys.executable, "-m", "pyreframework", "doctor", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (doctor.returncode, words in doctor.stdout) == (3, True), doctor.stdout


def test_a_program_without_stand_ins_compares_nothing(write: Write) -> None:
    text = """
    import sys
    from pyreframework import Pyre
    app = Pyre()

    @app.get("/")
    def loaded():
        late = [f"pyreframework.program.{name}" for name in ("facts", "differences", "flow")]
        return [__name__, [one for one in sys.modules if one in late]]

    app.run()
    """
    with serve(write("program.py", textwrap.dedent(text))) as server:
        assert server.get("/").json() == [WORKER, []]


def test_modules_that_load_when_they_are_used(write: Write) -> None:
    """One that cannot load ends no start; one that needs what is refused moves who uses it."""
    write("lazy_broken.py", "raise RuntimeError('not configured')\n")
    write(
        "lazy_rows.py", "import numpy as np\nPLAIN = 7\ndef rows():\n    return len(np.ones(3))\n"
    )
    program = """
lazy_broken = lazily("lazy_broken")
lazy_rows = lazily("lazy_rows")

@app.get("/rows")
def rows():
    return [__name__, lazy_rows.rows()]

@app.get("/broken")
def broken():
    try:
        return lazy_broken.value
    except RuntimeError as error:
        return [__name__, str(error)]

app.get("/plain", lambda req: [__name__, lazy_rows.PLAIN])
app.run()
"""
    head = "import pydantic\nfrom pyreframework import Pyre\napp = Pyre()\n"
    file = write("program.py", head + LAZILY + program)
    with serve(file) as server:
        assert server.get("/plain").json() == [WORKER, 7]
        assert server.get("/rows").json() == [MAIN, 3]


def test_settings_that_raise_when_they_are_asked_end_no_start(write: Write) -> None:
    text = """
import datetime

class Zone(datetime.tzinfo):
    def __repr__(self):
        raise RuntimeError("asked")
    def utcoffset(self, when):
        return datetime.timedelta(0)

class Meta(type):
    def __eq__(cls, other):
        raise RuntimeError("asked")
    __hash__ = type.__hash__

class Thing(metaclass=Meta):
    pass

class Proxy:
    @property
    def __dict__(self):
        raise RuntimeError("asked")
    @property
    def __class__(self):
        raise RuntimeError("asked")

started = datetime.datetime(2026, 1, 1, tzinfo=Zone())
things, proxy = [Thing()], Proxy()
ROWS = len(s.keys)

@app.get("/plain")
def plain():
    return [__name__, started.year, len(things)]

@app.get("/rows")
def rows():
    return [__name__, ROWS]

app.run()
"""
    with serve(write("program.py", HEAD + text)) as server:
        assert server.get("/plain").json() == [WORKER, 2026, 1]
        assert server.get("/rows").json() == [MAIN, 2]


def test_attributes_of_any_name(write: Write) -> None:
    """A name that only the main interpreter has may have line breaks, and whatever else."""
    text = """
import numpy as np
from pyreframework import Pyre

class Columns:
    def __init__(self, header):
        for place, title in enumerate(header):
            setattr(self, title, place)

columns = Columns(["name", "price\\n(EUR)", "a\\x1fb"])
if np.int64(2) == 2:
    setattr(columns, "of main\\n\\x1f", 3)
app = Pyre()

@app.get("/")
def hello(req):
    return repr(sorted(vars(columns)))

if __name__ == "__main__":
    app.run()
"""
    with serve(write("program.py", text)) as server:
        found = server.get("/").text
    assert found == repr(sorted(["name", "price\n(EUR)", "a\x1fb", "of main\n\x1f"]))
