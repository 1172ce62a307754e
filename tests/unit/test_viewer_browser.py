"""The page in a real browser: a report opened from disk, and the same page served. Skipped where there is none."""

from __future__ import annotations

import importlib.resources
import importlib.util
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewer_clips import SIZE, frames, write_report

from lrhdr.io.images import read_hdr
from lrhdr.pictures import candidates as known_candidates
from lrhdr.pictures import display, vote_map
from lrhdr.viewer.sequence import Sequence
from lrhdr.viewer.server import ViewServer

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (pip install 'lrhdr[browser]')"
)
CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

WAIT = 60_000  # ms; the machine may be busy
DRAWN = "document.documentElement.dataset.drawn"


def wait_until(page: Any, expression: str, argument: Any = None) -> None:
    """Ask until it holds. Playwright's own wait evaluates a string in the page, which served pages do not allow."""
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, f"not within {WAIT} ms: {expression}"
        page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as tool:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]
        made = tool.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield made
        made.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("run with a space"), frames(5))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open an address, wait until it is drawn, and fail on anything that the console complains about."""
    complaints: list[str] = []
    pages = []

    def complain(message: Any) -> None:
        # The advice on reading canvases back is about what this test does, not about the page.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            complaints.append(message.text)

    def go(address: str, width: int = 1280, height: int = 800, script: str = "") -> Any:
        page = browser.new_page(viewport={"width": width, "height": height})
        if script:
            page.add_init_script(script)
        page.set_default_timeout(WAIT)
        page.on("console", complain)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(address)
        wait_until(page, f"{DRAWN} !== undefined")
        pages.append(page)
        return page

    yield go
    for page in pages:
        page.close()
    assert complaints == []


def settle(page: Any, expected: str) -> None:
    """Wait until frame, views and exposure on show are those."""
    wait_until(page, f"value => {DRAWN} === value", expected)


def drawn(page: Any) -> str:
    return str(page.evaluate(DRAWN))


def pixels(page: Any, pane: int) -> np.ndarray:
    """What a pane's canvas holds, (H, W, 3) uint8."""
    flat = page.evaluate(
        """i => { const p = LRHDR.stage.panes[i];
                  return Array.from(p.context.getImageData(0, 0, p.canvas.width, p.canvas.height).data); }""",
        pane,
    )
    return np.array(flat, dtype=np.uint8).reshape(*SIZE, 4)[..., :3]


def row(page: Any, name: str) -> list[float]:
    cells = page.locator(f'#probe-table tr[data-row="{name}"] td[data-value]')
    return [float(cells.nth(i).get_attribute("data-value")) for i in range(cells.count())]


