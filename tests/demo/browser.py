"""What the researcher does in a browser, with Debian's Chromium driven by Playwright."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from . import notebook

# --no-sandbox: Chromium refuses to start as root with it. The others keep it from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
PATIENCE_MS = 90_000
FILE = "digits.ipynb"
PICTURES = pathlib.Path("build") / "demo"


class BrowserError(Exception):
    """The page was not what the researcher would have needed; the message names a picture of it."""


@contextlib.contextmanager
def browser(profile: pathlib.Path) -> Iterator[BrowserContext]:
    """A fresh browser with an empty profile."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path="/usr/bin/chromium",
            args=FLAGS,
            viewport={"width": 1280, "height": 860},
        )
        context.set_default_timeout(PATIENCE_MS)
        try:
            yield context
        except PlaywrightError as error:
            screenshot(context.pages[0], PICTURES / "failed.png")
            reason = error.message.splitlines()[0]
            raise BrowserError(
                f"the browser did not get on: {reason} Its last screen: {PICTURES}/failed.png"
            ) from error
        finally:
            context.close()


def log_in(page: Page, url: str, password: str) -> None:
    """Through the login form; a wrong password leaves us on it."""
    page.goto(f"{url}/login")
    page.fill("#password_input", password)
    page.click("#login_submit")
    page.wait_for_url(re.compile(r"/lab"))


def refuse_wrong_password(page: Page, url: str) -> None:
    """A wrong password must not open the door."""
    page.goto(f"{url}/login")
    page.fill("#password_input", "not the password")
    page.click("#login_submit")
    expect(page.locator("#password_input")).to_be_visible()


def upload(page: Page, url: str, kernel: str) -> None:
    """Put the notebook where the file browser shows it, with the cookies of this browser."""
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "_xsrf")
    answer = page.request.put(
        f"{url}/api/contents/{FILE}",
        data=json.dumps({"type": "notebook", "content": notebook.document(kernel)}),
        headers={"X-XSRFToken": token, "Content-Type": "application/json"},
    )
    expect(answer).to_be_ok()


def open_notebook(page: Page, url: str) -> None:
    page.goto(f"{url}/lab/tree/{FILE}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")


def train(page: Page) -> str:
    """Run all cells from the menu; returns the accuracy that the notebook printed."""
    # Asked to run before the kernel is connected, JupyterLab asks back which kernel to use.
    page.get_by_text("Digits | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    accuracy = page.get_by_text(re.compile(r"test accuracy: 0\.9\d+"))
    accuracy.wait_for()
    page.locator(".jp-OutputArea img, .jp-RenderedImage img").first.wait_for()
    page.keyboard.press("Control+s")
    return accuracy.inner_text().strip()


def watch_tensorboard(page: Page, url: str) -> None:
    """Wait until TensorBoard has drawn the loss of both sets as curves."""
    loss = page.get_by_text("loss/train").first
    # TensorBoard has been running since `verify` and reads new runs when it gets to it; the page asks once.
    page.goto(f"{url}/tensorboard/?darkMode=false#timeseries")
    for _attempt in range(10):
        with contextlib.suppress(PlaywrightTimeout):
            loss.wait_for(timeout=PATIENCE_MS / 10)
            break
        page.reload()
    page.locator("line-chart svg path, line-chart canvas, scalar-card svg path").first.wait_for()
    page.wait_for_timeout(1500)  # the curve is drawn with an animation


def screenshot(page: Page, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(path))
