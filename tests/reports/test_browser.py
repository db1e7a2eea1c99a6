"""The page in a real browser, from a file: nothing goes wrong in the console, nothing leaves it, and numbers, lists and players agree."""

import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from miniatures.predicted import make_predictions, probabilities

from specimg import report, review_sheet
from specimg.labels.corrections import read_corrections
from specimg.training import Predictions

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install specimg[browser]"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page with blanks")


@pytest.fixture(scope="module")
def predicted(folder):
    """24 clips whose names and labels hold markup; every fourth is taken for the next class."""
    return make_predictions(folder, vocab=("<script>alert('cat')</script>", "dog & <b>bone</b>", "owl"))


@pytest.fixture(scope="module")
def file(predicted, folder):
    return report(predicted, folder / "report.html", title="<i>Owls</i>", progress=False)


@pytest.fixture
def open_page(browser):
    """open_page(file, view="", width=1280, scheme="light", ignore=...) -> page; nothing may go wrong or leave the file."""
    contexts, problems = [], []

    def watch(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            problems.append(request.url)

    def go(file, view="", width=1280, scheme="light", ignore="nothing"):
        context = browser.new_context(
            viewport={"width": width, "height": 850}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda line: line.type in ("error", "warning") and ignore not in line.text and problems.append(line.text),
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on("request", watch)
        page.goto(f"{file.as_uri()}#{view}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


def paths(page, within):
    return [card.get_attribute("data-path") for card in page.locator(f"{within} .card").all()]


def until(here, expression, seconds=60):
    """Wait until a JavaScript expression is true of the page, or a function is of the node that a locator finds.

    playwright's own way evaluates text inside the page, which the page's policy forbids.
    """
    last = time.monotonic() + seconds
    while not here.evaluate(expression):
        assert time.monotonic() < last, f"not within {seconds} s: {expression}"
        time.sleep(0.03)


VIEWS = ["summary", "clips", "confusion", "classes", "map", "groups", "calibration", "review"]


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (390, "dark")])
def test_every_view_opens_and_none_is_wider_than_the_screen(open_page, file, width, scheme):
    page = open_page(file, "summary", width, scheme)
    assert page.locator("h1").inner_text() == "<i>Owls</i>" == page.title()
    for view in VIEWS:
        page.locator(f"nav a[href='#{view}']").click()
        page.locator(f"#view-{view}").wait_for()
        assert page.locator(".view:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), view
        assert len(page.locator(f"#view-{view}").inner_text()) > 60
    assert page.locator("main script, h1 i, main b:has(b)").count() == 0


def test_labels_that_are_markup_are_text(open_page, file):
    page = open_page(file, "classes")
    assert page.locator("#view-classes tbody th").first.inner_text() in (
        "<script>alert('cat')</script>",
        "dog & <b>bone</b>",
        "owl",
    )
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_charts_follow_the_theme_and_their_text_is_text(open_page, file, width):
    page = open_page(file, "classes", width)
    chart = page.locator("#view-classes svg.chart")
    box = chart.bounding_box()
    assert 300 < box["width"] <= width and box["height"] > 150
    texts = chart.locator("text").all_text_contents()
    assert {"<script>alert('cat')</script>", "dog & <b>bone</b>", "owl", "precision"} <= set(texts)
    assert chart.locator("script, b, [style]").count() == 0
    colours = "(svg) => [svg, ...svg.querySelectorAll('path')].map((node) => getComputedStyle(node).fill)"
    light = chart.evaluate(colours)
    page.get_by_label("Dark or light").click()
    dark = chart.evaluate(colours)
    assert light[0] == "rgb(30, 29, 34)" and dark[0] == "rgb(236, 234, 240)"
    painted = [(a, b) for a, b in zip(light, dark) if a != "none"]
    assert len(painted) > 3 and all(a != b for a, b in painted)
    for view, charts in [("groups", 1), ("calibration", 2)]:
        page.locator(f"nav a[href='#{view}']").click()
        found = page.locator(f"#view-{view} svg.chart:visible")
        found.nth(charts - 1).wait_for()  # the view is shown after the address has changed
        assert found.count() == charts


def test_a_cell_of_the_confusion_lists_its_clips(open_page, file, predicted):
    page, table = open_page(file, "confusion"), predicted.table
    cells = page.locator(".matrix .cell").all()
    counts = table.groupby(["target", "prediction"]).size()
    assert {
        (c.get_attribute("data-actual"), c.get_attribute("data-predicted")): int(c.inner_text()) for c in cells
    } == counts.to_dict()
    for cell in cells:
        cell.click()
        is_here = (table["target"] == cell.get_attribute("data-actual")) & (
            table["prediction"] == cell.get_attribute("data-predicted")
        )
        assert sorted(paths(page, "#view-confusion .shelf")) == sorted(table["path"][is_here])
    page.select_option("#view-confusion select", "clusters") if page.locator("#view-confusion select").count() else None
    pair = page.locator(".pairs .link").first
    n = int(pair.inner_text())
    pair.click()
    assert len(paths(page, "#view-confusion .shelf")) == n


def test_filters_and_search_count_right(open_page, file, predicted):
    page, table = open_page(file, "clips"), predicted.table
    count = page.locator("#view-clips .count")
    assert count.inner_text() == "24 clips"
    page.select_option("[data-filter=result]", label="wrong")
    assert count.inner_text() == "6 of 24 clips" and sorted(paths(page, "#view-clips")) == sorted(
        table["path"][~table["right"]]
    )
    page.select_option("[data-filter=actual]", label="owl")
    wrong_owls = table["path"][~table["right"] & (table["target"] == "owl")]
    assert count.inner_text() == f"{len(wrong_owls)} of 24 clips" and paths(page, "#view-clips") == list(wrong_owls)
    page.select_option("[data-filter=result]", "")
    page.select_option("[data-filter=actual]", "")
    page.select_option("[data-filter=predicted]", label="owl")
    page.select_option("[data-filter=group]", label="bob")
    assert count.inner_text() == f"{((table['prediction'] == 'owl') & (table['group'] == 'bob')).sum()} of 24 clips"
    page.select_option("[data-filter=predicted]", "")
    page.select_option("[data-filter=group]", "")
    page.get_by_label("Search by file name").fill("CLIP01")
    assert count.inner_text() == "10 of 24 clips"
    page.get_by_label("Search by file name").fill("nothing like it")
    assert count.inner_text() == "0 of 24 clips" and paths(page, "#view-clips") == []


def test_a_player_lasts_as_long_as_the_span_and_its_cursor_moves(open_page, file, predicted, folder):
    page = open_page(file, "clips")
    for card in page.locator("#view-clips .card").all()[:4]:
        card.locator(".play").click()
        until(card, "(card) => card.querySelector('.play').dataset.duration")
        drawn = sf.info(folder / "audio" / card.get_attribute("data-path")).duration
        assert float(card.locator(".play").get_attribute("data-duration")) == pytest.approx(drawn, abs=1e-4)
        until(card, "(card) => parseFloat(card.querySelector('.cursor').style.left) > 20")
        until(page, "document.getElementById('sound').ended")
        assert (
            float(card.locator(".cursor").evaluate("(node) => parseFloat(node.style.left)")) > 95
        )  # at the end of the picture
        assert card.locator(".play").get_attribute("aria-pressed") == "false"


def test_a_click_into_the_picture_plays_from_there(open_page, file):
    page = open_page(file, "clips")
    plate = page.locator("#view-clips .plate").first
    box = plate.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 20)
    until(page, "document.getElementById('sound').currentTime > 0")
    assert float(plate.locator(".cursor").evaluate("(node) => parseFloat(node.style.left)")) > 50


def test_a_sound_falls_silent_where_its_card_goes(open_page, file):
    page = open_page(file, "clips")
    cards, silent = page.locator("#view-clips .card"), "document.getElementById('sound').paused"

    def play(card):
        card.locator(".play").click()
        until(
            page,
            "document.getElementById('sound').currentTime > 0 && document.querySelectorAll('.card.playing').length === 1",
        )

    play(cards.nth(20))
    play(cards.nth(21))  # one at a time
    assert page.locator(".card.playing").get_attribute("data-clip") == "21"
    page.get_by_label("Search by file name").fill("CLIP0")
    assert page.evaluate(silent)
    play(cards.last)
    page.locator("nav a[href='#groups']").click()
    page.locator("#view-groups").wait_for()
    assert page.evaluate(silent)
    page.go_back()
    page.locator("#view-clips").wait_for()
    assert page.get_by_label("Search by file name").input_value() == "CLIP0"


def test_the_keyboard_reaches_the_players(open_page, file):
    page = open_page(file, "clips")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('play')"):
            break
    focus = "document.activeElement.closest('.card').dataset.clip"
    assert page.evaluate(focus) == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focus) == "1"
    page.keyboard.press("Space")
    until(page, "document.activeElement.dataset.duration && document.getElementById('sound').currentTime > 0")


