"""Requests that are held, kept, and read later than they came."""

import asyncio
import gc

from awaiting.common import ON_MAIN, app, event_of, events, notes
from gates import at_gate

from pyreframework import PyreRequest

kept = []


@app.get("/hold/{name}", gil=ON_MAIN)
async def hold(name):
    notes.append(name)
    await event_of(name).wait()
    notes.remove(name)
    return name


@app.get("/held", gil=ON_MAIN)
async def held():
    return len(notes)


@app.get("/release/{name}", gil=ON_MAIN)
async def release(name):
    event_of(name).set()
    events.pop(name)
    return "released"


@app.get("/gate/{port:int}/{name}", gil=ON_MAIN)
async def gate(port, name):
    return await at_gate(port, name)


@app.post("/keep", gil=ON_MAIN)
async def keep(req):
    kept.append(req)
    await asyncio.sleep(0)
    return "kept"


@app.get("/kept", gil=ON_MAIN)
async def show_kept():
    found = [[req.method, req.path, req.text(), req.header("x-n")] for req in kept]
    kept.clear()
    return found


@app.post("/echo", gil=ON_MAIN)
async def echo(req):
    """Reads the request after others have been served meanwhile."""
    await asyncio.sleep(0.001)
    return {"body": req.text(), "n": req.header("x-n"), "query": req.query_params}


@app.get("/requests", gil=ON_MAIN)
async def requests():
    gc.collect()
    return sum(isinstance(thing, PyreRequest) for thing in gc.get_objects())
