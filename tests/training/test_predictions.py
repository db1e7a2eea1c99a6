"""One pass of a network kept as a table: its order, its numbers, and the file it is kept in."""

import functools
import json
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import (
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    FocalLossFlat,
    ImageDataLoaders,
    LabelSmoothingCrossEntropy,
    Learner,
    RandomErasing,
    vision_learner,
)
from PIL import Image
from sklearn.metrics import label_ranking_average_precision_score
from torch import nn
from torch.nn import functional as F

from specimg.audio import Audio
from specimg.data import SpecDataLoaders
from specimg.data.wave_loaders import WaveDataLoaders
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel
from specimg.training import Predictions, predict_all
from specimg.training.learner import spec_learner

LABELS = ["cat", "dog", "owl"]


def hand_made(**changes):
    """Four clips of two labels: the third is wrong."""
    paths, targets = ["a.wav", "b.wav", "c.wav", "d.wav"], ["no", "yes", "no", "yes"]
    given = {
        "table": pd.DataFrame({"path": paths, "target": targets, "loss": [0.1, 0.2, 2.0, 0.5]}),
        "probs": [[0.9, 0.1], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]],
        "vocab": ["no", "yes"],
        "embeddings": np.arange(12).reshape(4, 3),
    }
    return Predictions(**{**given, **changes})


def multi():
    table = pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav"], "target": [["rain", "wind"], [], None]})
    probs = [[0.9, 0.2, 0.6], [0.1, 0.7, 0.3], [0.0, 0.0, 0.9]]
    return Predictions(table, probs, ["rain", "owl", "wind"], is_multi=True)


# -- the table


def test_columns_follow_from_targets_and_probabilities():
    table = hand_made().table
    assert list(table) == ["path", "picture", "target", "prediction", "loss", "confidence", "right"]
    assert table["prediction"].tolist() == ["no", "yes", "yes", "yes"]
    assert table["right"].tolist() == [True, True, False, True] and table["right"].dtype == bool
    assert table["confidence"].tolist() == pytest.approx([0.9, 0.8, 0.75, 0.6])


def test_several_labels_a_clip():
    p = multi()
    assert p.table["prediction"].tolist() == [["rain", "wind"], ["owl"], ["wind"]]
    assert p.table["right"][:2].tolist() == [True, False] and p.table["right"][2] is pd.NA
    assert p.hot.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert p.labelled.tolist() == [True, True, False]  # no label is something else than a label not known


