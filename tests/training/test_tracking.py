"""Who follows a training is told what it is, every epoch once, and the end with its pictures and its report; and cannot stop it."""

import json
import struct

import pytest
from bundles import LOOK, make_sounds, train
from fastai.vision.all import Callback

import specimg as sp
from specimg.training import Recipe, Track, fit, list_trackers, tracking
from specimg.training.tracking import as_track

RECIPE = Recipe(epochs=3, freeze_epochs=0, lr=1e-3, seed=0)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"), n=3)


@pytest.fixture
def learn(sounds):
    learn = train(sounds)
    with learn.no_bar(), learn.no_logging():
        yield learn


class Notes:
    """A tracker that writes down what it is told."""

    package, way_out, told, broken = "json", "mend it", [], ()

    def __init__(self, track, about, place, known, epochs):
        if "begin" in self.broken:
            raise RuntimeError("no\nkey")
        self.id = known or f"id-{len(self.told)}"
        self.note("begin", name=track.name, group=track.group, known=known, epochs=epochs, about=about)

    def note(self, what, **more):
        if what in self.broken:
            raise RuntimeError("down")
        self.told.append({"what": what, "id": self.id, **more})

    def numbers(self, numbers, epoch):
        self.note("numbers", epoch=epoch, numbers=numbers)

    def picture(self, name, picture):
        self.note("picture", name=name, size=picture.size)

    def file(self, name, path):
        self.note("file", name=name, head=path.read_text()[:15])

    def close(self, status):
        self.note("close", status=status)


@pytest.fixture
def notes(monkeypatch):
    monkeypatch.setitem(tracking.TRACKERS, "notes", Notes)
    monkeypatch.setattr(Notes, "told", [])
    monkeypatch.setattr(Notes, "broken", ())
    return Notes


def of(told, what):
    return [each for each in told if each["what"] == what]


class StopAfter(Callback):
    """The training is stopped when an epoch is done and kept."""

    order = 99
    run_valid = False

    def __init__(self, epoch):
        self.stop = epoch

    def after_epoch(self):
        if self.epoch + 1 == self.stop:
            raise KeyboardInterrupt


# ---------------------------------------------------------------------- names


def test_an_unknown_name_lists_the_choices_before_anything_is_trained(learn, tmp_path):
    assert list_trackers() == ["mlflow", "tensorboard", "wandb"]
    with pytest.raises(
        ValueError, match="unknown tracker 'wandbb'; did you mean 'wandb'. choose one of mlflow, tensorboard, wandb"
    ):
        fit(learn, RECIPE, tmp_path / "out", track="wandbb")
    with pytest.raises(ValueError, match="track=3: give one of mlflow, tensorboard, wandb, or a Track"):
        fit(learn, RECIPE, tmp_path / "out", track=3)
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_missing_is_named_with_its_install(notes, monkeypatch):
    monkeypatch.setattr(notes, "package", "no_such_package")
    with pytest.raises(
        ModuleNotFoundError, match="track='notes' needs the package no_such_package: pip install no_such_package"
    ):
        as_track("notes")


# ---------------------------------------------------------------------- one training


def test_a_training_is_told_from_its_recipe_to_its_report(notes, learn, tmp_path):
    history = fit(learn, RECIPE, tmp_path / "first", track="notes", predictions=False)
    assert [each["what"] for each in notes.told] == ["begin", *["numbers"] * 3, *["picture"] * 3, "file", "close"]
    [begun] = of(notes.told, "begin")
    assert begun["name"] == "first" and begun["known"] is None
    about = begun["about"]
    assert about["recipe"]["epochs"] == 3 and about["renderer"]["representation"]["n_mels"] == 16
    assert about["network"]["arch"] == "test_resnet" and json.dumps(about)
    for row, told in zip(history.to_dict("records"), of(notes.told, "numbers")):
        assert told["epoch"] == row["epoch"]
        assert told["numbers"] == {
            name: row[name] for name in ("lr", "train_loss", "valid_loss", "accuracy", "error_rate", "seconds")
        }
    assert [each["name"] for each in of(notes.told, "picture")] == ["learning_curves", "top_losses", "confusion"]
    assert of(notes.told, "file")[0]["head"] == "<!DOCTYPE html>" and notes.told[-1]["status"] == "finished"


