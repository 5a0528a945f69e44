"""Runs in the browser's environment: opens every page of a folder in every way, and prints what it finds as JSON.

python look.py CHROMIUM PAGES SHOTS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WAYS = {"desk": (900, "light"), "phone": (390, "dark")}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def look(browser: Any, file: Path, way: str, shots: Path) -> dict[str, object]:
    width, scheme = WAYS[way]
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=1)
    requests: list[str] = []
    messages: list[str] = []
    dialogs: list[str] = []

    def dismissed(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", dismissed)
    page.goto(file.as_uri())
    page.screenshot(path=shots / f"{file.stem}.{way}.png", full_page=True)
    found: dict[str, object] = {
        "text": page.inner_text("main"),
        "title": page.title(),
        "requests": requests[1:],
        "messages": messages,
        "dialogs": dialogs,
        "scripts": page.locator("script, iframe, object, embed, img, link, form, base").count(),
        "handlers": page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()).filter(name => name.startsWith('on'))"
        ),
        "sideways": page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"),
        "path": page.evaluate(
            "[...document.querySelectorAll('header .where > bdi > bdi')].filter(one => one.textContent)"
            ".map(one => [one.getBoundingClientRect().left, one.textContent])"
        ),
        "visible_answer": page.evaluate(
            "(() => { const cell = document.querySelector('.answer'); if (!cell) return null;"
            " const box = cell.getBoundingClientRect(); return box.left >= 0 && box.left < window.innerWidth })()"
        ),
    }
    # axe is a script, which the page's own policy would not let run: it comes through the debugger.
    report = Axe().run(page, options={"runOnly": TAGS}).response
    found["violations"] = [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in report["violations"]]
    found["passes"] = len(report["passes"])
    if way == "desk":
        page.emulate_media(media="print")
        pdf = page.pdf(path=shots / f"{file.stem}.pdf", format="A4")
        found["pdf_pages"] = pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")
        found["print_details"] = page.evaluate(
            "[...document.querySelectorAll('details table')].every(one => one.getBoundingClientRect().height > 0)"
        )
        page.emulate_media(media="screen")
        page.evaluate("document.querySelector('style').remove()")
        found["unstyled"] = page.inner_text("main")
        page.screenshot(path=shots / f"{file.stem}.unstyled.png", full_page=True)
    page.close()
    return found


# Words of letters only: at a slash or a hyphen a line may end. A table that is wider than its place is cut at its edge.
BROKEN = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (!node.parentElement.closest('td,th') || node.parentElement.closest('.vh')) continue;
    for (const word of node.data.matchAll(/(?<![^\\s])\\p{L}{2,22}(?![^\\s.,])/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(one => one.top)).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
CUT = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"


def on_a_wide_desk(browser: Any, file: Path, shots: Path) -> dict[str, object]:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())
    page.screenshot(path=shots / f"{file.stem}.wide.png", full_page=True)
    found = {"broken": page.evaluate(BROKEN), "cut": page.evaluate(CUT), "height": page.evaluate("document.body.scrollHeight")}
    page.set_viewport_size({"width": 390, "height": 900})
    found["broken_on_a_phone"] = page.evaluate(BROKEN)
    page.close()
    return found


SIGNED = "/outbox/report.html?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0f"


@contextmanager
def bucket(body: bytes, asked: list[str]) -> Iterator[str]:
    """An address that answers as S3 does to a signed link: this one object under this one address, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            signed = self.path == SIGNED
            self.send_response(200 if signed else 403)
            self.send_header("Content-Type", "text/html; charset=utf-8" if signed else "application/xml")
            self.end_headers()
            self.wfile.write(body if signed else b"<Error><Code>AccessDenied</Code></Error>")

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{SIGNED}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def by_link(browser: Any, file: Path) -> dict[str, object]:
    """What somebody sees who has a signed link to the page and no right to anything else."""
    asked: list[str] = []
    with bucket(file.read_bytes(), asked) as url:
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.goto(url)
        text = page.inner_text("main")
        page.close()
    # The browser asks for its own icon, whatever the page.
    return {"text": text, "asked": [path for path in asked if path != "/favicon.ico"], "signed": SIGNED}


def main(chromium: str, pages: str, shots: str) -> None:
    Path(shots).mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = {
            f"{file.stem}.{way}": look(browser, file, way, Path(shots))
            for file in sorted(Path(pages).glob("*.html"))
            for way in WAYS
        }
        found |= {f"{file.stem}.wide": on_a_wide_desk(browser, file, Path(shots)) for file in sorted(Path(pages).glob("*.html"))}
        found |= {f"{file.stem}.link": by_link(browser, file) for file in sorted(Path(pages).glob("*.html"))}
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
