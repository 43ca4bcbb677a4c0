"""The five benchmark routes on FastAPI."""

from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI(openapi_url=None)


@app.get("/", response_class=PlainTextResponse)
async def index():
    return "Hello, World!"


@app.get("/json")
async def message():
    return {"message": "Hello, World!"}


@app.get("/user/{name}")
async def user(name: str):
    return {"id": name}


@app.post("/echo")
async def echo(body: Annotated[Any, Body()]):
    return body


@app.get("/compute")
async def compute():
    return {"result": sum(n * n for n in range(100))}
