"""Pyre: HTTP for Python on every core, served by a Rust runtime.

    from pyreframework import Pyre

    app = Pyre()

    @app.get("/")
    def hello(req):
        return "Hello, World!"

    app.run()

The public names, and nothing else. Every worker imports this package, so it must stay small: no
module of it imports ``typing``, ``re``, ``json``, ``logging`` or the like before it is needed.
"""

# What stands beside this: `app` has the class; `routing`, `folders`, `hooks`, `sharing`, `clients`,
# `compressing`, `security` and `insight` what it is made of, `pages` and `templating` its
# templates, `naming` the addresses of its routes, `origins` what browsers call pages, `policies`
# what they are told to refuse; `sessions` is what is kept of clients, `session_options` how, `csrf`
# what other sites may not send; `caching`, `cookies`, `redirects`, `sending`, `uploads` and
# `errors` are what handlers use; `forms`, `collecting`, `sources`, `parts`, `spools` and
# `outcomes` are what reads forms; `doctor` is `pyre doctor`, `engine` the native module. The rooms
# from the top down, each of which sees those below it: `cli`, `testing`, this one, `serving`,
# `program`, `handlers`, `logs`.

import _thread
import sys
from posix import environ

if "t" in sys.abiflags:
    raise ImportError(
        "Pyre relies on the GIL of each interpreter, and this is a free-threaded build of CPython "
        f"{sys.version.split()[0]}, which it does not support yet: use one with a GIL"
    )

if hasattr(sys, "set_lazy_imports_filter"):
    from pyreframework.program.laziness import keep_eager

    keep_eager(__name__)

from pyreframework.app import Pyre, PyreApp
from pyreframework.caching import cache_control
from pyreframework.cookies import delete_cookie, get_cookie, get_cookies, set_cookie
from pyreframework.engine import (
    PyreRequest,
    PyreResponse,
    PyreStream,
    PyreWebSocket,
    RequestTimeout,
    __version__,
    get_gil_metrics,
)
from pyreframework.errors import BodyError, FormError, HTTPError, StartError, WorkerImportError
from pyreframework.logs.records import emit_python_log, init_logger
from pyreframework.logs.streams import open_missing
from pyreframework.redirects import redirect
from pyreframework.sending import send_file
from pyreframework.uploads import FormLimits, UploadFile, parse_multipart

# First of all: whatever is opened next would get the number of a closed standard stream.
open_missing()

__all__ = [
    "BodyError",
    "FormError",
    "FormLimits",
    "HTTPError",
    "Pyre",
    "PyreApp",
    "PyreRequest",
    "PyreResponse",
    "PyreStream",
    "PyreWebSocket",
    "RequestTimeout",
    "StartError",
    "UploadFile",
    "WorkerImportError",
    "__version__",
    "cache_control",
    "delete_cookie",
    "emit_python_log",
    "get_cookie",
    "get_cookies",
    "get_gil_metrics",
    "init_logger",
    "parse_multipart",
    "redirect",
    "send_file",
    "set_cookie",
]

# Signals come to the main interpreter alone.
if _thread._is_main_interpreter():  # type: ignore[attr-defined]  # noqa: SLF001 - no other name
    from pyreframework.serving.signals.hold import hold_for_program

    hold_for_program()
    del hold_for_program

    # Before the program changes it, as far as it has not yet.
    from pyreframework.serving.processes.environment import note

    note()
    del note

if b"_PYRE_SUPERVISOR" in environ:
    # Before the program is imported, as far as it is not yet: it may be watched.
    from pyreframework.program.changes import note_imports
    from pyreframework.serving.processes.environment import keep_from_others

    note_imports()
    # Before it starts others.
    keep_from_others()
    del keep_from_others, note_imports
del environ
