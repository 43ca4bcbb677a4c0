"""How long the end of a process may take, part by part."""

from __future__ import annotations

# What threads and interpreters have to end in once nothing runs any more.
END_SECONDS = 5.0
# The same for the hooks of the main interpreter that come then, together.
HOOKS_SECONDS = 5.0
# The same when something does: coroutines are cancelled and may clean up.
GIVE_UP_SECONDS = 1.0


def end_patience() -> float:
    """Return how many seconds the end of a process may take once no request runs any more."""
    # Workers, hooks, tasks of the event loop, and threads of it, one after the other.
    return HOOKS_SECONDS + 3 * END_SECONDS
