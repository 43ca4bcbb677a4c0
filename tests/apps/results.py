"""Everything a handler may return, one route each."""

import collections
import dataclasses
import datetime
import decimal
import enum
import uuid
from http import HTTPStatus

from pyreframework import Pyre, PyreResponse, redirect

app = Pyre()


@dataclasses.dataclass
class Point:
    x: int
    y: float
    label: str = "here"


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Code(enum.IntEnum):
    GONE = 410


class Number(int):
    pass


class Text(str):
    pass


class Octets(bytes):
    pass


class Opaque:
    pass


def cycle():
    loop = {"a": {}}
    loop["a"]["back"] = loop["a"]
    return loop


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


RESULTS = {
    "str": lambda: "caf\u00e9",
    "empty": lambda: "",
    "wide": lambda: "\U0001f600 \u4e2d",
    "str-subclass": lambda: Text("sub"),
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"\x00\xff",
    "bytes-subclass": lambda: Octets(b"sub"),
    "bytearray": lambda: bytearray(b"array"),
    "memoryview": lambda: memoryview(b"0123456789")[2:5],
    "memoryview-strided": lambda: memoryview(b"0123456789")[::2],
    "dict": lambda: {"a": 1, "b": [True, None, "x"]},
    "dict-empty": dict,
    "list": lambda: [1, 2.5, "x"],
    "none": lambda: None,
    "int": lambda: 42,
    "float": lambda: 1.5,
    "true": lambda: True,
    "int-large": lambda: 10**40,
    "dataclass": lambda: Point(1, 2.5),
    "nested": lambda: {"points": [Point(1, 2.0), Point(3, 4.0)]},
    "set": lambda: {7},
    "frozenset": lambda: frozenset([7]),
    "deque": lambda: collections.deque([1, 2]),
    "ordered": lambda: collections.OrderedDict(a=1),
    "datetime": lambda: [datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.date(2024, 1, 2)],
    "uuid": lambda: {"id": uuid.UUID(int=1)},
    "decimal": lambda: {"price": decimal.Decimal("1.10")},
    "enum": lambda: [Colour.RED, Level.HIGH],
    "keys": lambda: {1: "int", 1.5: "float", True: "bool", None: "none"},
    "text-escapes": lambda: {"t": '"\\\x00\x1f\n/\u2028\u00e9'},
    "floats": lambda: [0.1, 1e300, -0.0, 1e-7, 123456789012345680.0],
    "tuple-status": lambda: ("made", 201),
    "tuple-json-status": lambda: ({"a": 1}, 202),
    "tuple-none-status": lambda: (None, 204),
    "tuple-headers": lambda: ("made", 201, {"X-Made": "yes"}),
    "tuple-three": lambda: (1, 2, 3),
    "response": lambda: PyreResponse("plain"),
    "response-full": lambda: PyreResponse(
        {"a": 1}, status_code=418, content_type="application/tea+json", headers={"X-Tea": "green"}
    ),
    "response-bytes": lambda: PyreResponse(b"raw"),
    "response-none": lambda: PyreResponse(None),
    "response-html": lambda: PyreResponse("<p>", content_type="text/html; charset=utf-8"),
    "response-many": lambda: PyreResponse("x", headers={"Set-Cookie": ["a=1", "b=2"]}),
    "response-304": lambda: PyreResponse("never", status_code=304),
    "response-204": lambda: PyreResponse("never", status_code=204),
    "response-205": lambda: PyreResponse("never", status_code=205),
    "tuple-205": lambda: ({"never": "sent"}, 205),
    "tuple-enum": lambda: ("gone", HTTPStatus.GONE),
    "tuple-enum-headers": lambda: ({"a": 1}, HTTPStatus.GONE, {"X-Made": "yes"}),
    "tuple-int-enum": lambda: ("gone", Code.GONE),
    "tuple-int-subclass": lambda: ("gone", Number(410)),
    "tuple-bool": lambda: ("an array", True),
    "response-enum": lambda: PyreResponse("gone", status_code=HTTPStatus.GONE),
    "enum-inside": lambda: [HTTPStatus.GONE, {HTTPStatus.GONE: Code.GONE}],
    "redirect": lambda: redirect("/elsewhere"),
    "redirect-308": lambda: redirect("/elsewhere", status_code=308),
    "object": Opaque,
    "object-inside": lambda: {"users": [{"score": Opaque()}]},
    "function": lambda: len,
    "nan": lambda: {"users": [{"score": float("nan")}]},
    "infinity": lambda: [float("inf")],
    "bytes-inside": lambda: {"a": b"x"},
    "complex": lambda: 1j,
    "cycle": cycle,
    "deep": lambda: nested(1000),
    "depth-200": lambda: nested(200),
    "key-object": lambda: {Opaque(): 1},
    "key-tuple": lambda: {(1, 2): 1},
    "bad-status": lambda: PyreResponse("x", status_code=99999),
}


def route(name, make):
    @app.get(f"/{name}")
    def handler(req):
        return make()


for name, make in RESULTS.items():
    route(name, make)


@app.get("/injection")
def injection(req):
    """What happens where a header is set that would end the head."""
    refused = []
    for name, value in [
        ("X", "a\r\nY: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\x00b"),
        ("X\r\nY", "b"),
        ("X\n", "b"),
        ("X\x00", "b"),
    ]:
        try:
            PyreResponse("x", headers={name: value})
        except ValueError:
            refused.append("made")
        try:
            PyreResponse("x").headers[name] = value
        except ValueError:
            refused.append("set")
        try:
            PyreResponse("x", headers={name: ["fine", value]})
        except ValueError:
            refused.append("listed")
    try:
        PyreResponse("x", content_type="a\r\nX: y")
    except ValueError:
        refused.append("type")
    return refused


@app.get("/injected-late")
def injected_late(req):
    """By ways that do not ask the response: nothing of it may reach the wire."""
    response = PyreResponse("x", headers={"X": "a"})
    response.headers.update({"X": "a\r\nInjected: 1"})
    return response


@app.get("/injected-type")
def injected_type(req):
    response = PyreResponse("x")
    response.content_type = "text/plain\r\nInjected: 1"
    return response


@app.get("/injected-tuple")
def injected_tuple(req):
    return "x", 200, {"X\r\nInjected": "1"}


@app.get("/attributes")
def attributes(req):
    response = PyreResponse("x", status_code=201, headers={"A": "b"})
    try:
        response.nonsense = 1
    except AttributeError:
        refused = True
    else:
        refused = False
    return {
        "body": response.body,
        "status_code": response.status_code,
        "content_type": response.content_type,
        "header": response.headers["A"],
        "refused": refused,
    }


app.run()
