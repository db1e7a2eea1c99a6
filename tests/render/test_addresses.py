"""Recordings in a store: the same pictures as from a folder, by ranges, and failures that say what to do."""

import multiprocessing
import pickle
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from object_store import environment, serving

import specimg.core.parallel
from specimg.audio import Audio, AudioError, find_audio, read_audio
from specimg.audio.errors import OutOfReachError
from specimg.audio.stream import stream_spans
from specimg.core import addresses
from specimg.core.addresses import BLOCK, Address, _in_words, as_address, is_address, list_stored
from specimg.core.files import OutsideError
from specimg.core.hub import local_folder
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Mel

LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=256))
SR = 16000
QUIET = dict(progress=False, n_jobs=1)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SR))).astype("float32")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two folders of short recordings of several kinds, hidden ones and others beside them."""
    folder = tmp_path_factory.mktemp("clips")
    for i, name in enumerate(["b/1.wav", "b/2.flac", "a-b/3.ogg", "a/4.mp3", "a/5.wav"]):
        (folder / name).parent.mkdir(exist_ok=True)
        sf.write(folder / name, noise(0.3, i), SR)
    for name in ["a/.hidden.wav", ".git/6.wav", "a/notes.txt", "a/7.mid"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def longs(tmp_path_factory):
    """Recordings of minutes: four of wav and flac, and a quarter of one as ogg and mp3, which are more than one block of bytes."""
    folder = tmp_path_factory.mktemp("longs")
    for name, seconds in {"long.wav": 240, "long.flac": 240, "long.ogg": 150, "long.mp3": 150}.items():
        with sf.SoundFile(folder / name, "w", SR, 1) as file:
            for i in range(seconds // 10):  # libsndfile's Vorbis breaks down under more at once
                file.write(noise(10, i))
        assert (folder / name).stat().st_size > BLOCK
    return folder


@pytest.fixture
def memory():
    """fsspec's store in memory, empty; put(folder, address) copies a folder there."""
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    fs.store.clear()

    def put(folder, address):
        for path in folder.rglob("*"):
            if path.is_file():
                fs.pipe_file(f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return fs

    yield put
    fs.store.clear()


def pictures(tree):
    return {row.picture: (tree.images / row.picture).read_bytes() for row in tree._rows}


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    ["python://x", "reference://x.json", "zip://a.wav::s3://b/x.zip", "simplecache::s3://b", "file:///etc", "dask://b", "http://h/x.wav"],
)  # fmt: skip
def test_only_stores_that_hand_out_bytes_are_asked(address, tmp_path):
    for call in (lambda: render_tree(address, LOOK, tmp_path, **QUIET), lambda: read_audio(address)):
        with pytest.raises(ValueError, match="is not an address that is read; give one of s3"):
            call()


@pytest.mark.parametrize("address", ["s3://key:SECRET@bucket/x", "gs://b/x.wav?X-Goog-Signature=SECRET"])
def test_secrets_in_an_address_are_refused_and_not_repeated(address, tmp_path):
    for call in (lambda: render_tree(address, LOOK, tmp_path, **QUIET), lambda: read_audio(address)):
        with pytest.raises(ValueError, match="holds a password or a signature") as caught:
            call()
        assert "SECRET" not in str(caught.value)
    assert "SECRET" not in str(_in_words(OSError("GET https://key:SECRET@host/x?sig=SECRET failed")))


@pytest.mark.parametrize("address", ["s3://", "s3://b/../c", "s3://b//c", "s3://b/a\0.wav"])
def test_an_address_has_parts_that_are_names(address):
    with pytest.raises(ValueError, match="has a part that is no name"):
        as_address(address)


