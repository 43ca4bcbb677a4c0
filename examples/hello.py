"""The smallest program: text, JSON, and a path parameter."""

from pyreframework import Pyre, PyreRequest

app = Pyre()


@app.get("/")
def hello(req: PyreRequest) -> str:
    return "Hello, World!"


@app.get("/json")
def message(req: PyreRequest) -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.get("/user/{id}")
def user(req: PyreRequest, id: int) -> dict[str, int]:
    return {"id": id}


if __name__ == "__main__":
    app.run()
