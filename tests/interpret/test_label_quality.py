"""Label review: confident learning and label qualities against cases worked by hand, and what cannot be ranked."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from specimg.data import SpecDataLoaders
from specimg.datasets import sine
from specimg.interpret.label_quality import RANKINGS, confident_labels, label_issues, list_rankings
from specimg.labels.corrections import apply_corrections, write_corrections
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel
from specimg.training import Predictions, predict_all
from specimg.training.learner import spec_learner


def predictions_of(targets, probs, vocab, is_multi=False, **columns):
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(len(targets))], "target": pd.Series(targets, dtype=object), **columns}
    )
    return Predictions(table, probs, vocab, is_multi=is_multi)


def two_labels(targets="aaabb", p_a=(0.9, 0.8, 0.1, 0.2, 0.3), **columns):
    """Thresholds: a (0.9 + 0.8 + 0.1) / 3 = 0.6, b (0.8 + 0.7) / 2 = 0.75."""
    return predictions_of(list(targets), np.stack([p_a, 1 - np.array(p_a)], axis=1), ["a", "b"], **columns)


def several_labels(**columns):
    """x: 0.5 from its carriers, 0.55 from the others; y: 0.8 and 0.85. The second clip carries x in error, the third lacks it."""
    probs = [[0.9, 0.9], [0.1, 0.2], [0.8, 0.1], [0.1, 0.7]]
    return predictions_of([["x", "y"], ["x"], [], ["y"]], probs, ["x", "y"], is_multi=True, **columns)


# ---------------------------------------------------------------------- confident learning


def test_which_label_a_network_is_confident_of():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    assert confident_labels(probs, np.array([0, 0, 0, 1, 1])).tolist() == [0, 0, 1, 1, -1]


def test_of_two_labels_that_are_sure_the_more_probable_counts():
    probs = np.array([[0.45, 0.50, 0.05], [0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.0, 0.0, 1.0]])
    assert confident_labels(probs, np.array([0, 0, 1, 2])).tolist() == [1, -1, 1, 2]  # thresholds 0.425, 0.4, 1.0


def test_a_label_that_nobody_carries_is_never_sure():
    assert confident_labels(np.array([[0.4, 0.6], [0.9, 0.1]]), np.array([0, 0])).tolist() == [-1, 0]


def test_equal_probabilities_reach_their_own_mean():
    assert confident_labels(np.full((3, 2), [0.7, 0.3]), np.array([0, 0, 0])).tolist() == [0, 0, 0]


def test_the_clip_with_the_wrong_label_stands_first():
    listed = label_issues(two_labels(fold=[0, 1, 0, 1, 0], start=[0.0] * 5, end=[1.0] * 5))
    assert listed["path"].tolist() == ["2.wav", "4.wav", "1.wav", "3.wav", "0.wav"]
    assert listed.index.tolist() == [2, 4, 1, 3, 0]
    assert listed["issue"].tolist() == [True, False, False, False, False]
    assert listed["suggestion"].tolist() == ["b", "b", "a", "b", "a"]
    assert list(listed) == [
        "path",
        "start",
        "end",
        "label",
        "suggestion",
        "p_label",
        "p_suggestion",
        "quality",
        "issue",
        "fold",
    ]
    np.testing.assert_allclose(
        listed.iloc[0][["p_label", "p_suggestion", "quality"]].astype(float), [0.1, 0.9, 0.1], atol=1e-6
    )


def test_a_threshold_that_anything_reaches_names_no_issue():
    """The only clip of c has probability 0.01 of it, so that the network is confident of c at 0.02; the clip's own label is far more probable."""
    probs = [[0.6, 0.02, 0.38], [1.0, 0.0, 0.0], [0.0, 0.01, 0.99], [0.0, 0.0, 1.0]]
    with pytest.warns(
        UserWarning, match="2 labels with one clip \\(c, d\\): the network that predicted it was trained on no other"
    ):
        listed = label_issues(predictions_of(["a", "a", "c", "d"], probs, ["a", "c", "d"]))
    assert confident_labels(np.array(probs), np.array([0, 0, 1, 2]))[0] == 1
    assert not listed.loc[0, "issue"] and listed.loc[0, "suggestion"] == "a"


