"""Headless Chromium as the system brings it, and what every page must keep to."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from testing.serving import Server

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_REST_S = 5.0
_USED_LATE = "was preloaded using link preload but not used within a few seconds"
WIDTHS = ((1280, 800), (1920, 1080))

# Text elements that are cut off, stick out of the window, or lie on each other. Charts are looked at by their labels.
_LAYOUT_FAULTS = """() => {
  const faults = [];
  const seen = (e) => {
    const box = e.getBoundingClientRect();
    if (e.closest(".visually-hidden, [hidden]") || !e.checkVisibility({ checkVisibilityCSS: true })) return false;
    return box.width > 1 && box.height > 1;
  };
  const name = (e) => `${e.tagName}.${e.className.baseVal ?? e.className} '${e.textContent.trim().slice(0, 40)}'`;
  const inScroller = (e) => e.closest(".strip, #review-items");
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  const leaves = [...document.querySelectorAll("body *")].filter((e) =>
    seen(e) && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && !e.closest("script, style"));
  for (const e of leaves) {
    const box = e.getBoundingClientRect();
    if (!inScroller(e) && (box.left < -1 || box.right > innerWidth + 1)) faults.push(`outside the window: ${name(e)}`);
    const html = e instanceof HTMLElement;
    const mayBeCut = e.matches(".card-head h2, .bar-name, .tray-files .name, .model-line"); // full text in the tooltip
    if (html && !mayBeCut && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline")
      faults.push(`cut off: ${name(e)}`);
    const chart = e.closest(".js-plotly-plot");
    if (chart && !html) {
      const frame = chart.getBoundingClientRect();
      const across = box.left < frame.left - 1 || box.right > frame.right + 1;
      if (across || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        faults.push(`sticks out of its chart: ${name(e)}`);
    }
  }
  for (const field of document.querySelectorAll("input[placeholder], textarea[placeholder]")) {
    const style = getComputedStyle(field);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = style.font;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (seen(field) && pen.measureText(field.placeholder).width > room) faults.push(`cut off: '${field.placeholder}'`);
  }
  const boxes = leaves.filter((e) => !inScroller(e)).map((e) => [e, e.getBoundingClientRect()]);
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) {
      const [a, p] = boxes[i], [b, q] = boxes[j];
      if (a.contains(b) || b.contains(a)) continue;
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 2 && high > 3) faults.push(`overlap: ${name(a)} and ${name(b)}`);
    }
  }
  return faults;
}"""


class NoBrowser(Exception):
    """The system has no Chromium."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. Raises NoBrowser where the system has none."""
    path = _chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def keeping_pages(beside: Browser) -> Iterator[Browser]:
    """Another browser, which keeps pages whole for the way back, as people's do: Playwright forbids it by default."""
    browser = beside.browser_type.launch(
        executable_path=_chromium_path(), args=_ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
    )
    yield browser
    browser.close()


def _chromium_path() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise NoBrowser("no Chromium on this system: testing/system-packages.sh installs it")
    return path


def signed_in(browser: Browser, server: Server, **options: Any) -> BrowserContext:
    """A session of the server's own user, 1280 pixels wide."""
    own = {"base_url": server.url, "storage_state": server.signed_in(), "viewport": {"width": 1280, "height": 800}}
    return browser.new_context(**{**own, **options})


class Watch:
    """Notes what a page must never do: errors on the console, requests to another host, answers of 400 and more."""

    def __init__(self, page: Page, url: str) -> None:
        self._own = (url + "/", "data:", "blob:")
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("request", self._request)
        page.on("response", lambda r: self.faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _console(self, message: ConsoleMessage) -> None:
        # how soon a page uses what it fetched ahead is the machine's speed; that it does: tests/e2e/test_viewer.py
        if message.type in {"error", "warning"} and _USED_LATE not in message.text:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self._own):
            self.faults.append(f"another host: {request.url}")


def layout_faults(page: Page) -> list[str]:
    """What is cut off, outside the window or overlapping on the page once it has come to rest."""
    faults: list[str] = page.evaluate(_LAYOUT_FAULTS)
    end = time.monotonic() + _REST_S
    while faults and time.monotonic() < end:  # charts are drawn anew a moment after what is around them has its size
        page.wait_for_timeout(200)
        faults = page.evaluate(_LAYOUT_FAULTS)
    return faults
