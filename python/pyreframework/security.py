"""What protects those who use an app: headers for browsers, the hosts that are served, and https.

What is set here is acted upon by the threads that own the sockets. Workers check it as well, and
otherwise only note it.
"""

from __future__ import annotations

from pyreframework import engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Literal, Never

    from pyreframework.policies import Directives

REDIRECTS = (301, 302, 307, 308)

PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class Security:
    """The part of `Pyre` that says who is answered, and what protects him."""

    if TYPE_CHECKING:

        @property
        def serving(self) -> bool:
            """Whether ``run()`` is at work on this app."""
            ...

    def __init__(self) -> None:
        super().__init__()
        # For the engine: a name each, and behind a space its value.
        self.security_headers: list[str] = []
        self.https_redirect: list[str] = []
        # As the engine compares them.
        self.hosts: list[str] = []
        self._trusted_hosts: tuple[str, ...] = ()

    @property
    def trusted_hosts(self) -> tuple[str, ...]:
        """The hosts that are served; none are all.

        A request that names another one in ``Host`` is answered 421 Misdirected Request, before
        anything else is looked at; one that names none, 400. Each is a name, ``*.example.com`` for
        all below a name, an address, or a network such as ``10.0.0.0/8``. Ports are not compared,
        nor is case. Health probes are answered whatever they name.

        Example:
            >>> app = Pyre(trusted_hosts=["example.com", "*.example.com"])
            >>> app.trusted_hosts
            ('example.com', '*.example.com')
        """
        return self._trusted_hosts

    @trusted_hosts.setter
    def trusted_hosts(self, hosts: Iterable[str]) -> None:
        if self.serving:
            raise RuntimeError("the app is being served: set trusted_hosts before run()")
        given = _hosts("trusted_hosts", hosts)
        self.hosts = _ascii_hosts("trusted_hosts", given)
        self._trusted_hosts = tuple(given)

    def enable_security_headers(
        self,
        *,
        hsts: int | None = 31_536_000,
        hsts_include_subdomains: bool = False,
        hsts_preload: bool = False,
        content_security_policy: str | Directives | None = "base-uri 'self'; object-src 'none'",
        content_security_policy_report_only: str | Directives | None = None,
        reporting_endpoints: Mapping[str, str] | None = None,
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        permissions_policy: str | Mapping[str, str | Iterable[str]] | None = PERMISSIONS,
        frame_options: Literal["DENY", "SAMEORIGIN"] | None = "DENY",
        content_type_options: bool | None = True,
        cross_origin_opener_policy: str | None = "same-origin",
        cross_origin_resource_policy: str | None = "same-origin",
        cross_origin_embedder_policy: str | None = None,
        permitted_cross_domain_policies: str | None = "none",
        **unknown: Never,
    ) -> None:
        """Have every answer tell browsers what to refuse, without Python.

        Answers of handlers, errors, redirects, streams, files and pages of the server all have the
        headers; one that a handler sets itself stands in place of the one that is set here. None
        leaves a header out. Called again, it replaces what was said before.

        A policy may have ``{nonce}`` where a source can stand. Of an answer whose handler has read
        ``req.csp_nonce`` it names that nonce; of all others it has no such source.

        Args:
            hsts: Seconds for which browsers are to come by https alone (RFC 6797). Sent where the
                request has come by https, as ``X-Forwarded-Proto`` or ``Forwarded`` say.
            hsts_include_subdomains: Whether that holds for all names below as well.
            hsts_preload: Ask to be on the list that browsers are shipped with.
            content_security_policy: What a page may load and run: a text, or a dict of directives.
            content_security_policy_report_only: The same, where it is only reported.
            reporting_endpoints: URLs by the names that ``report-to`` has.
            referrer_policy: What other sites are told of where a visitor comes from.
            permissions_policy: What pages may use of the device: a text, or a dict of features.
            frame_options: Who may show a page in a frame: nobody, or pages of the same origin.
            content_type_options: Have browsers believe content types.
            cross_origin_opener_policy: Which windows may reach those that are opened.
            cross_origin_resource_policy: Which sites may embed what is answered.
            cross_origin_embedder_policy: Whether a page embeds only what allows that.
            permitted_cross_domain_policies: What documents of Adobe's may load.
            **unknown: Refused by name.

        Raises:
            ValueError: A value is none of those that the header can have, or could end a line.
            TypeError: Something has the wrong type, or there is no such option.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_security_headers(
            ...     content_security_policy="default-src 'self'; script-src 'self' {nonce}"
            ... )
        """
        given: dict[str, object] = dict(locals())
        if self.serving:
            raise RuntimeError(
                "the app is being served: call enable_security_headers() before run()"
            )
        from pyreframework.policies import header_lines

        del given["self"], given["unknown"]
        self.security_headers = header_lines(given, unknown)

    def enable_https_redirect(
        self, *, status: int = 308, port: int | None = None, host: str | None = None
    ) -> None:
        """Send requests that have come by plain http to the same by https, without Python.

        A request has come by https if the proxy in front says so: by the first value of
        ``X-Forwarded-Proto``, or where there is none, of ``Forwarded: proto=`` (RFC 7239). Health
        probes are answered either way. The location has the host that the request names: without
        `trusted_hosts` or ``host`` that is whatever its client writes there.

        Args:
            status: 301, 302, 307 or 308. The last two keep method and body.
            port: The port that https is served on, if it is not 443.
            host: The host to go to, if it is not the one that was asked.

        Raises:
            ValueError: The status is none of these, or port or host cannot be one.
            TypeError: Something has the wrong type.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre(trusted_hosts=["example.com"])
            >>> app.enable_https_redirect()
        """
        if self.serving:
            raise RuntimeError("the app is being served: call enable_https_redirect() before run()")
        for name, number in (("status", status), ("port", 1 if port is None else port)):
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"enable_https_redirect: {name} is a whole number, not {number!r}")
        if status not in REDIRECTS:
            raise ValueError(f"enable_https_redirect: status is one of {REDIRECTS}, not {status}")
        lines = [f"status {status}"]
        if port is not None:
            if not 0 < port < 2**16:
                raise ValueError(f"enable_https_redirect: {port} is no port")
            lines.append(f"port {port}")
        if host is not None:
            one = _host("enable_https_redirect", host)
            if "*" in one or "/" in one:
                raise ValueError(f"enable_https_redirect: {one!r} is not one host")
            lines += [f"host {name}" for name in _ascii_hosts("enable_https_redirect", [one])]
        self.https_redirect = lines

    def protections(self) -> list[tuple[str, str]]:
        """Return what is compared between interpreters: a call, and what it said."""
        found = [
            (name, ", ".join(said))
            for name, said in (
                ("trusted_hosts", self.hosts),
                ("enable_https_redirect", self.https_redirect),
            )
            if said
        ]
        for line in self.security_headers:
            name, _, value = line.removeprefix("https ").partition(" ")
            found.append((f"security header {name}", value))
        return found


def _host(where: str, given: object) -> str:
    """Return what is given as a text."""
    if not isinstance(given, str):
        raise TypeError(f"{where}: host is a str, not {type(given).__qualname__}")
    return given


def _hosts(where: str, given: Any) -> list[str]:
    """Return what is given as a list of texts."""
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        kind = type(given).__qualname__
        raise TypeError(f"{where} is a list of hosts, not {kind}")
    hosts = list(given)
    for host in hosts:
        if not isinstance(host, str):
            raise TypeError(f"{where} is a list of str: {type(host).__qualname__} is in it")
    return hosts


def _ascii_hosts(where: str, hosts: list[str]) -> list[str]:
    """Return hosts as clients send them."""
    found = hosts
    if not all(host.isascii() for host in hosts):
        from pyreframework.origins import ascii_name

        found = [ascii_name(host) for host in hosts]
    try:
        engine.check_hosts(found)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return found
