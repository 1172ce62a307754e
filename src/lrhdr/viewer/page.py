"""The page itself: one HTML file with its style and scripts inside, and what it is to show as JSON.

The scripts are classic ones on purpose: browsers refuse modules (and `fetch`) to pages that are opened from disk.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

SCRIPTS = ("codec", "colour", "source", "views", "stage", "readout", "plots", "hdr", "app")
"""In the order in which they need each other."""


def build_page(manifest: dict[str, Any]) -> bytes:
    """The page.

    Args:
        manifest: what it shows; see `web/source.js` for the entries.

    Returns:
        UTF-8 HTML.
    """
    web = files("lrhdr.viewer") / "web"

    def text(name: str) -> str:
        return (web / name).read_text(encoding="utf-8")

    # "<" as an escape: neither "</script" nor "<!--" in a name can end or confuse the script element.
    data = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "title": _escape(str(manifest["title"])),
        "style": text("style.css"),
        "scripts": "\n".join(f"<script>\n{text(f'{name}.js')}</script>" for name in SCRIPTS),
        "manifest": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], text("index.html")).encode()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
