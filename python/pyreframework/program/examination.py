"""What of a program loads in an interpreter like a worker's, and which routes that moves.

For ``pyre doctor``, which runs it in a child process and reads the lines that it writes to a pipe.
"""

from __future__ import annotations

import json
import os
import sys

from pyreframework.program import apps, imports, loading, moves, ownership
from pyreframework.program.ownership import PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def tell(pipe: int, event: str, value: object) -> None:
    """Write a line to the parent; small ones at once, so that a crash cannot cut them."""
    data = f"{json.dumps([event, value])}\n".encode()
    while data:
        data = data[os.write(pipe, data) :]


def examine(texts: list[str], banned: dict[str, str], pipe: int) -> None:
    """Load the program in this interpreter, which is like a worker's, and tell what was found."""
    seen: dict[str, None] = {}

    def listen(event: str, module: str) -> None:
        seen[module.partition(".")[0]] = None
        tell(pipe, event, module)

    imports.banned.update(banned)
    imports.listener = listen
    loading.load(texts)
    app = apps.loaded
    assert app is not None, "just loaded"
    refusal = loading.refuse(app.native, None)
    moves.note_start_hooks(app)
    moved = moves.survey(app, eager=True)
    imports.remove()
    routes = [f"{method} {path}" for method, path in app.native.route_table()]
    insists = {number for number, _, gil in app.handlers() if gil is False}
    tell(
        pipe,
        "found",
        {
            "modules": modules_of(seen),
            "routes": routes,
            "moves": [(number, user, sorted(missing)) for number, user, missing in moved],
            "insists": [
                f"{routes[number]} has gil=False, so the program would not start"
                for number, _, _ in moved
                if number in insists
            ],
            "refusal": refusal,
        },
    )


def modules_of(seen: Sequence[str] | dict[str, None]) -> dict[str, tuple[str, str]]:
    """Return for each module that the program imports whether it loads here, and why not.

    Modules of the program and of the standard library are left out, unless they are refused.
    """
    found: dict[str, tuple[str, str]] = {}
    for module in seen:
        loaded = sys.modules.get(module)
        if loaded is None or ownership.is_standard(module) or module == PACKAGE:
            continue
        # A package of several distributions, such as `google`, has folders and no file.
        folders = [f"{folder}/" for folder in getattr(loaded, "__path__", ())]
        file = getattr(loaded, "__file__", None) or next(iter(folders), None)
        if isinstance(file, str) and not ownership.is_program_file(file):
            left = [part for part in imports.replaced if part.startswith(f"{module}.")]
            left += imports.without.get(module, ())
            if left:
                from pyreframework.program.losses import listed

                found[module] = ("partly", f"without {listed(left)}")
            elif not any(name.startswith(f"{module}.") for name in imports.reasons):
                found[module] = ("yes", "")
    for module, why in imports.reasons.items():
        found[module] = ("no", why)
    for module, place in imports.caught.items():
        found[module] = ("no", f"{place} goes on without it")
    return found
