"""The page a client sees in debug mode when a handler or hook raised: the traceback, as HTML.

Made only then, so it may import what it likes. Nothing on it comes from anywhere but the exception,
and all of it is escaped.
"""

from __future__ import annotations

from html import escape

from pyreframework.logs import traces

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }}
pre {{ background: #f4f4f4; color: #222; padding: 1rem; overflow-x: auto; }}
</style>
<h1>{title}</h1>
<p>raised by <code>{route}</code>. This page is shown because the app runs in debug mode.</p>
<pre>{trace}</pre>
</html>
"""


def page(route: str, error: BaseException) -> str:
    """Return the page for an exception raised on a route.

    Example:
        >>> "<h1>KeyError</h1>" in page("GET /", KeyError("<name>"))
        True
    """
    trace = traces.text_of(error)
    return PAGE.format(
        title=escape(type(error).__qualname__), route=escape(route), trace=escape(trace)
    )
