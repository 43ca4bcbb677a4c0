"""What users raise and catch: `HTTPError`, `BodyError`, `FormError`, and errors of the start.

Imported in every worker.
"""

from __future__ import annotations

from pyreframework.engine import PyreRequest, PyreResponse, StartError
from pyreframework.handlers.absent import WorkerImportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BodyError", "FormError", "HTTPError", "StartError", "WorkerImportError", "answer"]

# What goes on the wire as `error` when no detail is given: what the server itself says for these
# statuses, and for the others the reason phrase in lower case (RFC 9110, 6585, 7725, 8470).
DETAILS = {
    300: "multiple choices",
    301: "moved permanently",
    302: "found",
    303: "see other",
    304: "not modified",
    305: "use proxy",
    307: "temporary redirect",
    308: "permanent redirect",
    400: "bad request",
    401: "unauthorized",
    402: "payment required",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    406: "not acceptable",
    407: "proxy authentication required",
    408: "request timeout",
    409: "conflict",
    410: "gone",
    411: "length required",
    412: "precondition failed",
    413: "payload too large",
    414: "uri too long",
    415: "unsupported media type",
    416: "range not satisfiable",
    417: "expectation failed",
    418: "i'm a teapot",
    421: "misdirected request",
    422: "validation failed",
    423: "locked",
    424: "failed dependency",
    425: "too early",
    426: "upgrade required",
    428: "precondition required",
    429: "too many requests",
    431: "request header fields too large",
    451: "unavailable for legal reasons",
    499: "client closed request",
    500: "internal server error",
    501: "not implemented",
    502: "bad gateway",
    503: "server overloaded",
    504: "request timeout",
    505: "http version not supported",
    506: "variant also negotiates",
    507: "insufficient storage",
    508: "loop detected",
    510: "not extended",
    511: "network authentication required",
}


class HTTPError(Exception):
    """Answer the request with ``status``; raise it anywhere in a handler or hook.

    The body is ``{"error": detail}`` as JSON. An exception handler for `HTTPError`, registered with
    ``app.exception_handler``, takes the place of this answer.

    Args:
        status: Status code from 300 to 599.
        detail: Anything that can be written as JSON; by default a short text for the status.
        headers: Headers to add; a value may be a list.

    Raises:
        ValueError: ``status`` is out of range.

    Example:
        >>> error = HTTPError(404)
        >>> error.status, error.detail
        (404, 'not found')
    """

    def __init__(
        self,
        status: int,
        detail: object = None,
        headers: Mapping[str, str | list[str]] | None = None,
    ) -> None:
        if not 300 <= status <= 599:
            raise ValueError(f"the status of an HTTPError must be from 300 to 599, not {status!r}")
        super().__init__(status, detail)
        self.status = status
        self.detail = DETAILS.get(status, "error") if detail is None else detail
        self.headers = dict(headers) if headers else {}

    def __str__(self) -> str:
        return f"{self.status} {self.detail}"


class BodyError(HTTPError, ValueError):
    """A body that is compressed and cannot be decoded, or is too large once it is.

    Where the app has ``enable_compression(decode_requests=True)``, whatever reads a body raises it;
    what reads forms raises `FormError` instead. If the handler lets it through, or what it raises
    ``from`` it, the client is answered so: 400, 413 or 415.

    Example:
        >>> isinstance(BodyError(400, "the body is not what its Content-Encoding says"), ValueError)
        True
    """

    _pyre_refuses = True
    """By this ``handlers.faults`` knows it, in what is raised from it as well."""


class FormError(HTTPError, ValueError):
    """A form that is none, is malformed (400), or has more than it may (413).

    ``req.form()`` and the others that read forms raise it. If the handler lets it through, or what
    it raises ``from`` it, the client is answered so; its ``detail`` says what is wrong.

    Example:
        >>> isinstance(FormError(400, "the form ends before its last boundary"), ValueError)
        True
    """

    _pyre_refuses = True
    """By this ``handlers.faults`` knows it, in what is raised from it as well."""


def answer(req: PyreRequest, error: HTTPError) -> PyreResponse:
    """Turn an `HTTPError` into its response; what every app does unless told otherwise."""
    if error.status == 304:
        return PyreResponse(b"", status_code=304, headers=error.headers)
    return PyreResponse({"error": error.detail}, status_code=error.status, headers=error.headers)
