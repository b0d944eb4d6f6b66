"""The page in a real browser. STIR_HF_SHOTS names a folder for pictures of it."""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

import stir_hf
from stir_hf.demo import IMAGES, model_path
from tests.publish.clients import Client
from tests.space.conftest import MISSING, Server, place_of
from tests.stand_in_hub import StandInHub

pytestmark = pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))
SHOTS = os.environ.get("STIR_HF_SHOTS")
SHIFTS = """
window.shifts = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({type: 'layout-shift', buffered: true});
"""
LONG = 120_000


def expect(found: Any) -> Any:
    """Playwright's, loaded where there is one."""
    from playwright.sync_api import expect

    return expect(found)


@dataclass
class Visit:
    """A page that is open, and what went wrong on it."""

    page: Any
    url: str
    scheme: str
    wrong: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def shot(self, name: str) -> None:
        if SHOTS:
            width, scheme = self.page.viewport_size["width"], self.scheme
            path = Path(SHOTS) / f"{name}-{width}-{scheme}.png"
            self.page.screenshot(path=path, full_page=True)

    def choose(self, box: str, value: str) -> None:
        entry = self.page.locator(f"#{box} input").first
        entry.fill(value)
        entry.press("Enter")
        entry.press("Tab")


NARROW = pytest.param((400, "dark"), id="narrow")


@pytest.fixture(params=[pytest.param((1280, "light"), id="wide"), NARROW])
def visit(request: Any, server: Server, browser: Any) -> Iterator[Visit]:
    width, scheme = request.param
    yield from opened(server, browser, width, scheme)


@pytest.fixture
def wide(server: Server, browser: Any) -> Iterator[Visit]:
    yield from opened(server, browser, 1280, "light")


