"""An app that tests import, in workers too; run as a program it tests itself."""

from pyreframework import Pyre
from pyreframework.testing import TestClient

app = Pyre()
wrong = Pyre()


@app.get("/")
def where(req):
    return {"module": __name__}


@wrong.on_worker_start
def refuse():
    raise LookupError("this worker does not want to start")


if __name__ == "__main__":
    with TestClient(app, mode="subinterp") as client:
        print(client.get("/").json()["module"])
