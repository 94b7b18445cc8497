"""Mermaid as Prefect's pages draw it: on a dark slate block, whatever the theme of the page.

So every colour is said here: what is left to mermaid comes out black on slate, or white on a white plot.
"""

import json
import re
from collections.abc import Sequence

_SLATE, _PANEL, _LINE, _LIGHT = "#1e293b", "#334155", "#94a3b8", "#f1f5f9"
_BLUE, _GREEN, _AMBER, _RED, _GREY = "#1d4ed8", "#15803d", "#b45309", "#b91c1c", "#475569"

CLASSES = {
    "stage": f"fill:{_PANEL},stroke:{_LINE},color:{_LIGHT}",
    "completed": f"fill:{_GREEN},stroke:#86efac,color:#ffffff",
    "retry": f"fill:{_BLUE},stroke:#93c5fd,color:#ffffff",
    "customer": f"fill:{_AMBER},stroke:#fcd34d,color:#ffffff",
    "operator": f"fill:{_RED},stroke:#fca5a5,color:#ffffff",
    "cancelled": f"fill:{_GREY},stroke:{_LINE},color:#ffffff",
}
"""How boxes are drawn, by what stands in them."""

_AXES = {f"{axis}Axis{part}Color": _LIGHT for axis in ("x", "y") for part in ("Label", "Title", "Tick", "Line")}
_THEME = {
    "darkMode": True,
    "background": _SLATE,
    "mainBkg": _PANEL,
    "primaryColor": _PANEL,
    "primaryTextColor": _LIGHT,
    "primaryBorderColor": _LINE,
    "secondaryColor": _PANEL,
    "tertiaryColor": _SLATE,
    "lineColor": _LINE,
    "textColor": _LIGHT,
    "titleColor": _LIGHT,
    "edgeLabelBackground": _SLATE,
    "sectionBkgColor": _SLATE,
    "sectionBkgColor2": _SLATE,
    "altSectionBkgColor": _SLATE,
    "gridColor": _LINE,
    "todayLineColor": _SLATE,
    "taskTextColor": "#ffffff",
    "taskTextLightColor": "#ffffff",
    "taskTextDarkColor": "#ffffff",
    "taskTextOutsideColor": _LIGHT,
    "taskBkgColor": _BLUE,
    "taskBorderColor": "#93c5fd",
    "activeTaskBkgColor": _BLUE,
    "activeTaskBorderColor": "#93c5fd",
    "doneTaskBkgColor": _GREEN,
    "doneTaskBorderColor": "#86efac",
    "critBkgColor": _AMBER,
    "critBorderColor": "#fcd34d",
    "xyChart": {"backgroundColor": _SLATE, "titleColor": _LIGHT, "plotColorPalette": "#38bdf8", **_AXES},
}


def drawing(lines: Sequence[str], **settings: object) -> str:
    """Return mermaid ``lines`` as a block of markdown, in our colours; ``settings`` are mermaid's, by kind of chart."""
    init = json.dumps({"theme": "base", "themeVariables": _THEME, **settings})
    return "\n".join(["```mermaid", f"%%{{init: {init}}}%%", *lines, "```"])


def label(words: str, longest: int = 60) -> str:
    """Return ``words`` of others without what has a meaning to mermaid: letters, digits and a few harmless signs."""
    kept = re.sub(r"[^\w .@+-]+", " ", words)
    return " ".join(kept.split())[:longest] or "unnamed"
