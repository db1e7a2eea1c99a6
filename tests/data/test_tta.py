"""Windows of a clip: which seconds they are, what stands in which column, and that all of it is the same in a loader."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import DataLoader, FlipItem, ProgressCallback
from PIL import Image

from specimg.core.values import Value
from specimg.data import SpecDataLoaders
from specimg.data.images import FitSize, SpecImage, TensorSpec
from specimg.data.tta import TTA, TTAFit, fit_with_tta, tta_spans, with_tta
from specimg.datasets import click, sine
from specimg.inference import load_classifier, save_classifier
from specimg.render.renderer import Renderer
from specimg.spectrogram import Delta, Mel, Stack
from specimg.training import predict_all
from specimg.training.learner import spec_learner

torch.set_num_threads(1)
SR = 8000
HOP = 64 / SR  # s
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
LOOK = Renderer(MEL)
WIDE = TTA(shifts=(-0.1, 0.0, 0.1), lengths=(0.9, 1.0))


def picture_of_click(at=0.2, seconds=0.5, representation=MEL):
    return SpecImage.create(Renderer(representation).png(click(at, seconds, SR), SR))


def column_of_click(x):
    """The column of `(channels, height, width)` with the click in its middle, 6 dB above its neighbours; None where it is outside."""
    [*columns] = np.flatnonzero((np.asarray(x)[0] == 255).any(axis=0))
    assert len(columns) < 2
    return columns[0] if columns else None


# ---------------------------------------------------------------------- the value


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(shifts=()), r"TTA\(shifts=\(\)\): give one number or more"),
        (dict(lengths=()), r"TTA\(lengths=\(\)\): give one"),
        (dict(shifts=(0, 1.1)), r"TTA\(shifts=\(0.0, 1.1\)\): 1.1 leads past a window's length; give -1 to 1"),
        (dict(shifts=(-1.01,)), "-1.01 leads past"),
        (dict(lengths=(1, 0)), "a window cannot last 0 times as long; give numbers above 0"),
        (dict(lengths=(-1,)), "a window cannot last -1 times as long"),
        (dict(windows=0), r"TTA\(windows=0\): give 1 or more, or None"),
        (dict(shifts=(0, float("inf"))), "inf is not a finite number"),
    ],
)
def test_settings_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        TTA(**fields)


def test_settings_travel():
    tta = TTA(shifts=(-1, 0.25), lengths=(2,), windows=4)
    assert TTA.from_dict(tta.to_dict()) == Value.from_toml(tta.to_toml()) == tta
    assert TTA.from_toml(TTA().to_toml()) == TTA() == TTA(shifts=[0], lengths=[1])


# ---------------------------------------------------------------------- spans


@pytest.mark.parametrize(
    "method, length, seconds, windows, tta, spans",
    [
        ("squish", 10, None, None, TTA(), [(0, 10)]),
        ("pad", 10, 4, None, TTA(), [(0, 4)]),
        ("pad", 3, 4, None, TTA(), [(0, 4)]),
        ("crop", 10, 4, 3, TTA(), [(0, 4), (3, 7), (6, 10)]),
        ("crop", 10, 4, None, TTA(), [(0, 4)]),
        ("crop", 10, 4, 3, TTA(windows=2), [(0, 4), (6, 10)]),
        ("crop", 3, 4, 2, TTA(), [(0, 4), (0, 4)]),  # as many windows of a short clip, or batches would not fit
        ("squish", 10, None, None, TTA(shifts=(-0.1, 0, 0.25)), [(-1, 9), (0, 10), (2.5, 12.5)]),
        ("squish", 10, None, None, TTA(lengths=(0.5, 1, 2)), [(2.5, 7.5), (0, 10), (-5, 15)]),
        (
            "pad",
            3,
            4,
            None,
            TTA(shifts=(0.5,), lengths=(0.5, 1.5)),
            [(3, 5), (1, 7)],
        ),  # half of 4 s later, whatever the length
        (
            "crop",
            10,
            4,
            2,
            TTA(shifts=(0, 1), lengths=(1, 0.5)),
            [(0, 4), (4, 8), (1, 3), (5, 7), (6, 10), (10, 14), (7, 9), (11, 13)],
        ),
    ],
)
def test_spans(method, length, seconds, windows, tta, spans):
    assert tta_spans(method, length, seconds, windows, tta) == [pytest.approx(span) for span in spans]


@pytest.mark.parametrize(
    "options, message",
    [
        (("squish", 10, None, None, TTA(windows=2)), "windows=2 goes with method='crop'; 'squish' reads a clip once"),
        (("pad", 10, 4, None, TTA(windows=2)), "windows=2 goes with method='crop'; 'pad' reads a clip once"),
        (("crop", 10, 4, 0, TTA()), "windows=0: give 1 or more"),
        (("crop", 10, None, 2, TTA()), "method='crop' needs seconds="),
        (("pad", 10, None, None, TTA()), "method='pad' needs seconds="),
        (("squish", 10, 4, None, TTA()), "seconds=4 goes with method='crop' or 'pad'"),
        (("zoom", 10, 4, None, TTA()), "unknown method 'zoom'"),
        (("squish", 0, None, None, TTA()), "length=0: a clip lasts a number of seconds above 0"),
    ],
)
def test_spans_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        tta_spans(*options)


# ---------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    "representation", [MEL, Stack(MEL, Delta(MEL)), Stack(MEL, Delta(MEL), MEL, MEL)], ids=["1", "2", "4"]
)
@pytest.mark.parametrize(
    "method, seconds", [("squish", None), *((m, s) for m in ("pad", "crop") for s in (0.1, 0.2, 0.204, 0.33, 0.7))]
)
def test_without_settings_it_is_validation_to_the_bit(method, seconds, representation):
    for windows in range(1, 9) if method == "crop" else [1]:
        for size in [(16, 25), (9, 31)]:
            fit = FitSize(size, method, seconds, windows, (0.0, 127.5 / 255, 0.2, 1.0)[: representation.channels])
            for length in (0.1, 0.31, 0.5):
                image = picture_of_click(at=0.05, seconds=length, representation=representation)
                plain, ours = fit(image, split_idx=1), fit_with_tta(fit, TTA())(image, split_idx=1)
                assert (
                    type(ours) is TensorSpec
                    and ours.shape == plain.shape
                    and ours.dtype == plain.dtype
                    and torch.equal(ours, plain)
                )
                if method == "squish":
                    assert ours.spans == [pytest.approx(image.picture_info.span)]
                else:
                    assert ours.spans == plain.spans


def test_a_click_stands_in_the_right_column_of_the_right_window():
    image = picture_of_click(at=0.2, seconds=0.5)  # 63 columns, the click in the middle of number 25
    assert column_of_click(image.planes) == 25
    x = TTAFit((16, 25), "crop", seconds=25 * HOP, windows=3)(image, split_idx=1)
    assert [column_of_click(window) for window in x] == [None, 25 - 19, None] and x.shape == (3, 1, 16, 25)
    x = TTAFit((16, 25), "crop", 25 * HOP, windows=3, tta=TTA(shifts=(-0.4, 0, 0.2)))(image, split_idx=1)
    firsts = [-10, 0, 5, 9, 19, 24, 28, 38, 43]
    assert [column_of_click(window) for window in x] == [
        25 - first if 0 <= 25 - first < 25 else None for first in firsts
    ]
    left = image.picture_info.span[0]
    assert x.spans == [pytest.approx((left + first * HOP, left + (first + 25) * HOP)) for first in firsts]


@pytest.mark.parametrize("method", ["squish", "pad"])
def test_a_shift_moves_a_sound_by_that_share_of_the_columns(method):
    image = picture_of_click(at=0.24, seconds=0.5 - 3 * HOP)  # 60 columns
    fit = FitSize((16, 60), method, None if method == "squish" else 60 * HOP)
    x = fit_with_tta(fit, TTA(shifts=(-0.25, -0.1, 0, 0.1, 0.25)))(image, split_idx=1)
    assert image.width == 60 and column_of_click(x[2]) == 30
    assert [column_of_click(window) for window in x] == [45, 36, 30, 24, 15]
    assert (x.numpy()[3, :, :, :54] == image.planes[:, :, 6:]).all() and not x[3, :, :, 54:].any()
    assert (x.numpy()[1, :, :, 6:] == image.planes[:, :, :54]).all() and not x[1, :, :, :6].any()


def test_a_window_of_another_length_is_taken_about_the_middle_and_scaled():
    image = picture_of_click(at=0.24, seconds=0.5 - 3 * HOP)  # 60 columns
    x = TTAFit((16, 60), tta=TTA(lengths=(0.5, 1.0, 2.0)))(image, split_idx=1)
    resized = np.asarray(Image.fromarray(image.planes[0][:, 15:45]).resize((60, 16), Image.Resampling.BILINEAR))
    assert (x[0, 0].numpy() == resized).all() and (x[1].numpy() == image.planes).all()
    assert not x[2, :, :, :14].any() and not x[2, :, :, 46:].any() and x[2, :, :, 20:40].any()
    left, right = image.picture_info.span
    assert x.spans == [pytest.approx((left + a * HOP, left + b * HOP)) for a, b in [(15, 45), (0, 60), (-30, 90)]]
    assert x.spans[1] == pytest.approx((left, right))


def test_what_lies_beyond_a_short_clip_has_the_level_of_nothing_in_each_channel():
    image = picture_of_click(at=0.05, seconds=0.1, representation=Stack(MEL, Delta(MEL)))
    fit = FitSize((16, 25), "crop", 25 * HOP, windows=2, blank=(0.0, 127.5 / 255))
    x = fit_with_tta(fit, TTA(shifts=(-1, -0.2, 0, 1)))(image, split_idx=1)
    assert x.shape == (8, 2, 16, 25) and torch.equal(x[:4], x[4:])  # both windows of a clip that is shorter than one
    nothing = np.broadcast_to(np.array([0, 128], "uint8")[:, None, None], (2, 16, 25))
    assert (x[0].numpy() == nothing).all() and (x[3].numpy() == nothing).all()
    assert (x[1, :, :, 5 : 5 + image.width].numpy() == image.planes).all()
    after = 5 + image.width
    assert (x[1, :, :, :5].numpy() == nothing[:, :, :5]).all() and (
        x[1, :, :, after:].numpy() == nothing[:, :, after:]
    ).all()


@pytest.mark.parametrize(
    "method, seconds, windows, tta, n",
    [
        ("squish", None, 1, TTA(shifts=(0, 0.1)), 2),
        ("squish", None, 1, WIDE, 6),
        ("pad", 0.3, 1, WIDE, 6),
        ("crop", 0.3, 4, WIDE, 24),
        ("crop", 0.3, 4, TTA(windows=7), 7),
        ("crop", 0.3, 4, TTA(lengths=(0.5, 1), windows=2), 4),
        ("crop", 0.001, 3, TTA(lengths=(0.01, 1)), 6),
    ],
)
def test_clips_of_any_length_give_one_number_of_windows(method, seconds, windows, tta, n):
    fit = fit_with_tta(FitSize((16, 20), method, seconds, windows), tta)
    shapes = {
        fit(picture_of_click(0.02, length), split_idx=split).shape for length in (0.05, 0.3, 0.55) for split in (0, 1)
    }
    assert shapes == {(n, 1, 16, 20)}


def test_one_window_is_no_axis():
    assert TTAFit((16, 20), tta=TTA(shifts=(0.1,)))(picture_of_click(), split_idx=1).shape == (1, 16, 20)
    assert TTAFit((16, 20), "crop", 0.1, 4, tta=TTA(windows=1))(picture_of_click(), split_idx=1).shape == (1, 16, 20)


def test_settings_that_do_not_go_with_the_method():
    for fit in (FitSize((16, 20)), FitSize((16, 20), "pad", 0.3)):
        with pytest.raises(ValueError, match=f"windows=3 goes with method='crop'; '{fit.method}' reads a clip once"):
            fit_with_tta(fit, TTA(windows=3))


def test_windows_replace_windows():
    fit = fit_with_tta(
        fit_with_tta(FitSize((16, 20), "crop", 0.1, 3, blank=(0.2,)), TTA(shifts=(0, 0.1), windows=5)),
        TTA(lengths=(1, 2)),
    )
    assert fit.tta == TTA(lengths=(1, 2)) and fit.windows == 3 and fit.blank.tolist() == [51]
    assert len(fit(picture_of_click(), split_idx=1)) == 6


def test_a_picture_that_does_not_tell_its_seconds():
    turned = FlipItem(p=1.0)(picture_of_click(), split_idx=0)  # nobody follows what it does
    x = TTAFit((16, 20), tta=TTA(shifts=(0, 0.5)))(turned, split_idx=1)
    assert x.shape == (2, 1, 16, 20) and not hasattr(x, "spans")
    with pytest.raises(ValueError, match="method='crop' has to know how long a pixel lasts"):
        TTAFit((16, 20), "crop", 0.1)(turned, split_idx=1)


# ---------------------------------------------------------------------- loaders


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """16 tones of two pitches and three lengths, and their table."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for i in range(16):
        label = ["high", "low"][i % 2]
        sf.write(
            folder / f"{i}.wav", (1 - 0.05 * i) * sine({"high": 3000, "low": 400}[label], 0.25 + 0.07 * (i % 3), SR), SR
        )
        rows.append((f"{i}.wav", label, i >= 8))
    return SimpleNamespace(folder=folder, table=pd.DataFrame(rows, columns=["path", "label", "held"]))