def test_flips_in_random_answers_are_found():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 1000)
    probs = rng.dirichlet(np.ones(5), 1000) + 2 * np.eye(5)[true]
    given = true.copy()
    given[:50] = (true[:50] + rng.integers(1, 5, 50)) % 5
    listed = label_issues(predictions_of([str(g) for g in given], probs / 3, list("01234")))
    assert set(listed.index[:50]) == set(range(50))
    assert listed["suggestion"].iloc[:50].tolist() == [str(true[i]) for i in listed.index[:50]]
    assert (
        20 <= listed["issue"].iloc[:50].sum() < 50 and not listed["issue"].iloc[50:].any()
    )  # sure is from the mean up: about half


# ---------------------------------------------------------------------- qualities


PROBS = np.array([[0.4, 0.35, 0.25], [0.2, 0.1, 0.7], [1.0, 0.0, 0.0]])
GIVEN = np.array([0, 0, 0])


@pytest.mark.parametrize(
    "rank, expected",
    [("self_confidence", [0.4, 0.2, 1.0]), ("normalized_margin", [(1 + 0.4 - 0.35) / 2, (1 + 0.2 - 0.7) / 2, 1.0])],
)
def test_qualities(rank, expected):
    np.testing.assert_allclose(RANKINGS[rank](PROBS, GIVEN), expected)


def test_weighted_entropy():
    uniform, sure = np.full((1, 4), 0.25), np.array([[0.0, 1.0, 0.0, 0.0]])
    assert RANKINGS["weighted_entropy"](uniform, np.array([2]))[0] == pytest.approx(
        np.log(5) / 4
    )  # entropy 1, divided by 0.25
    assert RANKINGS["weighted_entropy"](sure, np.array([1]))[0] == pytest.approx(1.0)
    x = -(0.2 * np.log(0.2) + 0.1 * np.log(0.1) + 0.7 * np.log(0.7)) / np.log(3) / 0.2
    assert RANKINGS["weighted_entropy"](PROBS, GIVEN)[1] == pytest.approx(np.log(1 + x) / x)


def test_the_list_is_in_the_order_that_was_asked_for():
    """The nearest rival of the first clip is close, that of the second is not; the second label is a little less probable."""
    clips = predictions_of(
        ["a", "a", "b", "b", "c", "c"],
        [[0.41, 0.58, 0.01], [0.40, 0.3, 0.3], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]],
        ["a", "b", "c"],
    )
    assert label_issues(clips).index[:2].tolist() == [1, 0]
    assert label_issues(clips, rank="normalized_margin").index[:2].tolist() == [0, 1]


def test_adjusting_allows_for_labels_that_are_hard():
    """Thresholds: a 0.5, b 0.9. Less these, and 0.9 more: (0.9, 0.5) of 1.4 for the first clip, (0.55, 0.85) of 1.4 for the third."""
    clips = two_labels("aabb", (0.5, 0.5, 0.15, 0.05))
    adjusted, plain = label_issues(clips, adjust=True).sort_index(), label_issues(clips).sort_index()
    np.testing.assert_allclose(adjusted["quality"], [0.9 / 1.4, 0.9 / 1.4, 0.85 / 1.4, 0.95 / 1.4], atol=1e-6)
    np.testing.assert_allclose(plain["quality"], [0.5, 0.5, 0.85, 0.95], atol=1e-6)


def test_rankings_by_name():
    assert list_rankings() == ["normalized_margin", "self_confidence", "weighted_entropy"]
    with pytest.raises(ValueError, match="unknown ranking 'self_confidenc'; did you mean 'self_confidence'"):
        label_issues(two_labels(), rank="self_confidenc")


# ---------------------------------------------------------------------- several labels a clip


