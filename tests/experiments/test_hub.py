"""Classifiers, learners, runs and trees on the Hub: only what is theirs goes, it comes back byte for byte, and is checked and heard before it answers."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import yaml
from bundles import LOOK, edited, make_sounds, signed, train

import specimg as sp
from specimg.cli import main
from specimg.core.files import files_below
from specimg.core.hub import parse_address
from specimg.inference import opening
from specimg.training import fit


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"), n=3)


@pytest.fixture(scope="module")
def learn(sounds):
    return train(sounds)


@pytest.fixture(scope="module")
def saved(learn, tmp_path_factory):
    return sp.save_classifier(learn, tmp_path_factory.mktemp("bundles") / "three-tones", golden=2)


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "three-tones")


@pytest.fixture(scope="module")
def run(sounds, tmp_path_factory):
    comp = sp.Competition("tones", sounds.folder, sounds.table[["path", "label"]])
    return sp.cross_validate(
        comp, LOOK, "test_resnet", sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), folds=2, log=None,
        out=tmp_path_factory.mktemp("runs") / "first", learner=dict(pretrained=False),
        loaders=dict(bs=4, cache=sounds.folder / "cache", progress=False, num_workers=0, n_jobs=1),
    )  # fmt: skip


def contents(folder):
    return {name: Path(folder, name).read_bytes() for name, _ in files_below(folder)}


def there(hub, name="user/tones"):
    return hub.repo(name).at("main")[1]


def quietly(**options):
    return {"license": "cc-by-4.0", **options}


# ---------------------------------------------------------------------- a classifier


def test_a_folder_comes_back_as_it_went_and_predicts_the_same(hub, folder, sounds):
    address = sp.push_to_hub(folder, "user/tones", license="cc-by-4.0", message="three tones")
    files, own = there(hub), contents(folder)
    assert set(files) == set(own)
    changed = {name for name in own if files[name] != own[name]}
    assert changed == {"README.md", "classifier.json"}  # the card, and its digest
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = sp.load_classifier("hf://user/tones")
    assert contents(clf.about["folder"]) == files and hub.repo("user/tones").messages == ["three tones"]
    assert sp.load_classifier(folder).predict(sounds.files).equals(clf.predict(sounds.files))
    assert (
        address == f"hf://user/tones@{hub.repo('user/tones').refs['main']}"
        and sp.load_classifier(address).vocab == clf.vocab
    )
    assert sp.check_classifier("hf://user/tones")["verdict"].tolist() == ["same", "same"]


def metadata(card):
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_the_card_has_what_the_hub_reads(hub, folder):
    sp.push_to_hub(folder, "user/tones", license="cc-by-4.0", datasets="user/beeps", widgets=True)
    card = there(hub)["README.md"]
    about = metadata(card)
    assert (about["library_name"], about["pipeline_tag"], about["license"]) == (
        "specimg",
        "audio-classification",
        "cc-by-4.0",
    )
    assert "specimg" in about["tags"] and about["datasets"] == ["user/beeps"]
    [result] = about["model-index"][0]["results"]
    [metric] = result["metrics"]
    kept = sp.load_classifier(folder).about["training"]["scores"][0]
    assert result["dataset"] == {"name": "user/beeps", "type": "user/beeps", "split": "validation"}
    assert (metric["type"], metric["value"]) == ("accuracy", kept["score"])
    assert metric["args"] == {"low": kept["low"], "high": kept["high"], "level": 0.95, "clips": kept["clips"]}
    assert "95 % interval" in metric["name"]
    first = about["widget"][0]
    assert (
        first["src"] == f"{hub.address}/user/tones/resolve/main/golden/0-high.wav" and first["example_title"] == "high"
    )
    assert sum(part["score"] for part in first["output"]) == pytest.approx(1, abs=1e-3)
    assert b"sp.load_classifier('hf://user/tones')" in card and b"`specimg check hf://user/tones`" in card


def test_widgets_only_where_sharing_is_said_and_what_people_wrote_stays(hub, folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(
        f"---\nlicense: mit\ntags: [beeps]\nlanguage: en\n---\n{text}\nRecorded by Ann.\n"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*README.md is not the file that was saved")
        warnings.filterwarnings("error", "no licence")
        sp.push_to_hub(folder, "user/tones")
    card = there(hub)["README.md"]
    about = metadata(card)
    assert (
        "widget" not in about and about["license"] == "mit" and about["language"] == "en" and "beeps" in about["tags"]
    )
    assert card.decode().count("\n---\n") == 1 and card.endswith(b"Recorded by Ann.\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # its digest is that of the new card
        sp.load_classifier("hf://user/tones")


def test_a_licence_is_asked_for(hub, folder):
    with pytest.warns(UserWarning, match="no licence is named.*license="):
        sp.push_to_hub(folder, "user/tones")


def test_only_what_belongs_to_it_goes_and_nothing_that_is_damaged(hub, folder):
    (folder / "secret.txt").write_text("s")
    (folder / "learner.pkl").write_bytes(b"x")
    with pytest.warns(UserWarning, match="2 files .* not the classifier's"):
        sp.push_to_hub(folder, "user/tones", **quietly())
    assert not {"secret.txt", "learner.pkl"} & set(there(hub))
    (folder / "golden" / "0-high.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="golden/0-high.wav has 4 of its"):
        sp.push_to_hub(folder, "user/other", **quietly())
    assert ("model", "user/other") not in hub.repos


def test_links_are_refused(hub, folder):
    weights = folder / "weights.safetensors"
    weights.rename(folder.parent / "elsewhere")
    weights.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ValueError, match="is a link"):
        sp.push_to_hub(folder, "user/tones", **quietly())


def test_learners_trainings_and_classifiers(hub, learn, sounds, tmp_path):
    sp.push_to_hub(learn, "user/learner", golden=0, **quietly())
    assert set(there(hub, "user/learner")) == {"README.md", "classifier.json", "weights.safetensors"}
    assert (
        there(hub, "user/learner")["README.md"].startswith(b"---\n")
        and b"\n# learner\n" in there(hub, "user/learner")["README.md"]
    )
    own = train(sounds)
    with own.no_bar(), own.no_logging():
        fit(own, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out=tmp_path / "trained")
    sp.push_to_hub(
        tmp_path / "trained", "user/training", golden=1, **quietly()
    )  # its checkpoint is a pickle, and stays
    assert set(there(hub, "user/training")) == {
        "README.md", "classifier.json", "weights.safetensors", "golden/golden.json", "golden/0-high.wav", "golden/0-high.png"
    }  # fmt: skip
    files = sounds.files[:3]
    assert (
        sp.load_classifier("hf://user/training")
        .predict(files)
        .equals(sp.load_classifier(tmp_path / "trained").predict(files))
    )
    with pytest.raises(ValueError, match="a list cannot be pushed; give a learner"):
        sp.push_to_hub([1], "user/tones")
    with pytest.raises(ValueError, match="is no classifier, training, run or tree; did you mean .*trained"):
        (tmp_path / "x").mkdir()
        shutil.copytree(sp.save_classifier(learn, tmp_path / "c", golden=0), tmp_path / "x" / "trained")
        sp.push_to_hub(tmp_path / "x", "user/tones")


def test_a_second_push_leaves_nothing_of_the_first(hub, learn, saved):
    sp.push_to_hub(saved, "user/tones", **quietly())
    assert any(name.startswith("golden/") for name in there(hub))
    sp.push_to_hub(learn, "user/tones", golden=0, **quietly())
    assert set(there(hub)) == {"README.md", "classifier.json", "weights.safetensors"}


# ---------------------------------------------------------------------- what came down


def forged(hub, saved, change, tmp_path):
    """A repository with a classifier that somebody changed."""
    copy = shutil.copytree(saved, tmp_path / "forged")
    change(copy)
    hub.put("user/forged", contents(copy))


def refuse_pickle(folder):
    (folder / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    signed(folder, "weights.safetensors")


@pytest.mark.parametrize(
    "change, match",
    [
        (refuse_pickle, "weights.safetensors is not a safetensors file"),
        (edited(lambda s: s["network"].__setitem__("arch", "hf-hub:evil/net")), "network.arch is 'hf-hub:evil/net'"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"1"), "has 1 of its"),
        (lambda f: (f / "classifier.json").unlink(), "is not a classifier: it has no classifier.json"),
        (lambda f: (f / "model.pkl").write_bytes(b"x"), "holds model.pkl: a pickle runs whatever code"),
    ],
)
def test_every_check_of_a_folder_is_one_of_what_came_down(hub, saved, tmp_path, change, match):
    forged(hub, saved, change, tmp_path)
    with pytest.raises(ValueError, match=match):
        sp.load_classifier("hf://user/forged")


def drifted(folder):
    """Another probability than was predicted, signed: as if today's libraries predicted otherwise."""
    file = folder / "golden" / "golden.json"
    held = json.loads(file.read_text())
    held["clips"][0]["probabilities"] = held["clips"][0]["probabilities"][::-1]
    held["versions"]["timm"] = "0.1"
    file.write_text(json.dumps(held))
    signed(folder, "golden/golden.json")