def load(sounds, **kwargs):
    return SpecDataLoaders.from_df(
        sounds.table,
        sounds.folder,
        valid_col="held",
        renderer=LOOK,
        cache=sounds.folder / "cache",
        n_jobs=1,
        progress=False,
        **{"bs": 4, "val_bs": 3, **kwargs},
    )


METHODS = {"squish": dict(), "pad": dict(method="pad", seconds=0.3), "crop": dict(method="crop", seconds=0.12)}


@pytest.fixture(scope="module", params=METHODS)
def learn(request, sounds):
    made = spec_learner(load(sounds, **METHODS[request.param]), "test_resnet", pretrained=False, seed=0)
    return made.remove_cb(ProgressCallback)


def test_a_loader_without_settings_predicts_the_same_bits(learn):
    plain, ours = predict_all(learn), predict_all(learn, dl=with_tta(learn.dls.valid, TTA()))
    assert (
        (plain.probs == ours.probs).all()
        and (plain.embeddings == ours.embeddings).all()
        and plain.table.equals(ours.table)
    )


def test_predictions_are_those_of_the_averaged_windows(learn):
    dl = with_tta(learn.dls.valid, WIDE)
    found, plain = predict_all(learn, dl=dl), predict_all(learn)
    for name in ("path", "picture", "target"):
        assert found.table[name].tolist() == plain.table[name].tolist()
    assert not np.allclose(found.probs, plain.probs)
    fit, net = (
        fit_with_tta(next(step for step in learn.dls.valid.after_item.fs if isinstance(step, FitSize)), WIDE),
        learn.model.eval(),
    )
    for row, path in enumerate(found.table["picture"]):
        windows = fit(SpecImage.create(path), split_idx=1).as_subclass(torch.Tensor).float() / 255
        with torch.no_grad():
            logits = torch.stack([net(window[None])[0] for window in windows])
        assert found.probs[row] == pytest.approx(logits.mean(0).softmax(0).numpy(), abs=1e-5)
    n = len(windows)
    assert n == 6 * (fit.windows if fit.method == "crop" else 1)
    assert next(iter(dl))[0].shape == (3, n, 1, *fit.size)


