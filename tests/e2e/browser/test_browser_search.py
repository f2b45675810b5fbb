"""The page's search, as a person uses it: typing, looking closer, by mouse and by keyboard."""

import re

import pytest

pytestmark = pytest.mark.browser

RED = "Mars, known for its reddish appearance, is often referred to as the Red Planet."


def ask(page, question):
    """Type a question and wait for its results."""
    page.get_by_role("searchbox").fill(question)
    page.wait_for_function(
        "q => new URLSearchParams(location.hash.split('?')[1]).get('q') === q", arg=question
    )
    page.wait_for_selector(".columns:not([aria-busy]) .column")


def column(page, name):
    return page.get_by_role("region", name=name)


def files(found):
    return found.locator(".open").all_text_contents()


def test_results_follow_as_one_types(page):
    page.get_by_role("searchbox").press_sequentially("the red planet", delay=15)

    page.locator(".open", has_text="planets.md").first.wait_for()


def test_three_rankings_stand_side_by_side(page):
    ask(page, "which planet is red?")

    for name in ("Meaning", "Words", "Both"):
        assert files(column(page, name))[0] == "planets.md"
        assert column(page, name).locator(".result").count() == 10
    lefts = [column(page, name).bounding_box()["x"] for name in ("Meaning", "Words", "Both")]
    assert lefts == sorted(set(lefts))


def test_a_result_says_how_near_it_is_and_where_it_stands(page):
    ask(page, "which planet is red?")
    first = column(page, "Meaning").locator(".result").first

    score = float(first.locator(".score").inner_text())
    bar = first.locator(".bar")
    share = bar.locator("span").bounding_box()["width"] / bar.bounding_box()["width"]
    assert 0.3 < score < 1
    assert share == pytest.approx(score, abs=0.03)
    assert "characters 0–" in first.inner_text()
    assert "Words #1" in first.inner_text()


def test_the_best_sentence_is_marked(page):
    ask(page, "which planet is red?")

    mark = column(page, "Meaning").locator(".result mark").first
    assert mark.inner_text() == RED
    assert "underline" in mark.evaluate("one => getComputedStyle(one).textDecorationLine")


def test_results_do_not_wait_for_their_marks(page):
    held = []

    def hold(route):
        held.append(route)

    page.route("**/api/marks", hold)
    ask(page, "which planet is red?")
    first = column(page, "Meaning").locator(".result").first
    assert first.locator(".passage").inner_text().startswith("Venus is")
    assert page.locator(".result mark").count() == 0
    first.locator(".open").focus()

    with page.expect_response("**/api/marks"):
        held[-1].continue_()

    assert first.locator("mark").inner_text() == RED
    page.locator(".timing", has_text="mark sentences").wait_for()
    assert page.evaluate("() => document.activeElement.className") == "open"


