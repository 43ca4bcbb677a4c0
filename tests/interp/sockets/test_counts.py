"""What is counted and logged of WebSockets."""

from __future__ import annotations

import json
import re

import pytest
from dialogue import Peer
from frames import BINARY, TEXT, Wire, frame, handshake
from serving import serve, wait_until


def metrics(peer: Peer) -> dict[str, float]:
    """All samples that are about WebSockets, by their name and labels."""
    found = re.findall(r"^(pyre_websocket\S+) (\S+)$", peer.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize("kind", ["async", "def"])
def test_sockets_messages_and_bytes_are_counted(kind: str) -> None:
    with serve("sockets", metrics=True, io_workers=1) as server, server.connect() as peer:
        with Wire.open(server, f"/{kind}/echo") as wire, Wire.open(server, f"/{kind}/echo") as two:
            for size in (1, 10, 100):
                wire.send(frame(BINARY, b"x" * size))
                assert len(wire.message().payload) == size
            two.say("a")
            assert two.text() == "a"
            counted = metrics(peer)
            assert counted.pop("pyre_websockets_open") == 2
            assert counted == {
                "pyre_websockets_total": 2,
                'pyre_websocket_messages_total{direction="received"}': 4,
                'pyre_websocket_messages_total{direction="sent"}': 4,
                'pyre_websocket_bytes_total{direction="received"}': 112,
                'pyre_websocket_bytes_total{direction="sent"}': 112,
            }
            two.abort()
            wire.close()
        wait_until(lambda: metrics(peer)["pyre_websockets_open"] == 0, "both have ended")
        # One that is refused is none.
        with server.connect() as other:
            other.send(handshake(f"/{kind}/refuse/error"))
            assert other.reply().status == 403
        counted = metrics(peer)
        assert counted["pyre_websockets_total"] == 2
        assert counted['pyre_websocket_messages_total{direction="sent"}'] == 4
        page = peer.get("/metrics").text
        template = f'method="GET",route="/{kind}/'
        assert f'{template}echo",status="101"}} 2' in page
        assert f'{template}refuse/{{how}}",status="403"}} 1' in page


@pytest.mark.parametrize("kind", ["async", "def"])
def test_the_access_log_has_a_line_at_the_end(kind: str) -> None:
    with serve("sockets", access_log=True, log_format="json") as server:
        with Wire.open(server, f"/{kind}/echo") as wire:
            wire.send(frame(TEXT, b"x" * 1000))
            wire.message()
            assert f'"/{kind}/echo"' not in server.output.text()
            wire.close()
        line = json.loads(server.output.wait_for(f'"/{kind}/echo"').string)
        assert line["status"] == 101
        assert line["bytes"] >= 1000