def test_the_loader_itself_stays_as_it_was(learn):
    before = learn.dls.valid.one_batch()[0]
    dl = with_tta(learn.dls.valid, WIDE)
    assert (
        type(dl) is type(learn.dls.valid)
        and dl.input.reader is learn.dls.valid.input.reader
        and dl.clips.equals(learn.dls.valid.clips)
    )
    assert not any(isinstance(step, TTAFit) for step in learn.dls.valid.after_item.fs)
    assert torch.equal(learn.dls.valid.one_batch()[0], before)
    assert dl.bs == 3 and len(dl) == 3 and dl.one_batch()[0].clips[2][0] == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_new_recordings_and_workers(learn, sounds, num_workers):
    files = [sounds.folder / f"{i}.wav" for i in (8, 9, 10, 15)]
    found = predict_all(learn, dl=with_tta(learn.dls.test_dl(files, num_workers=num_workers), WIDE))
    held = predict_all(learn, dl=with_tta(learn.dls.valid, WIDE))
    assert found.table["path"].tolist() == [str(file) for file in files]
    assert np.allclose(found.probs, held.probs[[0, 1, 2, 7]], atol=1e-6)
    training = predict_all(learn, dl=with_tta(learn.dls.train, WIDE))  # neither shuffled nor at random
    assert training.table["path"].tolist() == sounds.table["path"].tolist()[:8]
    again = predict_all(learn, dl=with_tta(learn.dls.train, WIDE))
    assert (training.probs == again.probs).all()