def test_several_labels_are_judged_one_by_one():
    listed = label_issues(several_labels(group=list("stuv")))
    assert listed.index.tolist() == [1, 2, 3, 0]
    np.testing.assert_allclose(
        listed["quality"], [0.8 * 0.1 + 0.2 * 0.8, 0.8 * 0.2 + 0.2 * 0.9, 0.8 * 0.7 + 0.2 * 0.9, 0.9], atol=1e-6
    )
    assert listed["issue"].tolist() == [True, True, False, False]
    assert listed["wrong"].tolist() == [["x"], [], [], []]
    assert listed["missing"].tolist() == [[], ["x"], [], []]
    assert listed["label"].tolist() == [["x"], [], ["y"], ["x", "y"]]
    assert listed["suggestion"].tolist() == [[], ["x"], ["y"], ["x", "y"]]
    assert listed["group"].tolist() == ["t", "u", "v", "s"]
    np.testing.assert_allclose(listed.loc[0, "p_label"], [0.9, 0.9], atol=1e-6)
    np.testing.assert_allclose(listed.loc[2, "p_suggestion"], [0.8], atol=1e-6)
    assert listed.loc[2, "p_label"] == []


@pytest.mark.parametrize("clips", [two_labels(start=[0.0] * 5, end=[1.5] * 5), several_labels()])
def test_suggestions_become_corrections(clips, tmp_path):
    listed = label_issues(clips).sort_index()
    listened = listed[listed["issue"]].assign(corrected=listed["suggestion"])
    write_corrections(listened, tmp_path / "corrections.csv")
    table = apply_corrections(clips.table.rename(columns={"target": "label"}), tmp_path / "corrections.csv", log=None)
    assert table["label"].tolist() == listed["suggestion"].where(listed["issue"], listed["label"]).tolist()
    assert [was is not None for was in table["was"]] == listed["issue"].tolist()


def test_one_label_that_clips_carry_or_not():
    listed = label_issues(predictions_of([["x"], ["x"], [], []], [[0.9], [0.1], [0.2], [0.1]], ["x"], is_multi=True))
    assert listed.index[0] == 1 and listed["wrong"].iloc[0] == ["x"]


# ---------------------------------------------------------------------- which clips


def test_whatever_holds_predictions_is_taken():
    pd.testing.assert_frame_equal(label_issues(SimpleNamespace(predictions=two_labels())), label_issues(two_labels()))
    with pytest.raises(ValueError, match="DataFrame holds no predictions; give a Run"):
        label_issues(two_labels().table)


def test_clips_without_a_label_are_left_out():
    clips = two_labels([None, "a", "a", "b", "b"])
    assert sorted(label_issues(clips).index) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="none of the 5 clips has a label: there is nothing to check"):
        label_issues(two_labels([None] * 5))


def test_clips_without_probabilities_are_counted():
    with pytest.warns(UserWarning, match=r"1 clip without probabilities \(NaN\) left out \(1.wav\)"):
        listed = label_issues(two_labels(p_a=(0.9, np.nan, 0.1, 0.2, 0.3)))
    assert (
        sorted(listed.index) == [0, 2, 3, 4] and listed["path"].iloc[0] == "2.wav" and not listed.isna().any(axis=None)
    )
    with pytest.raises(ValueError, match=r"all probabilities are NaN \(5 clips\): the network diverged"):
        label_issues(two_labels(p_a=(np.nan,) * 5))
    with pytest.raises(
        ValueError, match=r"all probabilities are NaN \(4 clips\)"
    ):  # the one that is known has no label
        label_issues(two_labels([None, "a", "a", "b", "b"], (0.5, *(np.nan,) * 4)))


def test_one_label_only():
    with pytest.raises(
        ValueError, match="the vocabulary holds the label 'a' only: there is no other that could be correct"
    ):
        label_issues(predictions_of(["a", "a"], [[1.0], [1.0]], ["a"]))
    with warnings.catch_warnings():  # of a larger vocabulary one label may be carried alone
        warnings.simplefilter("error")
        listed = label_issues(two_labels("aaaaa"))
    assert not listed["issue"].any() and listed["suggestion"].iloc[0] == "b"