def test_only_the_cards_near_the_view_are_in_the_document(open_page, tmp_path):
    n, labels = 300, np.arange(300) % 3
    table = pd.DataFrame(
        {
            "path": [f"gone/{k}.wav" for k in range(n)],
            "target": ["abc"[k] for k in labels],
            "loss": np.linspace(9, 1, n),
        }
    )
    predicted = Predictions(table, probabilities(labels, labels, 3), list("abc"))
    page = open_page(report(predicted, tmp_path / "r.html", progress=False), "clips")
    assert page.locator("#view-clips .count").inner_text() == "300 clips"
    there = "[...document.querySelectorAll('#view-clips .card')].map((card) => Number(card.dataset.clip))"
    assert paths(page, "#view-clips")[0] == "gone/0.wav" and len(page.evaluate(there)) <= 120
    height = page.evaluate("document.documentElement.scrollHeight")
    page.keyboard.press("End")
    until(page, f"{there}.includes(299) && !{there}.includes(0)")
    assert len(page.evaluate(there)) <= 120
    assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(height, rel=0.1)
    assert page.locator("#view-clips .card").last.is_visible()
    page.keyboard.press("Home")
    until(page, f"{there}.includes(0) && !{there}.includes(299)")
    page.select_option("[data-filter=order]", label="lowest loss first")
    assert page.evaluate(there)[0] == 299
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")  # what was seen is printed
    assert 0 < page.locator("#view-clips .card").count() <= 120 and page.locator("#view-clips .cards.cut").count() == 1
    assert page.locator("#view-clips .play:enabled").count() == 0
    note = page.locator("#view-clips .note").first
    assert note.inner_text() == "The folder of the recordings is not known; name it with audio=."


