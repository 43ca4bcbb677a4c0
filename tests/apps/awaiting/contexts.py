"""Context variables, of which each request has its own."""

import asyncio

from awaiting.common import ON_MAIN, app, variable
from gates import at_gate


@app.get("/context/set/{value}", gil=ON_MAIN)
async def context_set(req, value):
    before = variable.get()
    variable.set(value)
    if req.query == "wait":
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    task = asyncio.create_task(context_of_task())
    return [before, variable.get(), await task]


async def context_of_task():
    return variable.get()


@app.get("/context/set-at-once/{value}", gil=ON_MAIN)
async def context_set_at_once(value):
    before = variable.get()
    variable.set(value)
    return [before, variable.get()]


@app.get("/context", gil=ON_MAIN)
async def context():
    return variable.get()


@app.get("/context/sync", gil=ON_MAIN)
def context_sync():
    return variable.get()


@app.get("/context/hold/{port:int}/{value}", gil=ON_MAIN)
async def context_hold(port, value):
    variable.set(value)
    await at_gate(port, value)
    return variable.get()
