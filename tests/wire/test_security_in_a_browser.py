"""What a browser makes of the headers: scripts that it runs, and pages that it shows in a frame."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import browser, text_of
from serving import SUCCESS_S, serve, wait_until


@pytest.mark.parametrize("mode", [None, "default"], ids=["workers", "main"])
def test_scripts_run_by_their_nonce(tmp_path: Path, mode: str | None) -> None:
    headers = {"content_security_policy": "default-src 'self'; script-src {nonce}"}
    env = {"TEST_SECURITY": json.dumps({"headers": headers})}
    options = {} if mode is None else {"mode": mode}
    with serve("protected", workers=1, env=env, **options) as server, browser(tmp_path) as chromium:
        page = chromium.open(f"{server.url}/page")
        wait_until(lambda: chromium.look(page, text_of("end")) == "end", "the page", 2 * SUCCESS_S)
        assert chromium.look(page, text_of("with")) == "ran"
        assert chromium.look(page, text_of("without")) == "no"


@pytest.mark.parametrize("options", ["DENY", None])
def test_a_page_is_shown_in_no_frame(tmp_path: Path, options: str | None) -> None:
    """Of two frames one has a page that allows it whatever the app says."""
    env = {"TEST_SECURITY": json.dumps({"headers": {"frame_options": options}})}
    with serve("protected", workers=1, env=env) as server, browser(tmp_path) as chromium:
        page = chromium.open(f"{server.url}/text")
        # The empty page before it is complete as well.
        is_there = "location.pathname === '/text' && document.readyState === 'complete'"
        wait_until(lambda: chromium.look(page, is_there) is True, "the page", 2 * SUCCESS_S)
        chromium.look(
            page,
            """
            window.heard = [];
            addEventListener("message", event => heard.push(event.source.name));
            for (const [name, query] of [["denied", ""], ["open", "?options=SAMEORIGIN"]]) {
                const frame = document.createElement("iframe");
                frame.name = name;
                frame.onload = () => heard.push("loaded");
                frame.src = "/frame" + query;
                document.body.append(frame);
            }
            """,
        )
        done = "heard.filter(one => one === 'loaded').length === 2 && heard.includes('open')"
        if options is None:
            done += " && heard.includes('denied')"
        wait_until(lambda: chromium.look(page, done) is True, "both frames", 2 * SUCCESS_S)
        assert chromium.look(page, "heard.includes('denied')") is (options is None)
