"""Packages that refuse as CPython lets real ones refuse, and programs that use them.

They do so in workers only, without being extensions.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from pyreframework import doctor

REFUSES = """
import _interpreters
if _interpreters.get_current()[0]:
    raise ImportError(f"module {__name__} does not support loading in subinterpreters")
"""
PROGRAM = """
import sys
sys.path.append({site!r})
from pyreframework import Pyre
app = Pyre()
{text}
app.get("/plain", lambda req: 1)
"""
# What `grid._fast` gives where it loads.
FAST = f"""{REFUSES}
def zeros(count=0):
    return count
ones = zeros
class Error(Exception):
    pass
"""
# What is said of one that refuses.
REASON = "module {} does not support loading in subinterpreters"
# Names that only raise in place of what was lost.
HOLLOW = """
    import grid.spawning
    try:
        import green._green
    except ImportError as error:
        reason = error
        have = False
    else:
        have = True
        from grid.spawning import spawn, Lock
    if not have:
        def required():
            if have:
                return
            raise ValueError(f"install green: {reason}")
        def spawn():
            '''Say what is missing.'''
            required()
        class Lock:
            def __init__(self):
                if reason:
                    raise ValueError(reason)
                else:
                    raise ValueError
"""
# A module that is loaded when it is first asked for something.
LAZILY = """
import importlib.util
import sys

def lazily(name):
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
"""


class Workshop:
    """Packages, and a program that uses them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site-packages"
        self.write("grid/_fast.py", FAST)

    def write(self, name: str, text: str) -> None:
        """Write a file of a package."""
        file = self.site / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def doctor(self, text: str) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
        """Examine a program; return what is said of modules, and why routes move."""
        program = PROGRAM.format(site=str(self.site), text=textwrap.dedent(text))
        (self.folder / "program.py").write_text(program)
        report = doctor.Report()
        question = {"target": "program.py", "arguments": [], "app_dir": None}
        doctor.ask_child(question, report)
        assert report.found is not None, report.output
        found = report.found
        modules = {name: (state, why) for name, (state, why) in found["modules"].items()}
        moves = {
            found["routes"][number]: " ".join(missing) for number, _, missing in found["moves"]
        }
        return modules, moves
