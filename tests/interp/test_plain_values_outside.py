"""Plain values out of stand-ins and what is outside of the program: nothing is done with them.

What a statement does to the process, to files or to the standard library's settings it does with
the right value on the main interpreter, or not at all. The programs print what they have found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from serving import Server, Write, run_to_end, serve

WORKER, MAIN = "__mp_main__", "__main__"

HEAD = """\
import logging, os, sys
from pathlib import Path
import numpy as np
from pydantic import BaseModel
from pyreframework import Pyre

HERE = Path(__file__).parent
if __name__ == "__main__":
    print("standard input:", os.readlink("/proc/self/fd/0"), flush=True)

class Settings(BaseModel):
    text: str = str(HERE / "text.txt")
    umask: int = 0o27
    threads: int = 3
    seconds: float = 2.5
    file: str = str(HERE / "app.log")
    level: str = "INFO"
    debug: bool = True
    limit: int = 1000
    prec: int = 7
    folder: str = str(HERE)

settings = Settings()
data = np.arange(5)
app = Pyre()
"""


SAVE = """
def save():
    with open(HERE / "count.txt", "w") as file:
        file.write(f"{len(data)} rows")
save()
"""


def program(write: Write, text: str, handler: str = "") -> Path:
    """Write a program that answers ``/`` by an expression, and ``/plain`` on a worker."""
    routes = f"app.get('/', lambda req: [__name__, {handler or 'None'}])\n"
    return write("program.py", HEAD + text + "\n" + routes + "app.run(workers=2)\n")


def said(server: Server) -> str:
    """What the program has printed, the whole banner at least."""
    server.output.wait_for("try: curl")
    return server.output.text()


@pytest.mark.parametrize(
    "text",
    [
        "open(settings.text).close()",
        "file = open(settings.text, 'a')\nfile.close()",
        "with open(settings.text) as file:\n    PAGE = file.read()",
        "os.chmod(settings.text, 0o600)",
        "os.close(os.open(settings.text, os.O_RDONLY))",
        "def read():\n    return open(settings.text).read()\nPAGE = read()",
    ],
)
def test_descriptor_0_is_left_alone(write: Write, text: str) -> None:
    """A stand-in is no descriptor, whatever number it would give."""
    write("text.txt", "a page")
    file = program(write, text)
    with serve(file, workers=2) as server:
        assert server.get("/").status == 200
        first = os.readlink(f"/proc/{server.process.pid}/fd/0")
        assert f"standard input: {first}\n" in said(server)


@pytest.mark.parametrize(
    ("text", "handler"),
    [
        ("os.umask(settings.umask)", "oct(os.umask(0o27))"),
        ("os.umask(int(settings.umask))", "oct(os.umask(0o27))"),
        ("MASK = int(settings.umask)\nos.umask(MASK)", "oct(os.umask(0o27))"),
        (
            "def setup():\n    mask = int(settings.umask)\n    os.umask(mask)\nsetup()",
            "oct(os.umask(0o27))",
        ),
        (
            "def setup():\n    if not settings.debug:\n        os.umask(0)\nsetup()",
            "oct(os.umask(0o27))",
        ),
        (
            "def setup():\n    if settings.debug:\n        return\n    os.umask(0)\nsetup()",
            "oct(os.umask(0o27))",
        ),
        ("settings.debug or os.umask(0)", "oct(os.umask(0o27))"),
        (
            "match settings.level:\n case 'INFO':\n  pass\n case _:\n  os.umask(0)",
            "oct(os.umask(0o27))",
        ),
        (
            "def load():\n    global MASK\n    MASK = int(settings.umask)\nload()\nos.umask(MASK)",
            "oct(os.umask(0o27))",
        ),
    ],
)
def test_the_umask_is_that_of_the_main_interpreter(write: Write, text: str, handler: str) -> None:
    text = "os.umask(0o27)\n" + text
    with serve(program(write, text, handler), workers=2) as server:
        assert server.get("/").json()[1] == "0o27"


def test_limits_of_the_process_are_those_of_the_main_interpreter(write: Write) -> None:
    text = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (settings.limit,) * 2)\n"
    with serve(program(write, text, "resource.getrlimit(resource.RLIMIT_CORE)[0]")) as server:
        assert server.get("/").json() == [WORKER, 1000]
        assert "takes a value" not in said(server)


@pytest.mark.parametrize(
    "text",
    [
        'Path(HERE / "count.txt").write_text(f"{len(data)} rows")',
        '(HERE / "count.txt").write_text(f"{len(data)} rows")',
        'with open(HERE / "count.txt", "w") as file:\n    file.write(f"{len(data)} rows")',
        'with open(HERE / "count.txt", "w") as file:\n    print(len(data), "rows", file=file)',
        SAVE,
        'with open(HERE / "count.txt", "a") as file:\n    print(len(data), "rows", file=file)',
        'open(HERE / "count.txt", "a").write(f"{len(data)} rows")',
        'ROWS = len(data)\n(HERE / "count.txt").write_text(f"{ROWS} rows")',
        'ROWS = len(data)\nTEXT = f"{ROWS} rows"\nopen(HERE / "count.txt", "w").write(TEXT)',
    ],
)
def test_files_are_written_on_the_main_interpreter(write: Write, text: str) -> None:
    file = program(write, text)
    with serve(file, workers=2) as server:
        assert server.get("/").status == 200
    assert (file.parent / "count.txt").read_text().strip() == "5 rows"


@pytest.mark.parametrize(
    "text",
    [
        'os.environ["PYRE_TEST_THREADS"] = str(settings.threads)',
        "os.environ.update(PYRE_TEST_THREADS=str(settings.threads))",
        'os.putenv("PYRE_TEST_THREADS", str(settings.threads))',
        'os.environ.setdefault("PYRE_TEST_THREADS", f"{settings.threads}")',
        'N = str(settings.threads)\nos.environ["PYRE_TEST_THREADS"] = N',
    ],
)
def test_the_environment_of_children_has_the_right_value(write: Write, text: str) -> None:
    child = "os.popen('echo $PYRE_TEST_THREADS').read()"
    with serve(program(write, text, child), workers=2) as server:
        assert server.get("/").json()[1] == "3\n"


TIMEOUT = "socket.getdefaulttimeout()"
SET_UP = """
import socket
def setup(seconds):
    socket.setdefaulttimeout(seconds)
