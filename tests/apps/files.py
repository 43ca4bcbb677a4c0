"""Folders of the tree that ``files.py`` beside this folder makes; the variable TREE says where."""

import os

from pyreframework import Pyre

app = Pyre()
ROOT = os.path.join(os.environ["TREE"], "root")


@app.get("/hello")
def hello(req):
    return "hello"


@app.get("/s/route")
def route(req):
    return "a route goes first"


@app.get("/s/slow/{name}")
async def slow(req, name: str):
    return name


app.static("/s", ROOT, max_age=60)
app.static("/s/inner", os.path.join(ROOT, "site"))
app.static("/html", os.path.join(ROOT, "site"), html=True, index=None)
app.static("/app", os.path.join(ROOT, "site"), spa="index.html", immutable=True)
app.static("/paged", os.path.join(ROOT, "site"), html=True)
app.static("/links", ROOT, follow_symlinks=True)
if "WHOLE" in os.environ:
    app.static("/", ROOT)
if "FALLBACK" in os.environ:

    @app.fallback
    def fallback(req):
        return "fallback", 203


app.run()
