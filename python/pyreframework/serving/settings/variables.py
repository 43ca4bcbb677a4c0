"""Environment variables that are named as those of options are, and belong to none.

They set nothing, which is told once for each server and is no error: a program may have such names
for itself.
"""

from __future__ import annotations

import re
import threading

from pyreframework.logs.console import complain
from pyreframework.serving.settings.options import NOT_YET, OF_THE_APP, OPTIONS, PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KNOWN = frozenset(
    name
    for option in OPTIONS
    for name in (option.variable, *option.aliases)
    if name.startswith(PREFIX)
)
# Their values are judged where options are read.
TO_COME = frozenset(f"{PREFIX}{name.upper()}" for name in NOT_YET)

# What was told in this process: several apps may be served by it, each from a thread.
_told: set[str] = set()
_telling = threading.Lock()


def tell_unknown(environment: Mapping[str, str], inherited: Collection[str] = ()) -> None:
    """Warn of variables that are named as options, and set none.

    Args:
        environment: Usually ``os.environ``.
        inherited: Names that the process before, or the supervisor, has told of.
    """
    with _telling:
        found = [name for name in unknown(environment) if name not in {*inherited, *_told}]
        _told.update(found)
    if found:
        complain(sentence(found), "WARNING")


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the names of such variables; those that are empty count as not given.

    Example:
        >>> unknown({"PYRE_PORT": "1", "PYRE_PROT": "1", "PYRE_HOSTT": "", "PATH": "/"})
        ['PYRE_PROT']
    """
    return [
        name
        for name in sorted(environment)
        if re.fullmatch(f"{PREFIX}[A-Z0-9_]+", name)
        and name not in KNOWN | TO_COME
        and environment[name]
    ]


def sentence(names: list[str]) -> str:
    """Say that variables set nothing, and which ones are meant.

    Example:
        >>> sentence(["PYRE_PROT"])
        'the variable PYRE_PROT (did you mean PYRE_PORT?) sets no option'
        >>> sentence(["PYRE_PROT", "PYRE_GREETING"])
        'the variables PYRE_PROT (did you mean PYRE_PORT?) and PYRE_GREETING set no option'
    """
    shown = [f"{name}{suggestion(name)}" for name in names]
    if len(shown) == 1:
        return f"the variable {shown[0]} sets no option"
    return f"the variables {', '.join(shown[:-1])} and {shown[-1]} set no option"


def suggestion(name: str) -> str:
    """Return a question that offers the variable nearest to a misspelt one, or nothing."""
    argument = name.removeprefix(PREFIX).lower()
    if argument in OF_THE_APP:
        return f" (the app says it: Pyre({argument}=...))"
    from difflib import get_close_matches

    # What all have in common would make any two of them alike.
    plain = {known.removeprefix(PREFIX): known for known in KNOWN}
    near = get_close_matches(name.removeprefix(PREFIX), plain, n=1)
    return f" (did you mean {plain[near[0]]}?)" if near else ""
