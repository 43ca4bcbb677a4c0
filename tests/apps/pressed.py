"""Answers of all kinds that may be compressed."""

import os

from gates import hold

from pyreframework import HTTPError, Pyre, PyreResponse, PyreStream

app = Pyre()
if os.environ.get("TEST_EVENTS"):
    app.enable_compression(types="text/*, text/event-stream, application/json", minimum=100)
else:
    app.enable_compression()
if os.environ.get("TEST_CORS"):
    app.enable_cors(["https://page.example"])
ON_MAIN = True if os.environ.get("TEST_GIL") else None
LONG = "a line of text, and another one; " * 100
ROWS = [{"number": number, "name": f"name {number}"} for number in range(500)]


@app.after_request
def after(req, resp):
    if req.path == "/hooked":
        assert len(resp.body) == len(LONG)
        return PyreResponse(resp.body, headers={"X-Length": str(len(resp.body))})
    return None


@app.get("/text", gil=ON_MAIN)
def text(req):
    return LONG


@app.get("/wide", gil=ON_MAIN)
def wide(req):
    return "žluťoučký kůň " * 500


@app.get("/async", gil=ON_MAIN)
async def later(req):
    return ROWS


@app.get("/hooked", gil=ON_MAIN)
def hooked(req):
    return LONG


@app.get("/short", gil=ON_MAIN)
def short(req):
    return "short"


@app.get("/random", gil=ON_MAIN)
def noise(req):
    return PyreResponse(os.urandom(5000), content_type="text/plain")


@app.get("/with/{name}", gil=ON_MAIN)
def with_header(req, name: str):
    given = {
        "etag": {"ETag": '"a"'},
        "weak": {"ETag": 'W/"a"'},
        "vary": {"Vary": "Accept"},
        "any": {"Vary": "Accept, Accept-Encoding"},
        "encoded": {"Content-Encoding": "br"},
        "range": {"Content-Range": "bytes 0-1/2"},
        "digest": {"Repr-Digest": "sha-256=:AAAA:"},
        "fixed": {"Cache-Control": "no-transform"},
        "picture": {"Content-Type": "image/png"},
    }
    return PyreResponse(LONG, headers=given[name])


@app.get("/status/{status:int}", gil=ON_MAIN)
def status_of(req, status: int):
    return PyreResponse(LONG, status_code=status, headers={"ETag": '"a"'})


@app.get("/error", gil=ON_MAIN)
def error(req):
    raise HTTPError(418, "x" * 2000)


@app.get("/generator", gil=ON_MAIN)
def generator(req):
    def pieces():
        for number in range(200):
            yield f"line {number}\n"

    return PyreResponse(pieces(), content_type="text/plain")


@app.get("/async-generator", gil=ON_MAIN)
async def async_generator(req):
    async def pieces():
        for number in range(200):
            yield f"line {number}\n"

    return PyreResponse(pieces(), content_type="text/plain")


@app.get("/length", gil=ON_MAIN)
def with_length(req):
    stream = PyreStream("text/plain", headers={"Content-Length": str(len(LONG))})
    stream.send(LONG)
    stream.close()
    return stream


@app.get("/events/{port:int}", gil=ON_MAIN)
def events(req, port: int):
    def pieces():
        yield "data: first\n\n"
        hold(port, "event")
        yield "data: second\n\n"

    return PyreResponse(pieces(), content_type="text/event-stream")


@app.get("/topic/{when}", gil=ON_MAIN)
def topic(req, when: str):
    stream = PyreStream()
    if when == "before":
        stream.subscribe("news")
        app.publish("news", "told")
        stream.send_event("sent")
        stream.close()
    return stream


if __name__ == "__main__":
    app.run()
