"""``run()``: works out the settings, and serves until it is told to stop.

In the process that was started, or in the ones that succeed it; the command line may have a say in
what is served.
"""

from __future__ import annotations

import os
import threading

from pyreframework.logs import streams
from pyreframework.logs.console import complain
from pyreframework.program import launch as launching
from pyreframework.serving.processes.command import can_renew
from pyreframework.serving.processes.control import find_control
from pyreframework.serving.processes.succession import become_reloader
from pyreframework.serving.replaceable import Replaceable
from pyreframework.serving.settings.addresses import activated
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.settings.resolution import resolve
from pyreframework.serving.shortage import shortage
from pyreframework.serving.signals import forks
from pyreframework.serving.signals.endings import GRACEFUL, START_FAILED, USAGE
from pyreframework.serving.signals.stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyreframework.program.launch import Launch
    from pyreframework.serving.app import App


def serve(app: App, given: Mapping[str, object]) -> None:
    """Serve ``app`` until it is told to stop; see ``Pyre.run``.

    Raises:
        SystemExit: The code is not 0.
        RuntimeError: The app is being served already.
    """
    launch = launching.launch
    if launch is not None and not launch.lets_serve(app, given):
        return
    check_serves_here(app)
    streams.take_over()
    try:
        code = serve_here(app, given, launch)
    except (OSError, MemoryError, RuntimeError) as error:
        short = shortage(error)
        if short is None:
            raise
        complain(short)
        code = START_FAILED
    finally:
        # Python does so behind a program, and would wait for whoever reads.
        streams.settle()
    if code != GRACEFUL:
        raise SystemExit(code)


def serve_here(app: App, given: Mapping[str, object], launch: Launch | None) -> int:
    """Serve ``app`` in this process, or the ones that succeed it; return the exit code."""
    # Sockets are handed on by the app of the main thread, which is the only one then.
    is_main = threading.current_thread() is threading.main_thread()
    control = find_control() if is_main else None
    with Stop(renewable=can_renew()) as stop:
        app.attach_stop(stop)
        try:
            flags = launch.flags if launch is not None else {}
            opened = activated(os.environ) if control is None else control.activated
            settings = resolve(given, os.environ, app.properties(), flags, opened)
            if settings.values["reload"] and find_control() is None:
                become_reloader(settings, opened, stop)
            serving = Replaceable(app, settings, stop, control, opened)
            code = serving.run()
            serving.end_succession(code)
        except UsageError as error:
            complain(str(error))
            code = USAGE
        finally:
            app.detach_stop()
            if control is not None:
                control.attach(None)
    return code


def check_serves_here(app: App) -> None:
    """See that this process can serve an app.

    Raises:
        RuntimeError: It serves it already, or was forked from a process that served.
    """
    if forks.forked:
        raise RuntimeError(
            "this process was forked from one that serves, and cannot serve itself: start it with "
            "the start methods spawn or forkserver, or with subprocess"
        )
    if app.serving:
        raise RuntimeError("this app is being served already")
