"""Where plain values out of stand-ins go, and which routes move for them."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyreframework.program import apps, imports, moves, ownership, sources
from pyreframework.program.standins import ModuleStandIn

np = ModuleStandIn("numpy", "refused")
Load = Callable[..., list[str]]
HEAD = """
from pyreframework import Pyre
app = Pyre()
W = np.arange(3)
app.get("/plain", lambda req: "plain")
"""
STATES = ("failed_hooks", "taken", "tainted", "marked", "unfollowed")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Run a program with numpy missing, its hooks too, and return the routes that move."""
    for name in STATES:
        monkeypatch.setattr(imports, name, {})
    # The modules of other tests are no part of the program, whichever have been imported.
    own = f"{tmp_path}/"
    monkeypatch.setattr(ownership, "is_program_file", lambda file: file.startswith(own))
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def module(name: str, text: str) -> dict[str, Any]:
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        new = types.ModuleType(name)
        new.__file__ = str(file)
        vars(new)["np"] = np
        monkeypatch.setitem(sys.modules, name, new)
        made.append(name)
        imports.run(compile(text, str(file), "exec"), vars(new))
        return vars(new)

    def load(text: str, helper: str = "") -> list[str]:
        monkeypatch.setattr(apps, "loading", types.SimpleNamespace(apps=[]))
        module("flow_helper", helper)
        space = module("flow_program", HEAD + text)
        monkeypatch.setattr(apps, "loading", None)
        app = space["app"]
        monkeypatch.setattr(apps, "loaded", app)
        app.begin_worker()
        routes = [f"{method} {path}" for method, path in app.native.route_table()]
        return [routes[number] for number, _, _ in moves.survey(app, eager=False) if number >= 0]

    yield load
    sources.forget()


FOLLOWED = {
    "a value of a value": "N = len(W)\nHALF = N // 2\nuse(lambda req: HALF)",
    "a comparison": "N = int(W.sum())\nBIG = N > 3\nuse(lambda req: BIG)",
    "a text in a text": "N = int(W.sum())\nTEXT = f'sum {N}'\nuse(lambda req: TEXT)",
    "a comprehension": "N = len(W)\nL = [i * 2 for i in range(N)]\nuse(lambda req: L)",
    "a generator": "N = len(W)\nL = list(i for i in range(N))\nuse(lambda req: L)",
    "the least of two": "L = len(W)\nM = min(L, 3)\nuse(lambda req: M)",
    "out of a table": "C = {'n': len(W)}\nN = C['n']\nuse(lambda req: N)",
    "out of a function": "N = len(W)\ndef f():\n  return N + 1\nY = f()\nuse(lambda req: Y)",
    "a condition": "N = len(W)\nif N:\n  POS = True\nelse:\n  POS = False\nuse(lambda req: POS)",
    "the text of it": "S = str(W.sum())\nT = S + '!'\nuse(lambda req: T)",
    "an object": (
        "from types import SimpleNamespace\nN = len(W)\nC = SimpleNamespace(n=N)\n"
        "use(lambda req: C.n)"
    ),
    "an attribute of a class": "N = len(W)\nclass C:\n  n = N\nuse(lambda req: C.n)",
    "an attribute of an object": (
        "class C:\n  n = 0\n  def get(self, req):\n    return self.n\n"
        "c = C()\nc.n = len(W)\nuse(c.get)"
    ),
    "a default of a dataclass": (
        "from dataclasses import dataclass\nN = len(W)\n"
        "@dataclass\nclass C:\n  n: int = N\nuse(lambda req: C().n)"
    ),
    "a default": "N = len(W)\ndef f(n=N):\n  return n\nuse(lambda req: f())",
    "an argument of a decorator": (
        "N = len(W)\n"
        "def deco(n):\n  def wrap(f):\n    def inner(req):\n      return n\n    return inner\n"
        "  return wrap\n"
        "@app.get('/moved')\n@deco(N + 1)\ndef handler(req):\n  return 1"
    ),
    "what __init__ has counted": (
        "class C:\n  def __init__(self):\n    self.n = len(W)\nc = C()\nuse(lambda req: c.n)"
    ),
    "another name for a list": "A = []\nB = A\nB.extend(W.tolist())\nuse(lambda req: A)",
    "an item": "A = {}\nA['n'] = len(W)\nuse(lambda req: A)",
    "a global of a function": (
        "N = 0\ndef f():\n  global N\n  N = len(W)\nf()\nM = N + 1\nuse(lambda req: M)"
    ),
    "from another module": "from flow_helper import ROWS\nuse(lambda req: ROWS)",
    "from another module by another name": (
        "from flow_helper import ROWS as R\nN = R + 1\nuse(lambda req: N)"
    ),
    "in another module": "import flow_helper\nN = flow_helper.ROWS + 1\nuse(lambda req: N)",
    "a global of a hook": (
        "N = 0\n@app.on_worker_start\ndef start():\n  global N\n  N = len(W)\nuse(lambda req: N)"
    ),
    "a text of it for people": "A = repr(W[0])\nuse(lambda req: A)",
    "an entry by setdefault": "A = {}\nB = A.setdefault('n', len(W))\nuse(lambda req: A)",
    "found in a set": "A = W[0] in {1, 2}\nuse(lambda req: A)",
    "found in a table": "A = {1: 2}.get(W[0], 3)\nuse(lambda req: A)",
}


