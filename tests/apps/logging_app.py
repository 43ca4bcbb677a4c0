"""A program that logs, as its variables say: from handlers, threads and hooks, with or without a
configuration of its own.
"""

import logging
import os
import sys

from gates import hold

from pyreframework import Pyre, emit_python_log, init_logger

CONFIGURED = os.environ.get("CONFIGURED", "")
FORMAT = "mine %(levelname)s %(name)s %(message)s"

config = None
if CONFIGURED == "log_config":
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": FORMAT}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["out"], "level": "INFO"},
    }
elif CONFIGURED == "short":
    config = {"level": "WARN", "access_log": True, "format": "json"}
elif CONFIGURED == "root":
    logging.basicConfig(format=FORMAT, level=logging.INFO)
elif CONFIGURED == "level":
    logging.getLogger().setLevel(logging.DEBUG)
elif CONFIGURED == "access":
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT + " %(status)s %(route)s"))
    logging.getLogger("pyre.access").addHandler(handler)
    logging.getLogger("pyre.access").propagate = False
elif CONFIGURED == "init_logger":
    init_logger("DEBUG", True, "json")

app = Pyre(log_config=config)
if "SAMPLE" in os.environ:
    app.enable_logging(sample=int(os.environ["SAMPLE"]), always_log_status=500)

kept = []


@app.on_startup
def start():
    logging.getLogger("hook").info("starting")


@app.on_shutdown
def stop():
    logging.getLogger("hook").info("the last words")


@app.on_worker_stop
def stop_worker():
    logging.getLogger("hook").info("a worker ends")


@app.get("/log/{level}")
def log(req, level):
    logging.getLogger("shop.cart").log(
        getattr(logging, level.upper()), "said %s", req.query, extra={"user": 7, "odd": int}
    )
    return level


@app.get("/lines")
def lines(req):
    logging.getLogger("shop").warning("first\n2026-01-01T00:00:00Z ERROR forged: \x1b[31mline\r")
    return "lines"


@app.get("/raise")
def failing(req):
    try:
        raise LookupError("lost")
    except LookupError:
        logging.getLogger("shop").exception("it failed", stack_info=True)
    return "raised"


@app.get("/broken")
def broken(req):
    raise KeyError("broken")


@app.get("/surrogate")
def surrogate(req):
    logging.getLogger("shop").warning("lone \ud800 and é")
    return "surrogate"


@app.get("/wrong")
def wrong(req):
    logging.getLogger("shop").warning("two %s %s", *["one"])
    return "wrong"


@app.get("/print")
def printing(req):
    print("printed", req.query)
    return "printed"


@app.get("/emit")
def emit(req):
    emit_python_log("DEBUG", "shop.native", "too little")
    emit_python_log("warning", "shop.native", "straight", "cart.py", 12, worker_id=3)
    return "emitted"


@app.get("/keep")
def keep(req):
    kept.append(req)
    return "kept"


@app.post("/keep")
def keep_post(req):
    kept.append((req, memoryview(req)))
    return "kept", 201


@app.get("/flood/{count:int}")
def flood(count):
    logger = logging.getLogger("flood")
    for number in range(count):
        logger.warning("%d %s", number, "x" * 1000)
    return "flooded"


@app.get("/wait/{port:int}/{name}")
def wait(req, port, name):
    return hold(port, name)


@app.get("/modules")
def modules(req):
    return sorted(sys.modules)


app.run()