def test_what_a_network_was_trained_on_is_refused():
    clips = two_labels()
    seen = pd.DataFrame({"path": ["1.wav", "4.wav", "other.wav"]})
    message = (
        r"2 of 5 clips were in the training set of the network that predicted them \(1.wav, 4.wav\): it has memorised"
    )
    dls = SimpleNamespace(train=SimpleNamespace(clips=seen))
    for trained_on in (seen, dls, SimpleNamespace(dls=dls)):
        with pytest.raises(ValueError, match=message):
            label_issues(clips, trained_on=trained_on)
    assert len(label_issues(clips, trained_on=pd.DataFrame({"path": ["other.wav"]}))) == 5
    with pytest.raises(ValueError, match=message):  # an interpretation that knows its learner
        label_issues(SimpleNamespace(predictions=clips, learn=SimpleNamespace(dls=dls)))
    assert (
        len(label_issues(SimpleNamespace(predictions=clips, learn=SimpleNamespace(dls=None)))) == 5
    )  # trained elsewhere: nobody knows
    for wrong in ("learner", pd.DataFrame({"file": ["1.wav"]})):
        with pytest.raises(ValueError, match=f"trained_on={type(wrong).__name__} names no clips; give the learner"):
            label_issues(clips, trained_on=wrong)


def test_a_learner_knows_what_it_was_trained_on(tmp_path):
    for i in range(12):
        sf.write(tmp_path / f"{i}.wav", sine(400 + 2000 * (i % 2), 0.3, 8000), 8000)
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(12)], "label": ["low", "high"] * 6, "held": [i > 7 for i in range(12)]}
    )
    look = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64))
    dls = SpecDataLoaders.from_df(
        table, tmp_path, valid_col="held", renderer=look, cache=tmp_path, size=32, bs=4, n_jobs=1, progress=False
    )
    learn = spec_learner(dls, "test_resnet", pretrained=False)
    with learn.no_bar():
        held_out, trained = predict_all(learn), predict_all(learn, ds_idx=0)
    assert sorted(label_issues(held_out, trained_on=learn)["path"]) == ["10.wav", "11.wav", "8.wav", "9.wav"]
    with pytest.raises(ValueError, match="8 of 8 clips were in the training set"):
        label_issues(trained, trained_on=dls)


def test_windows_are_told_apart():
    clips = two_labels(start=[0.0, 1.0, 2.0, 3.0, 4.0], end=[1.0, 2.0, 3.0, 4.0, 5.0])
    clips.table["path"] = "night.wav"
    other = pd.DataFrame({"path": ["night.wav"], "start": [5.0], "end": [6.0]})
    assert label_issues(clips, trained_on=other)["start"].iloc[0] == 2.0
    with pytest.raises(ValueError, match="1 of 5 clips"):
        label_issues(clips, trained_on=other.assign(start=2.0, end=3.0))


# ---------------------------------------------------------------------- a network too weak to judge


def drawn(share_right, n=300, classes=10, seed=0):
    """Predictions of a network that predicts this share of the labels, confidently."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    guess = np.where(rng.random(n) < share_right, labels, rng.integers(0, classes, n))
    probs = np.full((n, classes), 0.3 / (classes - 1))
    probs[np.arange(n), guess] = 0.7
    vocab = [f"c{i}" for i in range(classes)]
    table = pd.DataFrame({"path": [f"{i}.wav" for i in range(n)], "target": [vocab[i] for i in labels]})
    return Predictions(table, probs, vocab)


def test_a_weak_network_accuses_nobody_and_says_so():
    weak = drawn(0.15)
    with pytest.warns(
        UserWarning,
        match=r"predicts 2\d% of 300 clips as they are labelled \(Cohen's kappa 0.1\d\): it is too weak to judge",
    ):
        found = label_issues(weak)
    assert not found["issue"].any() and len(found) == 300
    assert label_issues(weak, min_agreement=0)["issue"].sum() > 200


def test_a_good_network_judges():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert label_issues(drawn(0.9))["issue"].sum() > 10


def test_a_weak_network_of_several_labels_accuses_nobody():
    rng = np.random.default_rng(0)
    vocab, probs = list("abcd"), rng.random((200, 4))
    targets = [[label for label in vocab if rng.random() < 0.4] for _ in range(200)]
    table = pd.DataFrame({"path": [f"{i}.wav" for i in range(200)], "target": targets})
    with pytest.warns(UserWarning, match="too weak to judge"):
        assert not label_issues(Predictions(table, probs, vocab, is_multi=True))["issue"].any()
