"""A picture and a film that are made here: files of a known length, which browsers can show."""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib

import pytest
from browser import Browser

FILM_S = 60
FRAME_BYTES = 600_000

# One picture for each second. Each can be shown without those before it.
FRAMES = """
(async () => {
  const canvas = new OffscreenCanvas(160, 90);
  const context = canvas.getContext("2d");
  const frames = [];
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      frames.push(btoa(String.fromCharCode(...data)));
    },
    error: (error) => { throw error; },
  });
  encoder.configure({ codec: "vp8", width: 160, height: 90, bitrate: 100_000, framerate: 1 });
  for (let second = 0; second < %d; second += 1) {
    context.fillStyle = `hsl(${second * 18}, 80%%, 50%%)`;
    context.fillRect(0, 0, 160, 90);
    const frame = new VideoFrame(canvas, { timestamp: second * 1_000_000 });
    encoder.encode(frame, { keyFrame: true });
    frame.close();
  }
  await encoder.flush();
  return JSON.stringify(frames);
})()
"""

# A second of H.264.
RECORDED = """
(async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [160, 90];
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(), {
    mimeType: "video/mp4;codecs=avc1.42001E",
  });
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  for (let frame = 0; frame < 10; frame += 1) {
    context.fillStyle = `hsl(${frame * 18}, 80%, 50%)`;
    context.fillRect(0, 0, 160, 90);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  recorder.stop();
  await stopped;
  const data = new Uint8Array(await new Blob(pieces).arrayBuffer());
  return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
})()
"""


def picture(side: int) -> bytes:
    """A PNG of noise (W3C PNG, sections 5 and 11), with a length of about 3 bytes a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    lines = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def mp4(chromium: Browser, page: str) -> bytes:
    """A film that a browser has recorded (ISO/IEC 14496-14)."""
    if (
        chromium.look(page, "MediaRecorder.isTypeSupported('video/mp4;codecs=avc1.42001E')")
        is False
    ):
        pytest.skip("this Chromium does not record MP4")
    return base64.b64decode(str(chromium.await_(page, RECORDED)))


def element(identity: str, data: bytes | int | str) -> bytes:
    """An element of EBML (RFC 8794) whose length is written in eight bytes."""
    if isinstance(data, int):
        data = data.to_bytes(8)
    elif isinstance(data, str):
        data = data.encode()
    return bytes.fromhex(identity) + (len(data) | 1 << 56).to_bytes(8) + data


def film(chromium: Browser, page: str) -> bytes:
    """A WebM (RFC 9559) of a minute and 36 MB, with an index of where each second stands.

    A browser makes its pictures. They are long enough that a player does not read them all ahead,
    so it has to ask for a part in the middle to show what is there.
    """
    frames = [
        base64.b64decode(frame) for frame in json.loads(str(chromium.await_(page, FRAMES % FILM_S)))
    ]
    assert len(frames) == FILM_S
    info = element(
        "1549A966",
        element("2AD7B1", 1_000_000)
        + element("4489", struct.pack(">d", FILM_S * 1000))
        + element("4D80", "tests")
        + element("5741", "tests"),
    )
    size = element("E0", element("B0", 160) + element("BA", 90))
    track = element("D7", 1) + element("73C5", 1) + element("83", 1) + element("86", "V_VP8") + size
    tracks = element("1654AE6B", element("AE", track))
    clusters = []
    for second, frame in enumerate(frames):
        # Decoders do not mind what is behind a picture.
        block = b"\x81\x00\x00\x80" + frame.ljust(FRAME_BYTES, b"\0")
        clusters.append(element("1F43B675", element("E7", second * 1000) + element("A3", block)))

    def index(start: int) -> bytes:
        points = []
        for second, cluster in enumerate(clusters):
            position = element("F7", 1) + element("F1", start)
            points.append(element("BB", element("B3", second * 1000) + element("B7", position)))
            start += len(cluster)
        return element("1C53BB6B", b"".join(points))

    # All numbers are of eight bytes, so the index is as long wherever the clusters begin.
    cues = index(len(info) + len(tracks) + len(index(0)))
    # What it is comes first: who tells types by content reads no further.
    kind = [("4282", "webm"), ("4286", 1), ("42F7", 1), ("42F2", 4), ("42F3", 8)]
    kind += [("4287", 4), ("4285", 2)]
    header = element("1A45DFA3", b"".join(element(name, value) for name, value in kind))
    return header + element("18538067", info + tracks + cues + b"".join(clusters))
