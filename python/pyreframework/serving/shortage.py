"""What is said of a start for which the system gives too little: descriptors, threads, memory."""

from __future__ import annotations

import errno
import os
import resource

# As many are needed for a module to be imported, or a socket to be opened.
SPARE = 2
LACKING = (errno.EMFILE, errno.ENFILE)
# What the engine and CPython say where no thread can be had.
NO_THREAD = ("cannot start a", "no thread for", "cannot start the")
NO_PYTHON_THREAD = "can't start new thread"
# What is said where no memory can be had, a library that cannot be mapped included.
NO_MEMORY = ("MemoryError", os.strerror(errno.ENOMEM), "failed to map segment")
MEBIBYTE = 1 << 20
# The stack of a thread, as CPython and the system make it.
SPARE_BYTES = 8 * MEBIBYTE


def shortage(error: BaseException) -> str | None:
    """Return what is to be done where a start has failed for lack of something, None elsewhere.

    Asked before anything that was opened for it is closed.
    """
    if lacks_threads(error) or (has_memory_limit() and lacks_memory(error)):
        return too_little_memory()
    return too_few_descriptors() if lacks_descriptors(error) else None


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those that have led to it."""
    told: BaseException | None = error
    found: list[BaseException] = []
    while told is not None and told not in found:
        found.append(told)
        told = told.__cause__ or told.__context__
    return found


def lacks_descriptors(error: BaseException) -> bool:
    """Tell whether a start has failed as no more descriptors could be had.

    Some failures say so, others come from libraries that say something else: then it is tried
    whether one can be had now.
    """
    for told in chain(error):
        if isinstance(told, OSError) and told.errno in LACKING:
            return True
        # The engine's errors are words, also those that hold the traceback of a worker.
        if any(os.strerror(number) in str(told) for number in LACKING):
            return True
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


def lacks_threads(error: BaseException) -> bool:
    """Tell whether a start has failed as no more threads could be had."""
    again = os.strerror(errno.EAGAIN)
    return any(
        NO_PYTHON_THREAD in str(told)
        or (again in str(told) and any(words in str(told) for words in NO_THREAD))
        for told in chain(error)
    )


def lacks_memory(error: BaseException) -> bool:
    """Tell whether a start has failed as no more memory could be had, or can be had now."""
    return not is_memory_left() or any(
        isinstance(told, MemoryError)
        or (isinstance(told, OSError) and told.errno == errno.ENOMEM)
        or any(words in str(told) for words in NO_MEMORY)
        for told in chain(error)
    )


def is_memory_left() -> bool:
    """Tell whether as much memory can be had as one more thread would need."""
    import mmap

    try:
        mmap.mmap(-1, SPARE_BYTES).close()
    except OSError:
        return False
    return True


def limits() -> list[str]:
    """Return the limits of this process that memory and threads come up against."""
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    data, _ = resource.getrlimit(resource.RLIMIT_DATA)
    threads, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    found = []
    if space != resource.RLIM_INFINITY:
        found.append(f"`ulimit -v`, {space // MEBIBYTE} MiB of address space")
    if data != resource.RLIM_INFINITY:
        found.append(f"`ulimit -d`, {data // MEBIBYTE} MiB of data")
    if threads != resource.RLIM_INFINITY:
        found.append(f"`ulimit -u`, {threads} threads of this user")
    return found


def has_memory_limit() -> bool:
    """Tell whether this process may have less memory than there is."""
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    return any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in kinds)


def too_little_memory() -> str:
    """Return what is to be done about it: a thread needs both, and the error may name either."""
    found = "; ".join([*limits(), "or that of the container"])
    return (
        "the start needs more memory or threads than this process may have: raise the limit "
        f"({found}), or have fewer of `workers` and `threads`"
    )