def test_opens_from_disk_and_shows_what_the_package_would_draw(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#frame=2&right=result&ev=3")
    assert page.title() == "shot & <b>take</b> 1 · lrhdr"
    assert page.locator("h1").inner_text() == "shot & <b>take</b> 1"
    assert drawn(page) == "2 input1 result 3"
    made = frames(5)[2]
    expected = display(read_hdr(report.parents[1] / "shot.000002.exr"), 3.0)
    assert np.abs(pixels(page, 1).astype(int) - expected).max() <= 2
    recorded = np.rint(255.0 * made.window[1]).astype(int)
    assert np.abs(pixels(page, 0).astype(int) - recorded).max() == 0


def test_vote_map_support_and_margin_are_those_of_the_votes(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#frame=1&right=votes")
    made = frames(5)[1]
    assert made.weights is not None
    entries = known_candidates(2, made.window_exposures, 6)
    assert np.abs(pixels(page, 1).astype(int) - vote_map(made.weights, entries)).max() <= 3
    legend = page.locator("#legend li:not(.family)")
    assert [legend.nth(i).locator("span").nth(0).inner_text() for i in range(6)] == [e.name for e in entries]
    shares = [f"{100 * s:.1f} %" for s in made.weights.mean(axis=(1, 2))]
    assert [legend.nth(i).locator("span").nth(1).inner_text() for i in range(6)] == shares
    colours = [legend.nth(i).locator(".swatch").evaluate("e => e.style.background") for i in range(6)]
    assert colours == [f"rgb({e.colour[0]}, {e.colour[1]}, {e.colour[2]})" for e in entries]

    page.select_option("#right", "support")
    settle(page, f"1 input1 support {page.evaluate('LRHDR.state.ev')}")
    counts = (made.weights > 0).sum(axis=0)
    shown = pixels(page, 1)
    assert len({tuple(c) for c in shown.reshape(-1, 3)}) == len(np.unique(counts))
    for count in np.unique(counts):
        assert len({tuple(c) for c in shown[counts == count]}) == 1
    amount = page.locator("#legend li").nth(1).locator("span").nth(1).inner_text()
    assert amount == f"{100 * (counts == 2).mean():.1f} %"

    page.select_option("#right", "margin")
    settle(page, f"1 input1 margin {page.evaluate('LRHDR.state.ev')}")
    ordered = np.sort(made.weights, axis=0)
    margin = ordered[-1] - ordered[-2]
    table = np.array(page.evaluate("LRHDR.manifest.viridis"))
    expected = table[np.rint(255 * margin).astype(int)]
    assert np.abs(pixels(page, 1).astype(int) - expected).max() <= 6  # votes are stored to half a 255th


def test_readout_equals_the_file_to_the_stated_precision(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#frame=3&pixel=17,9")
    page.wait_for_selector("#probe-table tr[data-row=result]")
    made, file = frames(5)[3], read_hdr(report.parents[1] / "shot.000003.exr")
    assert made.weights is not None
    assert made.candidates is not None
    share, constant = page.evaluate("LRHDR.manifest.precision.result")
    assert np.abs(np.array(row(page, "result")) - file[9, 17]).max() <= 1.01 * (share * file[9, 17].max() + constant)
    light = float(file[9, 17] @ np.array([0.2126, 0.7152, 0.0722]))
    assert row(page, "result-luminance")[0] == pytest.approx(light, rel=2e-3)
    for k in range(6):
        values = row(page, f"candidate{k}")
        np.testing.assert_allclose(values[:3], made.candidates[k, 9, 17], rtol=9e-3, atol=2e-6)
        assert values[3] == pytest.approx(made.weights[k, 9, 17], abs=1 / 255)
        assert (values[3] > 0) == (made.weights[k, 9, 17] > 0)
    assert "0.098 %" in page.locator("#probe-note").inner_text()

    # The keyboard moves the cursor, the pointer reads where it points.
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    wait_until(page, "document.getElementById('probe-place').textContent === '18, 10'")
    np.testing.assert_allclose(row(page, "result"), file[10, 18], rtol=2e-3, atol=1e-6)
    page.keyboard.press("Escape")
    page.wait_for_selector("#probe-table", state="hidden")
    box = page.locator("#stage").bounding_box()
    scale = box["width"] / SIZE[1]
    page.mouse.move(box["x"] + 30.5 * scale, box["y"] + 5.5 * scale)
    wait_until(page, "document.getElementById('probe-place').textContent === '30, 5'")
    page.wait_for_selector("#probe-table tr[data-row=result]")
    np.testing.assert_allclose(row(page, "result"), file[5, 30], rtol=2e-3, atol=1e-6)


def test_slider_scrub_play_and_keys(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#ev=2")
    divider, stage = page.locator("#divider"), page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + 60)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.25, stage["y"] + 60, steps=3)
    page.mouse.up()
    assert divider.get_attribute("aria-valuenow") == "25"
    assert "25%" in page.locator(".pane").nth(1).evaluate("e => e.style.clipPath")
    divider.focus()
    page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "27"
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"

    page.locator("#frame").fill("3")
    settle(page, "3 input1 result 2")
    assert page.locator("#frame-label").inner_text() == "Frame 3, +3 EV"
    page.locator("h1").click()
    page.keyboard.press("ArrowLeft")
    settle(page, "2 input1 result 2")
    page.keyboard.press("End")
    settle(page, "4 input1 result 2")
    page.keyboard.press("Home")
    settle(page, "0 input1 result 2")
    page.keyboard.press("e")
    settle(page, "0 input1 result 2.5")
    page.keyboard.press("Shift+E")
    settle(page, "0 input1 result 2")
    page.keyboard.press("v")
    settle(page, "0 input1 votes 2")
    page.keyboard.press("x")
    settle(page, "0 votes input1 2")
    page.keyboard.press("s")
    assert page.locator("#stage").get_attribute("data-layout") == "side"
    page.keyboard.press("1")
    settle(page, "0 votes result 2")
    page.keyboard.press("+")
    assert page.evaluate("LRHDR.stage.scale") > 0
    page.keyboard.press("0")
    assert page.evaluate("LRHDR.stage.scale") == 0
    page.locator("#exposure").fill("-1.5")
    settle(page, "0 votes result -1.5")
    assert page.locator("#exposure-label").inner_text() == "\u22121.5 EV"

    page.keyboard.press("?")
    page.locator("#help button").click()
    page.locator("#play").click()
    wait_until(page, "LRHDR.state.position === 2")
    page.locator("#play").click()
    assert not page.evaluate("LRHDR.state.playing")


def test_maps_lie_over_the_picture_and_clipping_is_marked(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#frame=2&right=votes&opacity=0&ev=2")
    grey = pixels(page, 1)
    assert (grey[..., 0] == grey[..., 1]).all()
    page.select_option("#right", "clipping")
    settle(page, "2 input1 clipping 2")
    page.locator("#opacity").fill("100")
    wait_until(page, "LRHDR.state.opacity === 1")
    page.wait_for_timeout(50)
    made = frames(5)[2]
    short, long = made.window[1].max(axis=-1) >= 0.98, made.window[0].max(axis=-1) >= 0.98
    shown = pixels(page, 1)
    assert (shown[short & long] == (213, 94, 0)).all()
    assert (shown[long & ~short] == (86, 180, 233)).all()
    assert (long & ~short).any()
    assert f"{100 * long.mean():.1f} % clipped" in page.locator("#legend").inner_text()
    page.select_option("#right", "luminance")
    settle(page, "2 input1 luminance 2")
    assert "0 EV" in page.locator("#legend").inner_text()


def test_plots_and_tables_hold_the_numbers_of_the_files(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report.as_uri())
    assert page.locator("#plots figure").count() == 3
    page.locator("summary", has_text="Numbers of all 5 frames").click()
    cells = page.locator("#frame-numbers tbody tr").nth(2).locator("td")
    file = read_hdr(report.parents[1] / "shot.000002.exr")
    light = file @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    values = [float(cells.nth(i).get_attribute("data-value")) for i in range(4)]
    np.testing.assert_allclose(values, [*np.percentile(light, (1, 50, 99)), light.mean()], rtol=1e-5)
    assert "random" in page.locator("#facts").inner_text()
    box = page.locator("#plots svg").nth(1).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + box["height"] / 2)
    wait_until(page, "LRHDR.state.position === 4")


# Software graphics of a machine without a screen lose WebGPU devices at will, so the browser's side is played here.
FAKE_GPU = """
window.written = [];
window.GPUTextureUsage ??= { COPY_DST: 2, RENDER_ATTACHMENT: 16 };
const device = { lost: new Promise(() => {}), queue: { writeTexture: (to, data, layout, size) =>
  window.written.push({ data: Array.from(data), row: layout.bytesPerRow, size }) } };
const adapter = { requestDevice: async () => device };
Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => adapter } });
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  if (kind !== "webgpu") return original.call(this, kind, ...more);
  let settings;
  return { configure: (s) => (settings = s), getConfiguration: () => settings, getCurrentTexture: () => ({}) };
};
"""


def test_a_float_canvas_gets_radiance_where_screen_and_browser_offer_one(
    report: Path, open_page: Callable[..., Any]
) -> None:
    plain = open_page(report.as_uri())
    assert plain.locator("#hdr").is_hidden()  # this screen has no high dynamic range
    page = open_page(f"{report.as_uri()}#frame=2&ev=2&layout=single&hdr=force", script=FAKE_GPU)
    page.locator("#hdr").click()
    wait_until(page, "window.written.length > 0")
    written = page.evaluate("window.written.at(-1)")
    assert (written["row"], written["size"]) == (8 * SIZE[1], [SIZE[1], SIZE[0]])
    shown = np.array(written["data"], np.uint16).view(np.float16).astype(np.float64).reshape(*SIZE, 4)
    linear = 4.0 * read_hdr(report.parents[1] / "shot.000002.exr").astype(np.float64)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055)
    assert coded.max() > 1.2  # above the screen's white, which the tone-mapped picture cannot show
    np.testing.assert_allclose(shown[..., :3], coded, rtol=2e-3, atol=1e-5)
    assert (shown[..., 3] == 1.0).all()
    page.locator("#hdr").click()
    page.wait_for_selector("canvas.float", state="hidden")
    assert page.locator("#hdr").get_attribute("aria-pressed") == "false"


def test_a_narrow_window_loses_nothing(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{report.as_uri()}#right=votes&pixel=3,3", 390, 844)
    page.wait_for_selector("#probe-table tr[data-row=candidate5]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("#left", "#right", "#play", "#frame", "#exposure", "#legend", "#plots", "#facts"):
        box = page.locator(name).bounding_box()
        assert box["width"] > 30, name
        assert box["x"] + box["width"] <= 391, name


def test_a_missing_data_file_is_said_on_the_page(tmp_path: Path, open_page: Callable[..., Any], browser: Any) -> None:
    address = write_report(tmp_path, frames(3))
    (tmp_path / "report" / "data" / "frame-000001.js").unlink()
    page = browser.new_page()
    page.goto(f"{address.as_uri()}#frame=1")
    wait_until(page, f"{DRAWN} === 'failed'")
    assert page.locator("#failure").inner_text() == "This frame cannot be shown: data/frame-000001.js is missing"
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_finding_of_the_accessibility_check(report: Path, open_page: Callable[..., Any], width: int) -> None:
    if importlib.util.find_spec("axe_playwright_python") is None:
        pytest.skip("axe-playwright-python is not installed (pip install 'lrhdr[browser]')")
    script = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = open_page(f"{report.as_uri()}#right=votes&pixel=3,3", width, 800)
    page.wait_for_selector("#probe-table tr[data-row=candidate5]")
    page.locator("summary", has_text="Numbers").click()
    page.evaluate(script)
    found = page.evaluate("axe.run().then(r => r.violations)")
    serious = [
        (v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_same_page_served(report: Path, open_page: Callable[..., Any]) -> None:
    with ViewServer(Sequence(report.parents[1])) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        page = open_page(f"{server.address}#frame=2&pixel=5,6&ev=1")
        page.wait_for_selector("#probe-table tr[data-row=result]")
        file = read_hdr(report.parents[1] / "shot.000002.exr")
        assert row(page, "result") == [float(v) for v in file[6, 5]]
        expected = display(file, 1.0)
        assert np.abs(pixels(page, 1).astype(int) - expected).max() <= 1
        assert "those of the files" in page.locator("#probe-note").inner_text()
        page.close()
        server.shutdown()
        thread.join()
