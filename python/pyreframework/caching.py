"""What caches are told: ``cache_control()``, and what is behind ``req.is_fresh()``.

Imported in every worker, so it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any

    from pyreframework.engine import PyreRequest

    type Age = int | timedelta

# RFC 9111 section 1.2.2: what is more than this counts as this, and some caches cannot hold more.
AGE_MAX = 2**31


def cache_control(
    *,
    public: bool = False,
    private: bool = False,
    no_cache: bool = False,
    no_store: bool = False,
    no_transform: bool = False,
    must_revalidate: bool = False,
    proxy_revalidate: bool = False,
    must_understand: bool = False,
    immutable: bool = False,
    max_age: Age | None = None,
    s_maxage: Age | None = None,
    stale_while_revalidate: Age | None = None,
    stale_if_error: Age | None = None,
) -> str:
    """Return the value of a ``Cache-Control`` header of an answer.

    Ages are whole seconds, or a ``timedelta``, of which parts of a second are dropped.

    Args:
        public: Any cache may keep it, even one that otherwise may not, as after ``Authorization``.
        private: Only the cache of the client itself may keep it.
        no_cache: It may be kept, but is used only after the server was asked whether it still
            holds.
        no_store: No cache may keep it.
        no_transform: No one between may change its body.
        must_revalidate: Once stale, it is used only after the server was asked.
        proxy_revalidate: The same for shared caches alone.
        must_understand: Only caches that know what its status means may keep it; those disregard
            ``no_store`` then.
        immutable: It will not change while it is fresh: a client that loads the page again need
            not ask.
        max_age: How long it is fresh.
        s_maxage: How long it is fresh in shared caches.
        stale_while_revalidate: How long after that it may be used while the server is being asked.
        stale_if_error: How long after that it may be used if the server answers with an error.

    Raises:
        ValueError: Nothing was given, an age is out of bounds, or two of them contradict each
            other.
        TypeError: An age is neither a number of seconds nor a ``timedelta``, or a switch no bool.

    Example:
        >>> cache_control(public=True, max_age=3600, immutable=True)
        'public, max-age=3600, immutable'
    """
    # RFC 9111 section 5.2.2, RFC 5861, RFC 8246.
    switches = {
        "public": public,
        "private": private,
        "no_cache": no_cache,
        "no_store": no_store,
        "no_transform": no_transform,
        "must_revalidate": must_revalidate,
        "proxy_revalidate": proxy_revalidate,
        "must_understand": must_understand,
        "immutable": immutable,
    }
    ages = {
        "max_age": max_age,
        "s_maxage": s_maxage,
        "stale_while_revalidate": stale_while_revalidate,
        "stale_if_error": stale_if_error,
    }
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise TypeError(
                f"{name} of cache_control is True or False, not {type(value).__qualname__}"
            )
    seconds = {name: whole(name, age) for name, age in ages.items() if age is not None}
    said = [name for name, value in switches.items() if value]
    if not said and not seconds:
        raise ValueError("cache_control was given nothing to say: try no_store=True or max_age=60")
    require_agreement({*said, *seconds})
    # The usual order: who may keep it, for how long, and what then.
    first = [name.replace("_", "-") for name in said if name != "immutable"]
    timed = [f"{name.replace('_', '-')}={value}" for name, value in seconds.items()]
    return ", ".join([*first, *timed, *(["immutable"] if immutable else [])])


def whole(name: str, age: Any) -> int:
    """Return an age in seconds."""
    if hasattr(age, "total_seconds"):
        # A `timedelta`, without importing its module for those who have none.
        seconds: int = age.days * 86400 + age.seconds
    elif isinstance(age, int) and not isinstance(age, bool):
        seconds = age
    else:
        raise TypeError(
            f"{name} of cache_control is whole seconds or a timedelta, not {type(age).__qualname__}"
        )
    if not 0 <= seconds <= AGE_MAX:
        raise ValueError(f"{name} of cache_control is 0 to {AGE_MAX} seconds, not {age!r}")
    return seconds


def require_agreement(given: set[str]) -> None:
    """Raise if two of the directives contradict each other."""

    def refuse(one: str, other: str, why: str) -> None:
        raise ValueError(f"cache_control cannot say {one} together with {other}: {why}")

    if {"public", "private"} <= given:
        refuse("public", "private", "either shared caches may keep it or they may not")
    if "private" in given:
        for name in ("s_maxage", "proxy_revalidate"):
            if name in given:
                refuse("private", name, "that is for shared caches, which may not keep it")
    if "no_store" in given and "must_understand" not in given:
        # Section 5.2.2.3: with `must-understand` caches that know the status disregard `no-store`.
        for name in (
            "public",
            "max_age",
            "s_maxage",
            "immutable",
            "stale_while_revalidate",
            "stale_if_error",
        ):
            if name in given:
                refuse("no_store", name, "no cache may keep it at all")
    if "no_cache" in given and "immutable" in given:
        refuse("no_cache", "immutable", "either caches ask each time or they need not")
    for name in ("must_revalidate", "no_cache"):
        for stale in ("stale_while_revalidate", "stale_if_error"):
            if name in given and stale in given:
                refuse(name, stale, "either what is stale may be used unasked or it may not")


def is_fresh(
    req: PyreRequest, *, etag: str | None = None, last_modified: datetime | float | None = None
) -> bool:
    """Return whether the client has this version already; see `PyreRequest.is_fresh`."""
    seconds = None if last_modified is None else whole_second(last_modified)
    return req._has_version(None if etag is None else quoted(etag), seconds)  # noqa: SLF001 - ours


def quoted(etag: str) -> str:
    """Return an etag as it stands in a header; the engine looks at what is between the quotes."""
    if not isinstance(etag, str):
        raise TypeError(f"etag is a str, not {type(etag).__qualname__}")
    if etag.startswith(('"', 'W/"')):
        return etag
    if not etag or etag.startswith(("W/", "w/")):
        raise ValueError(f'etag cannot be {etag!r}: write "abc", W/"abc" or abc')
    return f'"{etag}"'


def whole_second(when: Any) -> int:
    """Return a time in seconds since 1970 as headers tell it, without parts of a second."""
    if hasattr(when, "timestamp"):
        # As `set_cookie` reads ``expires``: without a zone it is UTC.
        from datetime import UTC

        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    elif isinstance(when, (int, float)) and not isinstance(when, bool):
        seconds = float(when)
    else:
        raise TypeError(
            f"last_modified is a datetime or seconds since 1970, not {type(when).__qualname__}"
        )
    if not -(2.0**53) < seconds < 2.0**53:
        raise ValueError(f"last_modified cannot be {when!r}")
    return max(int(seconds // 1), 0)
