"""An event loop of an extension, in any of the ways to ask for it, moves no route."""

from __future__ import annotations

import textwrap

import pytest
from places import WORKER
from serving import Write, serve

UVLOOP = """
    import _interpreters
    import asyncio

    if _interpreters.get_current()[0]:
        raise ImportError(f"module {__name__} does not support loading in subinterpreters")

    __version__ = "0.1"

    class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
        pass

    def new_event_loop():
        return asyncio.SelectorEventLoop()

    def install():
        asyncio.set_event_loop_policy(EventLoopPolicy())
"""


LOOPED = """
    from pyreframework import Pyre

    app = Pyre()

    @app.get("/wait")
    async def wait():
        await asyncio.sleep(0)
        return [__name__, type(asyncio.get_running_loop()).__qualname__]

    @app.get("/ask")
    def ask():
        return [__name__, asyncio.iscoroutinefunction(wait)]

    if __name__ == "__main__":
        app.run()
"""


LOOP_LINES = {
    "policy": "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())",
    "install": "import uvloop\nuvloop.install()",
    "names": (
        "from asyncio import set_event_loop_policy as use\nfrom uvloop import EventLoopPolicy\n"
        "use(policy=EventLoopPolicy())"
    ),
    "variable": (
        "import uvloop\nfast = uvloop.EventLoopPolicy()\nasyncio.set_event_loop_policy(fast)"
    ),
    "if": (
        "import uvloop\nif uvloop.__version__ >= '0':\n"
        "    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"
    ),
    "match": (
        "import uvloop\nmatch 'linux':\n    case 'linux':\n"
        "        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"
    ),
    "class": (
        "import uvloop\nclass Mine(uvloop.EventLoopPolicy):\n    pass\n"
        "asyncio.set_event_loop_policy(Mine())"
    ),
    "loop": "import uvloop\nasyncio.set_event_loop(uvloop.new_event_loop())",
    "function": (
        "import uvloop\nfrom pyreframework import Pyre\nother = Pyre()\ndef set_up(app):\n"
        "    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\nset_up(other)"
    ),
    "another": (
        "import uvloop, warnings\nold = asyncio.sleep\n"
        "asyncio.register_plugin(uvloop) if hasattr(asyncio, 'x') else None\n"
        "asyncio.Runner(loop_factory=uvloop.new_event_loop).close()"
    ),
}


@pytest.mark.parametrize("line", LOOP_LINES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_event_loop_policy_moves_no_route(write: Write, line: str) -> None:
    write("site-packages/uvloop.py", UVLOOP)
    text = f"import asyncio\n{LOOP_LINES[line]}\n{textwrap.dedent(LOOPED)}"
    file = write("program.py", text)
    env = {"PYTHONPATH": str(file.parent / "site-packages"), "PYTHONWARNINGS": "ignore"}
    with serve(file, workers=1, env=env) as server:
        assert server.get("/wait").json() == [WORKER, "_UnixSelectorEventLoop"]
        assert server.get("/ask").json() == [WORKER, True]
        assert "main interpreter" not in server.output.text()
