"""Time until the Space's page can be used after its server is up, and the time of each preset.

    python benchmarks/page.py [--rounds 5]

Each round starts a server of its own and opens its page in a browser with an empty cache (Debian's
chromium). The page is usable when the first picture is there and the button "Compare" can be
pressed. Then each preset is run once on the embedded models, from the click to the results. Writes
benchmarks/results/page.json: seconds.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from stir_hf.space.handlers import PRESETS

APP = Path(__file__).parents[1] / "spaces_demo" / "app.py"
RESULTS = Path(__file__).parent / "results" / "page.json"
LONG = 300_000
"""Maximum milliseconds of a step."""


@contextmanager
def server() -> Iterator[tuple[str, float]]:
    """A page that is up: its address, and the seconds that its server took to start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, began = f"http://127.0.0.1:{port}", time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "TMPDIR": folder}
        command, quiet = [sys.executable, str(APP)], subprocess.DEVNULL
        started = subprocess.Popen(command, env=env, stdout=quiet, stderr=quiet)
        try:
            while not is_up(url):
                if started.poll() is not None:
                    raise RuntimeError(f"the server ended with {started.returncode}")
                time.sleep(0.02)
            yield url, time.monotonic() - began
        finally:
            started.terminate()
            started.wait()


def is_up(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def usable(browser: Any, url: str, width: int) -> tuple[Any, float]:
    """An open page, and the seconds until it could be used."""
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    began = time.monotonic()
    page.goto(url)
    expect(page.locator("#first-view img").first).to_be_visible(timeout=LONG)
    expect(page.locator("#compare")).to_be_enabled(timeout=LONG)
    return page, time.monotonic() - began


def preset(page: Any, name: str) -> float:
    """Seconds from the click to the results."""
    page.get_by_text(name).click()
    began = time.monotonic()
    page.locator("#compare").click()
    expect(page.locator("#output progress")).to_be_visible(timeout=LONG)
    expect(page.locator("#output .stir-download")).to_be_visible(timeout=LONG)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    starts: list[float] = []
    views: dict[str, list[float]] = {"1280": [], "400": []}
    presets: dict[str, list[float]] = {name: [] for name in PRESETS}
    with sync_playwright() as made:
        browser = made.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for number in range(rounds):
            width = list(views)[number % 2]  # the first page of a server that has just come up
            with server() as (url, start):
                page, seconds = usable(browser, url, int(width))
                starts.append(round(start, 2))
                views[width].append(round(seconds, 2))
                for name, found in presets.items():
                    found.append(round(preset(page, name), 1))
            print(f"round {number + 1}: up after {start:.1f} s, usable {seconds:.2f} s later")
    found_all = {
        "rounds": rounds,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "server_up": starts,
        "usable_after_up": views,
        "presets": presets,
    }
    RESULTS.write_text(json.dumps(found_all, indent=1) + "\n", "utf-8")
    print(json.dumps(found_all, indent=1))


if __name__ == "__main__":
    main()
