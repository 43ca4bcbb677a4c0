"""The token streams of ``perf.tokens`` without a server: what asyncio and the generators cost.

Arguments: streams, events of each, events of each in a second. Prints the processor time of an
event in microseconds. Streams begin within a second, as clients of a server do.
"""

import asyncio
import sys
import time

from tokens import tokens


async def listen(pause, count, per_second):
    await asyncio.sleep(pause)
    async for _ in tokens(count, per_second):
        pass


async def main(streams, count, per_second):
    before = time.process_time()
    await asyncio.gather(*(listen(n / streams, count, per_second) for n in range(streams)))
    print((time.process_time() - before) / streams / count * 1e6)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
