"""What programs do that nobody wrote for this server: pickles, daemon threads, circular imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import Write, run_to_end, serve

from pyreframework.program import description
from pyreframework.testing import TestClient

HEAD = "from pyreframework import Pyre\napp = Pyre()\n"
TAIL = "if __name__ == '__main__':\n    app.run()\n"
PICKLES = """
import pickle

class Item:
    pass

@app.get("/write")
def write():
    return pickle.dumps(Item()).hex()

@app.get("/read/{text}", gil=True)
def read(req, text):
    return [type(pickle.loads(bytes.fromhex(text))) is Item, Item.__module__]
"""


@pytest.mark.parametrize("how", ["script", "command"])
def test_a_pickle_of_a_worker_is_read_on_the_main_interpreter(write: Write, how: str) -> None:
    file = write("program.py", HEAD + PICKLES + (TAIL if how == "script" else ""))
    program = [str(file)] if how == "script" else ["-m", "pyreframework", "run", f"{file}:app"]
    with serve(program, workers=1) as server:
        text = server.get("/write").text
        assert b"__mp_main__" in bytes.fromhex(text)
        reply = server.get(f"/read/{text}")
        assert (reply.status, reply.json()) == (200, [True, "__main__"])


def test_a_module_that_has_the_name_of_workers_keeps_it(write: Write) -> None:
    text = "import sys, types\nmine = sys.modules['__mp_main__'] = types.ModuleType('mine')\n"
    route = "@app.get('/', gil=True)\ndef index():\n    return sys.modules['__mp_main__'] is mine\n"
    with serve(write("program.py", HEAD + text + route + TAIL), workers=1) as server:
        assert server.get("/").json() is True


def test_a_pickle_of_a_worker_is_read_beside_a_test_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app of a file that no name leads to, loaded once and then again."""
    import importlib.util
    import sys

    # As in a process where no test before this one has served a file.
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    monkeypatch.setattr(description, "shared", None)
    file = tmp_path / "pickles_of_a_file.py"
    file.write_text(HEAD + PICKLES)
    for _ in range(2):
        spec = importlib.util.spec_from_file_location("named_by_a_runner", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "named_by_a_runner", module)
        spec.loader.exec_module(module)
        with TestClient(module.app, mode="subinterp") as client:
            text = client.get("/write").text
            assert client.get(f"/read/{text}").json() == [True, "named_by_a_runner"]


# ------------------------------------------------------------------------------------ decorators

DECORATED = """
import functools
from pydantic import BaseModel
from pyreframework import HTTPError

class Settings(BaseModel):
    debug: bool = True

settings = Settings()

def login_unless_debug(handler):
    if settings.debug:
        return handler
    @functools.wraps(handler)
    def inner(*args, **kwargs):
        raise HTTPError(401)
    return inner

@app.get("/"OPTION)
@login_unless_debug
def home():
    return "open"
"""


def test_a_decorator_that_asks_a_stand_in_is_named_with_its_module(write: Write) -> None:
    file = write("program.py", HEAD + DECORATED.replace("OPTION", "") + TAIL)
    ended = run_to_end(file, workers=1)
    assert ended.code == 3
    line = file.read_text().splitlines().index('@app.get("/")') + 1
    assert "GET / is answered by home" in ended.output
    assert f"pydantic does not load, and {file.name}:{line} got a value" in ended.output
    assert 'run(mode="default")' in ended.output


def test_another_handler_on_workers_of_a_route_that_never_runs_there(write: Write) -> None:
    with serve(
        write("program.py", HEAD + DECORATED.replace("OPTION", ", gil=True") + TAIL), workers=1
    ) as server:
        assert server.get("/").text == "open"


# --------------------------------------------------------------------------------------- threads

DAEMON = "threading.Thread(target=print, daemon=True).start()"


@pytest.mark.parametrize(
    "text",
    [
        f"@app.on_worker_start\ndef hook():\n    {DAEMON}\n",
        f"@app.on_worker_start\nasync def hook():\n    {DAEMON}\n",
        f"if __name__ != '__main__':\n    {DAEMON}\n",
        f"@app.on_worker_stop\ndef hook():\n    {DAEMON}\n",
        (
            "import contextlib\n@contextlib.asynccontextmanager\nasync def life(app):\n"
            f"    {DAEMON}\n    yield\napp = Pyre(lifespan=life)\n"
        ),
    ],
    ids=["start", "async-start", "top", "stop", "lifespan"],
)
def test_a_daemon_thread_of_a_worker_is_explained(write: Write, text: str) -> None:
    if "worker_stop" in text:
        with serve(
            write("program.py", HEAD + "import threading\n" + text + TAIL), workers=1
        ) as server:
            pass
        said = server.output.text()
    else:
        ended = run_to_end(
            write("program.py", HEAD + "import threading\n" + text + TAIL), workers=1
        )
        assert ended.code == 3
        said = ended.output
    assert said.count("workers take no fork and no daemon threads") == 1
    assert "daemon=False, and on_worker_stop has to end it" in said
    assert 'run(mode="default")' in said


# --------------------------------------------------------------------------------------- imports


def test_an_app_that_was_imported_twice_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "circ.py"
    file.write_text(HEAD + "import circ_views\n" + TAIL)
    views = "from circ import app\n@app.get('/')\ndef index():\n    return 'circ'\n"
    (tmp_path / "circ_views.py").write_text(views)
    with serve(file, workers=1) as server:
        assert server.get("/").status == 404
    said = server.output.text()
    assert "circ.py was loaded twice, as __main__ and as circ," in said
    assert "GET / by index (circ_views.py:2)" in said


@pytest.mark.parametrize(
    "views",
    [
        "from circ import app as other\n",
        "from pyreframework import Pyre\napp = Pyre()\nmore = app\n",
    ],
    ids=["only-read", "own"],
)
def test_two_apps_on_purpose_are_not_told_of(tmp_path: Path, views: str) -> None:
    """The same routes in both, or an app of another file with more."""
    file = tmp_path / "circ.py"
    file.write_text(HEAD + "import circ_views\napp.get('/', lambda req: 'one')\n" + TAIL)
    more = "" if "other" in views else "".join(f"app.get('/{n}', print)\n" for n in range(3))
    (tmp_path / "circ_views.py").write_text(views + more)
    with serve(file, workers=1) as server:
        assert server.get("/").text == "one"
    assert "loaded twice" not in server.output.text()
