"""Bars as SVG: one panel a scenario, one bar a contender, the figure beside each bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from perf.harness.spread import figure

_BAR = 16
_GAP = 5
_PANEL_GAP = 30
_LABEL_WIDTH = 150
_BAR_WIDTH = 300
_FIGURE_WIDTH = 70
_COLUMNS = 2
_COLOURS = {"pyre": "#c2410c", "ceiling": "#64748b"}
_OTHER = "#93b4d8"


@dataclass(frozen=True)
class Bar:
    """One contender's figure; ``low`` and ``high`` draw the quartiles."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One scenario."""

    title: str
    bars: Sequence[Bar]


def svg(title: str, footer: Sequence[str], panels: Sequence[Panel]) -> str:
    """Return a chart of bars that all start at zero, each panel with its own scale."""
    panel_width = _LABEL_WIDTH + _BAR_WIDTH + _FIGURE_WIDTH
    width = _COLUMNS * panel_width + 40
    parts = []
    top = 60
    for start in range(0, len(panels), _COLUMNS):
        row = panels[start : start + _COLUMNS]
        for column, panel in enumerate(row):
            parts.append(_panel(panel, 20 + column * panel_width, top))
        top += max(_height(panel) for panel in row) + _PANEL_GAP
    for line in footer:
        parts.append(_text(20, top, line, "note"))
        top += 15
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" '
        f'viewBox="0 0 {width} {top}" role="img">\n<title>{escape(title)}</title>\n'
        "<style>text{font:12px system-ui,sans-serif;fill:#1f2937}"
        ".title{font-size:18px;font-weight:600}.panel{font-size:13px;font-weight:600}"
        ".note{font-size:11px;fill:#6b7280}.end{text-anchor:end}</style>\n"
        f'<rect width="{width}" height="{top}" fill="#fff"/>\n'
    )
    return head + _text(20, 32, title, "title") + "".join(parts) + "</svg>\n"


def _height(panel: Panel) -> int:
    return 24 + len(panel.bars) * (_BAR + _GAP)


def _panel(panel: Panel, left: int, top: int) -> str:
    longest = max((bar.high for bar in panel.bars), default=0) or 1
    start = left + _LABEL_WIDTH
    parts = [_text(left, top, panel.title, "panel")]
    for index, bar in enumerate(panel.bars):
        y = top + 12 + index * (_BAR + _GAP)
        middle = y + _BAR / 2
        scale = _BAR_WIDTH / longest
        colour = _COLOURS.get(bar.name, _OTHER)
        parts.append(_text(start - 6, y + 12, bar.name, "end"))
        parts.append(
            f'<rect x="{start}" y="{y}" width="{bar.value * scale:.1f}" height="{_BAR}" '
            f'fill="{colour}"/>\n<path d="M{start + bar.low * scale:.1f} {middle}'
            f'H{start + bar.high * scale:.1f}" stroke="#1f2937"/>\n'
        )
        parts.append(_text(start + bar.high * scale + 5, y + 12, figure(bar.value), ""))
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>\n'
