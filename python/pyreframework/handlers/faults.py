"""Faults of clients: which exceptions tell a program that a body is malformed, or has no end.

The engine marks each one with the id of its request and the status that it stands for. What
refuses a form is such a fault by its class. Whoever lets it through has made no mistake: the client
is answered, and nothing is logged. Imported with the first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["answer_of", "find", "is_cut_short", "status_of"]

# How many causes are followed: exceptions may be the cause of each other.
CAUSES_MAX = 32


def mark_of(error: BaseException) -> tuple[str, int] | None:
    """Return what the engine has marked an exception with, if it has: request and status."""
    mark: tuple[str, int] | None = getattr(error, "_pyre_fault", None)
    return mark


def refuses(error: BaseException) -> bool:
    """Tell whether an exception refuses a form: a `FormError`, with status and detail."""
    return bool(getattr(type(error), "_pyre_refuses", False))


def find(
    error: BaseException, request_id: str | None, causes: int = CAUSES_MAX
) -> BaseException | None:
    """Return the exception that was marked for a request, or for any, if it is behind this one.

    What refuses a form is for any. It is behind this one if it, or what it was raised ``from``, was
    marked; a group is if all that it has are. What is raised while a marked one is handled is a
    fault of its own.
    """
    mark = mark_of(error)
    if refuses(error) or (mark is not None and request_id in (None, mark[0])):
        return error
    if causes <= 0:
        return None
    if isinstance(error, BaseExceptionGroup):
        found = [find(one, request_id, causes - 1) for one in error.exceptions]
        if None not in found:
            return found[0]
    cause = error.__cause__
    return None if cause is None else find(cause, request_id, causes - 1)


def status_of(error: BaseException, request_id: str) -> int | None:
    """Return the status that an exception stands for, if it is the fault of the client."""
    found = answer_of(error, request_id)
    return None if found is None else found[0]


def answer_of(error: BaseException, request_id: str) -> tuple[int, object] | None:
    """Return what an exception stands for, if it is the fault of the client.

    That is a status, and what the client is told, or None for what the status says.
    """
    found: Any = find(error, request_id)
    if found is None:
        return None
    if refuses(found):
        return found.status, found.detail
    return mark_of(found)[1], None  # type: ignore[index] # It was found by that.


def is_cut_short(error: BaseException) -> bool:
    """Tell whether this comes of a body without an end: its client has gone, or broken a rule."""
    found = find(error, None)
    # What is malformed in a body that is whole is a `ValueError`.
    return found is not None and not isinstance(found, ValueError)