def test_diverged_network_predicts_nothing():
    p = hand_made(probs=[[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [0.4, 0.6]])
    assert p.table["prediction"].tolist() == ["no", None, "yes", "yes"]
    assert p.table["right"].tolist() == [True, False, False, True]


def test_the_table_given_is_not_changed():
    table = pd.DataFrame({"path": ["a", "b"], "target": ["x", "y"]}, index=[7, 3])
    before = table.copy()
    Predictions(table, [[1, 0], [0, 1]], ["x", "y"])
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"probs": np.ones((4, 3)) / 3}, r"probs has the shape \(4, 3\); 4 clips and 2 labels need \(4, 2\)"),
        ({"probs": np.full((4, 2), 3.0)}, "probs reaches from 3 to 3; probabilities lie between 0 and 1"),
        ({"embeddings": np.ones((3, 5))}, r"embeddings has the shape \(3, 5\)"),
        ({"layers": {"code": np.ones((3, 5))}}, r"code has the shape \(3, 5\); 4 clips need \(4, features\)"),
        ({"layers": {"map": np.ones((4, 5, 6))}}, r"map has the shape \(4, 5, 6\)"),
        ({"vocab": ["no", "no"]}, "names a label twice"),
        ({"vocab": ["no", "maybe"]}, "row 1 has the target 'yes', which is none of the 2 labels"),
        ({"table": pd.DataFrame({"file": "abcd"}, index=range(4))}, "needs at least 'path'"),
        ({"is_multi": True}, "the target 'no' is one label; with is_multi=True give a list"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        hand_made(**changes)


# -- verbs


def test_score():
    assert hand_made().score() == 0.75
    assert hand_made().score("map@3") == pytest.approx((3 + 1 / 2) / 4)
    assert hand_made().score(lambda y, scores: scores[np.arange(4), y].min()) == 0.25
    assert multi().score(label_ranking_average_precision_score) == 1.0
    assert multi().score("accuracy_multi") == pytest.approx(5 / 6)


def test_score_wants_targets_and_a_metric_of_their_kind():
    with pytest.raises(ValueError, match="unknown metric 'acuracy'"):
        hand_made().score("acuracy")
    with pytest.raises(ValueError, match="'accuracy' is for one label a clip; choose one of .*accuracy_multi"):
        multi().score("accuracy")
    with pytest.raises(ValueError, match="none of the 4 clips has a target"):
        hand_made(table=pd.DataFrame({"path": list("abcd")})).score()


@pytest.mark.parametrize(
    "mask, paths",
    [
        ([True, False, False, True], ["a.wav", "d.wav"]),
        ([2, 0], ["c.wav", "a.wav"]),
        (pd.Series([pd.NA, True, False, False], dtype="boolean"), ["b.wav"]),
        ([False] * 4, []),
    ],
)
def test_subset_keeps_rows_together(mask, paths):
    part = hand_made().subset(mask)
    rows = ["abcd".index(path[0]) for path in paths]
    assert part.table["path"].tolist() == paths
    assert part.embeddings.tolist() == hand_made().embeddings[rows].tolist()
    assert part.probs.tolist() == hand_made().probs[rows].tolist()


def test_subset_refuses_a_mask_of_another_length():
    with pytest.raises(ValueError, match=r"the mask has the shape \(3,\); 4 clips need \(4,\)"):
        hand_made().subset([True, False, True])


def test_merge_puts_folds_one_below_the_other():
    whole = hand_made()
    merged = whole.subset([0, 1]).merge(whole.subset([2]), whole.subset([3]))
    pd.testing.assert_frame_equal(merged.table, whole.table)
    assert merged.probs.tolist() == whole.probs.tolist()
    assert merged.embeddings.tolist() == whole.embeddings.tolist()


def test_merge_of_unlike_parts():
    without = hand_made(embeddings=None)
    assert hand_made().merge(without).embeddings is None
    assert len(hand_made().merge(without, without)) == 12
    with pytest.raises(ValueError, match="the vocabularies differ"):
        hand_made().merge(hand_made(vocab=["yes", "no"]))


# -- layers


LAYERS = {"head1": np.arange(8).reshape(4, 2), "häd 2": np.arange(20).reshape(4, 5) / 7}


def test_features_by_name():
    p = hand_made(layers=LAYERS)
    assert p.features().tolist() == np.arange(12).reshape(4, 3).tolist()
    assert p.features("probabilities") is p.probs and p.features("head1").dtype == np.float32
    np.testing.assert_allclose(p.features("häd 2"), LAYERS["häd 2"], rtol=1e-6)
    with pytest.raises(ValueError, match="unknown features 'head3'; did you mean 'head1'"):
        p.features("head3")
    with pytest.raises(
        ValueError,
        match="hold no embeddings; predict with embeddings=True, take one network of a run.*or ask for on='probab",
    ):
        hand_made(embeddings=None, layers=LAYERS).features()


def test_layers_stay_with_their_rows_in_parts_and_folds():
    whole = hand_made(layers=LAYERS)
    part = whole.subset([3, 0])
    assert part.layers["head1"].tolist() == [[6, 7], [0, 1]]
    merged = whole.subset([0, 1]).merge(whole.subset([2]), whole.subset([3]))
    assert list(merged.layers) == list(LAYERS)
    assert all(np.array_equal(merged.layers[name], whole.layers[name]) for name in LAYERS)


def test_layers_that_only_some_parts_have_or_of_another_width_are_dropped():
    whole, wider = hand_made(layers=LAYERS), {"head1": LAYERS["head1"], "häd 2": np.ones((4, 9))}
    assert whole.merge(hand_made()).layers == {} and hand_made().merge(whole).layers == {}
    assert list(whole.merge(hand_made(layers=wider)).layers) == ["head1"]


# -- the file


SEGMENTS = pd.DataFrame({"path": list("abcd"), "group": list("xxyy"), "start": [0.5, 1, 2, 3]})


@pytest.mark.parametrize(
    "before",
    [
        hand_made(),
        multi(),
        hand_made(embeddings=None),
        hand_made(table=SEGMENTS),
        hand_made(layers=LAYERS),
        hand_made(embeddings=None, layers=LAYERS),
    ],
)
def test_npz_round_trip(tmp_path, before):
    before.save(tmp_path / "deep" / "p.npz")
    after = Predictions.load(tmp_path / "deep" / "p.npz")
    pd.testing.assert_frame_equal(after.table, before.table)
    assert after.vocab == before.vocab and after.is_multi == before.is_multi
    assert np.array_equal(after.probs, before.probs) and after.probs.dtype == np.float32
    assert (after.embeddings is None) == (before.embeddings is None)
    assert before.embeddings is None or np.array_equal(after.embeddings, before.embeddings)
    assert list(after.layers) == list(before.layers)
    assert all(
        np.array_equal(after.layers[name], x) and after.layers[name].dtype == np.float32
        for name, x in before.layers.items()
    )


def test_a_file_of_before_there_were_layers_is_read(tmp_path):
    hand_made().save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    del about["layers"]
    np.savez(tmp_path / "p.npz", **{**arrays, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    assert Predictions.load(tmp_path / "p.npz").layers == {}


def test_recordings_have_no_picture():
    table = pd.DataFrame({"path": ["a.wav"], "recording": ["/sounds/a.wav"]})
    p = Predictions(table, [[1, 0]], ["no", "yes"])
    assert p.table.loc[0, ["picture", "recording"]].tolist() == ["", "/sounds/a.wav"]


class Trap:
    """Unpickling this would raise."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def _pickled(path):
    path.write_bytes(pickle.dumps(Trap()))


def _pickled_array(path):
    array = np.array([Trap()], dtype=object)
    np.savez(path, about=array, probs=array)


def _truncated(path):
    hand_made().save(path)
    path.write_bytes(path.read_bytes()[:300])


def _empty(path):
    path.write_bytes(b"")


def _text(path):
    path.write_text("hello")


def _other_arrays(path):
    np.savez(path, probs=np.ones((2, 2)))


def test_no_value_stays_no_value(tmp_path):
    table = pd.DataFrame(
        {
            "path": ["a.wav", "b.wav"],
            "verified": pd.array([True, None], dtype="boolean"),
            "take": pd.Series([np.int64(3), 4.5], dtype=object),
        }
    )
    Predictions(table, [[1, 0]] * 2, ["no", "yes"]).save(tmp_path / "p.npz")
    again = Predictions.load(tmp_path / "p.npz").table
    assert again["verified"].tolist() == [True, None] and again["take"].tolist() == [3, 4.5]


def test_nobody_is_advised_to_open_a_pickle(tmp_path):
    _text(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match="labels.csv: .*: it is not a .npz file$"):
        Predictions.load(tmp_path / "labels.csv")


@pytest.mark.parametrize("write", [_pickled, _pickled_array, _truncated, _empty, _text, _other_arrays])
def test_load_refuses_what_save_did_not_write(tmp_path, write):
    path = tmp_path / "p.npz"
    write(path)
    with pytest.raises(ValueError, match="p.npz: not predictions that Predictions.save wrote"):
        Predictions.load(path)


def test_load_of_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Predictions.load(tmp_path / "no.npz")


# -- one pass of a network


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """27 grey pictures of 40 x 48 pixels, in a folder a label; every third is for validation."""
    torch.set_num_threads(1)
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i in range(27):
        path = folder / ("train" if i % 3 else "valid") / LABELS[i % 9 // 3] / f"{i:02d}.wav.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def learn(pictures):
    """A small untrained network over those pictures, in batches of 4."""
    dls = ImageDataLoaders.from_folder(pictures, bs=4, num_workers=0, batch_tfms=RandomErasing(p=1.0), seed=0)
    return vision_learner(dls, "test_resnet", pretrained=False, loss_func=CrossEntropyLossFlat())


def by_hand(learn, paths):
    """(embeddings, outputs, targets) of pictures sent through the network one by one."""
    x = torch.stack([torch.tensor(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1) / 255 for path in paths])
    learn.model.eval()
    with torch.no_grad():
        embeddings = learn.model[1][:-1](learn.model[0](x))
        outputs = learn.model[1][-1](embeddings)
    return embeddings, outputs, torch.tensor([LABELS.index(path.parent.name) for path in paths])


def test_rows_belong_together_and_stand_in_the_order_of_the_data(learn):
    p = predict_all(learn)
    paths = list(learn.dls.valid.items)
    embeddings, outputs, targets = by_hand(learn, paths)
    assert p.vocab == LABELS and not p.is_multi and len(p) == 9
    assert p.table["path"].tolist() == p.table["picture"].tolist() == [str(path) for path in paths]
    assert p.table["target"].tolist() == [path.parent.name for path in paths]
    assert p.embeddings.shape == (9, 512)
    np.testing.assert_allclose(p.embeddings, embeddings, atol=1e-5)
    np.testing.assert_allclose(p.probs, outputs.softmax(1), atol=1e-5)
    np.testing.assert_allclose(p.table["loss"], F.cross_entropy(outputs, targets, reduction="none"), atol=1e-5)


def test_one_pass_and_no_trace_of_it(learn):
    sizes, before = [], set(map(id, learn.cbs))
    learn.recorder.values, learn.recorder.lrs = [[1.0, 2.0]], [0.1]
    handle = learn.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    predict_all(learn)
    handle.remove()
    assert sizes == [4, 4, 1]
    assert set(map(id, learn.cbs)) == before and learn.recorder.learn is learn
    assert learn.recorder.values == [[1.0, 2.0]] and learn.recorder.lrs == [0.1]
    assert not any(layer._forward_pre_hooks for layer in learn.model.modules())


def test_metrics_that_cannot_cope_do_not_matter(learn, monkeypatch):
    def fail(outputs, targets):
        raise ValueError("only one class present")

    monkeypatch.setattr(learn, "metrics", [fail])
    assert len(predict_all(learn)) == 9


def test_a_failing_pass_leaves_no_trace_either(learn):
    def fail(module, args):
        raise RuntimeError("out of memory")

    handle, before = learn.model.register_forward_pre_hook(fail), set(map(id, learn.cbs))
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_all(learn)
    handle.remove()
    assert set(map(id, learn.cbs)) == before
    assert not any(layer._forward_pre_hooks for layer in learn.model.modules())
    assert len(predict_all(learn)) == 9


def test_pictures_that_are_gone_are_counted(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "moved")
    dls = ImageDataLoaders.from_folder(tmp_path / "moved", bs=4, num_workers=0)
    learn = vision_learner(dls, "test_resnet", pretrained=False)
    for file in dls.valid.items[:2]:
        file.unlink()
    with (
        learn.no_bar(),
        pytest.raises(ValueError, match=r"2 pictures of 9 gone \(.*create the DataLoaders again, which redraws them"),
    ):
        predict_all(learn)


def test_training_clips_are_neither_shuffled_nor_dropped_nor_augmented(learn):
    paths = list(learn.dls.train.items)
    for p in (predict_all(learn, ds_idx=0), predict_all(learn, dl=learn.dls.train)):
        assert p.table["path"].tolist() == [str(path) for path in paths] and len(p) == 18
        np.testing.assert_allclose(p.embeddings, by_hand(learn, paths)[0], atol=1e-5)
    assert learn.dls.train.dataset.split_idx == 0 and learn.dls.train.shuffle


def test_clips_without_labels(learn, pictures):
    paths = sorted(pictures.glob("valid/*/*.png"))[:5]
    p = predict_all(learn, dl=learn.dls.test_dl(paths))
    assert p.table["path"].tolist() == [str(path) for path in paths]
    assert p.table["target"].tolist() == [None] * 5 and p.table["loss"].isna().all() and p.table["right"].isna().all()
    np.testing.assert_allclose(p.probs, by_hand(learn, paths)[1].softmax(1), atol=1e-5)


def test_another_layer_as_embedding_or_none(learn):
    assert predict_all(learn, embeddings=False).embeddings is None
    means = predict_all(learn, embeddings=learn.model[1][0]).embeddings  # its input are maps, averaged over their area
    with torch.no_grad():
        maps = learn.model[0](learn.dls.valid.one_batch()[0].as_subclass(torch.Tensor))
    np.testing.assert_allclose(means[:4], maps.mean((2, 3)), atol=1e-5)


def plain_cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets.long())


plain_cross_entropy.activation = functools.partial(torch.softmax, dim=-1)


@pytest.mark.parametrize(
    "loss",
    [
        LabelSmoothingCrossEntropy(),
        FocalLossFlat(gamma=1.5),
        nn.CrossEntropyLoss(),
        F.cross_entropy,
        plain_cross_entropy,
    ],
)
def test_one_loss_a_clip_whatever_the_loss_function(learn, loss, monkeypatch):
    monkeypatch.setattr(learn, "loss_func", loss)
    p = predict_all(learn, embeddings=False)
    _, outputs, targets = by_hand(learn, list(learn.dls.valid.items))
    own = [float(loss(outputs[i : i + 1], targets[i : i + 1])) for i in range(9)]
    np.testing.assert_allclose(p.table["loss"], own, atol=1e-5)
    np.testing.assert_allclose(p.probs.sum(1), 1, atol=1e-5)


def test_class_weights_weigh_the_loss_of_a_clip(learn, monkeypatch):
    plain = predict_all(learn).table
    monkeypatch.setattr(learn, "loss_func", CrossEntropyLossFlat(weight=torch.tensor([1.0, 2.0, 3.0])))
    weights = plain["target"].map({"cat": 1.0, "dog": 2.0, "owl": 3.0})
    np.testing.assert_allclose(predict_all(learn).table["loss"], plain["loss"] * weights, atol=1e-5)


def test_several_labels_from_a_learner(pictures):
    table = pd.DataFrame(
        {
            "name": [f"valid/{label}/{i:02d}.wav.png" for i, label in zip(range(0, 27, 3), LABELS * 3)],
            "labels": ["cat dog", "dog", "owl", "cat", "dog owl", "owl", "cat", "", "cat dog owl"],
        }
    )
    dls = ImageDataLoaders.from_df(
        table, pictures, label_col="labels", label_delim=" ", bs=4, num_workers=0, valid_pct=0.6, seed=1
    )
    learn = vision_learner(dls, "test_resnet", pretrained=False)
    p, unlabelled = predict_all(learn), predict_all(learn, dl=dls.test_dl(table))
    rows = dls.valid.items
    assert p.is_multi and unlabelled.is_multi and not unlabelled.labelled.any()
    learn.loss_func = nn.BCEWithLogitsLoss()
    again = predict_all(learn, dl=dls.test_dl(table))
    assert again.is_multi and np.allclose(again.probs, unlabelled.probs)
    assert [sorted(target) for target in p.table["target"]] == [sorted(labels.split()) for labels in rows["labels"]]
    assert p.table["path"].tolist() == rows["name"].tolist()
    assert p.table["picture"].tolist() == [str(pictures / name) for name in rows["name"]]
    entropy = -np.where(p.hot, np.log(p.probs), np.log(1 - p.probs)).mean(1)
    np.testing.assert_allclose(p.table["loss"], entropy, atol=1e-4)


class OverWindows(nn.Module):
    """(batch, windows, features) -> (batch, classes), windows averaged."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, x):
        return self.head(self.body(x.flatten(0, 1)).relu()).unflatten(0, x.shape[:2]).mean(1)


def tensors(n=6, **kwargs):
    """A learner over n clips of 4 windows of 5 numbers, in batches of 4."""
    torch.manual_seed(0)
    x = torch.randn(n, 4, 5)
    data = [(x[i], torch.tensor(i % 3)) for i in range(n)]
    dls = DataLoaders(*(DataLoader(data, bs=4, num_workers=0) for _ in range(2)))
    dls.vocab = LABELS
    return Learner(dls, OverWindows(), **{"loss_func": CrossEntropyLossFlat(), "path": ".", **kwargs}), x


def test_windows_of_a_clip_are_averaged():
    learn, x = tensors()
    p = predict_all(learn)
    assert p.embeddings.shape == (6, 7) and p.probs.shape == (6, 3)
    np.testing.assert_allclose(p.embeddings, learn.model.body(x).relu().mean(1).detach(), atol=1e-6)
    assert p.table["path"].tolist() == [f"item {i}" for i in range(6)]


def with_clips(learn, labels=LABELS):
    """Give the learner's validation loader a table of its clips."""
    paths = [f"{i}.wav" for i in range(6)]
    learn.dls.valid.clips = pd.DataFrame(
        {
            "path": paths,
            "picture": [f"/tree/{path}.png" for path in paths],
            "label": labels * 2,
            "start": np.arange(6.0),
            "group": list("aabbcc"),
            "other": 0,
        }
    )


def test_names_come_from_the_loaders_clips():
    learn, _ = tensors()
    with_clips(learn)
    table = predict_all(learn).table
    assert list(table)[-3:] == ["right", "start", "group"]
    assert table["picture"].tolist() == [f"/tree/{i}.wav.png" for i in range(6)]
    assert table["group"].tolist() == list("aabbcc")


def test_names_of_other_clips_are_noticed():
    learn, _ = tensors()
    with_clips(learn, LABELS[::-1])
    with pytest.raises(ValueError, match="0.wav: `dl.clips` has 'owl', the loader gave 'cat'"):
        predict_all(learn)


def test_errors_say_the_way_out(learn):
    plain, _ = tensors()
    with pytest.raises(ValueError, match="dl is a list; give a fastai DataLoader"):
        predict_all(plain, dl=[1, 2])
    with pytest.raises(ValueError, match="the loader holds no clips.*valid_pct"):
        predict_all(plain, dl=DataLoader([], bs=4))
    with pytest.raises(ValueError, match="Sequential has no nn.Linear.*embeddings=False"):
        plain.model = nn.Sequential(nn.Flatten(), nn.LazyBatchNorm1d())
        predict_all(plain)
    with pytest.raises(ValueError, match="does not define how outputs become probabilities.*act=torch.sigmoid"):
        predict_all(tensors(loss_func=lambda x, y: x.mean())[0])
    nameless, _ = tensors()
    nameless.dls.vocab = None
    with pytest.raises(ValueError, match="no vocabulary"):
        predict_all(nameless)


def test_a_layer_that_runs_twice_is_refused():
    learn, _ = tensors()
    body, head = learn.model.body, learn.model.head
    learn.model.forward = lambda x: head(body(x[:, 0])) + head(body(x[:, 1]))
    with pytest.raises(ValueError, match="the embedding layer ran 2 times on .* for a batch of 4 clips"):
        predict_all(learn)
    assert len(predict_all(learn, embeddings=False)) == 6


def test_given_activation():
    learn, x = tensors(loss_func=lambda outputs, y: F.mse_loss(outputs, F.one_hot(y.long(), 3).float()))
    p = predict_all(learn, act=torch.sigmoid)
    with torch.no_grad():
        outputs = learn.model(x)
    np.testing.assert_allclose(p.probs, outputs.sigmoid(), atol=1e-6)
    np.testing.assert_allclose(p.table["loss"], ((outputs - torch.eye(3).repeat(2, 1)) ** 2).mean(1), atol=1e-5)


# -- outputs of layers


def hooks_of(model) -> int:
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.modules())


def of_table(learn, net, layers=None):
    """What predict_all keeps of a bare network in the place of the learner's own, over clips `x`, (6, 4, 5)."""
    learn.model = net
    return predict_all(learn, layers=layers)


class Steps(nn.Module):
    """Clips of 4 steps with 5 numbers; whatever `sequence` makes of them, its mean over the steps is classified."""

    def __init__(self, sequence, width, time=1, transpose=False):
        super().__init__()
        self.sequence, self.head, self.time, self.transpose = sequence, nn.Linear(width, 3), time, transpose

    def forward(self, x):
        out = self.sequence(x.transpose(1, 2) if self.transpose else x)
        return self.head((out[0] if isinstance(out, tuple) else out).mean(self.time))


def test_a_sequence_is_averaged_over_its_steps():
    learn, x = tensors()
    lstm = Steps(nn.LSTM(5, 7, batch_first=True), 7)
    got = of_table(learn, lstm, "sequence").layers["sequence"]
    with torch.no_grad():
        steps = lstm.sequence(x)[0]
    assert steps.shape == (6, 4, 7)
    np.testing.assert_allclose(got, steps.mean(1), atol=1e-6)


class StepsFirst(nn.Module):
    """An LSTM that takes (steps, clips, numbers)."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(5, 7), nn.Linear(7, 3)

    def forward(self, x):
        return self.head(self.lstm(x.transpose(0, 1))[0][-1])


def test_a_sequence_whose_first_axis_is_time():
    learn, x = tensors(n=8)  # 8 clips in batches of 4, of 4 steps: no count of rows could tell the axes apart
    got = of_table(learn, StepsFirst(), "lstm").layers["lstm"]
    with torch.no_grad():
        steps = learn.model.lstm(x.transpose(0, 1))[0]
    np.testing.assert_allclose(got, steps.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    "sequence",
    [
        nn.Conv1d(5, 9, 1),
        nn.Sequential(nn.Conv1d(5, 9, 1), nn.ReLU()),
        nn.Sequential(nn.Conv1d(5, 9, 1), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5)),
    ],
)
def test_convolutions_along_time_have_their_features_first(sequence):
    learn, x = tensors()
    net = Steps(sequence, 9, time=2, transpose=True)
    got = of_table(learn, net, ["sequence"]).layers["sequence"]
    with torch.no_grad():
        maps = net.eval().sequence(x.transpose(1, 2))
    assert maps.shape == (6, 9, 4)
    np.testing.assert_allclose(got, maps.mean(2), atol=1e-6)


def test_layers_of_windows_are_averaged_over_a_clip():
    learn, x = tensors()
    p = predict_all(learn, layers="body", embeddings=False)
    assert p.embeddings is None and p.layers["body"].shape == (6, 7)
    np.testing.assert_allclose(p.layers["body"], learn.model.body(x).mean(1).detach(), atol=1e-6)


def test_a_layer_may_be_called_by_the_end_of_its_name(learn):
    p = predict_all(learn, layers=["layer4", "layer4.0.conv1"])
    (full,) = [name for name, _ in learn.model.named_modules() if name.endswith(".layer4")]
    whole = predict_all(learn, layers=full)
    maps = []
    handle = dict(learn.model.named_modules())[full].register_forward_hook(
        lambda layer, args, out: maps.append(out.mean((2, 3)))
    )
    by_hand(learn, list(learn.dls.valid.items))
    handle.remove()
    assert p.layers["layer4"].shape[0] == 9 and p.layers["layer4.0.conv1"].shape[0] == 9
    np.testing.assert_allclose(p.layers["layer4"], maps[0], atol=1e-5)
    assert np.array_equal(whole.layers[full], p.layers["layer4"])


@pytest.mark.parametrize("layers", [False, [], ()])
def test_no_layers(learn, layers):
    assert predict_all(learn, layers=layers).layers == {}


@pytest.mark.parametrize(
    "layers, message",
    [
        ("conv1", r"\d+ layers are called 'conv1'; write more of the name, such as '[0-9a-z.]*conv1'"),
        (
            ["layer4", "layer9"],
            r"unknown layer 'layer9'; did you mean 'layer1' or .*\? learn.model.named_modules\(\) names all \d+$",
        ),
        ("zzz", r"unknown layer 'zzz'; learn.model.named_modules\(\) names all"),
        ("embeddings", "'embeddings' is a reserved name of predictions"),
    ],
)
def test_layers_that_cannot_be_told(learn, layers, message):
    with pytest.raises(ValueError, match=message):
        predict_all(learn, layers=layers)


def test_hooks_are_taken_off_after_an_error_too(learn):
    def fail(module, args):
        raise RuntimeError("out of memory")

    before = hooks_of(learn.model)
    predict_all(learn, layers="layer4")
    assert hooks_of(learn.model) == before
    handle = learn.model[1][-1].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_all(learn, layers="layer4")
    handle.remove()
    assert hooks_of(learn.model) == before


def test_a_layer_that_runs_twice_is_named():
    learn, _ = tensors()
    body, head = learn.model.body, learn.model.head
    learn.model.forward = lambda x: head(body(x[:, 0]) + body(x[:, 1]))
    with pytest.raises(ValueError, match="the layer 'body' ran 2 times on .* for a batch of 4 clips"):
        predict_all(learn, layers="body")


class FeaturesLast(nn.Module):
    """As timm's Swin: maps are (batch, height, width, features)."""

    output_fmt = "NHWC"

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 6, 1), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.norm(self.conv(x[:, None]).permute(0, 2, 3, 1)).mean((1, 2)))


