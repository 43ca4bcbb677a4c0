"""Which modules an import in the program's code misses, and whether the program catches that.

Imported in a worker when an import has failed for a refusal.
"""

from __future__ import annotations

import sys

from pyreframework.program import imports, refusals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from pyreframework.program.imports import Import


def find_missing(wanted: Import, error: Exception, reason: str) -> bool:
    """Note which modules are missing; tell whether there are any and nothing catches that."""
    failed = next((part for part in imports.parts(wanted.name) if part not in sys.modules), None)
    if failed is not None:
        if refusals.is_program_source(failed, error) or is_caught(wanted, error, failed):
            return False
        imports.reasons[failed] = reason
        return True
    found = False
    for item in wanted.items:
        # One after the other: the first that failed has hidden the others.
        full = f"{wanted.name}.{item}"
        before, seen = set(sys.modules), len(imports.refused)
        try:
            wanted.attempt((item,))
        except Exception as failure:  # noqa: BLE001 - raised again by the caller, if it matters
            why = refusals.refusal(failure, imports.refused[seen:])
            if why is None or refusals.is_program_source(full, failure):
                return False
            if is_caught(wanted, failure, full):
                return False
            drop_orphans(before)
            imports.reasons[full] = why
            found = True
    return found


def find_lost(wanted: Import, module: ModuleType) -> bool:
    """Note which names a library lacks in workers; tell whether nothing catches that."""
    from pyreframework.program import losses

    found = False
    for item in wanted.items:
        # What the program's code would raise next, behind the import.
        error = ImportError(f"cannot import name {item!r} from {wanted.name!r}", name=wanted.name)
        error.name_from = item
        missing = None if hasattr(module, item) else losses.lost_name(error)
        if missing is None or is_caught(wanted, error, missing[0]):
            continue
        imports.lost.add(missing[0])
        imports.reasons[missing[0]] = missing[1]
        found = True
    return found


def is_caught(wanted: Import, error: BaseException, module: str) -> bool:
    """Tell whether the program's code around the import catches its error and goes on."""
    frame = refusals.is_caught(wanted.frame, error)
    if frame is None:
        return False
    imports.caught[module] = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
    return True


def drop_orphans(before: set[str]) -> None:
    """Remove what a failed import left of packages that were not imported in the end."""
    for name in set(sys.modules) - before:
        if any(part not in sys.modules for part in imports.parts(name)[:-1]):
            del sys.modules[name]
