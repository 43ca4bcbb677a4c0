"""The page of debug mode: whole, escaped, and only in debug mode."""

from __future__ import annotations

from html.parser import HTMLParser

from pyreframework import Pyre
from pyreframework.handlers.debug_page import page


def raised() -> BaseException:
    try:
        raise KeyError("<script>alert(1)</script>")
    except KeyError as error:
        return error


def test_page() -> None:
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    text = page("GET /<b>", raised())
    Parser().feed(text)
    assert "script" not in tags and "b" not in tags
    assert "KeyError: &#x27;&lt;script&gt;" in text
    assert "test_debug_page.py" in text
    assert "GET /&lt;b&gt;" in text


def test_only_in_debug_mode() -> None:
    """What the settings came to counts, not what the app was made with."""
    for debug in (False, True):
        app = Pyre(debug=not debug)
        app.freeze(debug)
        shown = app.report("GET /", None, raised())
        assert (shown is not None) == debug