def test_maps_whose_features_stand_last():
    learn, x = tensors()
    p = of_table(learn, FeaturesLast(), ["conv", "norm"])
    with torch.no_grad():
        maps = learn.model.conv(x[:, None])
        normed = learn.model.norm(maps.permute(0, 2, 3, 1))
    np.testing.assert_allclose(p.layers["conv"], maps.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(p.layers["norm"], normed.mean((1, 2)), atol=1e-5)


# -- heads of our own networks, over sounds


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """12 tones of two kinds: .folder, and .table with path, label, is_valid."""
    folder = tmp_path_factory.mktemp("tones")
    for i in range(12):
        tone = 0.3 * np.sin(2 * np.pi * (400, 1500)[i % 2] * np.arange(4000) / 8000)
        sf.write(folder / f"{i:02}.wav", tone, 8000)
    table = pd.DataFrame(
        {"path": [f"{i:02}.wav" for i in range(12)], "label": ["low", "high"] * 6, "is_valid": [False] * 6 + [True] * 6}
    )
    return SimpleNamespace(folder=folder, table=table)


def pictures_of(sounds, **options):
    look = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64))
    return SpecDataLoaders.from_df(
        sounds.table,
        sounds.folder,
        valid_col="is_valid",
        renderer=look,
        cache=sounds.folder.parent / "cache",
        size=32,
        bs=4,
        n_jobs=1,
        progress=False,
        **options,
    )