def opened(server: Server, browser: Any, width: int, scheme: str) -> Iterator[Visit]:
    """An open page; at its end nothing may have gone wrong on it, nor another host been asked."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
    )
    context.add_init_script(SHIFTS)
    found = Visit(context.new_page(), server.url, scheme)
    found.page.on("console", lambda m: found.wrong.append(m.text) if m.type == "error" else None)
    found.page.on("pageerror", lambda error: found.wrong.append(str(error)))
    found.page.on("request", lambda asked: found.hosts.add(urlsplit(asked.url).netloc))
    found.page.goto(server.url)
    expect(found.page.locator("#first-view img").first).to_be_visible(timeout=LONG)
    expect(found.page.locator("#compare")).to_be_enabled(timeout=LONG)
    yield found
    context.close()
    assert found.wrong == []
    assert found.hosts <= {urlsplit(server.url).netloc, ""}


def test_the_first_view(visit: Visit) -> None:
    first, page = visit.page.locator("#first-view"), visit.page
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Does this model ignore what that model ignores?"
    )
    assert first.locator("img").count() == 16
    for picture in first.locator("img").all():
        assert picture.get_attribute("alt")
    named = first.get_by_role("img", name="standard-0, given robust-0")
    expect(named).to_be_visible()
    expect(first).to_contain_text("standard-0 ignores most of what robust-0")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for tab in ("Compare", "Judge"):  # neither is behind a menu
        expect(page.get_by_role("tab", name=tab, exact=True)).to_be_in_viewport(ratio=1)
    visit.shot("first")


def test_a_list_closes_when_its_box_is_left(wide: Visit) -> None:
    page, box = wide.page, wide.page.locator("#model input").first
    for key in ("Enter", "Tab"):
        box.click()
        box.fill("")
        box.press_sequentially("stan")
        expect(page.locator("#model [role=listbox]")).to_contain_text("standard-1")
        box.press(key)
        expect(page.locator("#model [role=listbox]")).to_have_count(0)
        page.wait_for_timeout(500)  # an answer of the search may still come
        expect(page.locator("#model [role=listbox]")).to_have_count(0)


@pytest.mark.verify
@pytest.mark.parametrize(
    "visit",
    [
        pytest.param((1280, "light"), id="wide"),
        pytest.param((400, "dark"), id="narrow"),
        pytest.param((1280, "dark"), id="wide, dark"),
        pytest.param((400, "light"), id="narrow, light"),
    ],
    indirect=True,
)
def test_a_comparison_to_its_end(visit: Visit) -> None:
    page = visit.page
    page.get_by_text("Quick: 16 images, 60 passes").click()
    page.locator("#compare").click()
    expect(page.locator("#output progress")).to_be_visible(timeout=LONG)
    expect(page.locator("#output progress")).to_be_in_viewport()
    expect(page.locator("#first-view")).to_have_count(0)
    page.evaluate("window.shifts = 0")
    expect(page.locator("#output .stir-progress + .stir-strip img").first).to_be_visible(
        timeout=LONG
    )
    visit.shot("forming")
    expect(page.locator("#output .stir-download")).to_be_visible(timeout=LONG)
    expect(page.locator("#output .stir-results .lead").first).to_be_in_viewport()
    assert page.evaluate("window.shifts") < 0.01
    with page.expect_download() as saved:
        page.locator("#output .stir-download").click()
    found = json.loads(Path(saved.value.path()).read_text())
    model, reference = (
        stir_hf.load_encoder(model_path(name), name=name) for name in ("standard-0", "robust-0")
    )
    how: Any = {"num_samples": 16, "steps": 60, "progress": False}
    expected = stir_hf.compare(model, reference, str(IMAGES), **how)
    for score, other in zip(found["scores"], expected.scores, strict=True):
        assert score["stir"] == pytest.approx(other.stir, abs=1e-3)
        assert (score["model"], score["num_samples"]) == (other.model, 16)
    output = page.locator("#output")
    expect(output).to_contain_text("stir-hf compare stir_hf/demo/models/standard-0")
    assert output.locator("img").count() == 64  # 16 pairs of each direction
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    visit.shot("result")


@pytest.mark.verify
def test_cancel(wide: Visit, server: Server) -> None:
    page, before = wide.page, server.files()
    alone = len(server.process.children(recursive=True))
    page.get_by_text("Careful: 48 images, 150 passes").click()
    page.locator("#compare").click()
    expect(page.locator("#output .stir-progress + .stir-strip img").first).to_be_visible(
        timeout=LONG
    )
    assert len(server.process.children(recursive=True)) == alone + 1
    assert server.files() - before
    expect(page.locator("#compare")).to_be_disabled()  # a second click would be lost
    page.locator("#cancel-compare").click()
    expect(page.locator("#output .stir-problem")).to_contain_text("cancelled", timeout=LONG)
    expect(page.locator("#compare")).to_be_enabled(timeout=LONG)
    expect(page.locator("#cancel-compare")).to_be_disabled()
    wide.shot("cancelled")
    ends = time.monotonic() + 60
    while len(server.process.children(recursive=True)) > alone and time.monotonic() < ends:
        time.sleep(0.2)
    assert len(server.process.children(recursive=True)) == alone
    assert server.files() <= before


@pytest.mark.verify
def test_the_buttons_after_the_end(wide: Visit) -> None:
    """Nothing is left to cancel, and a click as soon as the button is back begins anew."""
    page = wide.page
    page.get_by_text("Quick: 16 images, 60 passes").click()
    for _ in range(6):
        page.locator("#compare").click(timeout=LONG)
        expect(page.locator("#output progress")).to_be_visible(timeout=LONG)
        expect(page.locator("#cancel-compare")).to_be_enabled()
        expect(page.locator("#compare")).to_be_enabled(timeout=LONG)
        expect(page.locator("#cancel-compare")).to_be_disabled()
        expect(page.locator("#output .stir-download")).to_be_visible()


@pytest.mark.verify
def test_a_queue_of_three(server: Server, browser: Any) -> None:
    """Who waits is told how many are before, and all are answered in their order."""
    visits = [opened(server, browser, 1280, "light") for _ in range(3)]
    pages = [next(visit) for visit in visits]
    for one in pages:
        one.page.get_by_text("Careful: 48 images, 150 passes").click()
        one.page.locator("#compare").click()
        expect(one.page.locator("#output .stir-progress, #output .stir-wait")).to_be_visible()
    waits = [one.page.locator("#output .stir-wait") for one in pages]
    expect(waits[2]).to_contain_text("2 requests are before yours")
    expect(waits[1]).to_contain_text("1 request is before yours")
    pages[2].shot("waiting")
    for i, one in enumerate(pages):
        expect(one.page.locator("#output .stir-download")).to_be_visible(timeout=LONG)
        for later in pages[i + 1 :]:
            assert later.page.locator("#output .stir-download").count() == 0
    for visit in visits:
        assert next(visit, None) is None


@pytest.mark.verify
def test_a_page_with_too_many_requests(wide: Visit, server: Server) -> None:
    """The sentence is shown, and the button can be used again."""
    at, place = f"{server.url}/gradio_api/queue/join", place_of(server, "scores")
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 16, 1]
    for i in range(3):  # nobody reads their answers
        joined = {"data": data, "fn_index": place, "session_hash": f"other-{i}"}
        assert httpx.post(at, json=joined).status_code == 200
    wide.page.locator("#compare").click()
    told = wide.page.get_by_text("the queue holds 3 requests of yours already")
    expect(told.first).to_be_visible(timeout=LONG)
    expect(wide.page.locator("#compare")).to_be_enabled()
    expect(wide.page.locator("#cancel-compare")).to_be_disabled()
    wide.wrong.clear()  # the browser reports the status 429
    wide.page.wait_for_timeout(12_000)
    wide.page.locator("#compare").click()
    expect(wide.page.locator("#output .stir-download")).to_be_visible(timeout=LONG)


@pytest.mark.verify
def test_the_keyboard_keeps_its_place(visit: Visit) -> None:
    """The button that was pressed is not active any more: its output has the focus."""
    page = visit.page
    page.get_by_text("Quick: 16 images, 60 passes").click()
    page.locator("#compare").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#output .stir-download")).to_be_visible(timeout=LONG)
    assert page.evaluate("document.activeElement.id") == "output"


@pytest.mark.verify
def test_four_images_are_too_few(wide: Visit, tmp_path: Path) -> None:
    for i in range(4):
        Image.new("RGB", (40, 40), (i * 60, 0, 0)).save(tmp_path / f"{i}.png")
    wide.page.get_by_text("Your own images").click()
    wide.page.locator("#files input[type=file]").set_input_files(sorted(tmp_path.glob("*.png")))
    expect(wide.page.locator("#files")).to_contain_text(re.compile(r"3\s*\.png"), timeout=LONG)
    wide.page.locator("#compare").click()
    problem = wide.page.locator("#output .stir-problem")
    told = "4 files were uploaded; the measure takes 16 to 64 images here"
    expect(problem).to_contain_text(told, timeout=LONG)
    wide.shot("few")


@pytest.mark.verify
def test_a_page_that_is_closed_ends_its_work(wide: Visit, server: Server) -> None:
    alone = len(server.process.children(recursive=True))
    wide.page.get_by_text("Careful: 48 images, 150 passes").click()
    wide.page.locator("#compare").click()
    expect(wide.page.locator("#output .stir-progress + .stir-strip img").first).to_be_visible(
        timeout=LONG
    )
    assert len(server.process.children(recursive=True)) == alone + 1
    wide.page.close()
    ends = time.monotonic() + 60
    while len(server.process.children(recursive=True)) > alone and time.monotonic() < ends:
        time.sleep(0.2)
    assert len(server.process.children(recursive=True)) == alone


@pytest.mark.verify
def test_a_model_that_is_not_there(wide: Visit) -> None:
    wide.choose("model", "lab/nothing")
    wide.page.locator("#compare").click()
    problem = wide.page.locator("#output .stir-problem")
    expect(problem).to_contain_text("no model 'lab/nothing' on the Hub", timeout=LONG)
    assert problem.get_attribute("role") == "alert"


@pytest.mark.verify
def test_an_upload_that_is_no_image(wide: Visit, tmp_path: Path) -> None:
    for i in range(16):
        Image.new("RGB", (40, 40), (i * 15, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "9.png").write_bytes(b"no image at all")
    wide.page.get_by_text("Your own images").click()
    wide.page.locator("#files input[type=file]").set_input_files(sorted(tmp_path.glob("*.png")))
    expect(wide.page.locator("#files")).to_contain_text(re.compile(r"9\s*\.png"), timeout=LONG)
    wide.page.locator("#compare").click()
    problem = wide.page.locator("#output .stir-problem")
    expect(problem).to_contain_text("'9.png' is no image", timeout=LONG)


@pytest.mark.verify
def test_a_model_on_published_inversions(wide: Visit, hub: StandInHub, tmp_path: Path) -> None:
    made = Client(hub, tmp_path).run(
        *("invert", "lab/robust", "--dataset", "lab/images", "--num-samples", "16"),
        *("--steps", "10", "--out", tmp_path / "made", "--push-to", "lab/inversions"),
    )
    assert made.returncode == 0, made.stderr
    wide.page.get_by_role("tab", name="Judge").click()
    wide.page.locator("#inversions textarea, #inversions input").first.fill("lab/inversions")
    wide.page.locator("#judge").click()
    found = wide.page.locator("#judgement")
    expect(found).to_contain_text("standard-1, given robust", timeout=LONG)
    commit = hub.repo("dataset", "lab/inversions").at("main").sha
    line = f"stir-hf score stir_hf/demo/models/standard-1 --inversions lab/inversions@{commit}"
    expect(found).to_contain_text(line)
    expect(found).to_contain_text("No scores are published with these inversions yet")
    wide.shot("judged")


@pytest.mark.verify
def test_two_visitors_at_once(server: Server, browser: Any) -> None:
    visits = [opened(server, browser, 1280, "light") for _ in range(2)]
    one, other = (next(visit) for visit in visits)
    one.page.get_by_text("Quick: 16 images, 60 passes").click()
    other.choose("reference", "robust-1")
    other.page.get_by_text("Quick: 16 images, 60 passes").click()
    for each in (one, other):
        each.page.locator("#compare").click()
    for each, reference in ((one, "robust-0"), (other, "robust-1")):
        found = each.page.locator("#output .stir-results")
        expect(found).to_contain_text(f"standard-0, given {reference}", timeout=LONG)
    for visit in visits:
        assert next(visit, None) is None


@pytest.mark.verify
def test_the_keyboard_is_enough(wide: Visit) -> None:
    """Everything that can be done is reached by tabs, and has a name."""
    page, names = wide.page, []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "(e => (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText"
                " || e.placeholder || e.id || '').trim())(document.activeElement)"
            )
        )
    told = " | ".join(names)
    for words in (
        "Compare",
        "Judge",
        "Model",
        "Reference",
        "Images",
        "Quick",
        "Cancel",
    ):
        assert words in told, told


@pytest.mark.verify
def test_a_picture_is_what_it_says(wide: Visit) -> None:
    source = wide.page.locator("#first-view img").first.get_attribute("src")
    assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
