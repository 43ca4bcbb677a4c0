"""A folder of files, named by the variable FILES."""

import os

from pyreframework import Pyre

app = Pyre()
app.static("/", os.environ["FILES"])
app.run()