def test_pictures_show_the_seconds_of_their_first_window(learn):
    dl = with_tta(learn.dls.valid, TTA(shifts=(0.25, 0.0), lengths=(0.5,)))
    batch = dl.one_batch()
    figure = dl.show_batch(batch)
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 3
    for ax, (index, spans), picture in zip(drawn, batch[0].clips, dl.clips["picture"]):
        left, right = SpecImage.create(picture).picture_info.span
        whole = {"squish": right - left, "pad": 0.3, "crop": 0.12}[dl.input.method]
        expected = left + 0.5 * whole, left + whole  # the middle half, then a quarter of the whole later
        assert ax.get_xlim() == pytest.approx(spans[0]) and spans[0] == pytest.approx(expected, abs=1.5 * HOP)
        assert len(spans) == len(batch[0][0])


def test_a_classifier_without_loaders(learn, sounds, tmp_path):
    save_classifier(learn, tmp_path / "classifier")
    clf = load_classifier(tmp_path / "classifier")
    clf = dataclasses.replace(clf, input=clf.input.with_tta(WIDE))
    files = [str(sounds.folder / f"{i}.wav") for i in range(8, 16)]
    table = clf.predict(files)
    probs = predict_all(learn, dl=with_tta(learn.dls.valid, WIDE)).probs
    assert np.allclose(table[[f"p_{label}" for label in clf.vocab]], probs, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda sounds: load(sounds).valid.new(after_item=[]), lambda sounds: DataLoader([1, 2, 3], bs=2)]
)
def test_a_loader_that_knows_no_windows(sounds, make):
    with pytest.raises(
        ValueError, match="has no FitSize, so it does not know windows; give a loader of SpecDataLoaders"
    ):
        with_tta(make(sounds), TTA())
