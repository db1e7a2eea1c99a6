"""The seconds and hertz on the axes are those of what is shown, or they are left off; and fastai's own protocols hold."""

import numpy as np
import pytest
import torch
from fastai.data.core import TfmdDL
from fastai.vision.all import (
    Brightness,
    CategoryBlock,
    CropPad,
    DataBlock,
    FlipItem,
    Interpretation,
    PadMode,
    RandomCrop,
    RandomResizedCrop,
    RatioResize,
    Resize,
    ResizeMethod,
    Rotate,
    Transform,
    parent_label,
)
from PIL import Image

import specimg as sp
from specimg.data import SpecImage, WaveAugment
from specimg.data.images import FitSize
from specimg.interpret import clip_cam

torch.set_num_threads(1)
SR, SECONDS, HZ, CLICK = 8000, 1.5, 1000, 0.9
STEREO = sp.Stack(sp.Mel(n_mels=96, n_fft=256, hop_length=32), sp.Mel(n_mels=96, n_fft=256, hop_length=32))
LOOKS = {1: sp.Renderer(sp.Mel(n_mels=96, n_fft=256, hop_length=32)), 2: sp.Renderer(STEREO)}


@pytest.fixture(scope="module")
def files(tmp_path_factory, write_wav_once):
    """Eight clips with a tone of 1 kHz throughout, and at 0.9 s a louder click."""
    folder = tmp_path_factory.mktemp("clips")
    rng, t = np.random.default_rng(0), np.arange(int(SR * SECONDS)) / SR
    for k in range(8):
        y = 0.02 * np.sin(2 * np.pi * HZ * t) * np.minimum(1, 10 * np.minimum(t, SECONDS - t))
        y[int(CLICK * SR) : int(CLICK * SR) + 16] = 0.9 * rng.choice([-1, 1], 16)
        write_wav_once(folder / ("a", "b")[k % 2] / f"{k}.wav", y.astype("float32"), SR)
    return sorted(folder.glob("*/*.wav"))


@pytest.fixture(scope="module")
def write_wav_once():
    import soundfile

    def write(path, y, sr):
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, y, sr)

    return write


def by_block(files, channels=1, **options):
    data = DataBlock((sp.SpecBlock(LOOKS[channels]), CategoryBlock), get_y=parent_label, **options)
    return data.dataloaders(files, bs=4, num_workers=0)


def by_folder(files, channels=1, **options):
    options = {"size": 64, "augment": None, **options}
    return sp.SpecDataLoaders.from_folder(
        files[0].parents[1],
        renderer=LOOKS[channels],
        cache=files[0].parents[2] / "cache",
        bs=4,
        progress=False,
        **options,
    )


def drawn(dl):
    return [ax for ax in dl.show_batch(max_n=4).axes if ax.axison]


