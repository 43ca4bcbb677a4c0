"""Responses that a program keeps, and hooks that change what they are shown."""

from pyreframework import Pyre, PyreResponse, redirect, set_cookie

app = Pyre()

OK = PyreResponse("ok", headers={"Set-Cookie": ["a=1", "b=2"]}, content_type="text/x")
READ = PyreResponse("read")
READ.headers["X-Kept"] = "kept"
HOME = redirect("/home")
HELD = PyreResponse("held")


@app.before_request
def before(req):
    if req.path == "/before":
        return OK
    return None


@app.after_request
def after(req, resp):
    if req.path == "/returned":
        return HELD
    return None


@app.after_request
def change(req, resp):
    if user := req.header("x-user"):
        if isinstance(lines := resp.headers.get("Set-Cookie"), list):
            lines.append(f"also={user}")
        resp.status_code = 202
        resp.content_type = f"text/{user}"
        resp.headers[f"X-{user}"] = user
        resp.body = f"for {user}"
        return set_cookie(resp, "session", user)
    return None


for path, response in {"/ok": OK, "/read": READ, "/home": HOME}.items():
    app.get(path, lambda req, response=response: response)

    async def later(req, response=response):
        return response

    app.get(f"/async{path}", later)


@app.get("/returned")
def returned(req):
    return "replaced by a hook"


@app.get("/before")
def never(req):
    raise AssertionError("a before hook answers")


class Refused(Exception):
    pass


@app.exception_handler(Refused)
def refused(req, error):
    return OK


@app.get("/refused")
def refuse(req):
    raise Refused


if __name__ == "__main__":
    app.run()
