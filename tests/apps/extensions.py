"""A program with all it needs at its top, as people write them; most of it loads in no worker."""

from __future__ import annotations

import pkgutil
import sys
from dataclasses import dataclass

import msgpack
import numpy as np
import orjson
import pandas as pd
from pydantic import BaseModel, Field, ValidationError, field_validator
from sqlalchemy import create_engine, text

from pyreframework import Pyre, PyreRequest

try:
    import msgspec
except ImportError:
    msgspec = None

app = Pyre()

TABLE = np.array([1.0, 2.0, 3.0])
FRAME = pd.DataFrame({"fruit": ["apple", "pear"], "count": [3, 4]})
# Plain values that come from what is missing in workers.
TOTAL = int(FRAME["count"].sum())
FIRST, (SECOND, THIRD) = TABLE[0], TABLE[1:]
ROWS = 0
if len(FRAME) > 1:
    ROWS = len(FRAME)
assert np.__version__ >= "2"


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []

    @field_validator("name")
    @classmethod
    def strip(cls, value: str) -> str:
        return value.strip()


class Order(BaseModel, frozen=True):
    items: list[Item]
    note: str | None = None


@dataclass
class Series:
    values: np.ndarray | None = None


ANSWER = [Order(items=[]), 1][__name__ == "__main__" :]
engine = create_engine("sqlite://")


@app.exception_handler(ValidationError)
def invalid(req: PyreRequest, error: ValidationError) -> tuple[dict, int]:
    return {"problems": error.error_count()}, 422


@app.get("/plain")
def plain(req: PyreRequest) -> dict:
    return {"where": __name__}


@app.get("/plain/{n:int}")
def plain_number(n: int, scale: int = 2) -> list:
    return [n * scale, __name__]


@app.get("/numpy")
def numpy_sum(req: PyreRequest) -> dict:
    return {"where": __name__, "sum": float((np.arange(3) + TABLE).sum())}


def scaled(values: list, factor: float) -> list:
    return (np.asarray(values) * factor).tolist()


@app.post("/helper/{factor:float}")
def through_a_helper(req: PyreRequest, factor: float) -> list:
    return scaled(req.json(), factor)


@app.get("/pandas")
def pandas_rows(req: PyreRequest) -> dict:
    return {"where": __name__, "rows": FRAME.to_dict("records")}


@app.get("/values")
def plain_values(req: PyreRequest) -> list:
    return [__name__, TOTAL, ROWS, FIRST + SECOND + THIRD]


@app.get("/series")
def series(req: PyreRequest) -> list:
    return [__name__, Series().values]


@app.post("/items")
def add(req: PyreRequest) -> Item:
    return Item.model_validate(req.json())


@app.post("/orders")
def order(req: PyreRequest) -> object:
    return [__name__, Order(items=req.json())]


@app.get("/orjson")
def dumped(req: PyreRequest) -> bytes:
    return orjson.dumps({"where": __name__})


@app.get("/inside")
def imported_inside(req: PyreRequest) -> list:
    from numpy.linalg import norm

    return [__name__, float(norm([3, 4]))]


@app.get("/fallback")
def fallback_of_the_program(req: PyreRequest) -> list:
    return [__name__, msgspec is None]


@app.get("/msgpack")
def packed(req: PyreRequest) -> list:
    return [__name__, msgpack.unpackb(msgpack.packb({"a": [1, 2]}))]


@app.get("/sqlalchemy")
def selected(req: PyreRequest) -> list:
    with engine.connect() as connection:
        return [__name__, connection.execute(text("select 41 + 1")).scalar()]


@app.get("/hidden")
def hidden(req: PyreRequest) -> list:
    return sys._getframe().f_globals["n" + "p"].arange(3).tolist()


@app.get("/hidden-import")
def hidden_import(req: PyreRequest) -> list:
    return pkgutil.resolve_name("num" + "py:arange")(3).tolist()


@app.get("/hidden-result")
def hidden_result(req: PyreRequest) -> object:
    return sys._getframe().f_globals["AN" + "SWER"]


@app.get("/gil", gil=True)
def on_main(req: PyreRequest) -> list:
    return [__name__, globals()["n" + "p"].arange(3).tolist()]


if __name__ == "__main__":
    app.run()
