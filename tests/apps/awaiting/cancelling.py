"""Handlers that are cancelled, by themselves or by others."""

import asyncio

from awaiting.common import ON_MAIN, Yields, app


@app.get("/cancel/self", gil=ON_MAIN)
async def cancel_self():
    """The next wait raises, wherever the request to cancel came from."""
    task = asyncio.current_task()
    task.cancel("enough")
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        seen = [str(error), task.cancelling(), task.uncancel(), task.cancelling()]
        await asyncio.sleep(0)
        return seen
    return "not cancelled"


@app.get("/cancel/self/zero", gil=ON_MAIN)
async def cancel_self_before_sleep_zero():
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        return "cancelled"
    return "not cancelled"


@app.get("/cancel/self/later", gil=ON_MAIN)
async def cancel_self_later():
    await asyncio.sleep(0)
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        return "cancelled"
    return "not cancelled"


@app.get("/cancel/self/return", gil=ON_MAIN)
async def cancel_self_and_return():
    """It never waits again, so nothing comes of it."""
    asyncio.current_task().cancel()
    return "returned"


@app.get("/cancel/self/impossible", gil=ON_MAIN)
async def cancel_self_and_await_garbage(req):
    if req.query == "later":
        await asyncio.sleep(0)
    asyncio.current_task().cancel("goes first")
    try:
        await Yields(5)
    except asyncio.CancelledError as error:
        return str(error)


@app.get("/cancel/self/unhandled", gil=ON_MAIN)
async def cancel_self_unhandled():
    asyncio.current_task().cancel()
    await asyncio.sleep(10)


@app.get("/cancel/by-other", gil=ON_MAIN)
async def cancel_by_other():
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel, "by a callback")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        return str(error)


@app.get("/cancel/shield", gil=ON_MAIN)
async def cancel_shielded():
    inner = asyncio.create_task(asyncio.sleep(0.01, "survived"))
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    try:
        await asyncio.shield(inner)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        return await inner