def test_a_training_that_was_stopped_stays_one(notes, learn, sounds, tmp_path):
    with pytest.raises(KeyboardInterrupt), learn.added_cbs([StopAfter(2)]):
        fit(learn, RECIPE, tmp_path / "first", track="notes")
    assert notes.told[-1] == {"what": "close", "id": "id-0", "status": "killed"}
    again = train(sounds)
    with again.no_bar(), again.no_logging():
        fit(again, RECIPE, tmp_path / "first", track="notes")
        told = len(notes.told)
        fit(again, RECIPE, tmp_path / "first", track="notes")  # finished: there is nothing to follow
    first, second = of(notes.told, "begin")
    assert (second["known"], second["epochs"], second["id"]) == ("id-0", 2, first["id"])
    assert [each["epoch"] for each in of(notes.told, "numbers")] == [1, 2, 3] and len(notes.told) == told


def test_without_a_folder_nothing_is_written(notes, learn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(learn, RECIPE.replace(epochs=1), track=Track("notes", name="mine"))
    assert of(notes.told, "begin")[0]["name"] == "mine" and of(notes.told, "file") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken, kept", [("numbers", 0), ("picture", 1), ("close", 5)])
def test_a_library_that_fails_does_not_stop_the_training(notes, learn, monkeypatch, broken, kept):
    monkeypatch.setattr(notes, "broken", (broken,))
    with pytest.warns(UserWarning, match="notes no longer follows, the work goes on: RuntimeError: down"):
        history = fit(learn, RECIPE.replace(epochs=1), track="notes")
    assert len(history) == 1 and len(notes.told) == 1 + kept


def test_a_library_that_does_not_begin_is_an_error_with_the_way_out(notes, learn, monkeypatch):
    monkeypatch.setattr(notes, "broken", ("begin",))
    with pytest.raises(
        ValueError, match=r"notes does not begin \(RuntimeError: no key\); mend it, or leave track= out"
    ):
        fit(learn, RECIPE, track="notes")


@pytest.mark.parametrize(
    "text", ['{"notes": 3}', '{"notes": {"id": "../x", "epochs": 1}}', '{"notes": {"id": "a", "epochs": -1}}', "{"]
)
def test_a_note_that_is_damaged_is_said(notes, learn, tmp_path, text):
    with pytest.raises(KeyboardInterrupt), learn.added_cbs([StopAfter(1)]):
        fit(learn, RECIPE, tmp_path, track="notes")
    (tmp_path / "tracking.json").write_text(text)
    with pytest.raises(ValueError, match="tracking.json"):
        fit(learn, RECIPE, tmp_path, track="notes")


def test_a_run_is_a_group_of_its_networks(notes, sounds, tmp_path):
    comp = sp.Competition("tones", sounds.folder, sounds.table[["path", "label"]])
    options = dict(bs=4, cache=sounds.folder / "cache", progress=False, num_workers=0, n_jobs=1)

    def call():
        return sp.cross_validate(
            comp, LOOK, "test_resnet", RECIPE.replace(epochs=1), folds=2, out=tmp_path / "r34", log=None, track="notes",
            learner=dict(pretrained=False), loaders=options,
        )  # fmt: skip

    run = call()
    begun, group = of(notes.told, "begin"), f"r34 ({run.about['begun']})"
    assert [each["name"] for each in begun] == ["fold 0, seed 0", "fold 1, seed 0", group]
    assert {each["group"] for each in begun} == {group}
    assert len({each["id"] for each in begun}) == 3
    whole = [each for each in notes.told if each["id"] == begun[2]["id"]]
    assert whole[1]["numbers"]["score"] == float(run.score)
    assert (
        [each["name"] for each in of(notes.told, "file")] == ["report"] == [each["name"] for each in of(whole, "file")]
    )
    told = len(notes.told)
    call()
    assert len(notes.told) == told


# ---------------------------------------------------------------------- the libraries themselves


def halves(sounds, out, track):
    """A training of three epochs, stopped after two and resumed; the history."""
    learn = train(sounds)
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt), learn.added_cbs([StopAfter(2)]):
        fit(learn, RECIPE, out, track=track)
    again = train(sounds)
    with again.no_bar(), again.no_logging():
        return fit(again, RECIPE, out, track=track)


