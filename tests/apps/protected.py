"""Answers of all kinds, of an app that protects who reads them; the test says how."""

import asyncio
import collections
import json
import os

from gates import at_gate

from pyreframework import HTTPError, Pyre, PyreResponse, PyreStream, redirect, send_file

GIVEN = json.loads(os.environ["TEST_SECURITY"])
app = Pyre(debug=GIVEN.get("debug", False), trusted_hosts=GIVEN.get("hosts", ()))
if "headers" in GIVEN:
    app.enable_security_headers(**GIVEN["headers"])
if "https" in GIVEN:
    app.enable_https_redirect(**GIVEN["https"])
if "cors" in GIVEN:
    app.enable_cors(**GIVEN["cors"])
app.enable_metrics("/metrics")
app.enable_health_probes()
app.static("/folder", os.path.dirname(__file__))
ON_MAIN = True if os.environ.get("TEST_GIL") else None
kept = collections.deque(maxlen=8)


class Fault(Exception):
    pass


@app.before_request
def before(req):
    if req.path == "/hooked":
        return f"hooked {req.csp_nonce}", 401
    return None


@app.exception_handler(Fault)
def on_fault(req, error):
    return PyreResponse(f"fault {req.csp_nonce}", status_code=418)


@app.route(["GET", "POST"], "/text", gil=ON_MAIN)
def text(req):
    return "text"


@app.get("/json", gil=ON_MAIN)
async def later(req):
    await asyncio.sleep(0)
    return {"json": 1}


@app.get("/hooked", gil=ON_MAIN)
def hooked(req):
    return "never"


@app.get("/nonce", gil=ON_MAIN)
def nonce(req):
    assert req.csp_nonce == req.csp_nonce
    return req.csp_nonce


@app.get("/nonce-async", gil=ON_MAIN)
async def nonce_later(req):
    await asyncio.sleep(0.001)
    return PyreResponse(req.csp_nonce, status_code=201)


@app.get("/nonce-kept", gil=ON_MAIN)
def nonce_kept(req):
    kept.append(req)
    return req.csp_nonce


@app.get("/nonce-pieces", gil=ON_MAIN)
def nonce_in_pieces(req):
    yield req.csp_nonce
    # The head is on its way, and it is still the same one.
    yield f" {req.csp_nonce}"


@app.get("/nonce-fault", gil=ON_MAIN)
def nonce_of_fault(req):
    raise Fault


@app.get("/nonce-file", gil=ON_MAIN)
def nonce_and_file(req):
    return send_file(__file__, headers={"X-Nonce": req.csp_nonce})


@app.get("/own", gil=ON_MAIN)
def own(req):
    """Says itself what the app says."""
    said = {
        "content-security-policy": "default-src 'none'",
        "X-FRAME-OPTIONS": "SAMEORIGIN",
        "Referrer-Policy": "origin",
        "Strict-Transport-Security": "max-age=7",
    }
    return PyreResponse("own", headers=said)


@app.get("/own-stream", gil=ON_MAIN)
def own_stream(req):
    stream = PyreStream("text/plain", headers={"X-Frame-Options": "SAMEORIGIN"})
    stream.send("own")
    stream.close()
    return stream


@app.get("/error", gil=ON_MAIN)
def error(req):
    raise HTTPError(418)


@app.get("/raise", gil=ON_MAIN)
def fails(req):
    raise ValueError("a fault")


@app.get("/redirect", gil=ON_MAIN)
def elsewhere(req):
    return redirect("/text")


@app.get("/generator", gil=ON_MAIN)
def generator(req):
    yield "pie"
    yield "ces"


@app.get("/events", gil=ON_MAIN)
def events(req):
    stream = PyreStream("text/event-stream")
    stream.send_event("event")
    stream.close()
    return stream


@app.get("/sent", gil=ON_MAIN)
def sent(req):
    return send_file(__file__)


@app.get("/late", gil=ON_MAIN, request_timeout=0.2)
async def late(req):
    await asyncio.sleep(60)


@app.get("/hold/{port:int}", gil=ON_MAIN)
async def hold(req, port):
    return await at_gate(port, "hold")


@app.websocket("/ws")
async def talk(ws):
    await ws.send("hello")


@app.websocket("/ws-refused")
async def refuse(ws):
    raise HTTPError(403)


@app.post("/echo", gil=ON_MAIN)
def echo(req):
    return req.body


@app.post("/pieces", gil=ON_MAIN, stream_body=True)
def pieces(req):
    return str(sum(len(piece) for piece in req.stream()))


@app.get("/page", gil=ON_MAIN)
def page(req):
    """One script that may run, and one that may not."""
    body = f"""<!doctype html><title>page</title><p id="with">no</p><p id="without">no</p>
        <script>document.getElementById("without").textContent = "ran"</script>
        <script nonce="{req.csp_nonce}">document.getElementById("with").textContent = "ran"</script>
        <p id="end">end</p>"""
    return PyreResponse(body, content_type="text/html")


@app.get("/frame", gil=ON_MAIN)
def frame(req):
    """Is framed by others; whether it is, that shows."""
    options = req.query_params.get("options")
    headers = {} if options is None else {"X-Frame-Options": options}
    body = "<!doctype html><script>parent.postMessage('framed', '*')</script>"
    return PyreResponse(body, content_type="text/html", headers=headers)


if __name__ == "__main__":
    app.run()
