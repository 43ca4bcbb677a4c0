"""Forms with a file of any length on Starlette, which spools them to disk as well."""

import zlib

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def index(request):
    return PlainTextResponse("Hello, World!")


async def form(request):
    async with request.form() as found:
        file = found["file"]
        text = str(file.size)
        if request.url.query:
            check = 0
            while piece := await file.read(1 << 18):
                check = zlib.crc32(piece, check)
            text = f"{text} {check}"
        return PlainTextResponse(text)


app = Starlette(routes=[Route("/", index), Route("/form-async", form, methods=["POST"])])
