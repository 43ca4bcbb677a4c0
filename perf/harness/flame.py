"""A flame graph as one SVG file: width is time, depth is the call stack, a click zooms."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from html import escape

from perf.harness.stacks import Stack

_WIDTH = 1400
_LINE = 17
_TOP = 50
_CHARACTER = 6.6
# Boxes narrower than this are left out: nobody could see them.
_NARROWEST = 0.3

_SCRIPT = """
const boxes = [...document.querySelectorAll('g.box')], width = %d;
function draw(left, span) {
  for (const box of boxes) {
    const x = (box.dataset.x - left) / span * width, w = box.dataset.w / span * width;
    const seen = x + w > 0.5 && x < width - 0.5 && w > %s;
    box.style.display = seen ? '' : 'none';
    if (!seen) continue;
    const from = Math.max(0, x), wide = Math.min(width, x + w) - from;
    const rect = box.querySelector('rect'), text = box.querySelector('text');
    rect.setAttribute('x', from); rect.setAttribute('width', wide);
    text.setAttribute('x', from + 3);
    const name = box.dataset.name, fits = Math.floor((wide - 5) / %s);
    text.textContent = fits < 3 ? '' : name.length <= fits ? name : name.slice(0, fits - 1) + '…';
  }
}
for (const box of boxes) box.onclick = () => draw(+box.dataset.x, +box.dataset.w);
draw(0, +boxes[0].dataset.w);
"""


@dataclass
class _Node:
    """A function in one place of the call tree."""

    name: str
    count: int = 0
    children: dict[str, _Node] = field(default_factory=dict)

    def depth(self) -> int:
        return 1 + max((child.depth() for child in self.children.values()), default=0)


def svg(stacks: Counter[Stack], title: str, subtitle: str) -> str:
    """Return the flame graph of some counted stacks."""
    root = _tree(stacks)
    height = _TOP + root.depth() * _LINE + 20
    boxes: list[str] = []
    _boxes(root, 0, 0, root, height, boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">\n<title>{escape(title)}</title>\n'
        "<style>text{font:11px ui-monospace,monospace;fill:#111;pointer-events:none}"
        ".head{font:600 16px system-ui,sans-serif}.note{font:11px system-ui,sans-serif;fill:#555}"
        "g.box{cursor:pointer}g.box:hover rect{stroke:#000}</style>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="head" x="8" y="20">{escape(title)}</text>\n'
        f'<text class="note" x="8" y="37">{escape(subtitle)}</text>\n'
        + "".join(boxes)
        + f"<script><![CDATA[{_SCRIPT % (_WIDTH, _NARROWEST, _CHARACTER)}]]></script>\n</svg>\n"
    )


def _tree(stacks: Counter[Stack]) -> _Node:
    root = _Node("all")
    for stack, count in stacks.items():
        root.count += count
        node = root
        for name in stack:
            node = node.children.setdefault(name, _Node(name))
            node.count += count
    return root


def _boxes(node: _Node, start: int, level: int, root: _Node, height: int, out: list[str]) -> None:
    """Add a function's box and, above it, those of what it calls."""
    scale = _WIDTH / max(1, root.count)
    if node.count * scale < _NARROWEST:
        return
    y = height - 20 - (level + 1) * _LINE
    name = escape(node.name, quote=True)
    share = node.count / max(1, root.count)
    fits = int((node.count * scale - 5) / _CHARACTER)
    label = escape(node.name if len(node.name) <= fits else node.name[: max(0, fits - 1)] + "…")
    out.append(
        f'<g class="box" data-x="{start}" data-w="{node.count}" data-name="{name}">'
        f"<title>{name}: {node.count} samples, {share:.1%}</title>"
        f'<rect x="{start * scale:.1f}" y="{y}" width="{node.count * scale:.1f}" '
        f'height="{_LINE - 1}" fill="{_colour(node.name)}" rx="1"/>'
        f'<text x="{start * scale + 3:.1f}" y="{y + 12}">{label if fits >= 3 else ""}</text></g>\n'
    )
    for child in sorted(node.children.values(), key=lambda child: child.name):
        _boxes(child, start, level + 1, root, height, out)
        start += child.count


def _colour(name: str) -> str:
    """Kernel grey-blue, Python green, the rest warm; the same name always has the same shade."""
    shade = zlib.crc32(name.encode()) % 30
    if name.endswith("_[k]"):
        return f"hsl(210,35%,{62 + shade // 2}%)"
    if name.endswith(")") and ".py" in name:
        return f"hsl(130,45%,{58 + shade // 2}%)"
    return f"hsl({20 + shade},85%,{62 + shade // 3}%)"
