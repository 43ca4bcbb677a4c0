"""The smallest program: text, JSON, and a path parameter."""

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def hello(req):
    return "Hello, World!"


@app.get("/json")
def message(req):
    return {"message": "Hello, World!"}


@app.get("/user/{id}")
def user(req, id: int):
    return {"id": id}


if __name__ == "__main__":
    app.run()