def test_an_address_may_be_a_path_and_travels_as_text():
    root = as_address(Path("s3://bucket") / "night")
    assert root == "s3://bucket/night" and root / "a" / "1.wav" == "s3://bucket/night/a/1.wav" and root / "" == root
    assert pickle.loads(pickle.dumps(root)) == root and type(pickle.loads(pickle.dumps(root))) is Address
    assert as_address("hf://datasets/user/birds@v2:audio") == "hf://datasets/user/birds@v2/audio"
    assert not any(map(is_address, ["clips", "/clips", "C:/clips", "a::b.wav", "s3", b"s3://b", None]))


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    import fsspec.core

    def without(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(ImportError, match=r"'s3://bucket/x.wav' needs .* pip install 'specimg\[s3\]'"):
        read_audio("s3://bucket/x.wav")


def test_a_folder_alone_asks_for_no_fsspec(clips, tmp_path):
    code = f"""
import sys, specimg as sp
sp.render_tree({str(clips)!r}, sp.Renderer(sp.Mel(n_mels=16)), {str(tmp_path)!r}, progress=False, n_jobs=1)
sys.exit("fsspec" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=100).returncode == 0


# ---------------------------------------------------------------------- what there is


def test_a_store_is_walked_as_a_folder_is(clips, memory):
    memory(clips, "/night")
    with pytest.warns(UserWarning, match=r"1 file below 'memory://night' passed over.* 1 .mid"):
        found = find_audio("memory://night")
    with pytest.warns(UserWarning, match="passed over"):
        assert found == find_audio(clips) and len(found) == 5


def test_names_that_lead_out_of_a_folder_are_left_out(monkeypatch):
    names = ["good.wav", "../x.wav", "a/../../x.wav", "/etc/x.wav", "a//x.wav", "a\0.wav", "./x.wav", ""]
    info = dict(type="file", size=1)

    class Hostile:
        def invalidate_cache(self):
            pass

        def find(self, path, detail):
            return {f"b/night/{name}": info for name in names} | {"b/other/x.wav": info, "/etc/passwd.wav": info}

    monkeypatch.setattr(addresses, "_opened_store", lambda address: (Hostile(), "b/night"))
    with pytest.warns(UserWarning, match="8 objects of 's3://b/night' left out"):
        assert list(list_stored(as_address("s3://b/night"))) == ["good.wav"]


def test_lists_segments_and_roots(clips, memory, tmp_path):
    memory(clips, "/night")
    whole = ["memory://night/b/1.wav", "memory://night/a/5.wav"]
    tree = render_tree(whole, LOOK, tmp_path, **QUIET)
    assert tree.source == "memory://night" and tree.table.path.tolist() == ["b/1.wav", "a/5.wav"]
    assert tree.picture("memory://night/a/5.wav") == tree.picture("a/5.wav")
    table = pd.DataFrame({"path": ["b/1.wav"] * 2, "start": [0.0, 0.1], "end": [0.1, 0.2]})
    cut = render_tree(["b/1.wav"], LOOK, tmp_path, root="memory://night", segments=table, **QUIET)
    here = render_tree(["b/1.wav"], LOOK, tmp_path, root=clips, segments=table, **QUIET)
    assert pictures(cut) == pictures(here) and len(cut) == 2
    for names, root in [(["memory://other/x.wav"], "memory://night"), (["../x.wav"], "memory://night"), (["/x.wav"], "memory://night")]:  # fmt: skip
        with pytest.raises(OutsideError):
            render_tree(names, LOOK, tmp_path, root=root, **QUIET)
    with pytest.raises(ValueError, match="no bucket in common"):
        render_tree(["memory://a/x.wav", "s3://b/x.wav"], LOOK, tmp_path, **QUIET)
    with pytest.raises(ValueError, match="is one object, not a folder; give a list"):
        render_tree("memory://night/b/1.wav", LOOK, tmp_path, **QUIET)
    with pytest.raises(ValueError, match="'memory://none' holds no recordings"):
        render_tree("memory://none", LOOK, tmp_path, **QUIET)


def test_a_tree_is_kept_in_a_folder(tmp_path):
    for cache in ("s3://bucket/cache", Path("s3://bucket/cache")):
        with pytest.raises(ValueError, match="is an address, and a cache is a folder .* aws s3 sync"):
            render_tree(tmp_path, LOOK, cache, **QUIET)
    with pytest.raises(ValueError, match="is an address, and a tree is a folder .* copy it here"):
        SpecTree.open("s3://bucket/tree")
    with pytest.raises(ValueError, match="is an address, and a classifier is a folder"):
        local_folder("gs://bucket/clf", ["classifier.json"], "a classifier")


def test_a_tree_of_somebody_elses_address_runs_nothing(clips, tmp_path):
    tree = render_tree([clips / "a" / "5.wav"], LOOK, tmp_path, **QUIET)
    file = tree.root / "renderer.json"
    file.write_text(file.read_text().replace(str(tree.source), "reference://evil.json"))
    with pytest.raises(ValueError, match="does not describe a tree: 'reference://evil.json' is not an address"):
        SpecTree.open(tree.root)


def test_gc_asks_the_store_what_is_gone(clips, memory, tmp_path):
    fs = memory(clips, "/night")
    tree = render_tree("memory://night", LOOK, tmp_path, **QUIET)
    again = SpecTree.open(tree.root)
    assert again.source == "memory://night" and len(again) == 5
    fs.rm_file("/night/a/5.wav")
    assert again.gc() == ["a/5.wav.png"] and len(again) == 4


# ---------------------------------------------------------------------- the calls that take a folder


def test_loaders_and_predictions_take_an_address(memory, tmp_path):
    import bundles

    from specimg.data import SpecDataLoaders
    from specimg.inference import load_classifier, save_classifier

    (tmp_path / "tones").mkdir()
    sounds = bundles.make_sounds(tmp_path / "tones", 2)
    sounds.table.to_csv(tmp_path / "tones" / "labels.csv", index=False)
    memory(tmp_path / "tones", "/birds/tones")
    options = dict(renderer=bundles.LOOK, cache=tmp_path / "cache", bs=2, num_workers=0, valid_pct=0.5, **QUIET)
    dls = SpecDataLoaders.from_csv("memory://birds/tones", "labels.csv", fn_col="path", label_col="label", **options)
    here = SpecDataLoaders.from_csv(tmp_path / "tones", "labels.csv", fn_col="path", label_col="label", **options)
    assert dls.tree.source == "memory://birds/tones" and dls.train.clips.path.tolist() == here.train.clips.path.tolist()
    assert pictures(dls.tree) == pictures(here.tree) and dls.path == Path(".")
    with pytest.warns(UserWarning, match="1 of 7 rows have no recording below 'memory://birds/tones'"):
        more = pd.concat([sounds.table, pd.DataFrame({"path": ["gone.wav"], "label": ["high"]})])
        SpecDataLoaders.from_df(more, "memory://birds", folder="tones", **options)
    for name, label in zip(sounds.table.path, sounds.table.label):
        memory(tmp_path / "tones", "/birds/tones").copy(f"/birds/tones/{name}", f"/folders/{label}/{name}")
    assert sorted(SpecDataLoaders.from_folder("memory://folders", **options).vocab) == sorted(bundles.HZ)
    save_classifier(bundles.train(sounds), tmp_path / "clf")
    clf = load_classifier(tmp_path / "clf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, known = clf.predict("memory://birds/tones"), clf.predict(tmp_path / "tones")
        windows = clf.predict_windows("memory://birds/tones/high0.wav", seconds=0.1, progress=False)
        same = clf.predict_windows(tmp_path / "tones" / "high0.wav", seconds=0.1, progress=False)
    assert found.path[0] == "memory://birds/tones/high0.wav" and len(found) == 6
    pd.testing.assert_frame_equal(found.drop(columns="path"), known.drop(columns="path"))
    pd.testing.assert_frame_equal(windows.drop(columns="path"), same.drop(columns="path"))


def test_a_dataset_on_the_hub_is_a_source(hub, clips, tmp_path):
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()
    hub.put("user/birds", {f"audio/{p.name}": p.read_bytes() for p in clips.glob("b/*")}, kind="dataset")
    tree = render_tree("hf://datasets/user/birds:audio", LOOK, tmp_path, **QUIET)
    assert tree.source == "hf://datasets/user/birds/audio" and len(tree) == 2
    assert pictures(tree) == pictures(render_tree(clips / "b", LOOK, tmp_path, **QUIET))
    files = {f"audio/{p.name}": p.read_bytes() for p in clips.glob("b/*")}
    hub.put("user/birds", files | {"audio/1.wav": (clips / "a" / "5.wav").read_bytes()}, kind="dataset")
    other = render_tree("hf://datasets/user/birds:audio", LOOK, tmp_path, **QUIET)
    assert pictures(other)["1.wav.png"] == pictures(render_tree(clips / "a", LOOK, tmp_path, **QUIET))["5.wav.png"]
    HfFileSystem.clear_instance_cache()


# ---------------------------------------------------------------------- S3


def test_pictures_are_those_of_the_folder_and_drawn_once(s3, clips, tmp_path):
    s3.put(clips, "night/clips")
    with pytest.warns(UserWarning, match="passed over"):
        tree, here = (render_tree(source, LOOK, tmp_path, **QUIET) for source in ("s3://night/clips", clips))
    assert pictures(tree) == pictures(here) and len(tree) == 5
    assert tree.table.drop(columns="mtime").equals(here.table.drop(columns="mtime"))
    assert [method for method, *_ in s3.asked] == ["GET"] * 6  # a listing, and one request a recording
    s3.asked.clear()
    render_tree("s3://night/clips", LOOK, tmp_path, **QUIET)
    assert [path for _, path, *_ in s3.asked] == ["/night"]  # the listing alone
    for file in (file for file in tree.root.rglob("*") if file.is_file()):
        assert b"wJalrSECRET" not in file.read_bytes() and s3.url.encode() not in file.read_bytes()


def test_a_span_reads_its_part_of_a_long_recording(s3, longs):
    s3.put(longs, "long")
    for name in ("long.wav", "long.flac"):
        s3.asked.clear()
        y, _ = read_audio(f"s3://long/{name}", start=150, end=152)
        assert np.array_equal(y, read_audio(longs / name, start=150, end=152)[0])
        assert s3.got(name) < 4.5 * BLOCK < 0.4 * (longs / name).stat().st_size and len(s3.asked) <= 6
        for start in range(152, 182, 2):  # windows that follow each other: no byte twice
            read_audio(f"s3://long/{name}", start=start, end=start + 2)
        assert s3.got(name) < 7 * BLOCK
    for name in (
        "long.ogg",
        "long.mp3",
    ):  # are held against their bytes, all of them: fetched once for the windows that follow
        s3.asked.clear()
        for start in (100, 102, 104):
            y, _ = read_audio(f"s3://long/{name}", start=start, end=start + 2)
            assert np.array_equal(y, read_audio(longs / name, start=start, end=start + 2)[0])
        assert s3.got(name) <= (longs / name).stat().st_size + 1
    spans = list(stream_spans("s3://long/long.wav", 60))
    assert [span.end for span in spans] == [60, 120, 180, 240]
    assert np.array_equal(spans[3].y[:, 0], read_audio(longs / "long.wav", start=180)[0])


def _read_in_child(queue):
    queue.put(read_audio("s3://long/long.flac", start=100, end=101)[0].sum())


def test_a_forked_process_makes_its_own_connection(s3, longs):
    s3.put(longs, "long")
    y = read_audio("s3://long/long.flac", start=100, end=101)[0]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=30) == y.sum()
    finally:
        child.kill()
        child.join()


@pytest.mark.slow
def test_two_workers_draw_the_same(s3, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(specimg.core.parallel, "WORTH_WORKERS", 0)
    (tmp_path / "many").mkdir()
    for i in range(40):
        sf.write(tmp_path / "many" / f"{i}.wav", noise(0.1, i), SR)
    s3.put(tmp_path / "many", "many")
    tree = render_tree("s3://many", LOOK, tmp_path / "cache", progress=False, n_jobs=2)
    assert len(tree) == 40 and tree.failures.empty
    assert pictures(tree) == pictures(render_tree(tmp_path / "many", LOOK, tmp_path / "cache", **QUIET))


def test_a_replaced_object_is_drawn_again(s3, clips, tmp_path):
    s3.put(clips / "b", "fresh")
    tree = render_tree("s3://fresh", LOOK, tmp_path, **QUIET)
    sf.write(tmp_path / "1.wav", noise(0.3, 9), SR)  # as long, and within the same second
    assert (tmp_path / "1.wav").stat().st_size == (clips / "b" / "1.wav").stat().st_size
    before, other = pictures(tree), (tmp_path / "1.wav").read_bytes()
    import fsspec

    fsspec.filesystem("s3").pipe_file("fresh/1.wav", other)
    after = pictures(render_tree("s3://fresh", LOOK, tmp_path, **QUIET))
    assert after["1.wav.png"] != before["1.wav.png"] and after["2.flac.png"] == before["2.flac.png"]
    assert [path for method, path, *_ in s3.asked if method == "GET"].count("/fresh/2.flac") == 1


def test_an_object_that_vanishes_or_may_not_be_read_is_a_row(s3, clips, tmp_path):
    s3.put(clips / "b", "rows")
    s3.fault = lambda method, path, _: 403 if path.endswith("2.flac") else None
    import fsspec

    fs = fsspec.filesystem("s3")
    listed = addresses.list_stored

    def and_then_deleted(folder):
        found = listed(folder)
        fs.rm_file("rows/1.wav")
        return found

    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning, match="2 of 2 clips could not be drawn"):
        patch.setattr("specimg.audio.find.list_stored", and_then_deleted)
        tree = render_tree("s3://rows", LOOK, tmp_path, **QUIET)
    reasons = tree.failures.set_index("path").reason
    assert reasons["1.wav"] == "is not there"
    assert reasons["2.flac"].startswith("may not be read (PermissionError") and "give an account" in reasons["2.flac"]
    s3.fault = lambda *request: None
    assert len(render_tree("s3://rows", LOOK, tmp_path, **QUIET)) == 1  # the one that is there, and may be read now


def test_what_cannot_be_listed_is_an_error_that_says_why(s3, tmp_path):
    with pytest.raises(FileNotFoundError, match="'s3://no-such-bucket' is not there"):
        render_tree("s3://no-such-bucket", LOOK, tmp_path, **QUIET)
    s3.fault = lambda *request: 403
    with pytest.raises(PermissionError, match="'s3://closed/x' may not be read .*give an account"):
        render_tree("s3://closed/x", LOOK, tmp_path, **QUIET)
    assert not list(tmp_path.iterdir())


def test_wrong_credentials(s3, tmp_path):
    import urllib.request

    def checked(after):
        asked = urllib.request.Request(f"{s3.url}/moto-api/reset-auth", after, {"Content-Type": "text/plain"})
        urllib.request.urlopen(asked, timeout=10).close()

    checked(b"0")
    try:
        with pytest.raises(
            PermissionError, match="Access Key Id you provided does not exist .*give an account"
        ) as caught:
            render_tree("s3://night", LOOK, tmp_path, **QUIET)
        assert "wJalrSECRET" not in str(caught.value)
    finally:
        checked(b"inf")


def test_a_connection_that_breaks_inside_a_recording_is_no_damage(s3, longs, capfd):
    s3.put(longs, "torn")
    s3.fault = lambda method, path, span: 500 if span and not span.startswith("bytes=0-") else None
    for name in ("long.wav", "long.flac", "long.ogg"):
        with pytest.raises(AudioError, match="cannot be read: ") as caught:
            read_audio(f"s3://torn/{name}", Audio(damaged="partial"), start=150 if name != "long.ogg" else None)
        assert "cut short" not in str(caught.value) and "damaged" not in str(caught.value)
    *whole, last = stream_spans("s3://torn/long.wav", 10)
    assert len(whole) == 1 and last.y is None and "cannot be read" in last.reason and last.start < 20
    assert capfd.readouterr() == ("", "")  # C libraries print what their callbacks raise


def test_a_store_that_is_gone_ends_the_run_and_what_is_drawn_stays(s3, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(specimg.core.parallel, "CHUNK", 1)
    with serving() as store:
        for name, value in environment(store.url).items():
            monkeypatch.setenv(name, value)
        store.put(clips / "b", "gone")
        first = store.app

        def answer(environ, start_response):
            if environ["PATH_INFO"].endswith("2.flac"):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return first(environ, start_response)

        store.app = answer
        with pytest.raises(ConnectionError, match="2.flac'.* is out of reach .*what is drawn is kept: call again"):
            render_tree("s3://gone", LOOK, tmp_path, **QUIET)
        assert len(list(tmp_path.glob("*/images/*.png"))) == 1
        store.app = first
        store.asked.clear()
        assert len(render_tree("s3://gone", LOOK, tmp_path, **QUIET)) == 2
        assert not any(path.endswith("1.wav") for _, path, *_ in store.asked)
    with pytest.raises(OutOfReachError, match="is out of reach .*check the endpoint"):
        read_audio("s3://gone/1.wav")
