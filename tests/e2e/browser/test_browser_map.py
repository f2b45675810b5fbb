"""The map of the index, as a person uses it: on the page, and in a file of its own."""

import re
import shutil

import pytest

pytestmark = pytest.mark.browser

STAGE = ".map-stage"
WAIT_MS = 60_000
WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture
def still(open_page, site):
    """The map, finished, without motion."""
    return finished(open_page(f"{site.url}/#map", reduced_motion="reduce"))


def finished(page):
    page.locator(STAGE).wait_for(timeout=WAIT_MS)
    page.get_by_text("laid out by their exact neighbours").wait_for(timeout=WAIT_MS)
    return page


def pane(page, name):
    return page.locator(f"#map-pane-{name}")


def listed(page):
    """Give how many nodes the list says it has."""
    text = pane(page, "listed").get_by_role("status").inner_text()
    return int(re.search(r"[\d,]+", text)[0].replace(",", ""))


def in_view(page):
    clear = page.get_by_role("button", name="Clear")
    if clear.is_visible():  # else the old list could be read for the new one
        clear.click()
    page.get_by_role("button", name="List what is in view").click()
    return listed(page)


def inked(page):
    """Give how many pixels of the points' canvas are not empty, and how many colours there are."""
    return page.evaluate(
        """async () => {
          const frame = () => new Promise(requestAnimationFrame);
          // A canvas learns its size at the end of a frame, which a busy machine shows late.
          await frame();
          await frame();
          const canvas = document.querySelector(".map-points");
          const copy = document.createElement("canvas");
          [copy.width, copy.height] = [canvas.width, canvas.height];
          document.querySelector(".map-tools [aria-label^='Zoom in']").click();
          await frame();
          const pen = copy.getContext("2d", { willReadFrequently: true });
          pen.drawImage(canvas, 0, 0);
          const { data } = pen.getImageData(0, 0, copy.width, copy.height);
          let pixels = 0;
          const colours = new Set();
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 200) {
              pixels += 1;
              colours.add((data[i] >> 5 << 6) | (data[i + 1] >> 5 << 3) | (data[i + 2] >> 5));
            }
          }
          return [pixels, colours.size];
        }"""
    )


def test_the_map_is_drawn_with_its_legend_and_what_it_calls_out(still, index_path):
    assert "nodes" in still.locator(".map-status").inner_text()
    assert still.locator(STAGE).get_attribute("aria-label").startswith("Map of 1,")
    still.locator(".map-category .map-label").first.wait_for()
    labels = still.locator(".map-category .map-label").all_inner_texts()
    assert {"notes/kitchen", "notes/harbour", "stories", "(top folder)"} <= set(labels)
    pixels, colours = inked(still)
    assert pixels > 2000
    assert colours >= 5


def test_while_another_map_is_begun_the_one_before_stays(still):
    """As after a change of the index: the server gives no points of the map before any more."""
    begun = {"state": "building", "stage": "reading", "share": 0, "version": "", "error": ""}
    still.route("**/api/map", lambda route: route.fulfill(json={**begun, "count": 1500}))
    still.get_by_role("tab", name="Compare").click()
    still.get_by_role("tab", name="Map", exact=True).click()

    still.get_by_text("Reading the index…").wait_for()
    assert still.locator(STAGE).is_visible()
    still.unroute("**/api/map")
    finished(still)


