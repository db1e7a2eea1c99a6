"""The folder of a run that came from elsewhere, was damaged, or is on a full disk: said in a sentence, and nothing outside it is touched."""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import fuzz_folder
import numpy as np
import pytest
from memory import cost_of

from specimg.core.files import OutsideError
from specimg.experiments import Run, cross_validate, fold_training
from specimg.experiments.fold_training import drop_checkpoints
from specimg.experiments.storage import claimed
from specimg.reports import report
from specimg.training import Predictions


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the recordings of a competition, and a whole run on them in run/."""
    folder = tmp_path_factory.mktemp("home")
    fuzz_folder.make_run(folder)
    return folder


@pytest.fixture
def folder(home, tmp_path):
    """A copy of the run."""
    return Path(shutil.copytree(home / "run", tmp_path / "run"))


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's beside it."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("precious.txt", "lock", "recipe.toml"):
        (mine / name).write_text("mine")
    return mine


def go(home, out, **changes):
    """The call of which `home` has the result."""
    run = Run(home / "run")
    options = {"loaders": run.config.loaders, "learner": run.config.learner, "log": None, **changes}
    return cross_validate(
        fuzz_folder.run_competition(home),
        run.config.renderer,
        run.config.arch,
        run.config.recipe,
        folds=2,
        out=out,
        **options,
    )


def untouched(mine):
    return {file.name: file.read_text() for file in mine.iterdir()} == dict.fromkeys(
        ["precious.txt", "lock", "recipe.toml"], "mine"
    )


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize(
    "link",
    [
        "seed0-fold0",
        "seed0-fold0/fit",
        "seed0-fold0/classifier",
        "seed0-fold0/lock",
        "seed0-fold0/oof.npz",
        "score.json",
    ],
)
@pytest.mark.parametrize("target", ["mine", "mine/precious.txt"])
def test_links_in_a_run_are_refused_and_what_they_lead_to_is_left_alone(link, target, folder, mine, home):
    there = folder / link
    if there.is_dir():
        shutil.rmtree(there)
    there.unlink(missing_ok=True)
    there.symlink_to(mine.parent / target)
    (folder / "seed0-fold0/done.json").unlink(
        missing_ok=True
    ) if link != "seed0-fold0" else None  # it is to be trained again
    for call in (
        lambda: Run.open(folder),
        lambda: go(home, folder),
        lambda: report(folder, folder.parent / "page.html"),
    ):
        with pytest.raises(
            OutsideError, match=f"{link}' is a link, and could lead out of .*; remove it, or put in its place"
        ):
            call()
    assert untouched(mine)


def test_a_run_that_has_only_begun_is_not_begun_through_links(folder, mine, home):
    """Where the last part, folds.csv, is missing, the folder may hold what a killed call left, and nothing else."""
    (folder / "folds.csv").unlink()
    for name in list(os.listdir(folder)):
        if (folder / name).is_dir() or name == "score.json":
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    (folder / "run.toml").unlink()
    (folder / "run.toml").symlink_to(mine / "recipe.toml")
    go(home, folder, only=[])
    assert untouched(mine) and not (folder / "run.toml").is_symlink()
    (folder / "folds.csv").unlink()
    (folder / "seed0-fold0").symlink_to(mine)
    with pytest.raises(ValueError, match="holds .*seed0-fold0.*, and no run"):
        go(home, folder)
    assert untouched(mine)


def test_a_lock_and_checkpoints_of_a_fold_are_not_reached_through_links(folder, mine):
    """The two deepest mechanisms, called without what opens the run before them."""
    fold_run = Run(folder).planned[0]
    (fold_run.folder / "lock").symlink_to(mine / "lock")
    with pytest.raises(OutsideError, match="lock' is not a plain file"), claimed(fold_run):
        pass
    (fold_run.folder / "lock").unlink()
    with claimed(fold_run) as free:
        assert free
    shutil.rmtree(fold_run.folder / "fit")
    (mine.parent / "elsewhere/checkpoints").mkdir(parents=True)
    (fold_run.folder / "fit").symlink_to(mine.parent / "elsewhere")
    with pytest.raises(OutsideError, match="fit' is a link"):
        drop_checkpoints(fold_run)
    assert (mine.parent / "elsewhere/checkpoints").is_dir() and untouched(mine)


# ---------------------------------------------------------------------- paths


def rewritten(file, **columns):
    """Predictions with other cells in the first row."""
    p = Predictions.load(file)
    table = p.table.copy()
    for name, cell in columns.items():
        table[name] = table[name].astype(object)
        table.loc[0, name] = cell
    Predictions(table, p.probs, p.vocab, None, p.is_multi).save(file)


@pytest.mark.parametrize("path", ["/home/you/secret.wav", "../../secret.wav", "a/../../secret.wav", "a\0.wav"])
@pytest.mark.parametrize("name", ["seed0-fold0/oof.npz", "folds.csv", "answers.csv"])
def test_names_that_lead_out_of_a_run_are_refused_on_opening(path, name, folder):
    file = folder / name
    if name.endswith(".npz"):
        rewritten(file, path=path)
    else:
        rows = file.read_text().splitlines()
        at = rows[0].split(",").index("path")
        cells = rows[1].split(",")
        cells[at] = path
        file.write_text("\n".join([rows[0], ",".join(cells), *rows[2:]]))
    with pytest.raises(
        ValueError, match=f"{Path(name).name}.*(leads out of|is an absolute path|zero byte|line contains NUL)"
    ):
        Run.open(folder).oof


def test_a_page_embeds_no_recording_or_picture_that_a_file_only_names(home, folder, mine, tmp_path):
    """The page of a stranger's predictions, which may be passed on, holds nothing of the user's but what lies in the named folders."""
    secret = mine.parent / "secret.wav"
    shutil.copy(home / "high1.wav", secret)
    picture = mine.parent / "secret.png"
    shutil.copy(next((home / "cache").rglob("high1.wav.png")), picture)
    file = folder / "seed0-fold0/oof.npz"
    plain = (Path(report(file, tmp_path / "plain.html", cam=0, progress=False))).read_text()
    rewritten(file, path=str(secret), picture=str(picture))
    page = Path(report(file, tmp_path / "page.html", cam=0, progress=False)).read_text()
    assert "names a recording outside their folder, which is not opened; name the folder with audio=" in page
    n = len(Predictions.load(file))
    assert f"{n} of {n} sounds embedded" in plain and f"{n - 1} of {n} sounds embedded" in page
    assert f"{n} pictures embedded" in plain and f"{n - 1} pictures embedded" in page
    named = Path(report(file, tmp_path / "named.html", cam=0, progress=False, audio=mine.parent)).read_text()
    assert f"1 of {n} sounds embedded" in named  # the user names the folder in which it lies


def test_a_page_of_ones_own_run_is_as_before(home, tmp_path):
    page = Path(report(home / "run", tmp_path / "page.html", cam=0, progress=False)).read_text()
    assert "8 of 8 sounds embedded" in page and "8 pictures embedded" in page


# ---------------------------------------------------------------------- damaged, or of another kind


def edited(name, change):
    def edit(folder):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(told)))

    return edit


def put(name, **entries):
    return edited(name, lambda told: {**told, **entries})


@pytest.mark.parametrize(
    "damage, message",
    [
        (edited("run.json", lambda told: [told]), "run.json' is a list, and no object"),
        (put("run.json", versions=["x"]), "run.json': its entry 'versions' is"),
        (put("run.json", size=[0, "x"]), "run.json': its entry 'size' is"),
        (put("run.json", tree=3), "run.json': its entry 'tree' is 3"),
        (edited("competition.json", lambda told: {}), "competition.json' does not hold the entries slug"),
        (put("competition.json", vocab="ab"), "its entry 'vocab' is 'ab'"),
        (put("competition.json", vocab=["a", "a"]), "no list of different labels"),
        (put("competition.json", slug="a\x1b[2J"), r"its entry 'slug' is 'a\\x1b"),
        (put("competition.json", metric="lwlrap"), "the metric lwlrap is not for labels of this kind"),
        (put("competition.json", metric="nonsense"), "unknown metric 'nonsense'"),
        (put("competition.json", format={"kind": "mel"}), "cannot be read"),
        (lambda f: (f / "folds.csv").write_text("path\n"), "cannot be read: it has no 'fold'|no fold"),
        (lambda f: (f / "folds.csv").write_text("path,fold\na.wav,x\n"), "folds.csv' is not a table that a run writes"),
        (lambda f: (f / "folds.csv").write_text(f"path,fold\na.wav,{'9' * 30}\n"), "folds.csv' is not a table"),
        (lambda f: (f / "folds.csv").write_text("path,fold\na.wav\n"), "a row is too short|columns passed"),
        (lambda f: (f / "folds.csv").write_text('path,fold\n"' + "a" * 200_000), "folds.csv' is not a table"),
        (lambda f: (f / "answers.csv").write_text("id,id\n1,2\n"), "its columns lack 'path'"),
        (lambda f: (f / "answers.csv").write_text("path\na.wav\n"), "answers.csv' lacks the column 'id'"),
        (lambda f: (f / "answers.csv").write_bytes(b"path\n\xff\n"), "cannot be read"),
        (lambda f: (f / "run.toml").write_text("seeds = 1000000000\n"), "seeds=1000000000: it must be 1 to 1000"),
        (lambda f: (f / "run.toml").write_text('arch = "a\\u001b[2J"\n'), "it must be the name of a network"),
        (lambda f: (f / "run.toml").write_text("x = 1\n"), "unknown field of RunConfig 'x'"),
    ],
)
def test_a_run_of_another_kind(damage, message, folder, home):
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        Run.open(folder)
    assert str(folder) in str(caught.value)
    with pytest.raises(ValueError):
        go(home, folder)


@pytest.mark.parametrize(
    "done, message",
    [
        ("", "is not JSON"),
        ("[]", "it is a list, and no object"),
        ("{}", "its entry 'score' is missing"),
        ('{"score": "x"}', "its entry 'score' is 'x'"),
        ('{"score": null, "low": null, "high": null, "clips": null}', "its entry 'clips' is None"),
        ('{"score": NaN}', "its entry 'score' is nan"),
        ('{"score": 1e400}', "its entry 'score' is inf"),
        ("[" * 100_000, "nested in more than 100 levels"),
    ],
)
def test_a_record_of_a_fold_that_is_none(done, message, folder, home):
    (folder / "seed0-fold1/done.json").write_text(done)
    way_out = "; remove the folder '.*seed0-fold1', and the same call trains this fold again; the others are kept"
    for call in (lambda: Run.open(folder).scores, lambda: go(home, folder)):
        with pytest.raises(ValueError, match=f"done.json' is broken .*{message}.*{way_out}"):
            call()
    shutil.rmtree(folder / "seed0-fold1")
    assert go(home, folder).scores["fold"].tolist() == [0, 1]  # the way out is one


@pytest.mark.parametrize("damage", ["missing", "other labels", "other kind", "bytes"])
def test_predictions_of_a_fold_that_are_none(damage, folder):
    file = folder / "seed0-fold1/oof.npz"
    p = Predictions.load(file)
    if damage == "missing":
        file.unlink()
    elif damage == "other labels":
        Predictions(p.table.drop(columns="target"), p.probs, ["a", "b"]).save(file)
    elif damage == "other kind":
        np.savez(file, probs=np.eye(2))
    else:
        file.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(
        ValueError, match="(oof.npz|seed0-fold1').*; remove the folder '.*seed0-fold1', and the same call trains"
    ):
        Run.open(folder).oof


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"score": "x", "low": 1, "high": 1, "clips": 1}', "{", "[" * 100_000, '{"of": 1}']
)
def test_a_score_that_cannot_be_read_is_computed_again_and_said(text, folder, home):
    whole = Run(home / "run").score
    (folder / "score.json").write_text(text)
    with pytest.warns(UserWarning, match="score.json' cannot be read .*; nothing is lost, the score is computed again"):
        assert Run.open(folder).score == whole
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        go(home, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Run.open(folder).score == whole and json.loads((folder / "score.json").read_text())["clips"] == 8


# ---------------------------------------------------------------------- a full disk, a killed worker


def test_a_full_disk_is_named_and_the_same_call_continues(home, tmp_path, mount_tmpfs, monkeypatch):
    disk = mount_tmpfs(tmp_path / "disk", "size=16m")
    usual = fold_training._predict_held_out

    def fill(learn, table, config):
        if "fold1" in str(learn.path):
            (disk / "full").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 4096)))
        return usual(learn, table, config)

    monkeypatch.setattr(fold_training, "_predict_held_out", fill)
    said = "no space left while writing into '.*disk/run': make room on its disk; finished folds and epochs are kept, and the same call"
    with pytest.raises(OSError, match=said):
        go(home, disk / "run")
    monkeypatch.undo()
    (disk / "full").unlink()
    log = []
    run = go(home, disk / "run", log=log.append)
    assert any("fold 0, seed 0: finished already" in line for line in log)
    assert any("is finished after 1 epoch: nothing is trained, its weights are loaded" in line for line in log)
    assert np.array_equal(run.predictions.probs, Run(home / "run").predictions.probs)


def test_a_killed_worker_is_said(home, tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise RuntimeError("DataLoader worker (pid(s) 4711) exited unexpectedly")

    monkeypatch.setattr("specimg.experiments.fold_work.train_fold", killed)
    said = r"a process that read or drew clips for '.*run' was killed, .*4711.*; finished folds and epochs are kept, .*num_workers=0, n_jobs=1"
    with pytest.raises(ChildProcessError, match=said):
        go(home, tmp_path / "run")


# ---------------------------------------------------------------------- what asks for memory


def test_a_table_of_too_many_rows(folder, monkeypatch):
    monkeypatch.setattr("specimg.experiments.task.MOST_ROWS", 7)
    with pytest.raises(ValueError, match="folds.csv' is not a table that a run writes: it has more than 7 rows"):
        Run.open(folder)


def npz(file, **arrays):
    """An .npz of members as they are given: bytes, or (header, packed zeros)."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)


