"""Results of handlers and hooks: every body with every status and every kind of headers."""

import enum
from http import HTTPMethod, HTTPStatus

from pyreframework import HTTPError, Pyre, PyreResponse, redirect

app = Pyre()
paths, expected = [], {}


class Code(enum.IntEnum):
    GONE = 410


class Number(int):
    pass


class Name(enum.StrEnum):
    TAG = "X-Tag"


BODIES = {
    "str": "text", "bytes": b"\x00", "dict": {"a": 1}, "list": [1], "none": None, "int": 5,
    "true": True, "enum": HTTPStatus.OK, "tuple": (1, 2), "empty": "",
}  # fmt: skip
STATUSES = {
    "int": 410, "HTTPStatus": HTTPStatus.GONE, "IntEnum": Code.GONE, "subclass": Number(410),
    "205": 205, "205-enum": HTTPStatus.RESET_CONTENT, "204": HTTPStatus.NO_CONTENT,
    "304": HTTPStatus.NOT_MODIFIED, "100": 100, "99": 99, "bool": True, "float": 410.0,
    "text": "410",
}  # fmt: skip
HEADERS = {
    "none": None,
    "one": {"X-Tag": "a"},
    "enum": {Name.TAG: "a"},
    "many": {"X-Tag": ["a", "b"], "Set-Cookie": ("a=1", "b=2")},
    "case": {"content-type": "text/x", "Content-Type": "text/y", "Vary": "a", "vary": "b"},
    "twice": {"Content-Type": ["text/x", "text/y"], "Location": ["/a", "/b"]},
    "framing": {"Content-Length": "3"},
    "broken": {"X-Tag": "a\r\nb: c"},
    "number": {"X-Tag": 5},
}


def add(path, make, *answer):
    paths.append(path)
    if answer:
        expected[path] = answer[0]

    @app.get(path)
    def handler(req):
        return make()


for body_name, body in BODIES.items():
    add(f"/body/{body_name}", lambda body=body: body)
    add(f"/pair/{body_name}", lambda body=body: (body, HTTPStatus.GONE))
    add(f"/response/{body_name}", lambda body=body: PyreResponse(body, HTTPStatus.GONE))
for status_name, status in STATUSES.items():
    add(f"/status/{status_name}", lambda status=status: ("body", status))
    add(f"/status3/{status_name}", lambda status=status: ("body", status, {"X-Tag": "a"}))
    add(f"/status-response/{status_name}", lambda status=status: PyreResponse("body", status))
for headers_name, headers in HEADERS.items():
    add(f"/headers/{headers_name}", lambda headers=headers: ("body", 200, headers))
    add(
        f"/typed/{headers_name}",
        lambda headers=headers: PyreResponse("body", 200, "text/z", headers),
    )


def raises(*arguments):
    raise HTTPError(*arguments)


for status in (301, HTTPStatus.NOT_FOUND, Code.GONE, 418, 499, 599):
    add(f"/error/{int(status)}", lambda status=status: raises(status))
add("/error/headers", lambda: raises(400, "no", HEADERS["case"]))
add("/redirect", lambda: redirect("/x", HTTPStatus.SEE_OTHER))
add("/mixed", lambda: [HTTPStatus.GONE, {HTTPStatus.GONE: Code.GONE}, Number(3), Name.TAG])
expected["/mixed"] = [410, {"410": 410}, 3, "X-Tag"]
app.route([HTTPMethod.GET, HTTPMethod.PUT], "/method", lambda: "method")
paths.append("/method")


@app.before_request
def before(req):
    match req.query:
        case "before":
            return "hook", HTTPStatus.GONE
        case "before3":
            return "hook", Code.GONE, {"content-type": "text/x", "Content-Type": "text/y"}
        case "before-error":
            raise HTTPError(HTTPStatus.GONE)
    return None


@app.after_request
def after(req, resp):
    match req.query:
        case "after":
            return "hook", HTTPStatus.GONE
        case "after-type":
            resp.content_type = "text/y"
        case "after-header":
            resp.headers["content-type"] = "text/y"
        case "after-status":
            resp.status_code = HTTPStatus.RESET_CONTENT
    return None


WAYS = ["before", "before3", "before-error", "after", "after-type", "after-header", "after-status"]
paths += [f"/typed/case?{way}" for way in WAYS]


@app.get("/table")
def table():
    return {"paths": paths, "refused": {}, "expected": expected}


if __name__ == "__main__":
    app.run()
