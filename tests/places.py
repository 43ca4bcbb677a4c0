"""Where handlers can run; what they do is asserted in each of these places."""

from __future__ import annotations

import pytest

WORKER, MAIN = "__mp_main__", "__main__"
"""What a program that is a file is called where its handlers run."""

MODES = pytest.mark.parametrize("mode", [None, "default"], ids=["workers", "main"])
"""For tests that start a server: once with handlers on workers, once on the main interpreter."""

in_both_modes = pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
"""Makes a fixture of a module that is there once for each mode, which is its ``request.param``."""

PLACES: dict[str, dict[str, object]] = {
    "workers": {"threads": 4},
    "one-thread": {"threads": 1},
    "main": {"mode": "default"},
    "gil": {"env": {"TEST_GIL": "1"}},
}
"""Options for the places where coroutines can run. With one thread they share it with `def`; the
programs of `apps/` that know `TEST_GIL` have ``gil=True`` on each route."""