def npy(array, shape=None):
    out = io.BytesIO()
    np.save(out, array)
    data = out.getvalue()
    if shape is None:
        return data
    text = repr({"descr": array.dtype.str, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return data[:8] + len(text).to_bytes(2, "little") + text.encode() + array.tobytes()


def about(n, **entries):
    told = {
        "format": 1,
        "vocab": ["high", "low"],
        "is_multi": False,
        "columns": {"path": ["a"] * n},
        "layers": [],
        **entries,
    }
    return npy(np.frombuffer(json.dumps(told).encode(), np.uint8))


BOMBS = {
    "run.toml, 10^9 seeds": lambda f: (f / "run.toml").write_text("seeds = 1000000000\n"),
    "run.toml, deep": lambda f: (f / "run.toml").write_text("a = " + "[" * 100_000),
    "run.toml, a key of 20,000 parts": lambda f: (f / "run.toml").write_text(".".join("a" * 20_000) + " = 1"),
    "run.json, deep": lambda f: (f / "run.json").write_text("[" * 1_000_000),
    "run.json, a hole of 1 TB": lambda f: os.truncate(f / "run.json", 10**12),
    "competition.json, deep": lambda f: (f / "competition.json").write_text('{"a":' * 100_000),
    "folds.csv, a hole of 1 TB": lambda f: os.truncate(f / "folds.csv", 10**12),
    "folds.csv, 100,000 folds and 1,000 seeds": lambda f: (
        (f / "folds.csv").write_text("path,fold\n" + "".join(f"a,{i}\n" for i in range(100_000))),
        (f / "run.toml").write_text("seeds = 1000\n"),
    ),
    "done.json, a hole of 1 TB": lambda f: os.truncate(f / "seed0-fold0/done.json", 10**12),
    "oof.npz, a shape of 80 GB": lambda f: npz(
        f / "seed0-fold0/oof.npz", about=about(1), probs=npy(np.zeros((1, 2), "f4"), (10**10, 2))
    ),
    "oof.npz, 128 MB of zeros packed": lambda f: npz(
        f / "seed0-fold0/oof.npz", about=about(1), probs=npy(np.zeros((2**24, 2), "f4"))
    ),
    "oof.npz, a table of 50 MB for one clip": lambda f: npz(
        f / "seed0-fold0/oof.npz",
        about=npy(np.frombuffer(b"[]," * 17_000_000, np.uint8)),
        probs=npy(np.zeros((1, 2), "f4")),
    ),
    "oof.npz, a table of 20 million lists": lambda f: npz(
        f / "seed0-fold0/oof.npz",
        about=npy(np.frombuffer(b"[]," * 20_000_000, np.uint8)),
        probs=npy(np.zeros((100_000, 1), "f4")),
    ),
    "oof.npz, a deep table": lambda f: npz(
        f / "seed0-fold0/oof.npz",
        about=npy(np.frombuffer(b"[" * 3_000_000, np.uint8)),
        probs=npy(np.zeros((1, 2), "f4")),
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_cost_little(bomb, folder):
    bomb(folder)
    cost = cost_of(lambda: (Run.open(folder).scores, Run.open(folder).oof))
    assert cost.error == "ValueError" and str(folder) in cost.message, cost
    assert cost.megabytes < 150 and cost.seconds < 5, cost
    print(f"{cost.megabytes:.0f} MB, {cost.seconds:.1f} s: {cost.message[-150:]}")


# ---------------------------------------------------------------------- by chance


def test_damage_by_chance(home, tmp_path):
    """`benchmarks/fuzz_folder.py --only run` does the same for as long as one likes."""
    import random

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [fuzz_folder.try_run(random.Random(seed), home / "run", tmp_path)[1] for seed in range(24)]
    assert set(results) == {"refused", "answered"} and results.count("refused") > 8
