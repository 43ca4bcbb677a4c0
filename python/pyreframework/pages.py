"""Pages out of templates: ``templates``, ``render`` and ``stream_template`` of an app.

Imported in every worker; jinja2 and what speaks to it are only imported by the first page.
"""

from __future__ import annotations

import sys
from os import fsdecode
from os.path import abspath, dirname, isdir, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Any

    from pyreframework.engine import PyreResponse
    from pyreframework.templating import Maker

    type Header = str | list[str]


class Pages:
    """The part of `Pyre` that makes pages out of templates."""

    made_in: str | None
    pages_of: Maker | None = None
    template_options: dict[str, Any] | None = None

    def templates(
        self,
        folder: str | PathLike[str],
        *,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as jinja2 calls them
        extensions: Sequence[str | type] = (),
        autoescape: bool | Callable[[str | None], bool] | None = None,
        undefined: type | None = None,
    ) -> None:
        """Say where the templates of `render` are, and what they can use.

        They are those of jinja2, an extra: ``pip install "pyreframework[templates]"``. Each
        interpreter has an environment of its own, which the first page makes.

        Args:
            folder: Where they are. A relative one is looked for beside the file that makes the app,
                or from the current folder if no file does.
            filters: Functions by the names that templates have for them.
            globals: What all templates see, beside ``url_for``.
            extensions: Extensions of jinja2.
            autoescape: Whether values are escaped: in all, in none, or by a function of the name.
                Left out, in ``html``, ``htm``, ``xml``, ``xhtml`` and ``svg``, also with ``.j2`` or
                ``.jinja`` behind or nothing but that, and in templates without a name.
            undefined: What stands for a name that is not there, as ``jinja2.StrictUndefined``.

        Raises:
            ImportError: There is no jinja2.
            ValueError: There is no such folder.
            TypeError: Something is of a wrong type.
            RuntimeError: Templates were named already.
        """
        place = folder_of(fsdecode(folder), self.made_in)
        if self.template_options is not None:
            raise RuntimeError("app.templates() was called already: an app has one folder of them")
        for name, given in (("filters", filters), ("globals", globals)):
            if given is not None and not (
                hasattr(given, "keys") and all(isinstance(key, str) for key in given)
            ):
                raise TypeError(f"app.templates(): {name} is a dict by name, not {given!r}")
        for name, call in (filters or {}).items():
            if not callable(call):
                raise TypeError(f"app.templates(): the filter {name!r} cannot be called")
        if isinstance(extensions, str):
            raise TypeError(f"app.templates(): extensions is a list, not {extensions!r}")
        if autoescape is not None and not isinstance(autoescape, bool) and not callable(autoescape):
            raise TypeError("app.templates(): autoescape is a bool or a function of the name")
        if undefined is not None and not isinstance(undefined, type):
            raise TypeError("app.templates(): undefined is a class, as jinja2.StrictUndefined")
        require_jinja()
        self.template_options = {
            "folder": place,
            "filters": dict(filters or {}),
            "globals": dict(globals or {}),
            "extensions": tuple(extensions),
            "autoescape": autoescape,
            "undefined": undefined,
        }

    def render(
        self,
        name: str,
        /,
        *,
        status_code: int = 200,
        headers: Mapping[str, Header] | None = None,
        content_type: str | None = None,
        **context: Any,
    ) -> PyreResponse:
        """Return an answer with the page that a template makes.

        Args:
            name: The template, by its path in the folder.
            status_code: The status.
            headers: Further headers.
            content_type: Unless given, here or in ``headers``, ``text/html; charset=utf-8``, and
                ``text/plain`` where the name says that nothing is escaped.
            **context: What the template sees.

        Raises:
            RuntimeError: `templates` was not called.
            jinja2.TemplateNotFound: There is no such template; says where, and what is near.
        """
        return self._maker().page(name, status_code, headers, content_type, context)

    def stream_template(
        self,
        name: str,
        /,
        *,
        status_code: int = 200,
        headers: Mapping[str, Header] | None = None,
        content_type: str | None = None,
        **context: Any,
    ) -> PyreResponse:
        """Return an answer that is sent in pieces of some KiB as the template makes them.

        All is as with `render`, but what fails behind the first piece cannot change the status.
        """
        return self._maker().stream(name, status_code, headers, content_type, context)

    def _maker(self) -> Maker:
        """Return what makes the pages of this interpreter."""
        if self.pages_of is None:
            from pyreframework.templating import maker_of

            return maker_of(self)
        return self.pages_of


def folder_of(folder: str, module: str | None) -> str:
    """Return the folder, looked for beside the file of the module that makes the app.

    Raises:
        ValueError: It is not there.
    """
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    place = abspath(join(dirname(abspath(file)) if isinstance(file, str) else "", folder))
    if not isdir(place):
        raise ValueError(f"app.templates(): there is no folder {place!r}")
    return place


def require_jinja() -> None:
    """Raise unless jinja2 can be imported; that is left to the first page.

    Raises:
        ImportError: With what to do.
    """
    from importlib.util import find_spec

    if find_spec("jinja2") is None:
        raise ImportError(
            'app.templates() needs jinja2: pip install "pyreframework[templates]"', name="jinja2"
        )