@pytest.mark.parametrize("text", FOLLOWED.values(), ids=FOLLOWED)
def test_what_comes_of_a_plain_value_moves_what_uses_it(text: str, load: Load) -> None:
    use = "use = app.get('/moved')\n"
    assert load(use + text, "ROWS = len(np.arange(3))\n") == ["GET /moved"]
    assert not imports.unfollowed


UNFOLLOWED = {
    "a hook that fills a table": ("S = {}\n@app.on_worker_start\ndef start():\n  S['n'] = len(W)"),
    "a hook that fills a list": (
        "S = []\n@app.on_worker_start\ndef start():\n  S.extend(W.tolist())"
    ),
    "a hook that sets an attribute": (
        "class C:\n  pass\nc = C()\n@app.on_worker_start\ndef start():\n  c.n = len(W)"
    ),
    "a hook that calls": (
        "S = {}\ndef fill():\n  S['n'] = len(W)\n@app.on_worker_start\ndef start():\n  fill()"
    ),
    "a hook that fails before it calls": (
        "import json\nS = {}\ndef fill(n):\n  S['n'] = n\n"
        "@app.on_worker_start\ndef start():\n  fill(json.loads(W))"
    ),
    "a hook with a value of before": (
        "S = {}\nN = len(W)\n@app.on_worker_start\ndef start():\n  S['n'] = N"
    ),
    "a function that is left behind": (
        "S = {}\ndef load(w):\n  assert len(w) == 3\n  S['n'] = 1\nload(W)"
    ),
    "a loop that fills a set": (
        "S = set()\ndef load():\n  for n in np.read()['name']:\n    S.add(n)\nload()"
    ),
    "a module that registers": "import flow_helper",
    "a call with a value": "S = {}\ndef put(k, n):\n  S[k] = n\nput('n', len(W))",
    "a call with a global": "S = {}\ndef put(k, n):\n  S[k] = n\nN = len(W)\nput('n', N)",
    "a call in an assignment": (
        "S = {}\ndef put(k, n):\n  S[k] = n\n  return n\nN = put('n', len(W))"
    ),
    "a class that fills a table of its own": (
        "class C:\n  rows = {}\n  def __init__(self):\n    C.rows['n'] = len(W)\nc = C()"
    ),
    "a decorator that registers": (
        "S = {}\nN = len(W)\ndef put(n):\n  def wrap(f):\n    S[n] = f\n    return f\n"
        "  S['n'] = n\n  return wrap\n@put(N)\ndef f():\n  pass"
    ),
    "a function handed on": "S = []\ndef put(n):\n  S.append(n)\nA = list(map(put, W))",
    "a handler with a value": (
        "import functools\ndef f(n, req):\n  return n\napp.get('/n', functools.partial(f, len(W)))"
    ),
}


@pytest.mark.parametrize("text", UNFOLLOWED.values(), ids=UNFOLLOWED)
def test_what_cannot_be_followed_moves_every_route(text: str, load: Load) -> None:
    helper = "S = []\ndef put(n):\n  S.append(n)\n"
    if "flow_helper" in text:
        helper += "for i in np.arange(3):\n  put(i)\n"
    moved = load(text, helper)
    assert "GET /plain" in moved
    assert imports.unfollowed


HARMLESS = {
    "print": "print(f'sum {W.sum()}', len(W))\nN = len(W)\nprint(N)",
    "a log": "import logging\nlog = logging.getLogger('a')\nlog.info('%s %d', W, len(W))",
    "a logger of hooks": (
        "import logging\nlog = logging.getLogger('a')\nlog.info('%s', str(W))\nS = {}\n"
        "@app.on_worker_start\ndef start():\n  S['a'] = 1\n  log.info('on')"
    ),
    "a log in a function": (
        "import logging\nlog = logging.getLogger('a')\nS = {}\n"
        "def load():\n  S['a'] = 1\n  log.info('have %s', str(W))\nload()"
    ),
    "a check in a function": (
        "S = {}\ndef load():\n  S['a'] = 1\n  if W.any():\n    raise ValueError\nload()"
    ),
    "a check": "assert len(W) == 3\nif len(W) != 3:\n  raise SystemExit('damaged')",
    "a check of a value": "N = len(W)\nassert N == 3\nif N != 3:\n  raise SystemExit('damaged')",
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n  a: np.ndarray | None = None"
    ),
    "is None": "A = None\nif W is None:\n  A = 1",
    "a model": (
        "class C(np.Model):\n  a: int\n  @np.check('a')\n  def b(cls, v):\n    return v\n"
        "  class D:\n    x = 1\nC.rebuild()"
    ),
    "functools": (
        "import functools\n@functools.singledispatch\ndef f(x):\n  return x\n"
        "@f.register(np.ndarray)\ndef _(x):\n  return 1\n"
        "@functools.lru_cache\ndef g(x):\n  return 1\ng(np.a)"
    ),
    "a table of types": "T = {np.ndarray: 1}\nT[np.b] = 2\nU = list[np.ndarray]",
    "the main program": ("N = len(W)\nif __name__ == '__main__':\n  app.use(N)\n"),
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_harmless_uses_move_nothing(text: str, load: Load) -> None:
    assert load(text) == []
    assert not imports.unfollowed


def test_only_what_uses_a_value_moves(load: Load) -> None:
    moved = load(
        """
N = len(W)
CONFIG = {"a": 1}
def rows(): return N
def other(): return CONFIG
app.get("/rows")(lambda req: rows())
app.get("/other")(lambda req: other())
app.get("/handler", other)
"""
    )
    assert moved == ["GET /rows"]
