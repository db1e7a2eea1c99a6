"""The page of `serve` in a real browser: files, the microphone, two visitors, a phone; nothing leaves the machine, and files are fenced in."""

import base64
import shutil
import socket
import urllib.error
import urllib.request
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
import soundfile as sf
from bundles import SR, make_sounds, train

from specimg.datasets import sine
from specimg.inference import load_classifier, save_classifier
from specimg.reports.app import named_classifiers, serve

pytestmark = pytest.mark.browser
MARKUP = {"high": "<img src=x onerror=alert(1)>", "label": "dog & <b>bone</b>", "path": "$x$ `owl`"}
ANSWERED = "() => [...document.querySelectorAll('.answer textarea')].every(box => box.value)"
MOST = 5  # s, of a recording


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    made = make_sounds(tmp_path_factory.mktemp("sounds"))
    made.table["label"] = made.table["label"].map(MARKUP)
    return made


@pytest.fixture(scope="module")
def folders(sounds):
    """Two classifiers; the second one's folder has a name of markup."""
    first = save_classifier(train(sounds), sounds.folder / "first", golden=2)
    return [first, save_classifier(load_classifier(first), sounds.folder / "<b>second<b>", golden=2)]


@pytest.fixture(scope="module")
def server(folders):
    """The page in this process: .url, and .outside, what this process asked of other machines meanwhile."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install specimg[serve]")
    outside, look_up, connect = [], socket.getaddrinfo, socket.socket.connect
    patch = pytest.MonkeyPatch()

    def watched_look_up(host, *args, **kwargs):
        if host not in (None, "localhost", "127.0.0.1", b"127.0.0.1"):
            outside.append(host)
        return look_up(host, *args, **kwargs)

    def watched_connect(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            outside.append(address)
        return connect(self, address)

    patch.setattr(socket, "getaddrinfo", watched_look_up)
    patch.setattr(socket.socket, "connect", watched_connect)
    app = serve(folders, block=False, most_seconds=MOST, most_mb=1)
    yield SimpleNamespace(url=app.local_url, outside=outside)
    app.close(verbose=False)
    patch.undo()


@pytest.fixture(scope="module")
def browser(sounds):
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install specimg[browser]"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    spoken = sounds.folder / "spoken.wav"
    sf.write(spoken, sine(1200, 1.0, SR), SR)
    media = ["device-for-media-stream", "ui-for-media-stream"]
    args = ["--no-sandbox", *(f"--use-fake-{one}" for one in media), f"--use-file-for-fake-audio-capture={spoken}"]
    with sync_api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=program, args=args)
        yield running
        running.close()


@pytest.fixture
def visit(server, browser):
    """visit(width=1280, scheme="light") -> page; nothing may go wrong on it, and it may ask no other machine."""
    contexts, problems = [], []

    def go(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda line: "Content Security Policy" in line.text and problems.append(line.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda sent: sent.url.startswith((server.url, "data:", "blob:")) or problems.append(sent.url)
        )
        page.goto(server.url)
        page.get_by_label("Record audio").wait_for()
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == [] and server.outside == []


def give(page, file, name=None):
    """Drop a file where the page asks for one."""
    data = base64.b64encode(file.read_bytes()).decode()
    script = """([data, name]) => {
        const dropped = new DataTransfer(), bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
        dropped.items.add(new File([bytes], name, {type: "audio/wav"}));
        return dropped
    }"""
    dropped = page.evaluate_handle(script, [data, name or file.name])
    page.locator("button:has(input[type=file])").first.dispatch_event("drop", {"dataTransfer": dropped})


def answers(page):
    """What the classifiers answer, in words."""
    page.wait_for_function(ANSWERED)
    return [box.input_value() for box in page.locator(".answer textarea").all()]


def test_a_dropped_file_is_answered_by_each_classifier_and_markup_stays_text(visit, folders, sounds):
    page = visit()
    give(page, sounds.files[0], "<img src=x onerror=alert(2)>.wav")
    right = load_classifier(folders[0]).predict(sounds.files[:1], progress=False)["label"][0]
    assert answers(page) == [right, right]
    page.locator(".confidence-set").last.wait_for()
    for label in (*MARKUP.values(), "<b>second<b>"):
        assert page.get_by_text(label).count() >= 1
    assert page.locator("img[src=x], b").count() == 0
    assert page.locator(".image-container img").count() == 2  # a spectrogram for each


def test_a_recording_of_the_microphone_is_answered(visit):
    page = visit()
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(700)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    assert answers(page)[0].split(":")[0] in MARKUP.values()


def test_a_long_recording_has_a_timeline_and_its_events_as_a_table_to_download(visit, sounds):
    sf.write(sounds.folder / "night.wav", np.concatenate([sine(hz, 1.0, SR) for hz in (400, 3000, 1200)]), SR)
    page = visit()
    give(page, sounds.folder / "night.wav")
    assert all("the clearest window, from 0:00:0" in words for words in answers(page))
    with page.expect_download() as download:
        page.get_by_text("Download as events.csv").first.click()
    assert download.value.path().read_text().startswith("path,start,end,label,probability")


@pytest.mark.parametrize(
    "content, reason", [(b"no sound " * 50, "is not a recording"), (None, "at most 0:00:05 are taken")]
)
def test_what_cannot_be_labelled_is_answered_with_the_reason(visit, tmp_path, content, reason):
    file = tmp_path / "bad.wav"
    file.write_bytes(content) if content else sf.write(file, sine(400, MOST + 1, SR), SR)
    page = visit()
    give(page, file)
    assert all(words.startswith("no label: ") and reason in words for words in answers(page))


def test_too_large_a_file_is_not_taken(visit, tmp_path):
    (tmp_path / "large.wav").write_bytes(bytes(1_100_000))
    page = visit()
    give(page, tmp_path / "large.wav", "<img src=x onerror=alert(3)>.wav")
    page.get_by_text("exceed the maximum allowed size").first.wait_for()


def test_two_visitors_at_once_each_get_their_own_answer(visit, sounds, tmp_path):
    one, other = visit(), visit()
    sf.write(tmp_path / "long.wav", sine(400, 2.0, SR), SR)
    give(one, tmp_path / "long.wav")
    give(other, sounds.files[0])
    assert all("clearest window" in words for words in answers(one))
    assert not any("clearest window" in words for words in answers(other))


def test_an_example_is_answered_on_a_phone_without_scrolling_aside_and_in_the_dark(visit):
    page = visit(width=390, scheme="dark")
    page.locator(".gallery-item").first.click()
    assert len(answers(page)) == 2
    page.locator("img").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.classList.contains('dark')")


def test_several_files_become_a_table(visit, sounds, tmp_path):
    (tmp_path / "none.wav").write_bytes(b"nothing")
    page = visit()
    page.get_by_role("tab", name="Several files").last.click()
    page.locator("input[type=file]").last.set_input_files([sounds.files[0], tmp_path / "none.wav"])
    with page.expect_download() as download:
        page.get_by_text("Download as answers.csv").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "file,classifier,probability,answer" and len(lines) == 5
    assert sum("no label: " in line for line in lines) == 2


def status(server, path, data=None, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{server.url.rstrip('/')}{path}", data, headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_file_route_serves_neither_files_of_the_machine_nor_other_addresses(server, folders):
    there = ["/etc/passwd", f"{folders[0]}/classifier.json", f"{folders[0]}/golden/golden.json", __file__]
    for path in (*there, f"../../../..{folders[0]}/classifier.json", server.url, "http://example.com/x.wav"):
        assert status(server, f"/gradio_api/file={path}") in (403, 404), path
        assert status(server, f"/gradio_api/file={quote(path, safe='')}") in (403, 404), path
    assert server.outside == []


def test_the_server_takes_no_larger_file_whoever_sends_it(server):
    def upload(n):
        body = (
            b"--x\r\nContent-Disposition: form-data; name=files; filename=a.wav\r\n\r\n" + bytes(n) + b"\r\n--x--\r\n"
        )
        return status(server, "/gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=x"})

    assert upload(900_000) == 200 and upload(1_100_000) == 413


def test_classifiers_of_one_name_are_told_apart(folders):
    clf = load_classifier(folders[0])
    assert list(named_classifiers([clf, clf, folders[1]])) == ["1. first", "2. first", "<b>second<b>"]
    with pytest.raises(ValueError, match="there is no classifier"):
        named_classifiers([])


@pytest.mark.parametrize("wrong", [{"reject_below": 2}, {"most_mb": 0}, {"most_seconds": -1}])
def test_impossible_bounds_are_refused(folders, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*: give"):
        serve(folders, block=False, **wrong)
