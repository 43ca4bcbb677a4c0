"""Whose a module is: the program's, this package's, of the standard library, or of a library.

The program is what is neither in the standard library nor in ``site-packages``. Imported in every
worker, so it imports nothing but what every interpreter has.
"""

from __future__ import annotations

import sys

from pyreframework.program.unasked import dict_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = __name__.partition(".")[0]
MAIN_NAMES = ("__mp_main__", "__main__")
# What workers are refused of the standard library.
STANDARD_REFUSED = ("curses", "faulthandler", "readline", "tracemalloc")
# Top-level packages that belong to the program although they are in `site-packages`.
own_packages: set[str] = set()
program_files: dict[str, bool] = {}


def is_program(space: Mapping[str, object]) -> bool:
    """Tell whether a module with these globals belongs to the program."""
    name = text_of(space.get("__name__"))
    if name in MAIN_NAMES:
        return True
    file = text_of(space.get("__file__"))
    if not name or not file:
        return False
    return is_program_file(file) or name.partition(".")[0] in own_packages


def is_ours(space: Mapping[str, object]) -> bool:
    """Tell whether a module with these globals belongs to this package."""
    return text_of(space.get("__name__")).partition(".")[0] == PACKAGE


def is_program_file(file: str) -> bool:
    """Tell whether a file belongs neither to a library nor to this package."""
    known = program_files.get(file)
    if known is None:
        standard = str(sys.modules["os"].__file__).rpartition("/")[0]
        package = __file__.rsplit("/", 2)[0]
        library = (standard + "/", package + "/")
        folders = file.split("/")
        known = not (
            file.startswith(library) or "site-packages" in folders or "dist-packages" in folders
        )
        program_files[file] = known
    return known


def is_standard(name: str) -> bool:
    """Tell whether a module is in the standard library, and loads in workers."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names and top not in STANDARD_REFUSED


def is_standard_module(value: object) -> bool:
    """Tell whether a value is a module of the standard library.

    What one is told of a stand-in, as in ``warnings.simplefilter("ignore", missing.OldWarning)``,
    is about things that are not there either: it works as before.
    """
    if type(value) is not type(sys):
        return False
    name = text_of(dict_of(value).get("__name__"))
    return name.partition(".")[0] in sys.stdlib_module_names