@pytest.mark.parametrize(
    "arch, heads", [("mini_resnet", {"head1": 64, "head2": 64}), ("joint_autoencoder", {"code": 4})]
)
def test_heads_are_kept_and_are_what_the_modules_give(sounds, arch, heads):
    dls = pictures_of(sounds)
    learn = spec_learner(dls, arch, seed=0)
    p = predict_all(learn)
    assert {name: x.shape for name, x in p.layers.items()} == {name: (6, width) for name, width in heads.items()}
    net, x = learn.model.eval()[1], torch.cat([batch[0].as_subclass(torch.Tensor) for batch in dls.valid])
    given = {}
    handles = [
        module.register_forward_hook(lambda m, args, out, name=name: given.setdefault(name, out.flatten(1)))
        for name, module in net.heads.items()
    ]
    with torch.no_grad():
        learn.model(x)
    for handle in handles:
        handle.remove()
    for name in heads:
        np.testing.assert_allclose(p.layers[name], given[name], atol=1e-5)
    assert predict_all(learn, layers=False).layers == {}
    assert list(predict_all(learn, layers=True).layers) == list(heads)
    asked = predict_all(learn, layers=[list(heads)[0], "classifier"]).layers
    assert list(asked) == [list(heads)[0], "classifier"] and asked["classifier"].shape == (6, 2)


