"""A program whose requests have ids: handlers of every kind tell and log them."""

import asyncio
import logging
import os

from pyreframework import Pyre, PyreResponse

FORMAT = "mine %(message)s %(request_id)s %(trace_id)s %(span_id)s"

config = None
if "CONFIGURED" in os.environ:
    config = {
        "version": 1,
        "formatters": {"line": {"format": FORMAT}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["out"], "level": "INFO"},
    }

app = Pyre(log_config=config)
app.enable_health_probes()
log = logging.getLogger("shop")
kept = []


@app.before_request
def hook(req):
    log.info("hook %s", req.path)


app.enable_request_id()


@app.get("/sync/{name}")
def sync(req, name):
    log.info("sync %s", name)
    return {"id": req.id, "trace": req.traceparent}


@app.get("/async/{name}")
async def asynchronous(req, name):
    log.info("before %s", name)
    await asyncio.sleep(0)
    log.info("after %s", name)
    await asyncio.to_thread(log.info, "thread %s", name)
    await asyncio.create_task(child(name))
    return {"id": req.id, "trace": req.traceparent}


async def child(name):
    log.info("task %s", name)


@app.get("/keep/{name}")
def keep(req, name):
    kept.append(req)
    return {"id": req.id}


@app.get("/kept")
def show_kept(req):
    return [one.id for one in kept]


@app.get("/own")
def own(req):
    return PyreResponse("own", headers={"x-request-id": "chosen by the handler"})


@app.get("/broken")
def broken(req):
    raise KeyError("broken")


@app.get("/broken/async")
async def broken_later(req):
    await asyncio.sleep(0)
    raise KeyError("broken")


app.run()
