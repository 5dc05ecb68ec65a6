"""The page in a real browser: what is shown is what the surrogates and the solver say."""

import asyncio
import re
import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import uvicorn

from pdeops.grid import Axis
from pdeops.serve.app import create_app
from pdeops.serve.comparison import comparison
from pdeops.serve.limits import Limits
from pdeops.serve.run import listening
from pdeops.serve.truths import Truths
from tests.serve.conftest import made

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")


@contextmanager
def running(served, token=None):
    """A real server on a thread; its address."""
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(create_app(served, Limits(wait_ms=0), token), log_level="error", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def served():
    torch.set_num_threads(1)
    return made()


@pytest.fixture(scope="module")
def url(served):
    with running(served) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1200"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver):
        self.driver = driver

    def open(self, url, name):
        self.driver.get("about:blank")
        self.driver.get(f"{url}#{name}")
        self.until(lambda: self.text("surrogate-time") != "–")
        self.still()

    def part(self, css):
        return self.driver.find_element("css selector", css)

    def text(self, name):
        return self.part(f"#{name}").text

    def click(self, name):
        self.part(f"#{name}").click()

    def until(self, true, seconds=30):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, (self.text("status"), self.part("#alert").text)
            time.sleep(0.02)

    def still(self):
        """Until pictures have been drawn, twice the same."""
        before = None
        while (now := self.pictures()) != before:
            before = now
            time.sleep(0.15)

    def pictures(self):
        return [self.picture(name) for name in ("input", "prediction", "truth", "difference", "spectrum", "course")]

    def picture(self, name):
        """(different colours, a checksum) of what a canvas shows."""
        return self.driver.execute_script(
            """const canvas = document.querySelector(`#${arguments[0]} canvas.picture`);
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            let sum = 0;
            for (let i = 0; i < data.length; i += 4) {
              const c = data[i] * 65536 + data[i + 1] * 256 + data[i + 2];
              colours.add(c);
              sum = (sum * 31 + c) % 1000003;
            }
            return [colours.size, sum];""",
            name,
        )

    def set(self, name, value):
        self.driver.execute_script(
            """const input = document.getElementById(arguments[0]);
            input.value = arguments[1];
            input.dispatchEvent(new Event("input", {bubbles: true}));
            input.dispatchEvent(new Event("change", {bubbles: true}));""",
            name,
            str(value),
        )

    def solve(self):
        self.click("solve")
        self.until(lambda: self.text("error") != "–")
        self.still()

    def drag(self, name, *places):
        """The pointer pressed along places, in shares of a canvas."""
        from selenium.webdriver.common.action_chains import ActionChains

        canvas = self.part(f"#{name} canvas.picture")
        width, height = canvas.size["width"], canvas.size["height"]
        at = [(int((x - 0.5) * width), int((0.5 - y) * height)) for x, y in places]
        chain = ActionChains(self.driver, duration=20).move_to_element_with_offset(canvas, *at[0]).click_and_hold()
        for there in at[1:]:
            chain = chain.move_to_element_with_offset(canvas, *there)
        chain.release().perform()

    def complaints(self):
        """Of the browser, but that these tests look at pictures so often."""
        said = [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        return [entry["message"] for entry in said if "readback" not in entry["message"]]


@pytest.fixture
def page(browser):
    one = Page(browser)
    one.complaints()
    yield one
    assert one.complaints() == []
    assert one.part("#alert").get_attribute("hidden")


def number(text):
    return float(re.match(r"[−\d.e]+", text)[0].replace("−", "-"))


def errors(one, seed, steps):
    """(steps, 1, C) of a rollout, or (1, C) of a prediction, by the surrogate itself."""
    truths = Truths(one.surrogate)
    a = truths.input(seed, truths.sample(seed).numpy())
    v = truths.solve(seed, None, steps)
    u = one.surrogate.rollout(a, steps).movedim(2, 0) if truths.window.evolves else one.surrogate.predict(a)
    return np.array(comparison(np.stack([u, v]), truths.window.grid_out.space)["relative_l2"])


def test_a_steady_problem(page, url, served):
    page.open(url, "poisson")
    assert page.text("about").startswith("FNO, ")
    assert "10 × 10 nodes · spectral_poisson" in page.text("about")
    assert not page.part("#player").is_displayed()
    assert not page.part("#course").is_displayed()
    assert page.part("#truth .frame").get_attribute("data-says") == "Press Solve."
    for name in ("input", "prediction"):
        assert page.picture(name)[0] > 100
    sample = Truths(served[2].surrogate).sample(0)
    assert number(page.part("#input .low").text) == pytest.approx(float(sample.min()), rel=0.01)
    assert number(page.part("#input .high").text) == pytest.approx(float(sample.max()), rel=0.01)
    page.solve()
    assert number(page.text("error")) == pytest.approx(100 * errors(served[2], 0, 1)[0, 0], rel=0.01)
    assert re.fullmatch(r"[\d.]+ m?s", page.text("solver-time"))
    assert re.fullmatch(r"[\d.]+ m?s", page.text("surrogate-time"))
    for name in ("truth", "difference"):
        assert page.picture(name)[0] > 100
    assert page.picture("spectrum")[0] > 3
    assert page.part("#prediction .high").text == page.part("#truth .high").text
    assert "from 0 to" not in page.part("#truth canvas").get_attribute("aria-label")
    before = page.picture("input")
    page.click("another")
    page.until(lambda: page.part("#seed").get_attribute("value") == "1" and page.picture("input") != before)
    page.until(lambda: page.text("status") == "Predicted." and page.text("error") == "–")


def test_drawing(page, url, served):
    page.open(url, "poisson")
    page.solve()
    before = page.pictures()
    assert not page.part("#undo").is_enabled()
    page.drag("input", (0.3, 0.3), (0.5, 0.5), (0.7, 0.6))
    page.until(lambda: page.part("#undo").is_enabled())
    page.still()
    after = page.pictures()
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert page.text("error") == "–"  # the truth was another input's
    assert page.part("#truth .frame").get_attribute("data-says") == "Press Solve."
    page.solve()
    drawn = number(page.text("error"))
    assert drawn != pytest.approx(100 * errors(served[2], 0, 1)[0, 0], rel=1e-3)
    page.click("undo")
    page.still()
    assert page.pictures()[0] == before[0]
    page.solve()
    assert page.pictures()[1:4] == before[1:4]
    canvas = page.part("#input canvas.picture")
    canvas.send_keys("\ue012\ue013 ")  # left, up, space
    page.until(lambda: page.picture("input") != before[0])
    page.click("reset")
    page.until(lambda: page.picture("input") == before[0])


def test_a_touch_of_the_brush(page, url):
    page.open(url, "poisson")
    page.driver.set_script_timeout(20)
    soft, hard, ends = page.driver.execute_async_script(
        """const done = arguments[0];
        import("/page/brush.js").then(({touch, place}) => {
          const axis = (n, nodes) => ({n, nodes, length: 1, start: 0});
          const square = [axis(8, "periodic"), axis(5, "uniform")];
          const soft = new Float64Array(40), hard = new Float64Array(40);
          touch(soft, square, [0, 0.5], 0.2, 2, false);
          touch(hard, square, [0, 0.5], 0.2, 2, true);
          const ends = ["periodic", "uniform", "cell", "left", "right", "chebyshev"].map((kind) =>
            [place(axis(5, kind), 0), place(axis(5, kind), 4)]);
          done([[...soft], [...hard], ends]);
        });"""
    )
    far = np.array([0, 1, 2, 3, 4, 3, 2, 1])[:, None] / 8
    across = np.abs(np.arange(5) / 4 - 0.5)[None]
    share = np.maximum(0, 1 - (far**2 + across**2) / 0.2**2)
    np.testing.assert_allclose(np.reshape(soft, (8, 5)), 2 * 0.35 * share**2, atol=1e-12)
    np.testing.assert_allclose(np.reshape(hard, (8, 5)), 2.0 * (share > 0))
    kinds = ("periodic", "uniform", "cell", "left", "right", "chebyshev")
    for kind, found in zip(kinds, ends, strict=True):
        np.testing.assert_allclose(found, Axis("x", 5, nodes=kind).points()[[0, -1]], atol=1e-12)


def test_a_brush_paints_its_amount_where_it_is(page, url):
    """High up at the right: y is upwards."""
    page.open(url, "arrays")
    assert not page.part("#sampling").is_displayed()
    assert not page.part("#solving").is_displayed()
    page.set("amount", 100)
    page.set("size", 10)
    amount = number(page.text("amount-is"))
    for _ in range(12):
        page.drag("input", (0.8, 0.7))
    page.still()
    from selenium.webdriver.common.action_chains import ActionChains

    def read(x, y):
        canvas = page.part("#input canvas.picture")
        width, height = canvas.size["width"], canvas.size["height"]
        ActionChains(page.driver, duration=10).move_to_element_with_offset(
            canvas, int((x - 0.5) * width), int((0.5 - y) * height)
        ).perform()
        page.until(lambda: page.part("#input .readout").text.strip())
        return page.part("#input .readout").text.split()

    there = read(0.8, 0.7)
    assert (number(there[1]), number(there[3])) == (pytest.approx(0.75, abs=0.06), pytest.approx(0.65, abs=0.06))
    assert number(there[4]) > 0.7 * amount
    assert abs(number(read(0.2, 0.7)[4])) < 1e-3 * amount
    assert abs(number(read(0.8, 0.3)[4])) < 1e-3 * amount


def test_a_rollout_is_played(page, url, served):
    page.open(url, "flow")
    assert page.part("#steps").get_attribute("value") == "7"
    page.set("steps", 5)
    page.until(lambda: page.text("status") == "Rolled out 5 frames.")
    page.solve()
    expected = errors(served[0], 0, 5)
    first = page.picture("prediction")
    for frame in (1, 3, 5):
        page.set("frame", frame)
        page.until(lambda f=frame: page.text("when") == f"frame {f} of 5, t = {f * 0.25:g}")
        page.still()
        assert number(page.text("error")) == pytest.approx(100 * expected[frame - 1, 0, 0], rel=0.01)
    assert page.picture("prediction") != first
    assert page.picture("course")[0] > 3
    page.click("play")
    assert page.part("#play").get_attribute("aria-label") == "Pause"
    seen = set()
    page.until(lambda: seen.add(page.text("when")) or len(seen) == 5)  # round and round
    page.click("play")
    page.still()
    assert page.part("#play").get_attribute("aria-label") == "Play"


def test_one_dimension(page, url, served):
    page.open(url, "burgers")
    assert not page.part("#truth").is_displayed()
    assert page.part("#prediction h2").text == "Prediction and truth"
    assert not page.part("#amount-of").is_displayed()
    page.solve()
    assert number(page.text("error")) == pytest.approx(100 * errors(served[1], 0, 8)[0, 0, 0], rel=0.01)
    before = page.pictures()
    page.drag("input", (0.5, 0.5), (0.55, 0.9), (0.6, 0.9))
    page.until(lambda: page.picture("input") != before[0])
    page.still()
    assert page.pictures()[1] != before[1]


def test_choosing(page, url, served):
    from selenium.webdriver.support.ui import Select

    page.open(url, "flow")
    select = Select(page.part("#surrogate"))
    assert [option.text for option in select.options] == ["flow", "burgers", "poisson", "arrays"]
    for name in ("burgers", "poisson", "flow"):  # at once: the last one counts
        select.select_by_visible_text(name)
    page.until(lambda: page.text("status") == "Rolled out 7 frames.")
    page.still()
    assert page.driver.current_url.endswith("#flow")
    assert page.part("#player").is_displayed()
    light = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.click("theme")
    assert page.driver.execute_script("return getComputedStyle(document.body).backgroundColor") != light


def test_everything_has_a_name_for_those_who_do_not_see_it(page, url):
    for name in ("flow", "burgers"):
        page.open(url, name)
        nameless = page.driver.execute_script(
            """const visible = (e) => e.offsetParent !== null;
            return [...document.querySelectorAll("button, input, select, canvas.picture")].filter(visible)
              .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()))
              .map((e) => e.outerHTML);"""
        )
        assert nameless == []
        label = page.part("#prediction canvas.picture").get_attribute("aria-label")
        assert re.match(r"Prediction, (vorticity|u): from \S+ to \S+\.", label)


def test_a_solver_that_is_given_up_and_one_that_refuses(browser, url, served):
    page = Page(browser)
    page.open(url, "flow")
    kind = type(served[0].surrogate.problem)
    own = kind.solve

    def endless(self, a, progress=None):
        while True:
            time.sleep(0.002)
            progress(0.5)

    try:
        kind.solve = endless
        page.click("solve")
        page.until(lambda: page.text("status").startswith("Solving: "))
        page.click("cancel")
        page.until(lambda: page.text("status") == "Not solved.")
        assert page.part("#alert").get_attribute("hidden")

        def refuses(self, a, progress=None):
            from pdeops.errors import InputError

            raise InputError("no solution today")

        kind.solve = refuses
        page.click("solve")
        page.until(lambda: page.part("#alert").text == "no solution today")
    finally:
        kind.solve = own
    page.solve()
    assert page.part("#alert").get_attribute("hidden")
    page.complaints()


def test_a_token_is_asked_for(browser, served):
    with running(served[2:3], token="a-secret") as url:
        page = Page(browser)
        page.driver.get(url)
        for token in ("wrong", "a-secret"):
            page.until(lambda: page.part("#door").get_attribute("open"))
            page.part("#token").clear()
            page.part("#token").send_keys(token + "\n")
        page.until(lambda: page.text("status") == "Predicted.")
        page.driver.refresh()  # it is remembered as long as the window is open
        page.until(lambda: page.text("status") == "Predicted.")
        page.complaints()