def test_heads_of_a_clips_windows_are_averaged(sounds):
    dls = pictures_of(sounds, method="crop", seconds=0.25, windows=3)
    learn = spec_learner(dls, "mini_resnet", seed=0)
    p, x = predict_all(learn), dls.valid.one_batch()[0].as_subclass(torch.Tensor)
    assert x.shape[:2] == (4, 3)
    learn.model.eval()
    with torch.no_grad():
        seen = [predict_one(learn, x[:, window], "head2") for window in range(3)]
    np.testing.assert_allclose(p.layers["head2"][:4], torch.stack(seen).mean(0), atol=1e-5)


def predict_one(learn, x, head):
    """(batch, features) that a head gives for pictures without windows."""
    kept = []
    handle = learn.model[1].heads[head].register_forward_hook(lambda layer, args, out: kept.append(out.flatten(1)))
    learn.model(x)
    handle.remove()
    return kept[0]


def test_layers_of_a_network_of_waveforms_and_their_recordings(sounds):
    dls = WaveDataLoaders.from_df(
        sounds.table, sounds.folder, valid_col="is_valid", audio=Audio(sr=8000, duration=3.0), bs=4
    )
    learn = spec_learner(dls, "soundnet_cnn", seed=0)
    p = predict_all(learn, layers="convs")
    with torch.no_grad():
        maps = learn.model.eval()[1].convolve(torch.cat([batch[0].as_subclass(torch.Tensor) for batch in dls.valid]))
    assert p.layers["convs"].shape == (6, 1024) == tuple(maps.shape[:2])
    np.testing.assert_allclose(p.layers["convs"], maps.mean(2), atol=1e-5)
    assert p.table["picture"].tolist() == [""] * 6
    assert p.table["recording"].tolist() == [str(sounds.folder / path) for path in p.table["path"]]
