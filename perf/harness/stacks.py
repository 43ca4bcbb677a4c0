"""Call stacks of a profile, counted and folded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

Stack = tuple[str, ...]

# What Python's perf support puts between an interpreter's C frames, and what tells nothing.
_NOISE = {"py_trampoline_evaluator", "[unknown]"}
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.*) \((?P<object>.*?)\)$")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


def fold(lines: Iterable[str]) -> Counter[Stack]:
    """Count the stacks in the output of ``perf script -F comm,tid,ip,sym,dso``.

    A stack starts with the thread's name; kernel functions end in ``_[k]``.
    """
    stacks: Counter[Stack] = Counter()
    thread = ""
    frames: list[str] = []
    for line in lines:
        if not line.strip():
            if thread:
                stacks[(thread, *reversed(frames))] += 1
            thread, frames = "", []
        elif not line[0].isspace():
            thread = line.rsplit(None, 1)[0]
        elif (found := _FRAME.match(line)) and found["symbol"] not in _NOISE:
            frames.append(_name(found["symbol"], found["object"]))
    if thread:
        stacks[(thread, *reversed(frames))] += 1
    return stacks


def self_time(stacks: Counter[Stack]) -> Counter[str]:
    """Return how often each function was on top."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[stack[-1]] += count
    return found


def _name(symbol: str, file: str) -> str:
    name = _RUST_HASH.sub("", symbol)
    if name.startswith("py::"):
        function, _, path = name.removeprefix("py::").partition(":")
        return f"{function} ({path.rpartition('/')[2]})"
    return f"{name}_[k]" if file.startswith("[") and "kernel" in file else name
