"""`cache_control()`: what it says, and which contradictions it refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pyreframework import cache_control


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"no_store": True}, "no-store"),
        ({"no_cache": True}, "no-cache"),
        ({"max_age": 0}, "max-age=0"),
        ({"max_age": 2**31}, "max-age=2147483648"),
        ({"max_age": timedelta(hours=1, milliseconds=900)}, "max-age=3600"),
        ({"max_age": timedelta(days=2, seconds=1)}, "max-age=172801"),
        ({"public": True, "max_age": 60}, "public, max-age=60"),
        ({"private": True, "no_cache": True}, "private, no-cache"),
        ({"immutable": True, "max_age": 5, "public": True}, "public, max-age=5, immutable"),
        ({"max_age": 1, "s_maxage": 2}, "max-age=1, s-maxage=2"),
        (
            {"max_age": 1, "stale_while_revalidate": 2, "stale_if_error": 3},
            "max-age=1, stale-while-revalidate=2, stale-if-error=3",
        ),
        ({"must_revalidate": True, "max_age": 1}, "must-revalidate, max-age=1"),
        ({"proxy_revalidate": True, "no_transform": True}, "no-transform, proxy-revalidate"),
        # RFC 9111 section 5.2.2.3: the two are meant to stand together.
        (
            {"must_understand": True, "no_store": True, "max_age": 9},
            "no-store, must-understand, max-age=9",
        ),
    ],
)
def test_the_value(given: dict[str, Any], value: str) -> None:
    assert cache_control(**given) == value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing to say"),
        ({"public": False, "max_age": None}, "nothing to say"),
        ({"public": True, "private": True}, "public together with private"),
        ({"private": True, "s_maxage": 1}, "private together with s_maxage"),
        ({"private": True, "proxy_revalidate": True}, "private together with proxy_revalidate"),
        ({"no_store": True, "max_age": 0}, "no_store together with max_age"),
        ({"no_store": True, "s_maxage": 1}, "no_store together with s_maxage"),
        ({"no_store": True, "public": True}, "no_store together with public"),
        ({"no_store": True, "immutable": True}, "no_store together with immutable"),
        ({"no_cache": True, "immutable": True}, "no_cache together with immutable"),
        ({"no_store": True, "stale_if_error": 1}, "no_store together with stale_if_error"),
        (
            {"must_revalidate": True, "stale_while_revalidate": 1},
            "must_revalidate together with stale_while_revalidate",
        ),
        ({"no_cache": True, "stale_if_error": 1}, "no_cache together with stale_if_error"),
        ({"max_age": -1}, "max_age of cache_control is 0 to"),
        ({"max_age": timedelta(seconds=-1)}, "max_age of cache_control is 0 to"),
        ({"s_maxage": 2**31 + 1}, "s_maxage of cache_control is 0 to"),
    ],
)
def test_what_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cache_control(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_age": 1.5}, "whole seconds or a timedelta, not float"),
        ({"max_age": "60"}, "not str"),
        ({"stale_if_error": True}, "not bool"),
        ({"public": 1}, "public of cache_control is True or False, not int"),
        ({"no_cache": "Set-Cookie"}, "no_cache of cache_control is True or False, not str"),
    ],
)
def test_wrong_types(given: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        cache_control(**given)