def test_webgl_and_the_plain_canvas_both_draw(browser, site):
    launched = browser.browser_type.launch(executable_path=chromium(), args=WEBGL)
    try:
        page = launched.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        for painter in ("WebGL", "canvas"):
            given = "get.call(this, kind)" if painter == "WebGL" else "null"
            page.add_init_script(  # here WebGL runs without a graphics card, which is refused
                "window.get ??= HTMLCanvasElement.prototype.getContext;"
                "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
                f"  return kind === 'webgl' ? {given} : get.call(this, kind, ...more); }};"
            )
            page.goto(f"{site.url}/?{painter}#map")
            finished(page)
            assert page.locator(STAGE).get_attribute("data-painter") == painter
            pixels, colours = inked(page)
            assert pixels > 2000
            assert colours >= 5
        assert not faults
    finally:
        launched.close()


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def test_the_legend_hides_and_shows_categories(still):
    whole = in_view(still)
    still.get_by_role("tab", name="Colours").click()
    category = still.get_by_role("button", name="notes/kitchen")
    number = int(category.locator(".map-number").inner_text().replace(",", ""))

    category.click()
    assert category.get_attribute("aria-pressed") == "false"
    assert in_view(still) == whole - number

    still.get_by_role("tab", name="Colours").click()
    category.click(modifiers=["Shift"])
    assert in_view(still) == number

    still.get_by_role("tab", name="Colours").click()
    still.get_by_role("button", name="Show all").click()
    assert in_view(still) == whole


def test_another_field_colours_the_points_anew(still):
    still.get_by_label("Colour by").select_option("year")

    still.get_by_text(re.compile(r"^\d{4} to \d{4}$")).first.wait_for()
    assert still.locator(".map-category").count() >= 6


def test_a_question_is_answered_on_the_map(still):
    still.get_by_label("Find on the map by meaning").fill("which one is the red planet")
    still.keyboard.press("Enter")

    first = pane(still, "listed").locator(".map-item").first
    first.wait_for()
    assert "planets.md" in first.inner_text()
    assert listed(still) == 30

    first.click()
    still.locator(".map-reader").get_by_text("often referred to as the Red Planet").wait_for()
    assert in_view(still) < 1500

    still.get_by_role("button", name="Clear").click()
    assert "lasso" in pane(still, "listed").inner_text()


def test_a_lasso_lists_what_is_inside(still):
    whole = in_view(still)
    still.get_by_role("button", name="Lasso").click()
    box = still.locator(STAGE).bounding_box()
    x, y, half = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 3
    still.mouse.move(x - half, y - half)
    still.mouse.down()
    for right, down in ((half, -half), (half, half), (-half, half)):
        still.mouse.move(x + right, y + down, steps=4)
    still.mouse.up()

    pane(still, "listed").get_by_text("within the lasso").wait_for()
    assert 0 < listed(still) < whole
    assert pane(still, "listed").locator(".map-item").count() == min(listed(still), 100)


def test_lists_fly_to_their_points(still):
    for name in ("Alike", "Alone"):
        still.get_by_role("button", name="The whole map").click()
        whole = in_view(still)
        still.get_by_role("tab", name=name).click()
        items = pane(still, name.lower()).locator(".map-item")
        if not items.count():
            continue
        items.first.click()
        still.locator(".map-reader h3").wait_for()
        assert in_view(still) < whole
    assert pane(still, "alike").locator(".map-item").count()


def test_the_map_is_used_by_keys_alone(still):
    whole = in_view(still)
    still.get_by_role("button", name="Clear").click()
    still.get_by_label("Find on the map by meaning").focus()
    for _ in range(20):
        still.keyboard.press("Tab")
        if still.evaluate("document.activeElement.matches('.map-stage')"):
            break
    else:
        pytest.fail("the map is not reached by Tab")
    for key in ("+", "+", "+", "+", "ArrowLeft", "ArrowUp", "v"):
        still.keyboard.press(key)
    assert 0 < listed(still) < whole
    still.keyboard.press("Escape")
    still.get_by_label("Find on the map by meaning").focus()
    still.keyboard.type("the red planet")
    still.keyboard.press("Enter")
    item = pane(still, "listed").locator(".map-item").first
    item.wait_for()
    item.focus()
    still.keyboard.press("ArrowDown")
    still.keyboard.press("Enter")
    still.get_by_role("button", name="Close the text").focus()
    still.keyboard.press("Enter")
    still.locator(".map-tip").wait_for()
    still.keyboard.press("Enter")
    still.locator(".map-reader h3").wait_for()
    assert still.locator(".map-main > .unseen").inner_text()
    still.keyboard.press("Escape")
    assert still.locator(".map-reader").is_hidden()
    assert still.evaluate("document.activeElement.matches('.map-stage')")