def test_marks_that_do_not_come_leave_the_results(page):
    page.route("**/api/marks", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        ask(page, "which planet is red?")

    assert files(column(page, "Meaning"))[0] == "planets.md"
    page.watch.faults.clear()  # the browser logs the request that was cut off


def test_the_time_is_split_into_its_parts(page):
    ask(page, "which planet is red?")

    text = page.locator(".timing").inner_text()
    for part in ("tokenise", "embed", "search"):
        assert re.search(rf"{part} <?[\d.]+ ms", text)


def test_a_way_of_searching_can_be_left_out_and_stays_out(page):
    ask(page, "which planet is red?")
    page.get_by_role("checkbox", name="Words").uncheck()

    column(page, "Words").wait_for(state="detached")
    page.reload()
    column(page, "Meaning").wait_for()
    assert column(page, "Words").count() == 0


def test_filters_narrow_all_columns(page):
    ask(page, "Mars")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Field").select_option("kind")
    page.get_by_label("Value").fill("kitchen")
    page.get_by_role("button", name="Filters (1)").wait_for()
    page.wait_for_function(
        """() => {
          const files = [...document.querySelectorAll(".open")].map((one) => one.textContent);
          return files.length && files.every((file) => file.startsWith("notes/kitchen/"));
        }"""
    )

    page.get_by_label("Field").select_option("year")
    page.get_by_label("Comparison").select_option("above")
    page.get_by_label("Value").fill("2030")
    page.get_by_text("Filters are on.").first.wait_for()


def test_why_shows_ranks_tokens_and_borders(page):
    ask(page, "camels drink at well number 12")
    found = page.locator(".open", has_text="stories/caravan.txt").first
    found.click()
    why = page.get_by_role("dialog", name="Why this result")
    why.locator(".figures").wait_for()

    text = why.inner_text()
    assert re.search(r"Rank by meaning\s+#\d+", text)
    assert re.search(r"Rank by words\s+#\d+", text)
    assert re.search(r"passage \d+ of \d+", text)
    assert re.search(r"\d+ tokens, of 256 it reads", text)
    assert "node begins" in text
    assert "node ends" in text
    assert why.locator(".around").count() >= 1
    assert "camel" in [word.lower() for word in why.locator(".node .word").all_inner_texts()]
    why.get_by_role("checkbox", name="show tokens").check()
    assert why.locator(".document.tokens .t1").count() > 20


def test_why_marks_what_the_model_never_saw(page):
    ask(page, "how is a zeppelin steered?")
    page.locator(".open", has_text="manuals/zeppelin.txt").first.click()
    why = page.get_by_role("dialog", name="Why this result")

    why.get_by_text("The model never saw").wait_for()
    cut = "".join(why.locator(".node .cut").all_inner_texts())
    assert cut.endswith("The end.")
    assert "line-through" in why.locator(".node .cut").first.evaluate(
        "one => getComputedStyle(one).textDecorationLine"
    )


def test_all_of_it_works_by_keyboard(page):
    page.keyboard.press("Escape")
    page.locator("#main").focus()
    page.keyboard.press("/")
    page.keyboard.type("which planet is red?")
    page.locator(".open", has_text="planets.md").first.wait_for()
    page.wait_for_selector(".columns:not([aria-busy]) .column")
    focused = """() => {
      const column = document.activeElement.closest(".column");
      return column?.querySelector("h2").firstChild.textContent;
    }"""

    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Meaning"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "Words"
    assert page.locator(".result:focus-within .rank").inner_text() == "2"

    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Why this result").locator(".figures").wait_for()
    assert page.evaluate("() => !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate(focused) == "Words"

    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.id") == "question"
    page.keyboard.press("Escape")
    assert page.get_by_role("searchbox").input_value() == ""


def test_tabs_are_moved_through_by_keyboard(page):
    page.get_by_role("searchbox").wait_for()  # which takes the focus when it comes
    page.get_by_role("tab", name="Search").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Compare").get_attribute("aria-selected") == "true"
    page.get_by_role("grid").wait_for()
    page.keyboard.press("5")
    page.get_by_role("tabpanel", name="Health").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog", name="Keys").count() == 0


@pytest.mark.parametrize(
    ("question", "name", "shown"),
    [
        (
            "what does the hostile zebra say to all who read it",
            "script",
            "<script>window.pwned = 1</script>",
        ),
        ("the endless zebra line", "long", "zzzzzzzz"),
        ("זברה בסוואנה", "right-to-left", "زرافة"),
        ("the odd zebra stripes", "signs", "🦓🏽‍♀️"),
    ],
)
def test_hostile_text_is_only_text(page, question, name, shown):
    ask(page, question)
    found = page.locator(
        ".result", has=page.locator(".open", has_text=f"hostile/<i>{name}</i>.txt")
    )
    assert shown in found.first.locator(".passage").inner_text()

    found.first.locator(".open").click()
    why = page.get_by_role("dialog", name="Why this result")
    why.locator(".figures").wait_for()
    assert f"hostile/<i>{name}</i>.txt" in why.inner_text()
    assert page.evaluate("() => window.pwned") is None
    assert (
        page.locator(
            "main :is(script, img, b, i:not(.part)), dialog :is(script, img, b, i)"
        ).count()
        == 0
    )
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_marks_stand_right_behind_characters_of_two_units(page):
    """Places count characters as Python does, and JavaScript does not."""
    ask(page, "the odd zebra stripes. It ends well")
    result = page.locator(".result", has=page.locator(".open", has_text="signs")).first

    assert result.locator("mark").inner_text().startswith(("It ends well", "The odd zebra"))


def test_a_server_that_is_gone_is_said(page):
    ask(page, "Mars")
    page.route("**/api/search", lambda route: route.abort())
    page.get_by_role("searchbox").fill("Venus")

    page.get_by_role("alert").get_by_text("The server does not answer").wait_for()
    page.watch.faults.clear()  # the browser logs the request that was cut off


def test_a_question_can_be_linked_to(open_page, site):
    page = open_page(f"{site.url}/#search?q=which+planet+is+red")

    page.locator(".open", has_text="planets.md").first.wait_for()
    assert page.get_by_role("searchbox").input_value() == "which planet is red"


def test_a_link_followed_in_an_open_page_is_asked_and_stays_in_the_address(open_page, site):
    page = open_page(f"{site.url}/#search?q=which+planet+is+red")
    page.locator(".open", has_text="planets.md").first.wait_for()
    page.evaluate("location.hash = '#search?q=the+rudder+of+a+zeppelin'")

    page.locator(".open", has_text="zeppelin.txt").first.wait_for()
    assert page.get_by_role("searchbox").input_value() == "the rudder of a zeppelin"
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_url("**/#compare")
    page.get_by_role("tab", name="Search").click()
    page.wait_for_url("**/#search?q=the+rudder+of+a+zeppelin")
    page.go_back()
    page.locator(".open", has_text="planets.md").first.wait_for()
