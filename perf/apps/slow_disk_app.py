"""A route beside a folder of files, named by the variable FILES."""

import os

from pyreframework import Pyre

app = Pyre()


@app.get("/plain")
def plain(req):
    return "Hello, World!"


app.static("/files", os.environ["FILES"])
app.run()