def test_arrow_keys_go_on_where_cards_are_not_made_yet(open_page, folder, predicted):
    table = pd.concat([predicted.table] * 4, ignore_index=True).drop(columns=["prediction", "confidence", "right"])
    probs = np.concatenate([predicted.probs] * 4)
    many = Predictions(table.assign(loss=np.linspace(9, 1, 96)), probs, predicted.vocab)
    page = open_page(report(many, folder / "many.html", progress=False, overwrite=True), "clips", width=390)
    page.locator("#view-clips .play").first.focus()
    for _ in range(50):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.card').dataset.clip") == "50"


def test_linked_sounds_play_their_span_and_say_it_when_they_are_gone(open_page, tmp_path):
    p = make_predictions(tmp_path, n=8)
    spans = Predictions(p.table.assign(start=0.05, end=0.15, picture=""), p.probs, p.vocab)
    file = report(spans, tmp_path / "r.html", budget_mb=0, audio=tmp_path / "audio", progress=False)
    page = open_page(file, "clips", ignore="ERR_FILE_NOT_FOUND")
    card = page.locator("#view-clips .card").first
    assert card.locator(".note").inner_text() == "linked to the recording"
    card.locator(".play").click()
    until(page, "document.getElementById('sound').paused && document.getElementById('sound').currentTime >= 0.14")
    assert float(card.locator(".play").get_attribute("data-duration")) == pytest.approx(0.1)
    assert page.evaluate("document.getElementById('sound').currentTime") < 0.2
    shutil.move(tmp_path / "audio", tmp_path / "elsewhere")
    other = page.locator("#view-clips .card").nth(1)
    other.locator(".play").evaluate("(button) => button.click()")
    until(other, "(card) => card.querySelector('.note').textContent.includes('not where it was')")


def test_the_map_shows_and_plays_the_clip_under_the_pointer(open_page, file):
    page = open_page(file, "map")
    canvas = page.locator(".scatter")
    box = canvas.bounding_box()
    found = None
    for x in np.linspace(0.05, 0.95, 24):
        for y in np.linspace(0.1, 0.9, 12):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if page.locator("#tip").is_visible():
                found = page.locator("#tip .name").inner_text()
                break
        if found:
            break
    assert re.fullmatch(r"clip\d+\.wav", found)
    page.mouse.down()
    page.mouse.up()
    assert paths(page, "#view-map .shelf")[0] == found and len(paths(page, "#view-map .shelf")) == 8
    until(page, "document.querySelector('#view-map .shelf .card').classList.contains('playing')")
    page.mouse.wheel(0, -400)
    page.get_by_label("Show all").click()
    canvas.focus()
    for key in ("ArrowLeft", "ArrowUp", "+", "Enter"):
        page.keyboard.press(key)
    assert (
        page.locator("#view-map .shelf h3").inner_text()
        == page.locator("#view-map .shelf .card .name").first.inner_text()
        != found
    )


