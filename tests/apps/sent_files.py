"""Files that handlers answer with, wherever they run; the variable TREE says of which tree."""

import os

from pyreframework import HTTPError, Pyre, PyreResponse, send_file

app = Pyre()
ROOT = os.path.join(os.environ["TREE"], "root")


KEPT_REQUESTS = []


def keep(req):
    """Keeps the object of a request beyond its answer if the client says so."""
    if req.query_params.get("keep"):
        KEPT_REQUESTS.append(req)


def opened(name: str, **options):
    try:
        return send_file(os.path.join(ROOT, name), **options)
    except FileNotFoundError:
        raise HTTPError(404) from None


@app.get("/workers/{name}")
@app.post("/workers/{name}")
def on_workers(req, name: str):
    keep(req)
    return opened(name)


@app.get("/main/{name}", gil=True)
@app.post("/main/{name}", gil=True)
def on_main(req, name: str):
    keep(req)
    return opened(name)


@app.get("/async/{name}")
@app.post("/async/{name}")
async def on_loop(req, name: str):
    keep(req)
    return opened(name)


@app.get("/waiting/{name}")
@app.post("/waiting/{name}")
async def waiting(req, name: str):
    keep(req)
    import asyncio

    await asyncio.sleep(0.001)
    return opened(name)


@app.get("/main-async/{name}", gil=True)
@app.post("/main-async/{name}", gil=True)
async def on_main_loop(req, name: str):
    keep(req)
    return opened(name)


@app.get("/download")
def download(req):
    return opened("large.bin", download_name="größe 1.bin", max_age=60)


@app.get("/method")
def method(req):
    place = os.path.join(ROOT, "small.txt")
    return PyreResponse.file(place, download_name="other.txt")


@app.get("/own")
def own(req):
    headers = {"ETag": '"own"', "Set-Cookie": ["a=1", "b=2"], "Last-Modified": "nonsense"}
    return opened("small.txt", headers=headers, content_type="text/x-own")


@app.get("/weak")
def weak(req):
    return opened("small.txt", headers={"ETag": 'W/"own"'})


@app.get("/said")
def said(req):
    headers = {
        "Set-Cookie": ["a=1", "b=2"],
        "X-Own": "own",
        "Content-Location": "/other",
        "Content-Language": "de",
        "Cache-Control": "max-age=60",
        "Vary": "Cookie",
    }
    return opened("small.txt", headers=headers)


@app.get("/ranged")
def ranged(req):
    return opened("small.txt", headers={"Content-Range": "bytes 7-8/9", "Accept-Ranges": "own"})


@app.get("/gone")
def gone(req):
    place = os.path.join(ROOT, "passing.txt")
    with open(place, "w") as file:
        file.write("it was there")
    response = send_file(place)
    os.unlink(place)
    return response


@app.get("/status")
def status(req):
    return opened("small.txt", status_code=203)


@app.get("/empty")
def empty(req):
    return opened("small.txt", status_code=204)


KEPT = {}


@app.get("/kept")
def kept(req):
    if "response" not in KEPT:
        KEPT["response"] = opened("small.txt")
    return KEPT["response"]


@app.get("/task")
def task(req):
    req.add_task(KEPT.update, done=True)
    return opened("small.txt")


@app.get("/done")
def done(req):
    return {"done": KEPT.get("done", False)}


@app.post("/early", stream_body=True)
def early(req):
    return opened("large.bin")


@app.get("/hooked")
def hooked(req):
    return "a hook answers first"


@app.before_request
def refuse(req):
    if req.path == "/hooked":
        return opened("small.txt")
    return None


@app.after_request
def mark(req, resp: PyreResponse):
    resp.headers["X-After"] = str(resp.status_code)


@app.get("/kept-requests")
def kept_requests(req):
    return [[kept.header("x-padding"), len(kept.body)] for kept in KEPT_REQUESTS]


app.run()