setup(float(settings.seconds))
"""
WARN = "import warnings\nwarnings.filterwarnings('error' if settings.debug else 'ignore')"
FOLDER = "import tempfile\ntempfile.tempdir = settings.folder"
STATE = {
    "socket": ("import socket\nsocket.setdefaulttimeout(float(settings.seconds))", TIMEOUT, 2.5),
    "constant": (
        "import socket\nT = float(settings.seconds)\nsocket.setdefaulttimeout(T)",
        TIMEOUT,
        2.5,
    ),
    "function": (SET_UP, TIMEOUT, 2.5),
    "branch": ("import socket\nif settings.debug:\n    socket.setdefaulttimeout(9)", TIMEOUT, 9.0),
    "gc": ("import gc\ngc.set_threshold(settings.limit)", "gc.get_threshold()[0]", 1000),
    "recursion": ("sys.setrecursionlimit(settings.limit)", "sys.getrecursionlimit()", 1000),
    "csv": ("import csv\ncsv.field_size_limit(settings.limit)", "csv.field_size_limit()", 1000),
    "warnings": (WARN, "warnings.filters[0][0]", "error"),
    "tempfile": (FOLDER, "tempfile.gettempdir() == str(HERE)", True),
}


@pytest.mark.parametrize("name", STATE)
def test_settings_of_the_standard_library_hold_where_handlers_run(write: Write, name: str) -> None:
    text, handler, expected = STATE[name]
    with serve(program(write, text, handler), workers=2) as server:
        assert server.get("/").json() == [MAIN, expected]
        assert "takes a value out of pydantic, which does not load in workers" in said(server)


LOG = "logging.basicConfig(filename=HERE / 'app.log', level=settings.level)"
CHOSEN = """
level = logging.DEBUG if settings.debug else logging.ERROR
logging.basicConfig(filename=HERE / 'app.log', level=level)
"""
CONFIG = """
import logging.config
handler = {"class": "logging.FileHandler", "filename": str(HERE / "app.log")}
root = {"level": settings.level, "handlers": ["file"]}
logging.config.dictConfig({"version": 1, "handlers": {"file": handler}, "root": root})
"""
LOGS = {
    "level": LOG,
    "file": "logging.basicConfig(filename=settings.file, level=settings.level)",
    "branch": LOG.replace("settings.level", "logging.DEBUG if settings.debug else logging.ERROR"),
    "constant": CHOSEN,
    "function": f"def setup():\n    {LOG}\nsetup()",
    "config": CONFIG,
}


@pytest.mark.parametrize("name", LOGS)
def test_records_are_not_lost(write: Write, name: str) -> None:
    file = program(write, LOGS[name], "logging.getLogger('shop').info('a record')")
    with serve(file, workers=2) as server:
        assert server.get("/").json() == [MAIN, None]
        assert "takes a value out of pydantic, which does not load in workers" in said(server)
    assert "a record" in (file.parent / "app.log").read_text()


def test_what_only_shows_goes_on_in_workers(write: Write) -> None:
    text = """
