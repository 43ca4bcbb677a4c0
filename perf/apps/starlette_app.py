"""Token streams on Starlette, from the same async generators."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from tokens import tokens


async def index(request):
    return PlainTextResponse("Hello, World!")


async def stream(request):
    events = tokens(request.path_params["count"], request.path_params["per_second"])
    return StreamingResponse(events, media_type="text/event-stream")


app = Starlette(
    routes=[Route("/", index), Route("/tokens/{count:int}/{per_second:int}", stream)],
)
