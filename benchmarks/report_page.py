"""How quickly a written report answers in a browser: the first card, filters, a search, a sort, the jump to the end.

    python benchmarks/report_page.py report.html

Needs playwright and chromium. Times are milliseconds, from the input to the frame in which the cards are painted, and the number of cards in the document then.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

STEP = """([selector, value, event]) => new Promise((resolve) => {
  const began = performance.now(), node = selector && document.querySelector(selector);
  if (event === "end") window.scrollTo(0, document.documentElement.scrollHeight);
  else { node.value = value; node.dispatchEvent(new Event(event, { bubbles: true })); }
  const seen = () => [...document.querySelectorAll("#view-clips .card")].some((card) => {
    const box = card.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  });
  const frame = () => seen() ? requestAnimationFrame(() => resolve([performance.now() - began, document.querySelectorAll(".card").length]))
    : requestAnimationFrame(frame);
  requestAnimationFrame(() => requestAnimationFrame(frame));
})"""


def measure(file: Path, width: int = 1280, pictures: Path | None = None) -> dict[str, list[float]]:
    """Milliseconds and cards of each step."""
    found = {}
    with sync_playwright() as play:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 850})
        began = time.perf_counter()
        page.goto(f"{file.resolve().as_uri()}#clips", wait_until="commit")
        while not page.evaluate("document.querySelectorAll('#view-clips .card').length"):
            time.sleep(0.01)
        found["first card"] = [1000 * (time.perf_counter() - began), page.locator(".card").count()]
        page.wait_for_load_state()
        result, search, order = "[data-filter=result]", "#view-clips input[type=search]", "[data-filter=order]"
        steps = {
            "jump to the end": ["", "", "end"],
            "filter wrong": [result, "wrong", "change"],
            "no filter": [result, "", "change"],
            "search": [search, "1", "input"],
            "no search": [search, "", "input"],
            "sort by name": [order, "file name", "change"],
            "jump to the end, sorted": ["", "", "end"],
        }
        for name, step in steps.items():
            found[name] = page.evaluate(STEP, step)
            if pictures:
                page.screenshot(path=pictures / f"{name.replace(' ', '_').replace(',', '')}-{width}.png")
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    args = parser.parse_args()
    for name, (ms, cards) in measure(args.file, args.width, args.pictures).items():
        print(json.dumps({"step": name, "ms": round(ms), "cards": cards}), flush=True)


if __name__ == "__main__":
    main()