log = logging.getLogger("shop")
log.warning("%s rows", len(data))
logging.getLogger("shop").info("%s rows", len(data))
print(len(data), str(settings.level), file=sys.stderr)
sys.stdout.write(f"{len(data)}\\n")
assert len(data) == 5
"""
    with serve(program(write, text, "1"), workers=2) as server:
        assert server.get("/").json() == [WORKER, 1]


def test_the_client_on_workers_keeps_to_it(write: Write) -> None:
    """In a process that has imported the program, also one without a file."""
    text = (
        '(HERE / "count.txt").write_text(f"{len(data)} rows")\n'
        "os.umask(settings.umask)\n"
        "app.get('/', lambda req: [__name__, 1])\n"
    )
    file = write("shop.py", HEAD + text)
    code = (
        "from shop import app; from pyreframework.testing import TestClient\n"
        "with TestClient(app, mode='subinterp') as client: print(client.get('/').text)\n"
        "import os; print(oct(os.umask(0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=file.parent,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout.split("\n")
    assert json.loads(shown[0]) == ["shop", 1]
    assert shown[1] == "0o27"
    assert (file.parent / "count.txt").read_text() == "5 rows"


def test_precision_is_no_reason_not_to_start(write: Write) -> None:
    text = "import decimal\ndecimal.getcontext().prec = settings.prec"
    with serve(program(write, text, "1"), workers=2) as server:
        assert server.get("/").json() == [MAIN, 1]


@pytest.mark.parametrize(
    "line",
    [
        "app = Pyre(log_config={'version': 1, 'root': {'level': settings.level}})",
        "app.get('/t', lambda req: 1, request_timeout=settings.seconds)",
        "app.max_body_size = settings.limit",
        "app.enable_logging(sample=settings.threads)",
    ],
)
def test_a_start_that_a_stand_in_ends_names_package_place_and_remedy(
    write: Write, line: str
) -> None:
    file = program(write, line)
    number = file.read_text().split("\n").index(line) + 1
    ending = run_to_end(file)
    assert ending.code == 3
    assert f"in a worker pydantic does not load, and program.py:{number} got" in ending.output
    assert 'run(mode="default")' in ending.output
    assert "made no app" not in ending.output


def test_rows_of_a_database_are_written_once(write: Write) -> None:
    text = """
import sqlite3
with sqlite3.connect(HERE / "rows.db") as database:
    database.execute("create table if not exists counts (rows)")
    database.execute("insert into counts values (?)", (len(data),))
