"""Argilla's pages. In: its application. Out: the folder they are served from, and their policy.

Records hold text that agents and the web wrote, and Argilla puts some of it into pages unescaped.
Under the policy no script runs but Argilla's own files and the inline scripts of its pages, which
are known by their hashes; nothing is framed, and no other site is asked for anything.
"""

import atexit
import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

_BASE = re.compile(r"<base [^>]*>")
_FOREIGN_FONTS = re.compile(r"@import url\(https://fonts\.googleapis\.com/[^)]*\);?")


def find(app: Starlette) -> Path:
    """Return the folder of the pages: Argilla's own, copied with the base URL written in."""
    for route in app.routes:
        if isinstance(route, Mount) and route.name == "static":
            folder = Path(route.app.directory)
            # Argilla leaves a copy behind at every start.
            atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
            return folder
    return find(next(route.app for route in app.routes if isinstance(route, Mount)))


def stay_home(pages: Path) -> None:
    """Take out the fonts of another site: the policy refuses them, and asking would tell of us."""
    for sheet in pages.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        if (clean := _FOREIGN_FONTS.sub("", text)) != text:
            sheet.write_text(clean, encoding="utf-8")


def add_scripts(pages: Path, first: Path, last: Path) -> None:
    """Serve two scripts of ours with the pages: one to run before Argilla's, one after them.

    Args:
        pages: The folder of the pages.
        first: Must be loaded for the page to go on.
        last: May come when the page is there.
    """
    for script in (first, last):
        shutil.copyfile(script, pages / _served(script))
    for page in pages.rglob("*.html"):
        with page.open(encoding="utf-8", newline="") as text:
            held = text.read()
        # Behind the page's <base>, so that it also works under a path of another server.
        early = f'<script src="{_served(first)}"></script>'
        held = _BASE.sub(lambda base, early=early: base[0] + early, held, count=1)
        held = held.replace("</body>", f'<script src="{_served(last)}" defer></script></body>')
        with page.open("w", encoding="utf-8", newline="") as text:
            text.write(held)


def _served(script: Path) -> str:
    return f"errata-{script.name}"


def write_policy(pages: Path) -> str:
    """Return the policy for the pages in a folder, as they will be served."""
    inline = sorted(set().union(*(_inline_scripts(page) for page in pages.rglob("*.html"))))
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in inline)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {hashes}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: set[str] = set()
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.add(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"


def _inline_scripts(page: Path) -> set[str]:
    scripts = _Scripts()
    # Without newline="" Python would change line ends, and with them the hash.
    with page.open(encoding="utf-8", newline="") as text:
        scripts.feed(text.read())
    return scripts.found


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
