"""What the log says while workers start: which have started, what the others are at, what may hurt.

With ``verbose`` a line for each worker; without it, only once the start takes long. Told by the
engine a few times a second, on the thread that called ``run()``.
"""

from __future__ import annotations

from time import monotonic

from pyreframework.logs import records
from pyreframework.serving.banner import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A start that takes longer says what it waits for, and again after as long.
PATIENCE_SECONDS = 3.0
SERVING = "serving"
# What a worker is at, as the engine calls it, for one worker and for several.
WORDS = {
    "waiting": ("waits for its turn", "wait for their turn"),
    "making": ("makes its interpreter", "make their interpreters"),
    "loading": ("is loading the program", "are loading the program"),
    "starting": ("is running its start hooks", "are running their start hooks"),
}
# How many workers are named one by one.
NAMED_MAX = 4


class Progress:
    """The start of the workers, as the log tells it.

    Args:
        verbose: Tell of each worker, and not only when it takes long.
        clock: Seconds that only grow.
    """

    def __init__(self, verbose: bool, clock: Callable[[], float] = monotonic) -> None:
        self.verbose = verbose
        self.clock = clock
        self.begun = self.told = clock()
        self.started: set[int] = set()

    def tell(self, workers: Sequence[tuple[str, str]]) -> None:
        """Log what there is to say, given what each worker is at, and what it imports."""
        now = self.clock()
        new = [
            index
            for index, (step, _) in enumerate(workers)
            if step == SERVING and index not in self.started
        ]
        for index in new:
            self.started.add(index)
            if self.verbose:
                count = f"{len(self.started)} of {counted(len(workers), 'worker')}"
                self.log(f"worker {index} has started ({now - self.begun:.1f} s), {count}")
        if len(self.started) < len(workers) and now - self.told >= PATIENCE_SECONDS:
            self.log(waiting(workers, now - self.begun))

    def log(self, line: str) -> None:
        """Write a line."""
        self.told = self.clock()
        records.logger("server").info("%s", line)


def warn_of_tracing() -> None:
    """Say so if `tracemalloc` traces: it has one state for all interpreters, and no lock for it."""
    # Built in; the other one is imported by whoever asks what was traced.
    import _tracemalloc

    if _tracemalloc.is_tracing():
        records.logger("server").warning(
            "tracemalloc traces while there are workers, so that CPython may crash or stand still; "
            'trace with mode="default"'
        )


def waiting(workers: Sequence[tuple[str, str]], seconds: float) -> str:
    """Return what a start waits for.

    Args:
        workers: What each worker is at, and the module that its program imports, if it does.
        seconds: How long that has taken so far.

    Example:
        >>> waiting([("serving", ""), ("serving", ""), ("loading", "httpx")], 4.06)
        '2 of 3 workers have started (4.1 s); worker 2 is importing httpx'
    """
    same: dict[tuple[str, str], list[int]] = {}
    for index, (step, module) in enumerate(workers):
        if step != SERVING:
            same.setdefault((step, module if step == "loading" else ""), []).append(index)
    parts = []
    for (step, module), numbers in same.items():
        one, several = WORDS[step]
        if module:
            one, several = f"is importing {module}", f"are importing {module}"
        parts.append(f"{names(numbers)} {one if len(numbers) == 1 else several}")
    done = len(workers) - sum(map(len, same.values()))
    has = "has" if 1 in (done, len(workers)) else "have"
    count = f"{done} of {counted(len(workers), 'worker')}"
    return f"{count} {has} started ({seconds:.1f} s); {', '.join(parts)}"


def names(numbers: Sequence[int]) -> str:
    """Return words for some workers.

    Example:
        >>> names([7]), names([1, 2, 5]), names(range(9))
        ('worker 7', 'workers 1, 2 and 5', '9 workers')
    """
    if len(numbers) == 1:
        return f"worker {numbers[0]}"
    if len(numbers) > NAMED_MAX:
        return counted(len(numbers), "worker")
    *most, last = map(str, numbers)
    return f"workers {', '.join(most)} and {last}"