def seen(ax, channels=1):
    """(second of the click, rows from the tick of 1 kHz to the tone), by the axes; None for what is not in the picture."""
    image = ax.images[0]
    pixels, (left, right, _, top) = np.asarray(image.get_array(), float), image.get_extent()
    plane = pixels[: len(pixels) // channels]
    loud = (plane > 60).mean(axis=0)  # the click lights a column
    second = left + (loud.argmax() + 0.5) * (right - left) / plane.shape[1] if loud.max() > 0.9 else None
    rows = np.median(plane, axis=1)
    row = rows.argmax() + 0.5 + top
    near = [place for label, place in zip(ax.get_yticklabels(), ax.get_yticks()) if label.get_text() == "1k"]
    return second, (near[0] - row if near and rows.max() > 60 else None)


FOLLOWED = {
    "squish": lambda: Resize(64, ResizeMethod.Squish),
    "crop": lambda: Resize(64),
    "pad": lambda: Resize(64, ResizeMethod.Pad, pad_mode=PadMode.Zeros),
    "random crop": lambda: RandomResizedCrop(64, min_scale=0.3),
    "center": lambda: CropPad(64),
    "wider": lambda: CropPad((64, 500)),
    "cut": lambda: RandomCrop(64),
    "two": lambda: [RandomResizedCrop(200, min_scale=0.7), CropPad((160, 180)), RatioResize(90), CropPad(64)],
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", FOLLOWED)
def test_seconds_and_hertz_follow_fastais_item_transforms(name, channels, files):
    clicks, tones = [], []
    dls = by_block(files, channels, item_tfms=FOLLOWED[name]())
    for dl in (dls.train, dls.train, dls.valid):
        for ax in drawn(dl):
            assert (ax.get_xlabel(), ax.get_ylabel()) == ("seconds", "Hz")
            second, off = seen(ax, channels)
            clicks += [] if second is None else [second]
            tones += [] if off is None else [off]
    assert clicks or tones
    assert clicks == pytest.approx([CLICK + 0.001] * len(clicks), abs=0.03)
    assert tones == pytest.approx([0] * len(tones), abs=1.6)  # rows of 64


def mirrored(image: SpecImage):
    return SpecImage.create(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def cut(image: SpecImage):
    return SpecImage.create(image.crop((0, 0, 50, 50)))


class Later(Transform):
    order = 50

    def encodes(self, x: sp.data.TensorSpec):
        return x.flip(-1)


LOST = {
    "mirrored edges": dict(item_tfms=Resize(64, ResizeMethod.Pad, pad_mode=PadMode.Reflection)),
    "flipped": dict(item_tfms=[Resize(64), FlipItem(p=1.0)]),
    "by hand": dict(item_tfms=[Transform(mirrored), Resize(64)]),
    "cut by hand": dict(item_tfms=[Transform(cut), Resize(64)]),
    "tensors": dict(item_tfms=[Resize(64), Later()]),
    "turned": dict(item_tfms=Resize(64), batch_tfms=Rotate(p=1.0)),
}


@pytest.mark.parametrize("name", LOST)
def test_axes_are_left_off_where_nobody_knows(name, files):
    axes = drawn(by_block(files, **LOST[name]).train)
    assert not any(ax.get_xlabel() or ax.get_ylabel() for ax in axes)


def test_what_is_turned_in_training_only_has_axes_in_validation(files):
    dls = by_block(files, item_tfms=Resize(64), batch_tfms=[Rotate(p=1.0), Brightness(p=1.0)])
    assert {ax.get_xlabel() for ax in drawn(dls.valid)} == {"seconds"}
    bright = by_block(files, item_tfms=Resize(64), batch_tfms=Brightness(p=1.0))
    assert {ax.get_xlabel() for ax in drawn(bright.train)} == {"seconds"}


@pytest.mark.parametrize("options", [dict(), dict(method="crop", seconds=0.5), dict(method="pad", seconds=2.0)])
def test_the_loaders_own_fit_follows_what_was_cut_before(options, files):
    dls = by_folder(files, item_tfms=CropPad((96, 300)), **options)
    for ax in [*drawn(dls.train), *drawn(dls.valid)]:
        second, off = seen(ax)
        assert second is None or second == pytest.approx(CLICK, abs=0.03)
        assert off == pytest.approx(0, abs=1.6)
    ends = np.array([ax.get_xlim() for ax in drawn(dls.valid)])
    assert ends.min() > 0.1 and np.ptp(ends, axis=1).max() <= 2.01


def test_our_own_augmentation_that_moves_sounds_is_named_on_the_axes(files):
    dls = by_folder(files, augment=sp.Augment(shift=0.2))
    assert {(ax.get_xlabel(), ax.get_ylabel()) for ax in drawn(dls.train)} == {
        ("seconds (augmented)", "Hz (augmented)")
    }
    assert {ax.get_xlabel() for ax in drawn(dls.valid)} == {"seconds"}
    assert {ax.get_xlabel() for ax in drawn(by_folder(files, augment="default").train)} == {"seconds"}


def waves(files, **options):
    audio = sp.Audio(sr=SR, duration=SECONDS)
    return sp.WaveDataLoaders.from_folder(files[0].parents[1], audio=audio, bs=4, **options)


def test_waveforms_that_are_cut_or_moved_claim_no_seconds_of_the_recording(files):
    def later(wave: sp.data.TensorWave):
        return wave[..., 4000:]

    assert {ax.get_xlabel() for ax in drawn(waves(files, augment=None).train)} == {"seconds"}
    assert {ax.get_xlabel() for ax in drawn(waves(files, augment=WaveAugment(shift=0.1)).train)} == {
        "seconds (augmented)"
    }
    assert {ax.get_xlabel() for ax in drawn(waves(files, item_tfms=Transform(later)).valid)} == {"samples"}


def test_a_map_lies_where_the_network_looked(files):
    """The network is shown the middle of the picture; the map is dark outside of it."""
    learn = sp.spec_learner(by_folder(files, item_tfms=CropPad((48, 100))), "mini_resnet", pretrained=False, seed=0)
    found = [clip_cam(learn, files[0], label).values for label in "ab"]
    values = next(values for values in found if values.any())  # the evidence for one of two labels
    height, width = values.shape
    inside = values[(height - 48) // 2 : (height + 48) // 2, (width - 100) // 2 : (width + 100) // 2]
    assert (height, width) == (96, 376) and inside.sum() == pytest.approx(values.sum()) and inside.max() == 1


# ---------------------------------------------------------------------- fastai's protocols


@pytest.mark.parametrize("load", [by_folder, waves])
def test_results_that_are_not_shown_are_fastais(load, files):
    dl = load(files).valid
    batch = dl.one_batch()
    guesses = type(batch[1])(1 - batch[1])
    ours = dl.show_results(batch, guesses, show=False, max_n=2)
    theirs = TfmdDL.show_results(dl, batch, guesses, show=False, max_n=2)
    assert len(ours) == 4 and [type(part) for part in ours] == [type(part) for part in theirs]
    x, y, samples, outs = ours
    assert (x == theirs[0]).all() and (y == theirs[1]).all()
    assert [out[0] for out in outs] == [out[0] for out in theirs[3]] != [sample[1] for sample in samples]


@pytest.mark.parametrize("load", [by_folder, waves])
def test_fastais_interpretation_shows_top_losses(load, files):
    import matplotlib.pyplot as plt

    dls = load(files, valid_pct=0.5)
    learn = sp.spec_learner(dls, "mini_resnet" if load is by_folder else "soundnet_cnn", pretrained=False)
    with learn.no_bar():
        interp = Interpretation.from_learner(learn)
        interp.plot_top_losses(3)
    shown = [ax for ax in plt.gcf().axes if ax.get_title()]
    assert len(shown) == 3 and all(ax.images or ax.lines for ax in shown)
    assert all(len(ax.get_title().split("/")) == 4 for ax in shown)  # prediction, actual, loss, probability
    plt.close("all")


def test_tensorboard_gets_the_predictions(files, tmp_path):
    pytest.importorskip("tensorboard")
    from fastai.callback.tensorboard import TensorBoardCallback

    learn = sp.spec_learner(by_folder(files), "mini_resnet", pretrained=False)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=TensorBoardCallback(tmp_path / "logs", trace_model=False))
    assert any((tmp_path / "logs").iterdir())


# ---------------------------------------------------------------------- a DataBlock of one's own


SHORT = sp.Renderer(sp.Mel(n_mels=64, n_fft=256, hop_length=128), audio=sp.Audio(sr=SR, duration=1.0))
FITTED = {
    "as drawn": None,
    "squeezed": Resize(48, ResizeMethod.Squish),
    "ours": FitSize((48, 48), "crop", seconds=0.5, windows=2),
}


TRAIN, VALID = [0, 1, 4, 5], [2, 3, 6, 7]  # of two labels each


def block_learner(files, item_tfms=None, block=None, arch="mini_resnet"):
    data = DataBlock(
        (block or sp.SpecBlock(SHORT), CategoryBlock),
        get_items=lambda folder: files,
        splitter=lambda items: (TRAIN, VALID),
        get_y=parent_label,
        item_tfms=item_tfms,
    )
    return sp.spec_learner(data.dataloaders(files[0].parents[1], bs=4, num_workers=0), arch, pretrained=False, seed=0)


@pytest.mark.parametrize("name", FITTED)
def test_the_learner_of_a_datablock_is_kept_explained_and_reported(name, files, tmp_path):
    learn = block_learner(files, FITTED[name])
    clf = sp.load_classifier(sp.save_classifier(learn, tmp_path / "kept"))
    table = clf.predict(files, progress=False)
    with learn.no_bar():
        probs = learn.get_preds(dl=learn.dls.test_dl(files))[0].numpy()
        interp = sp.SpecInterpretation.from_learner(learn)
    assert table[["p_a", "p_b"]].to_numpy() == pytest.approx(probs, abs=1e-5)
    assert interp.table["recording"].tolist() == [str(files[i]) for i in VALID]
    axes = interp.plot_top_losses(2, cam=True).axes
    assert [ax.get_ylabel() for ax in axes] == ["Hz", "Hz"]
    assert [ax.get_ylabel() for ax in interp.plot_nearest(0, k=2).axes if ax.axison] == ["Hz"] * 3
    page = sp.report(learn, tmp_path / "page.html", cam=2, progress=False).read_text()
    assert "4 pictures embedded" in page and "Class maps (Grad-CAM of the predicted class) of 2 clips" in page
    assert sp.check_classifier(tmp_path / "kept")["verdict"].tolist() == ["same"] * 4


def test_waveforms_of_a_datablock_are_kept(files, tmp_path):
    learn = block_learner(files, block=sp.WaveBlock(sp.Audio(sr=SR, duration=1.0)), arch="soundnet_cnn")
    clf = sp.load_classifier(sp.save_classifier(learn, tmp_path / "kept"))
    with learn.no_bar():
        probs = learn.get_preds(dl=learn.dls.test_dl(files))[0].numpy()
    assert clf.predict(files, progress=False)[["p_a", "p_b"]].to_numpy() == pytest.approx(probs, abs=1e-5)


@pytest.mark.parametrize(
    "item_tfms, block, message",
    [
        (Resize(32), None, r"cut the pictures .* squeeze them, item_tfms=Resize\(size, method='squish'\)"),
        (RandomResizedCrop(32), None, "cut the pictures"),
        ([Transform(mirrored), Resize(64)], None, "make others of them"),
    ],
)
def test_what_a_classifier_could_not_repeat_is_refused_with_the_way_out(item_tfms, block, message, files, tmp_path):
    learn = block_learner(files, item_tfms, block)
    with pytest.raises(ValueError, match=message):
        sp.save_classifier(learn, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_clips_of_a_datablock_have_their_labels(files):
    train = block_learner(files).dls.train
    assert train.clips["label"].tolist() == [files[i].parent.name for i in TRAIN] and not train.is_multi


def test_new_recordings_are_labelled_by_their_folders(files):
    dls = by_folder(files)
    dl = dls.test_dl(files, with_labels=True)
    assert [dls.vocab[int(y)] for _, y in dl.dataset] == [file.parent.name for file in files]
    with pytest.raises(ValueError, match="2 recordings of 2 in no folder named after a label .*'path' and 'label'"):
        dls.test_dl(["c/1.wav", "d/2.wav"], with_labels=True)


# ---------------------------------------------------------------------- a file that is none of the clips


def test_the_clips_nearest_to_any_file(files, tmp_path):
    import shutil

    learn = sp.spec_learner(by_folder(files, valid_pct=0.5), "mini_resnet", pretrained=False, seed=0)
    with learn.no_bar():
        interp = sp.SpecInterpretation.from_learner(learn)
    copied = shutil.copy(files[0].parents[1] / interp.table["path"][1], tmp_path / "elsewhere.wav")
    found = interp.nearest(copied, k=2)
    assert found["distance"].iloc[0] == pytest.approx(0, abs=1e-5)
    axes = interp.plot_nearest(copied, k=2).axes
    assert axes[0].get_title().startswith("the file\npredicted ") and axes[0].get_title().endswith("elsewhere.wav")
    assert [ax.get_ylabel() for ax in axes if ax.axison] == ["Hz"] * 3
    with pytest.raises(ValueError, match="none of the 4 clips is 'nowhere.wav'"):
        interp.nearest("nowhere.wav")
    alone = sp.SpecInterpretation(interp.predictions)
    with pytest.raises(ValueError, match="predictions without a network .*from_learner"):
        alone.nearest(copied)


# ---------------------------------------------------------------------- seeds


def test_a_seed_repeats_fastais_own_fit(files):
    def trained(seed):
        learn = sp.spec_learner(by_folder(files, seed=0), "mini_resnet", pretrained=False, seed=seed)
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 1e-2)
        return torch.cat([p.detach().flatten() for p in learn.model.parameters()])

    torch.rand(3)  # whatever was drawn before
    first = trained(1)
    torch.rand(5)
    assert torch.equal(trained(1), first) and not torch.equal(trained(2), first)


def test_the_feature_baseline_takes_loaders(files):
    for load in (by_folder, waves):
        found = sp.experiments.feature_baseline(load(files, valid_pct=0.5), progress=False)
        assert len(found.clips) == 4 and found.vocab == ("a", "b")
    with pytest.raises(ValueError, match="needs valid="):
        sp.experiments.feature_baseline(found.clips)
