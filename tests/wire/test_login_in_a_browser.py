"""The login of the guide in a browser: its cookie, its forms, and a page of another site."""

from __future__ import annotations

import re
from pathlib import Path

from browser import browser
from serving import SUCCESS_S, serve, wait_until

GUIDE = Path(__file__).parents[2] / "docs/guides/sessions.md"

FORGED = """
from pyreframework import Pyre, PyreResponse

app = Pyre()
PAGE = '''<!doctype html><form method="post" action="{}/logout"></form>
<script>document.forms[0].submit()</script>'''


@app.get("/")
def index(req):
    return PyreResponse(PAGE.format(req.query_params["of"]), content_type="text/html")


app.run()
"""


def test_login(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    ours, theirs = tmp_path / "ours.py", tmp_path / "theirs.py"
    ours.write_text(program)
    theirs.write_text(FORGED)
    with (
        serve(ours, workers=2) as server,
        serve(theirs, workers=1) as other,
        browser(tmp_path / "browser") as chromium,
    ):
        page = chromium.open(server.url)

        def shows(text: str) -> None:
            shown = f"document.body && document.body.innerText.includes({text!r})"
            wait_until(lambda: chromium.look(page, shown) is True, text, 2 * SUCCESS_S)

        def submit(**fields: str) -> None:
            for name, value in fields.items():
                chromium.look(page, f"document.forms[0].{name}.value = {value!r}")
            chromium.look(page, "document.forms[0].submit()")

        def go(url: str) -> None:
            chromium.look(page, f"location.href = {url!r}")

        shows("Log in")
        submit(user="ada", password="difference")
        shows("no such user")
        go(server.url)
        shows("Log in")
        submit(user="ada", password="analytical")
        shows("Hello, ada.")
        assert chromium.look(page, "document.cookie") == ""
        go(f"{server.url}/notes")
        shows("those of ada")

        # Another site, as a browser sees it: its name is another one.
        go(f"{other.url.replace('127.0.0.1', 'localhost')}/?of={server.url}")
        shows("refused: the request comes from a cross-site page")
        go(server.url)
        shows("Hello, ada.")

        submit()
        shows("Log in")
        go(f"{server.url}/notes")
        shows("unauthorized")
