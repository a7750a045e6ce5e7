"""A Chromium for the browser tests, and the way into Argilla with it.

In: the machine. Out: the path of a Chromium; a page that is signed in. Run as a program it installs one where there is none:
from the system's packages where we may, else Playwright's own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = [
    "--no-sandbox",  # root needs it; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> Path | None:
    """The system's Chromium, else Playwright's, else None."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.exists() else None


def sign_in(page: "Page", url: str, name: str, password: str) -> None:
    """Sign in to Argilla as a person does."""
    from playwright.sync_api import expect

    page.goto(f"{url}/sign-in")
    page.fill("input[type=text]", name)
    page.fill("input[type=password]", password)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your datasets")).to_be_visible()


def install() -> None:
    """Install one; what the installers say goes to the terminal."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", "chromium"]):
            done = subprocess.run(["apt-get", *arguments], env=environment, check=False)
            if done.returncode != 0:
                break
        else:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find() is None:
        install()
    if find() is None:
        sys.exit(
            "no Chromium for the browser test: install one (apt-get install chromium, or "
            "playwright install --with-deps chromium), or set ERRATA_SKIP_BROWSER=1"
        )
