"""How often others on an event loop have a turn while a handler is busy."""

import asyncio


class Turns:
    """Counts them, as one of the others."""

    def __init__(self):
        self.count = 0

    async def __aenter__(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()

    async def run(self):
        while True:
            self.count += 1
            await asyncio.sleep(0)
