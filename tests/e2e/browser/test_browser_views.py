"""The page's other views, its key, its colours and what it keeps to."""

import re
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

KEY = "a-key-for-tests-only"
MEASURED = {
    "date": "2030-01-02T03:04:05+00:00",
    "machine": {"processor": "x86_64", "system": "Linux 6", "python": "3.11.2"},
    "versions": {"nearfield": "0.1.0"},
    "rounds": 3,
}


def measured(backend, passages, cosine, error=None):
    """A backend's figures, as ``nearfield bench --json`` writes them."""
    return {
        "model": "bundled",
        "backend": backend,
        "error": error,
        "texts_per_s": {} if error else {"passages": passages, "short": 4 * passages},
        "load_s": 0.1,
        "query_p50_ms": 1.5,
        "peak_rss_bytes": 10**8,
        "cosine_min": cosine,
        "similarity": {"Mars": 0.81},
    }


def open_view(page, name):
    page.get_by_role("tab", name=name).click()
    panel = page.get_by_role("tabpanel", name=name)
    panel.wait_for()
    return panel


def values(panel):
    return [float(value) for value in panel.locator("td .value").all_inner_texts()]


def test_the_planets_are_compared_at_once(page):
    panel = open_view(page, "Compare")
    panel.get_by_role("grid").wait_for()

    nearest = panel.locator("td.nearest")
    assert "nearest" in nearest.inner_text()
    nearest.hover()
    assert "Mars, known for its reddish appearance" in panel.locator(".pair").inner_text()
    grid = values(panel)
    assert len(grid) == 25
    assert all(
        grid[5 * row + column] == grid[5 * column + row] for row in range(5) for column in range(5)
    )


def test_another_model_changes_the_grid_and_says_by_how_much(page):
    panel = open_view(page, "Compare")
    panel.get_by_role("grid").wait_for()
    before = values(panel)

    panel.get_by_label("Model").select_option("static:words")
    panel.locator(".change").first.wait_for()
    assert values(panel) != before
    changes = panel.locator("td .change").all_inner_texts()
    assert len(changes) == 20
    assert all(re.fullmatch(r"=|[▲▼] \d\.\d{3}", change) for change in changes)
    assert "the change from nearfield/all-MiniLM-L6-v2-int8" in panel.inner_text()


def test_sentences_pasted_in_are_compared(page):
    panel = open_view(page, "Compare")
    panel.get_by_label("Sentences").fill(
        "A cat sleeps.\n\nThe cat is asleep.\n<b>Stocks</b> fell sharply."
    )
    page.wait_for_function(
        "() => document.querySelectorAll('#view-compare td .value').length === 9"
    )

    panel.get_by_role("checkbox").uncheck()
    page.wait_for_function("() => !document.querySelector('#view-compare .nearest')")
    grid = values(panel)
    assert grid[1] > grid[2]
    assert "<b>Stocks</b>" in panel.get_by_role("grid").inner_text()
    panel.get_by_label("Sentences").fill("  ")
    panel.get_by_text("Nothing to compare").wait_for()


def test_the_grid_is_walked_by_arrow_keys(page):
    panel = open_view(page, "Compare")
    panel.locator("td.nearest").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")

    here = page.evaluate("() => ({ ...document.activeElement.dataset })")
    assert here == {"row": "1", "column": "3"}
    assert "Jupiter" in panel.locator(".pair").inner_text()


def test_without_measurements_the_plot_says_how_to_make_them(page, site):
    site.forget_bench()

    open_view(page, "Speed").get_by_text("nearfield bench").first.wait_for()


def test_speed_is_drawn_against_fidelity(page, site):
    backends = [
        measured("native", 900, 0.9999),
        measured("torch", 300, None),
        measured("openvino", 0, None, error="It is <b>not</b> here."),
    ]
    model = {"model": "bundled", "reference": "torch", "backends": backends}
    site.keep_bench({**MEASURED, "models": [model]})
    panel = open_view(page, "Speed")
    panel.locator(".plot").wait_for()

    native, torch = (panel.locator(f".point.{name}") for name in ("native", "torch"))
    assert native.bounding_box()["x"] > torch.bounding_box()["x"]  # faster
    assert native.bounding_box()["y"] > torch.bounding_box()["y"]  # farther from the reference
    assert (
        native.locator("circle").count() == torch.locator("rect").count() == 1
    )  # not by colour alone
    table = panel.get_by_role("table").inner_text()
    assert "0.999900" in table
    assert "It is <b>not</b> here." in table
    before = panel.locator(".axis").first.inner_html()
    panel.get_by_label("Texts").select_option("short")
    assert panel.locator(".axis").first.inner_html() != before


def test_the_health_of_index_and_server_is_told(page):
    panel = open_view(page, "Health")
    panel.get_by_text("fingerprint").first.wait_for()

    text = panel.inner_text()
    assert "nearfield/all-MiniLM-L6-v2-int8" in text
    assert "static:words" in text
    assert re.search(r"documents\s+1,50\d", text)
    assert re.search(r"memory\s+\d+", text)
    strip = page.locator("#strip").inner_text()
    assert re.search(r"vectors\s+1,\d{3} × 384", strip)
    assert re.search(r"truncated\s+0\.0\d %", strip)