def test_the_pointer_shows_and_opens_a_text(still):
    still.get_by_label("Find on the map by meaning").fill("the zebra")
    still.keyboard.press("Enter")
    pane(still, "listed").locator(".map-item").first.click()
    box = still.locator(STAGE).bounding_box()
    still.get_by_role("button", name="Close the text").click()

    still.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    still.locator(".map-tip").wait_for()
    still.mouse.down()
    still.mouse.up()

    still.locator(".map-reader").get_by_text("zebra").first.wait_for()


def test_hostile_texts_are_shown_as_texts(still):
    still.get_by_label("Find on the map by meaning").fill("hostile zebra script entities")
    still.keyboard.press("Enter")
    item = pane(still, "listed").locator(".map-item", has_text="hostile zebra").first
    item.wait_for()
    assert "<script>" in item.inner_text()

    item.click()

    text = still.locator(".map-reader .map-text")
    text.wait_for()
    assert "<img src=x onerror=" in text.inner_text()
    assert still.evaluate("window.pwned") is None
    assert still.locator(".map-body img, .map-body b").count() == 0


def test_both_arrangements_are_shown_in_light_and_dark(open_page, site, screenshots):
    for scheme in ("light", "dark"):
        page = finished(open_page(f"{site.url}/#map", color_scheme=scheme, reduced_motion="reduce"))
        best = inked(page)
        page.get_by_role("button", name="Components").click()
        page.locator("[aria-pressed=true]", has_text="Components").wait_for()
        assert inked(page) != best
        page.get_by_role("button", name="Neighbours").click()
        page.get_by_role("button", name="The whole map").click()
        if screenshots:
            page.screenshot(path=screenshots / f"map-{scheme}.png")


def test_the_points_move_from_one_arrangement_to_the_other(open_page, site):
    page = finished(open_page(f"{site.url}/#map", reduced_motion="no-preference"))

    page.get_by_role("button", name="Components").click()

    page.locator("[aria-pressed=true]", has_text="Components").wait_for()
    assert inked(page)[0] > 500


@pytest.fixture(scope="module")
def file(index_path, tmp_path_factory):
    """The map in a file."""
    from click.testing import CliRunner

    from nearfield.cli.main import group

    path = tmp_path_factory.mktemp("map") / "map.html"
    result = CliRunner().invoke(group, ["map", str(index_path), "--out", str(path)])
    assert result.exit_code == 0, result.output
    return path


def test_the_file_opens_from_the_disk_and_asks_for_nothing(open_page, file):
    page = open_page("about:blank", reduced_motion="reduce")
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(file.as_uri())

    finished(page)
    assert asked == [file.as_uri()]
    assert inked(page)[0] > 2000
    page.get_by_role("button", name=re.compile("^Theme")).click()
    page.get_by_role("button", name=re.compile("^Theme: light")).wait_for()


def test_the_file_is_searched_by_words_and_shows_hostile_texts_as_texts(open_page, file):
    page = open_page("about:blank", reduced_motion="reduce")
    page.goto(file.as_uri())
    finished(page)

    page.get_by_label("Find on the map by words").fill("HOSTILE zebra")
    page.keyboard.press("Enter")

    pane(page, "listed").get_by_text("with the words").wait_for()
    item = pane(page, "listed").locator(".map-item", has_text="<script>").first
    item.click()
    page.locator(".map-reader .map-text").wait_for()
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main b, main script").count() == 0


def test_a_narrow_screen_stacks_the_map_and_its_lists(open_page, site):
    page = finished(
        open_page(
            f"{site.url}/#map", viewport={"width": 390, "height": 800}, reduced_motion="reduce"
        )
    )

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, panel = page.locator(STAGE).bounding_box(), page.locator(".map-panel").bounding_box()
    assert panel["y"] >= stage["y"] + stage["height"]
