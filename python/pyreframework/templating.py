"""What makes pages out of templates, with jinja2: one of it for each app and interpreter.

Imported by the first page.
"""

from __future__ import annotations

from _thread import allocate_lock
from difflib import get_close_matches

from jinja2 import Environment, FileSystemLoader, TemplateNotFound, Undefined

from pyreframework.engine import PyreResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from jinja2 import Template

    from pyreframework.pages import Header

HTML = "text/html; charset=utf-8"
ESCAPED = (".html", ".htm", ".xml", ".xhtml", ".svg")
PLAIN = "text/plain; charset=utf-8"
BEHIND = (".j2", ".jinja", ".jinja2")
# Of a page in pieces; each costs a hand-over, and browsers begin with less.
PIECE_CHARS = 8 * 1024

# Threads of a worker may make their first pages at once.
making = allocate_lock()

# A page that shows the headers of its request must not send them back, cookies among them.
OF_REQUESTS = frozenset({"accept", "authorization", "cookie", "host", "user-agent"})


class Maker:
    """The environment of an app in this interpreter."""

    def __init__(self, app: Any) -> None:
        options = app.template_options
        if options is None:
            raise RuntimeError('there are no templates: call app.templates("templates") first')
        self.folder: str = options["folder"]
        autoescape = options["autoescape"]
        # Whoever says what is escaped says what is HTML, or has to.
        self.goes_by_name = autoescape is None
        self.environment = Environment(
            loader=FileSystemLoader(self.folder),
            autoescape=escapes if autoescape is None else autoescape,  # noqa: S701 - by the name
            undefined=options["undefined"] or Undefined,
            extensions=options["extensions"],
            # Otherwise each page would look for changes of each of its files.
            auto_reload=app.shows_tracebacks or app.debug,
        )
        self.environment.globals["url_for"] = app.url_for
        self.environment.globals.update(options["globals"])
        self.environment.filters.update(options["filters"])

    def page(
        self,
        name: str,
        status: int,
        headers: Mapping[str, Header] | None,
        content_type: str | None,
        context: dict[str, Any],
    ) -> PyreResponse:
        """Return the answer with a whole page."""
        require_own(headers)
        try:
            text = self.environment.get_template(name).render(context)
        except TemplateNotFound as error:
            self.explain(error)
            raise
        return PyreResponse(text, status, self.type_of(name, headers, content_type), headers)

    def stream(
        self,
        name: str,
        status: int,
        headers: Mapping[str, Header] | None,
        content_type: str | None,
        context: dict[str, Any],
    ) -> PyreResponse:
        """Return the answer whose page comes in pieces; its template is looked for at once."""
        require_own(headers)
        try:
            template = self.environment.get_template(name)
        except TemplateNotFound as error:
            self.explain(error)
            raise
        body = self.pieces(template, context)
        return PyreResponse(body, status, self.type_of(name, headers, content_type), headers)

    def pieces(self, template: Template, context: dict[str, Any]) -> Iterator[str]:
        """Yield what the template makes, by some KiB."""
        held: list[str] = []
        chars = 0
        try:
            for text in template.generate(context):
                held.append(text)
                chars += len(text)
                if chars >= PIECE_CHARS:
                    yield "".join(held)
                    held.clear()
                    chars = 0
        except TemplateNotFound as error:
            self.explain(error)
            raise
        if held:
            yield "".join(held)

    def type_of(
        self, name: str, headers: Mapping[str, Header] | None, given: str | None
    ) -> str | None:
        """Return the media type of a page, or None where ``headers`` has it.

        What is not escaped is no HTML: a browser would run what a visitor has written.
        """
        if given is None and not any(one.lower() == "content-type" for one in headers or ()):
            return PLAIN if self.goes_by_name and not escapes(name) else HTML
        return given

    def explain(self, error: TemplateNotFound) -> None:
        """Have the error say where the template is not, and what is there of a similar name."""
        name = error.name
        if not isinstance(name, str):
            return
        near = get_close_matches(name, self.environment.list_templates())
        said = f"there is no template {name!r} in {self.folder}"
        error.message = f"{said}; near it: {', '.join(near)}" if near else said


def maker_of(app: Any) -> Maker:
    """Return the maker of an app, which is made once."""
    with making:
        if app.pages_of is None:
            app.pages_of = Maker(app)
        maker: Maker = app.pages_of
        return maker


def escapes(name: str | None) -> bool:
    """Whether values are escaped in a template of this name, which those of a text do not have."""
    if name is None:
        return True
    lower = whole = name.lower()
    for ending in BEHIND:
        lower = lower.removesuffix(ending)
    # `page.jinja` does not say of what kind it is, so it is taken for the dangerous one.
    return lower.endswith(ESCAPED) or (lower != whole and "." not in lower.rpartition("/")[2])


def require_own(headers: Mapping[str, Header] | None) -> None:
    """Raise unless these may be headers of an answer.

    Raises:
        ValueError: They are those of a request.
    """
    if theirs := OF_REQUESTS.intersection(one.lower() for one in headers or ()):
        raise ValueError(
            f"headers= is what the answer has, and {min(theirs)!r} is what a request has: give the "
            "template those of a request under another name"
        )
