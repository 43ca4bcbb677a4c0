"""A program that shows what it does: metrics, health probes, and handlers to be seen in them."""

import os

from gates import hold

from pyreframework import HTTPError, Pyre

app = Pyre()
app.enable_metrics(os.environ.get("METRICS_PATH", "/metrics"))


def check():
    """Say what a file says, or what the test does; without the file, fail."""
    with open(os.environ["READY_FILE"]) as file:
        words = file.read().split()
    return hold(int(words[1]), "check") == "yes" if words[0] == "ask" else words[0] == "yes"


async def check_later():
    return check()


if "READY_FILE" in os.environ:
    app.enable_health_probes(
        readiness_check=check_later if "READY_ASYNC" in os.environ else check,
        check_interval=0.02,
        check_timeout=0.2,
    )
else:
    app.enable_health_probes()


@app.get("/")
def hello(req):
    return "hello"


@app.get("/users/{id:int}")
def user(id):
    return {"id": id}


@app.post("/users")
def create(req):
    return {"made": req.text()}, 201


@app.get("/status/{code:int}")
def status(code):
    return "as asked", code


@app.get("/gone")
def gone(req):
    raise HTTPError(410)


@app.get("/broken")
def broken(req):
    raise KeyError("broken")


@app.get("/wait/{port:int}/{name}")
def wait(req, port, name):
    return hold(port, name)


@app.get("/main", gil=True)
def on_main(req):
    return "main"


@app.get("/{anything}")
def anything(anything):
    return f"caught {anything}"


app.run()
