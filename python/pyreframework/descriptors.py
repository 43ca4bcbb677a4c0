"""What is said of a start for which the process may not open enough files and sockets."""

from __future__ import annotations

import errno
import os
import resource

# As many are needed for a module to be imported, or a socket to be opened.
SPARE = 2
LACKING = (errno.EMFILE, errno.ENFILE)


def lacks_descriptors(error: BaseException) -> bool:
    """Tell whether a start has failed as no more descriptors could be had.

    Asked before anything that was opened for it is closed. Some failures say so, others come from
    libraries that say something else: then it is tried whether one can be had now.
    """
    told: BaseException | None = error
    while told is not None:
        if isinstance(told, OSError) and told.errno in LACKING:
            return True
        # The engine's errors are words, also those that hold the traceback of a worker.
        if any(os.strerror(number) in str(told) for number in LACKING):
            return True
        told = told.__cause__ or told.__context__
    return not are_left()


def are_left() -> bool:
    """Tell whether a few descriptors can be had."""
    opened: list[int] = []
    try:
        opened.extend(os.open("/", os.O_PATH | os.O_CLOEXEC) for _ in range(SPARE))
    except OSError as error:
        return error.errno not in LACKING
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def too_few_descriptors() -> str:
    """Return what is to be done about it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "any number" if hard == resource.RLIM_INFINITY else f"up to {hard}"
    return (
        f"the start needs more files and sockets than this process may have open ({soft}): raise "
        f"the limit, as by `ulimit -n` ({most})"
    )