def test_words_of_a_card_hold_with_any_label(open_page, tmp_path):
    long, arabic = "a label " * 40, "\u0643\u0644\u0628"
    probs = np.array([[0.1, 0.9], [0.9, 0.1], [np.nan, np.nan]])
    table = pd.DataFrame(
        {"path": ["a.wav", "b.wav", "c.wav"], "target": [long, arabic, arabic], "loss": [2.0, 1.0, np.nan]}
    )
    page = open_page(report(Predictions(table, probs, [long, arabic]), tmp_path / "r.html", progress=False), "clips")
    words = {
        card.get_attribute("data-path"): card.locator(".result").inner_text()
        for card in page.locator("#view-clips .card").all()
    }
    assert "no prediction" in words["c.wav"] and "NaN" not in words["c.wav"]
    titles = page.locator("#view-clips .result b").evaluate_all("(labels) => labels.map((label) => label.title)")
    assert len(words["a.wav"]) < 140 and long in titles
    page.locator("nav a[href='#confusion']").click()
    page.locator(".matrix .cell[data-actual='\u0643\u0644\u0628']").click()
    assert (
        page.locator("#view-confusion .shelf h3").inner_text().startswith(f"\u2068{arabic}\u2069, predicted as a label")
    )


def test_several_labels_have_a_list_of_mistakes(open_page, predicted, tmp_path):
    targets = [[predicted.vocab[k % 3], "owl"][: 1 + (k % 3 == 0)] for k in range(24)]
    multi = Predictions(
        predicted.table.assign(target=pd.Series(targets, dtype=object)), predicted.probs, predicted.vocab, is_multi=True
    )
    page = open_page(report(multi, tmp_path / "r.html", progress=False), "confusion")
    assert page.locator("nav a").nth(2).inner_text() == "Mistakes" and page.locator(".matrix").count() == 0
    page.locator(".pairs .link").first.click()
    assert len(paths(page, "#view-confusion .shelf")) == int(page.locator(".pairs .link").first.inner_text())
    page.locator("nav a[href='#review']").click()
    card = page.locator("#view-review .card").first
    card.locator(".play").focus()
    page.keyboard.press("Control+1")  # the browser's own
    assert card.locator("input:checked").count() == 0
    another = card.get_by_text("Another label")
    another.click()
    ticked = card.locator(".several input:checked").evaluate_all("(boxes) => boxes.map((box) => box.value)")
    free = next(label for label in predicted.vocab if label not in ticked)
    card.locator(".several label", has_text=free).click()
    card.get_by_text("Unsure").click()
    another.click()  # what was ticked is still what is saved
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save corrections.csv").click()
    waiting.value.save_as(tmp_path / "corrections.csv")
    assert sorted(read_corrections(tmp_path / "corrections.csv")["corrected"].iloc[0]) == sorted([*ticked, free])


def test_the_theme_switches_and_is_remembered(open_page, file):
    page = open_page(file, "summary", scheme="dark")
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_label("Dark or light").click()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_review_is_saved_as_corrections(open_page, predicted, tmp_path):
    page = open_page(review_sheet(predicted, tmp_path / "review.html", progress=False), "review")
    assert page.locator("nav").is_hidden() and page.get_by_role("button", name="Save corrections.csv").is_disabled()
    cards = page.locator("#view-review .card").all()
    names = [card.get_attribute("data-path") for card in cards]
    cards[0].get_by_text("It is").click()
    cards[1].locator(".play").focus()
    page.keyboard.press("1")
    cards[2].get_by_text("Another label").click()
    cards[2].locator("select").select_option("owl")
    cards[3].get_by_text("Leave out").click()
    cards[4].get_by_text("Unsure").click()
    assert page.locator(".toolbar.sticky").inner_text().startswith("5 of 24 decided; 4 rows for corrections.csv")
    page.reload()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save corrections.csv").click()
    waiting.value.save_as(tmp_path / "corrections.csv")
    saved = read_corrections(tmp_path / "corrections.csv").set_index("path")
    was = predicted.table.set_index("path").loc[names]
    assert list(saved.index) == names[:4] and saved["label"].tolist() == was["target"].tolist()[:4]
    assert saved["corrected"].tolist() == [was["prediction"].iloc[0], was["target"].iloc[1], "owl", None]