def test_tensorboard_reads_it_back(sounds, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = halves(sounds, tmp_path / "first", "tensorboard")
    found = EventAccumulator(str(tmp_path / "first" / "tensorboard"))
    found.Reload()
    for name in ("train_loss", "valid_loss", "accuracy", "lr"):
        points = found.Scalars(name)
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx(history[name].tolist(), rel=1e-6)
    assert found.Tags()["images"] == ["learning_curves", "top_losses", "confusion"]
    [about] = found.Tensors("about/text_summary")
    assert b'"n_mels": 16' in about.tensor_proto.string_val[0]
    assert (tmp_path / "first" / "tensorboard" / "report.html").read_text().startswith("<!DOCTYPE html>")


def wandb_records(file):
    """The records of an offline run: a log as LevelDB writes it, in blocks of 32 kB, of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole = data[at + 7 : at + 7 + length] if kind in (1, 2) else whole + data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(whole)


def test_wandb_keeps_it_offline(sounds, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    history = halves(sounds, tmp_path / "first", Track("wandb", project="tones"))
    ids, rows, files = set(), [], []
    for file in sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb")):
        for record in wandb_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                ids.add((record.run.run_id, record.run.project, record.run.display_name))
            elif kind == "history":
                rows.append(
                    {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                )
            elif kind == "artifact":
                files += [record.artifact.type]
    assert len(ids) == 1 and next(iter(ids))[1:] == ("tones", "first")
    curves = [row for row in rows if "train_loss" in row]
    assert [row["epoch"] for row in curves] == [1, 2, 3]
    assert [row["train_loss"] for row in curves] == pytest.approx(history["train_loss"].tolist())
    assert {"learning_curves", "top_losses", "confusion"} <= {name for row in rows for name in row} and files == [
        "report"
    ]


def test_mlflow_keeps_it_in_a_store_of_files(sounds, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    try:
        history = halves(sounds, tmp_path / "first", "mlflow")
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name("specimg").experiment_id
        [one] = client.search_runs([experiment])
        assert one.info.run_name == "first" and one.info.status == "FINISHED"
        assert one.data.params["recipe.epochs"] == "3" and one.data.params["network.arch"] == "test_resnet"
        points = client.get_metric_history(one.info.run_id, "valid_loss")
        assert [(point.step, point.value) for point in points] == list(zip([1, 2, 3], history["valid_loss"]))
        kept = {file.path for file in client.list_artifacts(one.info.run_id)}
        assert kept == {"about.json", "learning_curves.png", "top_losses.png", "confusion.png", "report.html"}
        with tracking.followed(Track("mlflow", name="fold 0", group="r34"), {}, None):
            pass
        for arch in ("resnet34", "resnet50"):  # the second one's is not the first one's, and MLflow keeps the first
            with tracking.followed(Track("mlflow", name="r34", group="r34"), {"arch": arch}, None) as parent:
                parent.add({"epoch": 1, "map@3": 0.5})
        runs = {each.info.run_name: each for each in client.search_runs([experiment])}
        assert runs["fold 0"].data.tags["mlflow.parentRunId"] == runs["r34"].info.run_id
        assert runs["r34"].data.metrics == {"map_3": 0.5} and runs["r34"].data.params == {"arch": "resnet34"}
    finally:
        mlflow.set_tracking_uri(before)
