"""What the servers of ``perf.tokens`` send: events at set times, each with the time it was due."""

import asyncio
import time


async def tokens(count, per_second):
    """Yield so many events; who is late hurries, as no event moves the times of the next ones."""
    start = time.monotonic_ns()
    step = 1_000_000_000 // per_second
    for number in range(count):
        due = start + number * step
        pause = due - time.monotonic_ns()
        if pause > 0:
            await asyncio.sleep(pause / 1e9)
        yield f"data: {number} {due} token\n\n"
