"""One pass of a network kept as a table: its order, its numbers, and the file it is kept in."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import (
    CrossEntropyLossFlat, DataLoader, DataLoaders, FocalLossFlat, ImageDataLoaders, LabelSmoothingCrossEntropy, Learner,
    RandomErasing, vision_learner,
)
from PIL import Image
from sklearn.metrics import label_ranking_average_precision_score
from torch import nn
from torch.nn import functional as F

from specimg.predictions import Predictions, predict_all

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
    assert p.labelled.tolist() == [True, True, False]   # no label is something else than a label not known


def test_diverged_network_predicts_nothing():
    p = hand_made(probs=[[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [0.4, 0.6]])
    assert p.table["prediction"].tolist() == ["no", None, "yes", "yes"]
    assert p.table["right"].tolist() == [True, False, False, True]


def test_the_table_given_is_not_changed():
    table = pd.DataFrame({"path": ["a", "b"], "target": ["x", "y"]}, index=[7, 3])
    before = table.copy()
    Predictions(table, [[1, 0], [0, 1]], ["x", "y"])
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("changes, message", [
    ({"probs": np.ones((4, 3)) / 3}, r"probs has the shape \(4, 3\); 4 clips and 2 labels need \(4, 2\)"),
    ({"probs": np.full((4, 2), 3.0)}, "probs reaches from 3 to 3; probabilities lie between 0 and 1"),
    ({"embeddings": np.ones((3, 5))}, r"embeddings has the shape \(3, 5\)"),
    ({"vocab": ["no", "no"]}, "names a label twice"),
    ({"vocab": ["no", "maybe"]}, "row 1 has the target 'yes', which is none of the 2 labels"),
    ({"table": pd.DataFrame({"file": "abcd"}, index=range(4))}, "needs at least 'path'"),
    ({"is_multi": True}, "the target 'no' is one label; with is_multi=True give a list"),
])
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


@pytest.mark.parametrize("mask, paths", [
    ([True, False, False, True], ["a.wav", "d.wav"]),
    ([2, 0], ["c.wav", "a.wav"]),
    (pd.Series([pd.NA, True, False, False], dtype="boolean"), ["b.wav"]),
    ([False] * 4, []),
])
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


# -- the file


SEGMENTS = pd.DataFrame({"path": list("abcd"), "group": list("xxyy"), "start": [0.5, 1, 2, 3]})


@pytest.mark.parametrize("before", [hand_made(), multi(), hand_made(embeddings=None), hand_made(table=SEGMENTS)])
def test_npz_round_trip(tmp_path, before):
    before.save(tmp_path / "deep" / "p.npz")
    after = Predictions.load(tmp_path / "deep" / "p.npz")
    pd.testing.assert_frame_equal(after.table, before.table)
    assert after.vocab == before.vocab and after.is_multi == before.is_multi
    assert np.array_equal(after.probs, before.probs) and after.probs.dtype == np.float32
    assert (after.embeddings is None) == (before.embeddings is None)
    assert before.embeddings is None or np.array_equal(after.embeddings, before.embeddings)


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
    means = predict_all(learn, embeddings=learn.model[1][0]).embeddings   # its input are maps, averaged over their area
    with torch.no_grad():
        maps = learn.model[0](learn.dls.valid.one_batch()[0].as_subclass(torch.Tensor))
    np.testing.assert_allclose(means[:4], maps.mean((2, 3)), atol=1e-5)


def plain_cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets.long())


plain_cross_entropy.activation = functools.partial(torch.softmax, dim=-1)


@pytest.mark.parametrize("loss", [LabelSmoothingCrossEntropy(), FocalLossFlat(gamma=1.5), nn.CrossEntropyLoss(),
                                  F.cross_entropy, plain_cross_entropy])
def test_one_loss_a_clip_whatever_the_loss_function(learn, loss, monkeypatch):
    monkeypatch.setattr(learn, "loss_func", loss)
    p = predict_all(learn, embeddings=False)
    _, outputs, targets = by_hand(learn, list(learn.dls.valid.items))
    own = [float(loss(outputs[i:i + 1], targets[i:i + 1])) for i in range(9)]
    np.testing.assert_allclose(p.table["loss"], own, atol=1e-5)
    np.testing.assert_allclose(p.probs.sum(1), 1, atol=1e-5)


def test_class_weights_weigh_the_loss_of_a_clip(learn, monkeypatch):
    plain = predict_all(learn).table
    monkeypatch.setattr(learn, "loss_func", CrossEntropyLossFlat(weight=torch.tensor([1.0, 2.0, 3.0])))
    weights = plain["target"].map({"cat": 1.0, "dog": 2.0, "owl": 3.0})
    np.testing.assert_allclose(predict_all(learn).table["loss"], plain["loss"] * weights, atol=1e-5)


def test_several_labels_from_a_learner(pictures):
    table = pd.DataFrame({
        "name": [f"valid/{label}/{i:02d}.wav.png" for i, label in zip(range(0, 27, 3), LABELS * 3)],
        "labels": ["cat dog", "dog", "owl", "cat", "dog owl", "owl", "cat", "", "cat dog owl"],
    })
    dls = ImageDataLoaders.from_df(table, pictures, label_col="labels", label_delim=" ", bs=4, num_workers=0,
                                   valid_pct=0.6, seed=1)
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
    learn.dls.valid.clips = pd.DataFrame({
        "path": paths, "picture": [f"/tree/{path}.png" for path in paths], "label": labels * 2, "start": np.arange(6.0),
        "group": list("aabbcc"), "other": 0,
    })


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
    with pytest.raises(ValueError, match="0.wav: `dl.clips` says 'owl', the loader gave 'cat'"):
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
    with pytest.raises(ValueError, match="does not say how outputs become probabilities.*act=torch.sigmoid"):
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
