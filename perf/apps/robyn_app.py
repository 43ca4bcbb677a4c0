"""The five benchmark routes on Robyn, with plain functions: its faster kind."""

import os

from robyn import Response, Robyn

app = Robyn(__file__)


@app.get("/")
def index(request):
    return "Hello, World!"


@app.get("/json")
def message(request):
    return {"message": "Hello, World!"}


@app.get("/user/:id")
def user(request):
    return {"id": request.path_params["id"]}


@app.post("/echo")
def echo(request):
    try:
        return request.json()
    except ValueError:
        return Response(status_code=400, headers={}, description="bad request")


@app.get("/compute")
def compute(request):
    return {"result": sum(n * n for n in range(100))}


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(os.environ["PYRE_PORT"]), _check_port=False)