"""
    handler = "sqlite3.connect(HERE / 'rows.db').execute('select rows from counts').fetchall()"
    with serve(program(write, text, handler), workers=2) as server:
        assert server.get("/").json()[1] == [[5]]


def test_a_value_of_another_module_does_not_act(write: Write) -> None:
    """It is known there, and does not show here that it is wrong."""
    write(
        "conf.py",
        """
        from pathlib import Path
        from pydantic import BaseModel

        class Settings(BaseModel):
            mask: int = 0o27

        settings = Settings()
        MASK = int(settings.mask)
        """,
    )
    write("more.py", "import conf\nLATER = conf.MASK + 0\n")
    for text in (
        "from conf import MASK\nos.umask(MASK)",
        "from conf import *\nos.umask(MASK)",
        "import conf\nos.umask(conf.MASK)",
        "from more import LATER as mask\nos.umask(mask)",
        "import conf\ndef use():\n    os.umask(conf.MASK)\nuse()",
    ):
        file = write(
            "program.py",
            f"import os\nfrom pyreframework import Pyre\n{text}\napp = Pyre()\n"
            "app.get('/', lambda req: oct(os.umask(0o27)))\napp.run(workers=2)\n",
        )
        with serve(file, workers=2) as server:
            assert server.get("/").text == "0o27", text


def test_a_hook_of_the_start_does_not_act_with_it(write: Write) -> None:
    text = """
NAME = None

@app.on_worker_start
def start():
    global NAME
    os.umask(int(settings.umask))
    NAME = "started"

app.get('/plain', lambda req: __name__)
"""
    with serve(program(write, text, "[NAME, oct(os.umask(0o27))]"), workers=2) as server:
        assert server.get("/plain").text == WORKER
        assert server.get("/").json() == [MAIN, ["started", "0o27"]]


def test_libraries_ask_stand_ins_as_before(write: Write) -> None:
    """What a decorator makes of a class, and what only gives something, goes on."""
    site = write(
        "site-packages/asks.py",
        """
        def decorate(kind):
            kind.given = bool(kind.first) and len(str(kind.first)) > 0
            return kind
        """,
    ).parent
    text = """
import dataclasses
import asks

@asks.decorate
@dataclasses.dataclass
class Item:
    first: int = settings.limit
    size: int = dataclasses.field(default=len(data))

CONF = {"rows": len(data)}
NAMES = []
NAMES.extend(str(one) for one in data)
WORDS = ",".join(sorted(map(str, data)))
KINDS = collections.Counter(str(one) for one in data)
PATH = Path(f"{len(data)}.txt").with_suffix(".md")
app.get('/plain', lambda req: [__name__, len([1, 2])])
"""
    file = program(write, f"import collections\n{text}", "[CONF, Item.given, WORDS, len(KINDS)]")
    with serve(file, workers=2, env={"PYTHONPATH": str(site)}) as server:
        assert server.get("/plain").json() == [WORKER, 2]
        assert server.get("/").json() == [MAIN, [{"rows": 5}, True, "0,1,2,3,4", 5]]


def test_what_has_looked_at_statements_is_gone_while_serving(write: Write) -> None:
    handler = "[sys.monitoring.get_tool(number) for number in range(6)]"
    with serve(program(write, "ROWS = len(data)", handler), workers=2) as server:
        assert server.get("/").json() == [WORKER, [None] * 6]


def test_a_program_that_makes_its_app_in_a_function(write: Write) -> None:
    """It is not left out, whatever it does besides; what is for the main program is not read."""
    text = HEAD.replace("app = Pyre()\n", "") + textwrap.dedent(
        """
        def report():
            (HERE / "count.txt").write_text(f"{len(data)} rows")

        def create():
            app = Pyre()
            app.get("/rows", lambda req: [__name__, len(data)])
            app.get("/", lambda req: [__name__, 1])
            return app

        def created():
            SET UP
            return create()

        app = MAKE()
        if __name__ == "__main__":
            report()
            app.run(workers=2)
        """
    )
    line = "logging.basicConfig(level=settings.level)"
    text = text.replace("SET UP", line)
    with serve(write("program.py", text.replace("MAKE", "create")), workers=2) as server:
        assert server.get("/").json() == [WORKER, 1]
        assert server.get("/rows").json() == [MAIN, 5]
    file = write("program.py", text.replace("MAKE", "created"))
    ending = run_to_end(file)
    number = next(
        number for number, one in enumerate(file.read_text().split("\n"), 1) if one.strip() == line
    )
    assert ending.code == 3
    where = f"created() at program.py:{number}"
    assert f"in a worker pydantic does not load, and {where} got" in ending.output