def test_a_key_is_asked_for_once_and_a_wrong_one_refused(open_page, guarded_site):
    page = open_page(guarded_site.url + "/")
    dialog = page.get_by_role("dialog", name="This server asks for its key")
    dialog.get_by_label("API key").fill("not-the-key")
    dialog.get_by_role("button", name="Unlock").click()
    dialog.get_by_text("That key was not accepted.").wait_for()
    dialog.get_by_label("API key").fill(f"\u201c{KEY}\u201d")  # as some programs quote it
    dialog.get_by_role("button", name="Unlock").click()
    dialog.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")

    page.get_by_role("searchbox").fill("which planet is red?")
    page.locator(".open", has_text="planets.md").first.wait_for()
    page.reload()
    page.locator(".open", has_text="planets.md").first.wait_for()
    assert KEY not in page.url
    assert all("401" in fault for fault in page.watch.faults)
    page.watch.faults.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_system(open_page, site, scheme):
    page = open_page(site.url + "/", color_scheme=scheme)

    assert (brightness(page) > 0.5) is (scheme == "light")


def test_the_theme_can_be_switched_and_stays(page):
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    assert brightness(page) < 0.5
    page.reload()
    page.get_by_role("button", name="Theme: dark").wait_for()
    assert brightness(page) < 0.5


FORBIDDEN = """
for (const kind of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, kind, {
    get() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
  });
}"""


def test_a_browser_that_may_keep_nothing_shows_all_of_it(open_page, site):
    page = open_page("about:blank")
    page.add_init_script(FORBIDDEN)
    page.watch.allowed.add(urlsplit(site.url).netloc)
    page.goto(site.url + "/#search?q=red+planet")
    page.locator(".result").first.wait_for()
    page.get_by_role("checkbox", name="Words").uncheck()
    page.locator(".column").nth(2).wait_for(state="detached")
    page.locator(".result .open").first.click()
    page.get_by_role("dialog").get_by_role("checkbox").first.check()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()

    assert brightness(page) < 0.5


def test_a_browser_that_may_keep_nothing_is_asked_for_the_key_once(open_page, guarded_site):
    page = open_page("about:blank")
    page.add_init_script(FORBIDDEN)
    page.watch.allowed.add(urlsplit(guarded_site.url).netloc)
    page.goto(guarded_site.url + "/")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Unlock").click()
    page.get_by_role("searchbox").fill("red planet")
    page.locator(".result").first.wait_for()

    assert not page.locator("#key-dialog").is_visible()
    page.watch.faults.clear()  # a 401 is told by the browser, too


def test_a_page_opened_while_models_load_says_so_and_opens_by_itself(page):
    loading = {"error": {"message": "The server is loading its models, or being stopped."}}
    page.route("**/api/status", lambda route: route.fulfill(status=503, json=loading))
    page.reload()
    told = page.locator("#view-search").get_by_role("status").filter(has_text="loading its models")
    told.wait_for()
    open_view(page, "Compare").get_by_role("status").filter(has_text="not ready").wait_for()

    page.unroute("**/api/status")
    page.get_by_role("grid").wait_for()
    page.get_by_role("tab", name="Search").click()
    page.get_by_role("searchbox", name="Question").wait_for()
    # A browser notes every answer that is an error.
    assert all("503" in fault for fault in page.watch.faults)
    page.watch.faults.clear()


def test_the_strip_stands_without_a_model(open_page, site):
    page = open_page("about:blank")
    page.watch.allowed.add(urlsplit(site.url).netloc)

    def without_models(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"models": [], "index": None})

    page.route("**/api/status", without_models)
    page.goto(site.url + "/#health")

    strip = page.locator("#strip")
    strip.get_by_text("no index").wait_for()
    assert "none" in strip.inner_text()
    assert "does not answer" not in strip.inner_text()


def brightness(page):
    colour = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_told_from_what_it_stands_on(open_page, site, scheme):
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5, measured on what is drawn."""
    page = open_page(site.url + "/#search?q=red+planet", color_scheme=scheme)
    page.locator(".result").first.wait_for()
    faint = page.evaluate(CONTRASTS)
    open_view(page, "Compare").get_by_role("grid").wait_for()

    assert not faint + page.evaluate(CONTRASTS)


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const straight = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.map((v) => straight(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility()) continue;
    if (one.closest(".unseen, .skip, option, :disabled")) continue;
    const behind = [];
    for (let at = one; at; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const back = paint(behind), front = paint([...behind, getComputedStyle(one).color]);
    const [low, high] = [light(back), light(front)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    const name = `${one.className} ${one.textContent.slice(0, 30)}`;
    if (contrast < 4.5) faint.push(`${name}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("name", ["Search", "Compare", "Speed", "Health"])
def test_a_narrow_screen_needs_no_scrolling_sideways(open_page, site, name):
    page = open_page(site.url + "/#search?q=red+planet", viewport={"width": 390, "height": 800})
    page.locator(".result").first.wait_for()
    open_view(page, name).locator("*").first.wait_for()

    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_every_control_has_a_name(page):
    """What a screen reader reads out is never empty."""
    page.get_by_role("searchbox").fill("red planet")
    page.locator(".result").first.wait_for()
    for name in ("Search", "Compare", "Health"):
        open_view(page, name).locator("*").first.wait_for()
        for role in ("button", "checkbox", "combobox", "textbox", "searchbox", "tab"):
            controls = page.get_by_role(role)
            assert controls.count() == page.get_by_role(role, name=re.compile(r"\S")).count(), role


def test_the_page_runs_nothing_but_its_own_files(open_page, site):
    page = open_page(site.url + "/")
    answer = page.request.get(site.url + "/")

    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text())
    assert page.evaluate(INTRUDE) == "refused"
    page.watch.faults.clear()  # the browser says what it refused


INTRUDE = """() => new Promise((done) => {
  document.addEventListener("securitypolicyviolation", () => done("refused"), { once: true });
  const script = document.createElement("script");
  script.textContent = "window.pwned = 1";
  document.body.append(script);
  setTimeout(() => done(window.pwned ? "run" : "nothing"), 3000);
})"""