def test_golden_clips_are_heard_once_a_commit_and_drift_is_said_each_time(hub, saved, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(opening, "check_loaded", lambda *a, was=opening.check_loaded: heard.append(a) or was(*a))
    forged(hub, saved, drifted, tmp_path)
    for _ in range(2):
        with pytest.warns(
            UserWarning,
            match=r"hf://user/forged: 1 of 2 golden clips are predicted differently .*, by up to 0\..*timm 0\.1 -> ",
        ):
            sp.load_classifier("hf://user/forged")
    assert len(heard) == 1
    hub.put("user/forged", contents(saved))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sp.load_classifier("hf://user/forged")
    assert len(heard) == 2
    monkeypatch.setattr(opening, "versions_now", lambda: {"torch": "99"})
    sp.load_classifier("hf://user/forged")
    assert len(heard) == 3  # other libraries


def test_a_run_is_no_classifier(hub, run):
    sp.push_to_hub(run, "user/run", **quietly())
    with pytest.raises(
        ValueError, match=r"'hf://user/run' is the run of a cross-validation; Run.open\('hf://user/run'\)"
    ):
        sp.load_classifier("hf://user/run")


# ---------------------------------------------------------------------- runs, trees, data sets


def test_a_run_travels(hub, run):
    sp.push_to_hub(run.folder, "user/run", **quietly())
    files = there(hub, "user/run")
    assert {
        "run.toml",
        "run.json",
        "score.json",
        "folds.csv",
        "seed0-fold1/oof.npz",
        "seed0-fold0/classifier/classifier.json",
    } <= set(files)
    assert not any("checkpoint" in name or name.endswith("lock") for name in files)
    back = sp.Run.open("hf://user/run")
    assert back.score == run.score and back.oof.equals(run.oof) and back.history.equals(run.history)
    assert contents(back.folder) == files and back.classifier().vocab == run.classifier().vocab
    [metric] = metadata(files["README.md"])["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == float(run.score) and "out of fold" in metric["name"]


def test_a_tree_travels(hub, sounds, tmp_path):
    tree = sp.render_tree(sounds.folder, LOOK, cache=tmp_path, progress=False, n_jobs=1)
    sp.push_to_hub(tree, "user/tree", **quietly())
    back = sp.SpecTree.open("hf://user/tree")
    assert len(back) == len(tree) == 9 and back.table.equals(tree.table) and not len(back.verify())
    assert contents(back.root) == there(hub, "user/tree")
    assert contents(tree.root) == {name: data for name, data in contents(back.root).items() if name != "README.md"}
    next(tree.images.glob("*.png")).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="1 pictures of .* are damaged"):
        sp.push_to_hub(tree.root, "user/tree2", **quietly())


def test_a_data_set_of_the_hub_is_an_input(hub, sounds, tmp_path, capsys):
    rows = "file_name,label\n" + "".join(
        f"train/{path},{label}\n" for path, label in zip(sounds.table["path"], sounds.table["label"])
    )
    files = {f"train/{file.name}": file.read_bytes() for file in sounds.files}
    hub.put("user/beeps", {**files, "metadata.csv": rows.encode(), "README.md": b"# beeps"}, kind="dataset")
    hub.repo("user/beeps", "dataset").card = {"license": "cc0-1.0"}
    folder = sp.fetch("hf://datasets/user/beeps", tmp_path / "data", progress=False)
    assert "hf://datasets/user/beeps: " in (said := capsys.readouterr().out) and "in 11 files; licence: cc0-1.0" in said
    assert (
        folder.parent.name == "datasets--user--beeps"
        and {n: d for n, d in contents(folder).items() if n in files} == files
    )
    assert sp.labels_from_audiofolder(folder)["label"].value_counts().to_dict() == {"high": 3, "label": 3, "path": 3}
    dls = sp.SpecDataLoaders.from_audiofolder(
        folder, renderer=LOOK, cache=tmp_path / "trees", bs=2, n_jobs=1, progress=False, num_workers=0
    )
    assert len(dls.train_ds) + len(dls.valid_ds) == 9
    with pytest.raises(ValueError, match="hf://user/beeps is no data set; those begin with hf://datasets/"):
        sp.fetch("hf://user/beeps")


# ---------------------------------------------------------------------- the command line


def test_commands_push_and_take_addresses(hub, folder, run, sounds, tmp_path, capsys):
    assert main(["push", str(folder), "user/tones", "--license", "cc-by-4.0", "--private"]) == 0
    address, url = capsys.readouterr().out.splitlines()
    assert (
        parse_address(address).repo == "user/tones"
        and url == f"{hub.address}/user/tones"
        and hub.repo("user/tones").private
    )
    wav = str(sounds.files[0])
    assert main(["predict", "hf://user/tones", wav]) == 0 and wav in capsys.readouterr().out
    assert main(["check", "hf://user/tones"]) == 0 and "same" in capsys.readouterr().out
    assert main(["push", str(run.folder), "user/run", "--license", "mit"]) == 0
    assert (
        main(["predict", "hf://user/run", wav]) == 0
        and main(["report", "hf://user/run", "--out", str(tmp_path / "r.html")]) == 0
    )
    capsys.readouterr()
    assert main(["predict", "hf://user/none", wav]) == 1
    assert capsys.readouterr().err.startswith("specimg: the Hub has no model 'user/none' that you may read")
