"""Keeps this package's own imports eager where an interpreter makes all imports lazy (PEP 810).

``PYTHON_LAZY_IMPORTS=all`` of CPython 3.15 defers an import until its name is used. What watches
over the imports of a worker would then import while it watches, and never come to an end.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Filter = Callable[[str, str, Sequence[str] | None], bool]


def keep_eager(package: str) -> None:
    """Let the modules of a package import at once; a filter that is there decides about others."""
    get_filter = getattr(sys, "get_lazy_imports_filter", None)
    set_filter = getattr(sys, "set_lazy_imports_filter", None)
    if get_filter is None or set_filter is None:
        return
    before: Filter | None = get_filter()

    def may_be_lazy(importer: str, name: str, items: Sequence[str] | None) -> bool:
        own = importer == package or importer.startswith(f"{package}.")
        return not own and (before is None or before(importer, name, items))

    set_filter(may_be_lazy)
