"""Headers that tell browsers what to refuse, checked when they are given.

Imported with the first call of ``enable_security_headers()``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    type Directives = Mapping[str, str | Iterable[str] | bool | None]

WHERE = "enable_security_headers"

# A year, in seconds: what the list of browsers asks for at least.
PRELOAD_AGE_MIN = 31_536_000
AGE_MAX = 2**31 - 1

# Options with a few values, and the header of each.
CHOICES = {
    "frame_options": ("X-Frame-Options", ("DENY", "SAMEORIGIN")),
    "cross_origin_opener_policy": (
        "Cross-Origin-Opener-Policy",
        ("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"),
    ),
    "cross_origin_resource_policy": (
        "Cross-Origin-Resource-Policy",
        ("same-origin", "same-site", "cross-origin"),
    ),
    "cross_origin_embedder_policy": (
        "Cross-Origin-Embedder-Policy",
        ("require-corp", "credentialless", "unsafe-none"),
    ),
    "permitted_cross_domain_policies": (
        "X-Permitted-Cross-Domain-Policies",
        ("none", "none-this-response", "master-only", "by-content-type", "by-ftp-filename", "all"),
    ),
}

REFERRER_POLICIES = (
    "no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin",
    "same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url",
)  # fmt: skip

# Content Security Policy Level 3 section 2.3.1, in quotes and without.
HASH = re.compile(r"(?:(?:url|eval)-)?sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}", re.IGNORECASE)

# The HTML standard, section 7.1.5.
SANDBOX = (
    "allow-downloads", "allow-forms", "allow-modals", "allow-orientation-lock",
    "allow-pointer-lock", "allow-popups", "allow-popups-to-escape-sandbox", "allow-presentation",
    "allow-same-origin", "allow-scripts", "allow-storage-access-by-user-activation",
    "allow-top-navigation", "allow-top-navigation-by-user-activation",
    "allow-top-navigation-to-custom-protocols",
)  # fmt: skip

# Content Security Policy Level 3, and the specifications that add to it.
DIRECTIVES = (
    "base-uri", "child-src", "connect-src", "default-src", "fenced-frame-src", "font-src",
    "form-action", "frame-ancestors", "frame-src", "img-src", "manifest-src", "media-src",
    "object-src", "report-to", "report-uri", "require-trusted-types-for", "sandbox", "script-src",
    "script-src-attr", "script-src-elem", "style-src", "style-src-attr", "style-src-elem",
    "trusted-types", "upgrade-insecure-requests", "webrtc", "worker-src",
)  # fmt: skip

# Those that may stand without a value, and the one that has none.
ALONE = ("sandbox", "trusted-types", "upgrade-insecure-requests")
BARE = "upgrade-insecure-requests"

# Directives that have these words and no others.
WORDS = {"require-trusted-types-for": ("script",), "webrtc": ("allow", "block")}

# What the name of a directive has, one that is not known here too (section 2.2.1).
DIRECTIVE = re.compile("[A-Za-z0-9-]+")

# How much one that is not known is like another if it is that one, misspelt.
LIKENESS = 0.8

# Where a nonce lets something run.
WITH_NONCE = ("default-src", "script-src", "script-src-elem", "style-src", "style-src-elem")

NONCE = "{nonce}"

# Words that are a source only in quotes; without them they would be the names of hosts.
KEYWORDS = (
    "none", "self", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "strict-dynamic",
    "report-sample", "wasm-unsafe-eval", "inline-speculation-rules", "trusted-types-eval",
    "unsafe-allow-redirects", "unsafe-webtransport-hashes", "report-sha256", "report-sha384",
    "report-sha512",
)  # fmt: skip

# What a key of a structured dictionary may have (RFC 8941 section 3.2).
KEY = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.*")

# What a structured dictionary is made of that has tokens and strings (RFC 8941 section 4.2).
_KEY = r"[a-z*][a-z0-9_.*-]*"
_ITEM = r"""(?:"(?:[^"\\]|\\["\\])*"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*)"""
_PARAMETERS = rf"(?:; *{_KEY}(?:={_ITEM})?)*"
_MEMBERS = rf"\( *(?:{_ITEM}{_PARAMETERS}(?: +{_ITEM}{_PARAMETERS})*)? *\)"
MEMBER = re.compile(rf"({_KEY})=({_MEMBERS}|{_ITEM}){_PARAMETERS}")
ITEM = re.compile(rf"({_ITEM}){_PARAMETERS}")

# Whom a feature is for, beside origins (Permissions Policy, section 5.2).
ALLOWED = ("*", "self", "src")

# An origin, or all below a name.
ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\*\.)?[^\s\"\\*]+")


def header_lines(given: Mapping[str, object], unknown: Mapping[str, object]) -> list[str]:
    """Return the lines that the engine is told: a name each, and behind a space its value.

    Raises:
        ValueError: A value is none that the header can have.
        TypeError: A value has the wrong type, or there is no such option.
    """
    for name in unknown:
        raise TypeError(f"{WHERE}() has no option {name!r}{nearest(name, given)}")
    lines = []
    policies = (
        ("content_security_policy", "Content-Security-Policy"),
        ("content_security_policy_report_only", "Content-Security-Policy-Report-Only"),
    )
    for option, name in policies:
        if given[option] is not None:
            lines.append(f"{name} {content_policy(option, given[option])}")
    if given["reporting_endpoints"] is not None:
        lines.append(f"Reporting-Endpoints {endpoints(given['reporting_endpoints'])}")
    if given["permissions_policy"] is not None:
        lines.append(f"Permissions-Policy {permissions(given['permissions_policy'])}")
    if given["referrer_policy"] is not None:
        lines.append(f"Referrer-Policy {referrer(given['referrer_policy'])}")
    for option, (name, choices) in CHOICES.items():
        value = given[option]
        if value is not None:
            if value not in choices:
                raise wrong(option, value, choices)
            lines.append(f"{name} {value}")
    if not isinstance(given["content_type_options"], (bool, type(None))):
        kind = type(given["content_type_options"]).__qualname__
        raise TypeError(f"{WHERE}: content_type_options is True, False or None, not {kind}")
    if given["content_type_options"]:
        lines.append("X-Content-Type-Options nosniff")
    lines += transport(given["hsts"], given["hsts_include_subdomains"], given["hsts_preload"])
    return lines


def content_policy(option: str, given: object) -> str:
    """Return a policy as it is sent, with `NONCE` where its answer names a nonce.

    Example:
        >>> content_policy("content_security_policy", {"script-src": ["'self'", "{nonce}"]})
        "script-src 'self' {nonce}"
    """
    found: dict[str, list[str]] = {}
    for name, sources in directives(option, given):
        require_directive(option, name)
        if name in found:
            raise ValueError(f"{WHERE}: {option} has {name} twice: browsers take the first alone")
        if not sources and name in DIRECTIVES and name not in ALONE:
            raise ValueError(f"{WHERE}: {option}: {name} has no value; 'none' is one")
        if sources and name == BARE:
            raise ValueError(f"{WHERE}: {option}: {name} takes no value")
        found[name] = [source(option, name, one) for one in sources]
        if "'none'" in found[name] and len(sources) > 1:
            raise ValueError(f"{WHERE}: {option}: {name} has 'none' beside others")
    if not found:
        raise ValueError(f"{WHERE}: {option} is empty; None leaves it out")
    return "; ".join(" ".join([name, *sources]) for name, sources in found.items())


def directives(option: str, given: object) -> Iterable[tuple[str, list[str]]]:
    """Return the names of directives and their sources, whichever way they were given."""
    if isinstance(given, str):
        require_plain(option, given)
        parts = [part.split() for part in given.split(";")]
        return [(part[0].lower(), part[1:]) for part in parts if part]
    if not isinstance(given, Mapping):
        raise TypeError(f"{WHERE}: {option} is a str or a dict, not {type(given).__qualname__}")
    found = []
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"{WHERE}: {option}: a directive is a str, not {name!r}")
        if value is None or value is False:
            continue
        sources = [] if value is True else several(f"{option}: {name}", value)
        for one in sources:
            require_plain(f"{option}: {name}", one)
            if ";" in one or "," in one:
                raise ValueError(f"{WHERE}: {option}: {name}: {one!r} would end the directive")
        found.append((name, [word for one in sources for word in one.split()]))
    return found


def require_directive(option: str, name: str) -> None:
    """Raise unless this names a directive: one that is known, or to come, or no more in use."""
    if name in DIRECTIVES:
        return
    hint = nearest(name, DIRECTIVES)
    if not DIRECTIVE.fullmatch(name):
        raise ValueError(f"{WHERE}: {option}: {name!r} is no directive{hint}")
    if nearest(name, DIRECTIVES, LIKENESS):
        raise ValueError(f"{WHERE}: {option} has no directive {name!r}{hint}")


def require_word(where: str, name: str, written: str) -> None:
    """Raise unless what is in quotes has a meaning there, and what is not needs none."""
    is_quoted = len(written) > 1 and written[0] == written[-1] == "'"
    if '"' in written or (not is_quoted and (written[0] == "'" or written[-1] == "'")):
        raise ValueError(
            f"{where}: {written!r} has a quotation mark: words of policies are in single ones, on "
            "both sides"
        )
    lower = written.lower()
    if name == "sandbox":
        if lower not in SANDBOX:
            hint = nearest(lower, SANDBOX)
            raise ValueError(f"{where} takes {', '.join(SANDBOX)}, not {written!r}{hint}")
    elif name in WORDS and not is_quoted:
        known = " or ".join(repr(f"'{word}'") for word in WORDS[name])
        raise ValueError(f"{where} takes {known}, not {written!r}")
    elif is_quoted and name in DIRECTIVES:
        types = ("none", "allow-duplicates") if name == "trusted-types" else KEYWORDS
        known_here = [f"'{word}'" for word in WORDS.get(name, types)]
        is_hash = name not in WORDS and name != "trusted-types" and HASH.fullmatch(lower[1:-1])
        if lower not in known_here and not is_hash:
            hint = nearest(lower, known_here)
            raise ValueError(f"{where}: {written!r} is no keyword{hint}")


def source(option: str, name: str, written: str) -> str:
    """Return a source as it is sent."""
    where = f"{WHERE}: {option}: {name}"
    if written == f"'nonce-{NONCE}'":
        written = NONCE
    if written == NONCE:
        if name not in WITH_NONCE:
            raise ValueError(f"{where} takes no nonce")
        return written
    if written.startswith("'nonce") or "{" in written:
        raise ValueError(f"{where}: write {NONCE} for the nonce of each answer, not {written!r}")
    require_word(where, name, written)
    if written.lower() in KEYWORDS and name not in ("sandbox", "trusted-types", "report-to"):
        raise ValueError(f"{where}: {written!r} would be a host; the word is \"'{written}'\"")
    if "," in written:
        raise ValueError(f"{where}: {written!r} has a comma, which would end the policy")
    return written


def permissions(given: object) -> str:
    """Return what pages may use.

    Example:
        >>> permissions({"camera": [], "fullscreen": ["self", "https://example.com"]})
        'camera=(), fullscreen=(self "https://example.com")'
    """
    option = "permissions_policy"
    if isinstance(given, str):
        require_plain(option, given)
        require_features(option, given.strip())
        return given.strip()
    if not isinstance(given, Mapping):
        raise TypeError(f"{WHERE}: {option} is a str or a dict, not {type(given).__qualname__}")
    found = []
    for name, value in given.items():
        if not isinstance(name, str) or not is_key(name):
            raise ValueError(f"{WHERE}: {option}: {name!r} is no feature")
        members = several(f"{option}: {name}", value)
        if members == ["*"]:
            found.append(f"{name}=*")
            continue
        for one in members:
            require_plain(f"{option}: {name}", one)
            if one not in ALLOWED[1:] and not ORIGIN.fullmatch(one):
                raise ValueError(f"{WHERE}: {option}: {name}: {one!r} is no origin")
        quoted = [one if one in ("self", "src") else f'"{one}"' for one in members if one]
        found.append(f"{name}=({' '.join(quoted)})")
    if not found:
        raise ValueError(f"{WHERE}: {option} is empty; None leaves it out")
    return ", ".join(found)


def require_features(option: str, written: str) -> None:
    """Raise unless a text is a structured dictionary of features and whom they are for.

    Browsers drop all of one that is not (RFC 8941 section 4.2).
    """
    seen = set()
    at = 0
    while True:
        member = MEMBER.match(written, at)
        rest = written[at:] if member is None else written[member.end() :].lstrip(" ")
        if member is None or (rest and not rest.startswith(",")):
            wrong = written[at:].partition(",")[0].strip()
            raise ValueError(f"{WHERE}: {option}: write camera=() or camera=(self), not {wrong!r}")
        name, value = member.groups()
        if name in seen:
            raise ValueError(f"{WHERE}: {option} has {name} twice: browsers take the last alone")
        seen.add(name)
        for one in ITEM.findall(value):
            if one not in ALLOWED and not (one[0] == '"' and ORIGIN.fullmatch(one[1:-1])):
                raise ValueError(
                    f"{WHERE}: {option}: {name} has {one!r}, and takes *, self, src, or an origin "
                    'in double quotation marks: "https://example.com"'
                )
        if not rest:
            return
        at = len(written) - len(rest[1:].lstrip(" "))


def endpoints(given: object) -> str:
    """Return where reports go."""
    option = "reporting_endpoints"
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"{WHERE}: {option} is a dict of URLs by name")
    for name, url in given.items():
        if not isinstance(name, str) or not is_key(name):
            raise ValueError(f"{WHERE}: {option}: {name!r} is no name: lower case letters and -_.*")
        if not isinstance(url, str) or not url:
            raise TypeError(f"{WHERE}: {option}: the URL of {name} is a str")
        require_plain(option, url)
        if '"' in url or "\\" in url or " " in url:
            raise ValueError(f"{WHERE}: {option}: {url!r} is no URL")
    return ", ".join(f'{name}="{url}"' for name, url in given.items())


def referrer(given: object) -> str:
    """Return a policy, or several of which browsers take the last that they know."""
    if not isinstance(given, str):
        raise TypeError(f"{WHERE}: referrer_policy is a str, not {type(given).__qualname__}")
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in REFERRER_POLICIES:
            raise wrong("referrer_policy", name, REFERRER_POLICIES)
    return ", ".join(names)


def transport(age: object, with_subdomains: object, preload: object) -> list[str]:
    """Return the line of ``Strict-Transport-Security``, if there is one (RFC 6797)."""
    for name, flag in (("include_subdomains", with_subdomains), ("preload", preload)):
        if not isinstance(flag, bool):
            kind = type(flag).__qualname__
            raise TypeError(f"{WHERE}: hsts_{name} is True or False, not {kind}")
    if age is None:
        if with_subdomains or preload:
            raise ValueError(f"{WHERE}: hsts is None, so there is nothing to say of subdomains")
        return []
    if isinstance(age, bool) or not isinstance(age, int):
        raise TypeError(f"{WHERE}: hsts is a number of seconds, not {age!r}")
    if not 0 <= age <= AGE_MAX:
        raise ValueError(f"{WHERE}: hsts is from 0 to {AGE_MAX}, not {age}")
    if preload and (not with_subdomains or age < PRELOAD_AGE_MIN):
        raise ValueError(
            f"{WHERE}: hsts_preload needs hsts_include_subdomains=True, and hsts from "
            f"{PRELOAD_AGE_MIN} on"
        )
    value = f"max-age={age}"
    if with_subdomains:
        value += "; includeSubDomains"
    if preload:
        value += "; preload"
    return [f"https Strict-Transport-Security {value}"]


def several(where: str, given: object) -> list[str]:
    """Return one text, or those in a list."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        kind = type(given).__qualname__
        raise TypeError(f"{WHERE}: {where} is a str or a list of them, not {kind}")
    found = list(given)
    for one in found:
        if not isinstance(one, str):
            raise TypeError(f"{WHERE}: {where}: {type(one).__qualname__} is among its values")
    return found


def require_plain(option: str, value: str) -> None:
    """Raise unless this may stand in a header: visible ASCII and spaces."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{WHERE}: {option} has a character that may not be sent: {value!r}")
    if not value.strip():
        raise ValueError(f"{WHERE}: {option} is empty")


def is_key(name: str) -> bool:
    """Return whether this can be a key of a structured dictionary."""
    return bool(name) and KEY.issuperset(name) and (name[0] == "*" or name[0].isalpha())


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return a question for the name that may have been meant."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), 1, likeness)
    return f": did you mean {close[0]!r}?" if close else ""


def wrong(option: str, value: object, choices: tuple[str, ...]) -> ValueError:
    """Return the error for a value that is none of these."""
    by_lower = {choice.lower(): choice for choice in choices}
    hint = nearest(value.lower(), by_lower) if isinstance(value, str) else ""
    for lower, choice in by_lower.items():
        hint = hint.replace(repr(lower), repr(choice))
    return ValueError(f"{WHERE}: {option} is one of {', '.join(choices)}, not {value!r}{hint}")
