"""Trees and labels to batches: the right pixels, the right labels, the right axes, and errors that say what to do."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import (
    CategoryBlock,
    ColReader,
    DataBlock,
    FlipItem,
    ProgressCallback,
    RandomResizedCrop,
    RandomSplitter,
    Resize,
    ToTensor,
    load_learner,
)
from matplotlib.figure import Figure
from PIL import Image

from specimg.audio import AudioError
from specimg.audio.variants import AddNoise, Roll
from specimg.data import Augment, SpecBlock, SpecDataLoaders, SpecImage, TensorSpec
from specimg.data.images import FitSize, OpenPicture, window_starts
from specimg.data.loader import SpecDL
from specimg.datasets import click, sine
from specimg.labels import Balance
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Delta, Mel, Stack
from specimg.spectrogram.picture import Picture, PictureError, describe, read_planes
from specimg.training.learner import spec_learner
from specimg.training.predict import predict_all

torch.set_num_threads(1)
SR = 8000
HOP = 64 / SR  # s
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
LOOK = Renderer(MEL)
DELTA = Delta(MEL)
BY_CHANNELS = {1: MEL, 2: Stack(MEL, DELTA), 3: Stack(MEL, DELTA, MEL), 4: Stack(MEL, DELTA, MEL, DELTA)}
HZ = {"high": 3000, "low": 400, "mid": 1200}


def tone(label, seconds):
    """The sound of a label."""
    return sine(HZ[label], seconds, SR)


def pitch_row(x):
    """The brightest row of the first channel of a picture `(.., channels, height, width)`."""
    return int(np.asarray(x, dtype=float).reshape(-1, *x.shape[-2:])[0].mean(axis=1).argmax())


ROW = {label: pitch_row(read_planes(LOOK.png(tone(label, 0.3), SR))) for label in HZ}
assert len(set(ROW.values())) == 3


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """24 tones in `audio/` of .folder, three lengths, and .table: fname, label, speaker, fold."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "audio").mkdir()
    rows = []
    for i in range(8):
        for label in HZ:
            name = f"{i}_{label}_{'abcd'[i % 4]}.wav"
            sf.write(folder / "audio" / name, tone(label, 0.3 + 0.05 * (i % 3)), SR)
            rows.append((name, label, "abcd"[i % 4], i % 3))
    return SimpleNamespace(
        folder=folder, audio=folder / "audio", table=pd.DataFrame(rows, columns=["fname", "label", "speaker", "fold"])
    )


def load(sounds, table=None, **kwargs):
    options = dict(
        folder="audio", fn_col="fname", label_col="label", renderer=LOOK, cache=sounds.folder / "cache", bs=8, n_jobs=1
    )
    return SpecDataLoaders.from_df(sounds.table if table is None else table, sounds.folder, **{**options, **kwargs})


@pytest.fixture(scope="module")
def dls(sounds):
    return load(sounds, augment=None)


# ---------------------------------------------------------------------- damaged pictures


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_picture_costs_its_clip_and_not_the_training(sounds, tmp_path, num_workers):
    dls = load(sounds, augment=None, fold=1, cache=tmp_path / "cache", num_workers=num_workers)
    lost = dls.valid.clips.iloc[2]
    Path(lost.picture).write_bytes(Path(lost.picture).read_bytes()[:-30])
    learn = spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    with (
        learn.no_bar(),
        pytest.warns(UserWarning, match=f"{lost.path}.png' cannot be read.*left out.*verify.drop=True"),
    ):
        learn.fit(1, 1e-3)
        found = predict_all(learn).table
    kept = dls.valid.clips[dls.valid.clips.path != lost.path]
    assert found.path.tolist() == kept.path.tolist() and found.target.tolist() == kept.label.tolist()


@pytest.mark.parametrize("sizing", [{}, {"method": "crop", "seconds": 0.2}])
def test_damaged_pictures_that_stand_for_all_others_are_left_out(sounds, tmp_path, sizing):
    options = dict(augment=None, fold=1, cache=tmp_path / "cache", **sizing)
    whole = load(sounds, **options)
    lost = [*whole.train.clips.picture[:2], whole.valid.clips.picture[0], whole.valid.clips.picture[3]]
    for picture, n in zip(lost, (0, 60, -30, 8)):  # the first is empty, the third lacks its end
        Path(picture).write_bytes(Path(picture).read_bytes()[:n])
    with pytest.warns(UserWarning, match=f"{2 + 1 + 1} of 24 pictures are damaged .*is not a PNG.*left out. Of a tree"):
        dls = load(sounds, **options)
    kept = [*dls.train.clips.picture, *dls.valid.clips.picture]
    assert len(kept) == 20 and not set(kept) & set(lost)
    assert dls.size == whole.size and len(dls.one_batch()[0]) == 8


def test_a_window_of_a_picture_that_claims_a_billion_columns_a_second_is_refused(sounds):
    image = SpecImage.create(LOOK(sounds.audio / sounds.table.fname[0]))
    text, *size = image.facts
    image.facts = (text.replace(f'"sr": {SR}', '"sr": 2000000000'), *size)
    with pytest.raises(PictureError, match="cells at most"):
        FitSize((16, 16), "crop", seconds=30)(image)


# ---------------------------------------------------------------------- variants


def test_training_sees_variants_and_validation_never(sounds):
    dls = load(sounds, augment=None, fold=1, variants=[Roll(0.5), AddNoise(10)])
    plain = load(sounds, augment=None, fold=1)
    train, valid = dls.train.clips, dls.valid.clips
    assert len(train) == 3 * len(plain.train.clips) and dls.size == plain.size and dls.vocab == plain.vocab
    assert (
        valid["path"].tolist() == plain.valid.clips["path"].tolist()
        and valid["picture"].tolist() == plain.valid.clips["picture"].tolist()
    )
    assert not set(train["path"]) & set(valid["path"]) and set(valid["variant"]) == {""}
    assert train["variant"].value_counts().to_dict() == {
        name: len(train) // 3 for name in ("", "roll-0.5", "noise-10dB")
    }


def test_a_variants_picture_carries_its_clips_label_and_changed_sound(sounds):
    """Half a clip is silent: rolled by half, the tone stands in the other half of the picture."""
    for i in range(8):
        y = np.concatenate([tone("low" if i % 2 else "high", 0.3), np.zeros(2400)])
        sf.write(sounds.folder / f"half{i}.wav", y, SR)
    table = pd.DataFrame(
        {"path": [f"half{i}.wav" for i in range(8)], "label": ["high", "low"] * 4, "held": [i > 5 for i in range(8)]}
    )
    dls = SpecDataLoaders.from_df(
        table,
        sounds.folder,
        valid_col="held",
        renderer=LOOK,
        cache=sounds.folder / "cache",
        variants=Roll(0.5),
        n_jobs=1,
        bs=4,
    )
    for dl in (dls.train, dls.valid):
        for i, (x, y) in enumerate(dl.dataset):
            row, picture = dl.clips.iloc[i], np.asarray(x, float)
            left = picture[:, : picture.shape[1] // 2].sum() > picture[:, picture.shape[1] // 2 :].sum()
            assert (
                left == (row["variant"] == "")
                and dls.vocab[int(y)] == row["label"]
                and pitch_row(np.asarray(x)) == ROW[row["label"]]
            )


def test_weights_and_balance_hold_for_variants(sounds):
    table = sounds.table.assign(weight=np.arange(24) + 1.0)
    dls = load(sounds, table, fold=0, weight_col="weight", variants=[Roll(0.5)])
    by_name = dict(zip(table["fname"], table["weight"]))
    assert dls.train.weights == [by_name[path] for path in dls.train.clips["path"]] and len(dls.train.weights) == len(
        dls.train.clips
    )


def test_a_tree_without_a_variant_says_how_it_is_drawn(sounds):
    tree = render_tree(sounds.audio, LOOK, sounds.folder / "other cache", n_jobs=1)
    labels = pd.DataFrame({"path": sounds.table["fname"], "label": sounds.table["label"]})
    with pytest.raises(
        ValueError,
        match=r"holds no variant 'roll-0.5' of the clips of training; draw it by render_tree\(..., variants=...\)",
    ):
        SpecDataLoaders.from_tree(tree, labels, variants=[Roll(0.5)], bs=4)
    with pytest.raises(ValueError, match="'roll' is not a variant"):
        load(sounds, variants=["roll"])
    some = render_tree(
        sounds.table["fname"][:20],
        LOOK,
        sounds.folder / "other cache",
        root=sounds.audio,
        variants=[Roll(0.5)],
        n_jobs=1,
    )
    whole = SpecTree.open(some.root)
    held = labels.assign(is_valid=[i < 6 for i in range(24)])
    with pytest.warns(UserWarning, match=r"^4 of 18 clips of training have no picture of the variant roll-0.5 \("):
        dls = SpecDataLoaders.from_tree(whole, held, variants=[Roll(0.5)], bs=4)
    assert len(dls.train.clips) == 18 + 14


@pytest.fixture(scope="module")
def learn(dls):
    return quiet(spec_learner(dls, "test_resnet", pretrained=False, seed=0))


def quiet(learn):
    """A learner without bars."""
    return learn.remove_cb(ProgressCallback)


def noisy_png(representation, seconds=0.3, **picture):
    y = sine(1000, seconds, SR) + np.random.default_rng(0).normal(0, 0.05, round(seconds * SR)).astype("float32")
    return Renderer(representation, Picture(**picture)).png(y, SR)


# ---------------------------------------------------------------------- SpecImage


@pytest.mark.parametrize("channels", BY_CHANNELS)
def test_every_way_to_open_a_picture_gives_the_stored_levels(channels, tmp_path):
    look, y = Renderer(BY_CHANNELS[channels]), sine(1000, 0.3, SR)
    path = tmp_path / "a.png"
    path.write_bytes(look.png(y, SR))
    stored = read_planes(path)
    assert stored.shape == (channels, 16, 38)
    for source in (path, str(path), path.read_bytes(), look(y, SR)):
        image = SpecImage.create(source)
        assert (image.planes == stored).all()
        tensor = ToTensor()(image)
        assert type(tensor) is TensorSpec and tensor.dtype == torch.uint8
        assert (tensor.numpy() == stored).all()
        assert image.picture_info == describe(path)
        assert SpecImage.create(image) is image


def test_opening_an_image_leaves_it_as_it_is():
    image = LOOK(sine(1000, 0.3, SR), SR)
    kind, text, pixels = type(image), dict(image.info), np.asarray(image).copy()
    SpecImage.create(image)
    assert type(image) is kind and image.info == text and (np.asarray(image) == pixels).all()


def test_a_colour_map_opens_as_its_colours(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(noisy_png(MEL, colormap="viridis"))
    image = SpecImage.create(path)
    assert (image.planes == np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)).all()
    assert image.planes.shape == (3, 16, 38) and len(np.unique(image.planes[0] - image.planes[2].astype(int))) > 1
    assert image.picture_info.picture.colormap == "viridis"


@pytest.mark.parametrize("method", ["squish", "crop", "pad"])
@pytest.mark.parametrize("channels", BY_CHANNELS)
def test_fastai_resizes_each_channel_by_itself(channels, method):
    image = SpecImage.create(noisy_png(BY_CHANNELS[channels]))
    for size in [(24, 40), (8, 20), 20]:
        resize = Resize(size, method=method)
        alone = [np.asarray(resize(SpecImage(Image.fromarray(plane)), split_idx=1)) for plane in image.planes]
        tensor = ToTensor()(resize(image, split_idx=1))
        assert type(tensor) is TensorSpec
        assert (tensor.numpy() == np.stack(alone)).all()
    assert ToTensor()(RandomResizedCrop(12)(image, split_idx=0)).shape == (channels, 12, 12)


@pytest.mark.parametrize(
    "mode, channels, suffix",
    [
        ("1", 1, "png"),
        ("L", 1, "png"),
        ("LA", 3, "png"),
        ("P", 3, "png"),
        ("RGB", 3, "png"),
        ("RGBA", 3, "png"),
        ("CMYK", 4, "tif"),
        ("RGB", 3, "jpg"),
    ],
)
def test_a_picture_from_elsewhere_opens(mode, channels, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.arange(200, dtype="uint8").reshape(10, 20)).convert(mode).save(path)
    image = SpecImage.create(path)
    tensor = ToTensor()(image)
    assert tensor.shape == (channels, 10, 20) and tensor.dtype == torch.uint8
    assert image.picture_info is None


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    levels = np.linspace(0, 65535, 600).astype("uint16").reshape(20, 30)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert (SpecImage.create(tmp_path / "a.png").planes == levels // 256).all()


@pytest.mark.parametrize(
    "damage", [lambda png: b"", lambda png: b"x" * 100, lambda png: png[:-60]], ids=["empty", "junk", "truncated"]
)
def test_a_broken_picture_is_an_error_with_its_path(damage, tmp_path):
    (tmp_path / "bad.png").write_bytes(damage(noisy_png(MEL)))
    with pytest.raises(PictureError, match=r"bad\.png' cannot be read") as caught:
        SpecImage.create(tmp_path / "bad.png")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_missing_picture_and_one_of_floats_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.png"):
        SpecImage.create(tmp_path / "gone.png")
    Image.fromarray(np.zeros((4, 5), "float32")).save(tmp_path / "a.tif")
    with pytest.raises(PictureError, match="8 bits"):
        SpecImage.create(tmp_path / "a.tif")


@pytest.mark.parametrize("channels", BY_CHANNELS)
def test_pictures_and_tensors_show_themselves(channels):
    image = SpecImage.create(noisy_png(BY_CHANNELS[channels]))
    ax = Figure().add_subplot()
    image.show(ctx=ax)
    TensorSpec(torch.zeros(5, channels, 16, 20)).show(ctx=ax)
    rows = 16 if channels in (1, 3) else 16 * channels
    assert [shown.get_array().shape[:2] for shown in ax.images] == [(rows, 38), (rows, 20)]


# ---------------------------------------------------------------------- FitSize


@pytest.mark.parametrize(
    "length, window, count, starts", [(10, 4, 3, [0, 3, 6]), (10, 4, 1, [0]), (3, 4, 3, [0, 0, 0]), (9, 9, 2, [0, 0])]
)
def test_windows_spread_evenly_and_the_last_ends_with_the_clip(length, window, count, starts):
    assert window_starts(length, window, count) == starts


def picture_of_click(at=0.2, seconds=0.5, representation=MEL):
    return SpecImage.create(Renderer(representation).png(click(at, seconds, SR), SR))


def time_of_click(x, span):
    """Seconds of the brightest column of `(channels, height, width)`, which shows `span`."""
    column = int(np.asarray(x)[0].astype(int).sum(axis=0).argmax())
    return span[0] + (column + 0.5) * (span[1] - span[0]) / x.shape[-1]


def test_squish_keeps_what_has_the_size_and_scales_each_plane():
    image = SpecImage.create(noisy_png(BY_CHANNELS[3]))
    assert (FitSize((16, 38))(image, split_idx=1).numpy() == image.planes).all()
    scaled = FitSize((10, 57))(image, split_idx=1)
    assert type(scaled) is TensorSpec and scaled.shape == (3, 10, 57)
    for plane, source in zip(scaled.numpy(), image.planes):
        assert (plane == np.asarray(Image.fromarray(source).resize((57, 10), Image.Resampling.BILINEAR))).all()


def test_pad_keeps_the_time_scale_and_pads_with_nothing():
    image = picture_of_click()
    x = FitSize((16, 125), "pad", seconds=1.0)(image, split_idx=0)
    assert x.shape == (1, 16, 125)
    assert (x.numpy()[:, :, : image.width] == image.planes).all() and not x[:, :, image.width :].any()
    assert x.spans == [pytest.approx((-HOP / 2, -HOP / 2 + 1.0))]
    assert time_of_click(x, x.spans[0]) == pytest.approx(0.2, abs=HOP)


def test_pad_cuts_what_is_longer_at_its_end():
    image = picture_of_click()
    x = FitSize((16, 30), "pad", seconds=30 * HOP)(image, split_idx=0)
    assert (x.numpy() == image.planes[:, :, :30]).all()


def test_padding_has_the_level_of_nothing_in_each_channel():
    image = picture_of_click(representation=BY_CHANNELS[2])
    x = FitSize((16, 100), "pad", seconds=100 * HOP, blank=(0.0, 127.5 / 255))(image, split_idx=1)
    assert (x[0, :, image.width :] == 0).all() and (x[1, :, image.width :] == 128).all()


def test_validation_sees_evenly_spread_windows_where_the_click_has_its_time():
    image = picture_of_click(at=0.2, seconds=0.5)
    fit = FitSize((16, 25), "crop", seconds=0.2, windows=3)
    x = fit(image, split_idx=1)
    assert x.shape == (3, 1, 16, 25)
    left, right = image.picture_info.span
    assert x.spans[0][0] == pytest.approx(left) and x.spans[-1][1] == pytest.approx(right)
    assert np.diff([start for start, _ in x.spans]) == pytest.approx([19 * HOP, 19 * HOP])
    assert np.allclose(np.diff(x.spans), 0.2)
    seen = [start < 0.2 < stop for start, stop in x.spans]
    assert seen == [False, True, False]
    assert time_of_click(x[1], x.spans[1]) == pytest.approx(0.2, abs=HOP)
    assert (fit(image, split_idx=1) == x).all()


def test_training_sees_random_windows_of_the_clip():
    image = picture_of_click()
    fit, starts = FitSize((16, 25), "crop", seconds=0.2, windows=3), set()
    for _ in range(40):
        x = fit(image, split_idx=0)
        first = round((x.spans[0][0] - image.picture_info.span[0]) / HOP)
        assert x.shape == (1, 16, 25) and (x.numpy() == image.planes[:, :, first : first + 25]).all()
        starts.add(first)
    assert len(starts) > 10 and min(starts) >= 0 and max(starts) <= image.width - 25


def test_a_clip_shorter_than_its_window_is_padded():
    image = picture_of_click(at=0.1, seconds=0.2)
    for split_idx in (0, 1):
        x = FitSize((16, 50), "crop", seconds=0.4)(image, split_idx=split_idx)
        assert (x.numpy()[:, :, : image.width] == image.planes).all() and not x[:, :, image.width :].any()


def test_windows_are_brought_to_any_size():
    assert FitSize((12, 7), "crop", seconds=0.2, windows=4)(picture_of_click(), split_idx=1).shape == (4, 1, 12, 7)


def test_seconds_need_a_picture_that_tells_them():
    turned = FlipItem(p=1.0)(picture_of_click(), split_idx=0)  # nobody follows what it does
    with pytest.raises(ValueError, match="method='crop' has to know how long a pixel lasts"):
        FitSize((16, 20), "crop", seconds=0.1)(turned, split_idx=1)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(method="zoom"), "unknown method 'zoom'; choose one of crop, pad, squish"),
        (dict(method="crop"), "method='crop' needs seconds="),
        (dict(method="squish", seconds=1), "seconds=1 goes with method='crop' or 'pad'"),
        (dict(method="crop", seconds=0), "seconds=0: give a number above 0"),
        (dict(method="crop", seconds=1, windows=0), "windows=0: give 1 or more"),
    ],
)
def test_methods_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FitSize((16, 20), **options)


# ---------------------------------------------------------------------- tables to loaders


def check_every_clip(dls):
    """Each item shows the pitch of its label, and the table of clips agrees."""
    for dl in (dls.train, dls.valid):
        clips = dl.clips
        assert len(clips) == len(dl.dataset) > 0
        for i, (x, y) in enumerate(dl.dataset):
            label = dls.vocab[int(y)]
            assert pitch_row(x.planes) == ROW[label]
            assert label in clips["path"][i] and clips["label"][i] == label


def test_a_table_is_joined_by_name(sounds):
    dls = load(sounds, sounds.table.sample(frac=1, random_state=1))
    assert list(dls.vocab) == ["high", "low", "mid"]
    check_every_clip(dls)
    assert sorted(dls.clips["path"]) == sorted(sounds.table["fname"])
    assert not set(dls.train.clips["path"]) & set(dls.valid.clips["path"])


def test_what_the_loaders_say_of_themselves(dls, sounds):
    assert (dls.renderer, dls.n_channels, dls.is_multi, dls.c) == (LOOK, 1, False, 3)
    assert isinstance(dls.tree, SpecTree) and len(dls.tree) == 24 and dls.tree.source == sounds.audio.resolve()
    assert dls.size == (16, 44)  # the median width of clips of 0.3, 0.35 and 0.4 s
    assert [type(dl) for dl in dls.loaders] == [SpecDL, SpecDL]
    assert list(dls.clips.columns) == ["path", "label", "picture", "is_valid"]
    assert dls.clips["is_valid"].tolist() == [False] * len(dls.train_ds) + [True] * len(dls.valid_ds)
    assert all(Path(p).is_file() for p in dls.clips["picture"])
    assert torch.cuda.is_available() or dls.train.fake_l.num_workers == 0


@pytest.mark.parametrize("channels", BY_CHANNELS)
def test_batches_have_every_channel(channels, sounds):
    dls = load(sounds, renderer=Renderer(BY_CHANNELS[channels]), size=(12, 20), augment=None)
    x, y = dls.valid.one_batch()
    assert dls.n_channels == channels and dls.size == (12, 20)
    assert x.shape[1:] == (channels, 12, 20) and x.dtype == torch.float32 and 0 <= x.min() <= x.max() <= 1
    stored = FitSize((12, 20))(SpecImage.create(dls.valid.clips["picture"][0]), split_idx=1)
    assert torch.equal((x[0] * 255).round().byte().cpu().as_subclass(torch.Tensor), stored.as_subclass(torch.Tensor))


def test_a_csv_with_a_mark_and_another_order(sounds, tmp_path):
    table = sounds.table[["speaker", "label", "fname"]].sample(frac=1, random_state=2)
    (sounds.folder / "marked.csv").write_bytes(b"\xef\xbb\xbf" + table.to_csv(index=False, sep=";").encode())
    options = dict(folder="audio", delimiter=";", renderer=LOOK, cache=sounds.folder / "cache", bs=8, n_jobs=1)
    check_every_clip(
        SpecDataLoaders.from_csv(sounds.folder, "marked.csv", fn_col="fname", label_col="label", **options)
    )
    check_every_clip(SpecDataLoaders.from_csv(sounds.folder, "marked.csv", fn_col=2, **options))


def test_a_csv_that_cannot_be_read(sounds, tmp_path):
    with pytest.raises(ValueError, match=r"labels\.csv' is not there; .* holds no csv"):
        SpecDataLoaders.from_csv(tmp_path)
    (tmp_path / "latin.csv").write_bytes("fname,label\nä.wav,dog\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.csv cannot be read as csv in UTF-8.* give encoding='cp1252'"):
        SpecDataLoaders.from_csv(tmp_path, "latin.csv")
    with pytest.raises(ValueError, match="none of the 1 names in the table is a file"):
        SpecDataLoaders.from_csv(tmp_path, "latin.csv", encoding="cp1252")
    with pytest.raises(ValueError, match=r"latin\.csv' is not there|holds latin\.csv"):
        SpecDataLoaders.from_csv(tmp_path, "other.csv")


@pytest.fixture(scope="module")
def folders(sounds, tmp_path_factory):
    """The same tones in folders of classes, below train and valid."""
    folder = tmp_path_factory.mktemp("folders")
    for i, (name, label) in enumerate(zip(sounds.table["fname"], sounds.table["label"])):
        path = folder / ("valid" if i >= 18 else "train") / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((sounds.audio / name).read_bytes())
    return folder


def test_folders_are_classes(folders, tmp_path):
    dls = SpecDataLoaders.from_folder(folders / "train", renderer=LOOK, cache=tmp_path, bs=4, n_jobs=1)
    check_every_clip(dls)
    assert len(dls.train_ds) + len(dls.valid_ds) == 18


def test_train_and_valid_folders_are_the_split(folders, tmp_path):
    dls = SpecDataLoaders.from_folder(folders, renderer=LOOK, cache=tmp_path, bs=4, n_jobs=1)
    check_every_clip(dls)
    assert all(path.startswith("train/") for path in dls.train.clips["path"]) and len(dls.train_ds) == 18
    assert all(path.startswith("valid/") for path in dls.valid.clips["path"]) and len(dls.valid_ds) == 6


def test_a_recording_directly_in_train_has_no_label(tmp_path, write_wav):
    for name in ("train/dog/a", "train/b", "valid/dog/c"):
        write_wav(tmp_path / f"{name}.wav", sine(440, 0.2, SR), SR)
    with pytest.raises(ValueError, match="1 recording directly in 'train' or 'valid', such as 'train/b.wav'"):
        SpecDataLoaders.from_folder(tmp_path, renderer=LOOK, cache=tmp_path / "cache")


def test_labels_and_groups_from_names(sounds):
    dls = SpecDataLoaders.from_names(
        sounds.audio,
        r"_(?P<label>[a-z]+)_(?P<group>[a-d])",
        renderer=LOOK,
        cache=sounds.folder / "cache",
        bs=4,
        valid_pct=0.25,
        n_jobs=1,
    )
    check_every_clip(dls)
    assert not set(dls.train.clips["group"]) & set(dls.valid.clips["group"])


def test_a_list_of_files_named_from_anywhere(sounds, monkeypatch):
    monkeypatch.chdir(sounds.folder)
    options = dict(renderer=LOOK, cache=sounds.folder / "cache", bs=4, n_jobs=1)
    for files in (
        list(sounds.table["fname"]),
        [sounds.audio / n for n in sounds.table["fname"]],
        [f"audio/{n}" for n in sounds.table["fname"]],
    ):
        dls = SpecDataLoaders.from_lists("audio", iter(files), iter(sounds.table["label"]), **options)
        check_every_clip(dls)
        assert sorted(dls.clips["path"]) == sorted(sounds.table["fname"])
    with pytest.raises(ValueError, match="24 files but 1 labels"):
        SpecDataLoaders.from_lists("audio", files, ["dog"], **options)


def test_a_tree_that_stands_already(folders, tmp_path):
    tree = render_tree(folders / "train", LOOK, tmp_path, n_jobs=1)
    dls = SpecDataLoaders.from_tree(tree, bs=4)
    check_every_clip(dls)
    assert dls.tree is tree
    table = dls.clips[["path", "label"]].assign(
        is_valid=[i % 3 == 0 for i in range(18)], fold=[i % 2 for i in range(18)]
    )
    given = SpecDataLoaders.from_tree(SpecTree.open(tree.root), table, bs=4)
    assert sorted(given.valid.clips["path"]) == sorted(table["path"][table["is_valid"]])
    folded = SpecDataLoaders.from_tree(tree, table, fold=1, bs=4)
    assert sorted(folded.valid.clips["path"]) == sorted(table["path"][table["fold"] == 1])
    check_every_clip(folded)


def test_a_table_of_other_names_than_the_trees(folders, tmp_path):
    tree = render_tree(folders / "train", LOOK, tmp_path, n_jobs=1)
    labels = tree.table[["path"]].assign(what=tree.table["path"].str.split("/").str[0])
    with pytest.warns(
        UserWarning, match=r"1 of 19 clips have no picture and are left out \(high/gone.wav: is not in the tree\)"
    ):
        dls = SpecDataLoaders.from_tree(
            tree,
            pd.concat([labels, pd.DataFrame([("high/gone.wav", "high")], columns=["path", "what"])]),
            label_col="what",
            bs=4,
        )
    assert len(dls.clips) == 18
    with pytest.raises(ValueError, match=r"none of the 1 clips has a picture in .* \(x.wav: is not in the tree\)"):
        SpecDataLoaders.from_tree(tree, pd.DataFrame({"path": ["x.wav"], "label": ["dog"]}))


def test_two_loaders_on_one_tree(sounds, dls):
    written = {p: p.stat().st_mtime_ns for p in dls.tree.images.rglob("*.png")}
    other = load(sounds, size=(20, 30), method="crop", seconds=0.1, valid_pct=0.25, seed=1)
    assert (
        other.tree.root == dls.tree.root
        and {p: p.stat().st_mtime_ns for p in dls.tree.images.rglob("*.png")} == written
    )
    assert (other.size, dls.size) == ((20, 30), (16, 44))
    assert dls.one_batch()[0].shape[2:] == (16, 44) and other.one_batch()[0].shape[2:] == (20, 30)


# ---------------------------------------------------------------------- sizes


@pytest.mark.filterwarnings("ignore")  # so few clips
def test_the_default_size(sounds, tmp_path, write_wav):
    same = load(sounds, sounds.table[sounds.table["fname"].str[0].isin(["0", "3"])])
    assert same.size == (16, 38)  # all are 0.3 s: as they are stored
    for i in range(6):
        write_wav(tmp_path / "ab"[i % 2] / f"{i}.wav", sine(440, [0.01, 0.01, 0.02, 0.02, 0.02, 3][i], SR), SR)
    short = SpecDataLoaders.from_folder(
        tmp_path, renderer=LOOK, cache=tmp_path / "cache", valid_pct=0.4, bs=2, n_jobs=1
    )
    assert short.size == (16, 16)  # no narrower than high
    assert load(sounds, method="crop", seconds=0.2).size == (16, 25)  # as many columns as 0.2 s have
    assert load(sounds, method="pad").size == (16, 51)  # the longest clip's
    assert load(sounds, size=20).size == (20, 20) and load(sounds, size=[12, 20]).size == (12, 20)
    assert load(sounds, size=np.int64(20)).size == (20, 20)


@pytest.mark.parametrize("size", [0, -3, "20", 3.5, (16,), (16, 0), (1, 2, 3)])
def test_sizes_that_are_none(size, sounds):
    with pytest.raises(ValueError, match="give pixels, one whole number or"):
        load(sounds, size=size)


def test_windows_of_a_batch(sounds):
    dls = load(sounds, method="crop", seconds=0.104)
    assert dls.one_batch()[0].shape == (8, 1, 16, 13)
    assert dls.valid.one_batch()[0].shape[1:] == (4, 1, 16, 13)  # 0.4 s are covered by 4 windows
    assert load(sounds, method="crop", seconds=0.104, windows=2).valid.one_batch()[0].shape[1:] == (2, 1, 16, 13)
    assert load(sounds, method="crop", seconds=0.01).valid.one_batch()[0].shape[1] == 8  # and no more
    table = sounds.table.assign(out=False)
    assert load(sounds, table, valid_col="out", method="crop", seconds=0.104).train.one_batch()[0].shape == (
        8,
        1,
        16,
        13,
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(method="zoom"), "unknown method"),
        (dict(method="crop"), "needs seconds="),
        (dict(seconds=1), "goes with method='crop'"),
        (dict(windows=3), "windows=3 goes with method='crop'"),
        (dict(size=-1), "size=-1: give pixels"),
    ],
)
def test_nonsense_is_refused_before_anything_is_drawn(options, message, sounds, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(sounds, cache=tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("augment", ["strong", True, {}])
def test_augment_is_default_none_or_an_augment(augment, sounds):
    with pytest.raises(ValueError, match=r"give 'default', None or Augment"):
        load(sounds, augment=augment)


# ---------------------------------------------------------------------- who validates


def test_the_random_split_is_stratified_and_repeats(sounds):
    first, again, other = (load(sounds, valid_pct=0.25, seed=seed) for seed in (0, 0, 1))
    assert first.valid.clips["label"].value_counts().to_dict() == {"high": 2, "low": 2, "mid": 2}
    assert set(first.valid.clips["path"]) == set(again.valid.clips["path"]) != set(other.valid.clips["path"])


def test_no_group_stands_on_two_sides(sounds):
    dls = load(sounds, group_col="speaker", valid_pct=0.25)
    assert len(set(dls.valid.clips["group"])) == 1 and len(set(dls.train.clips["group"])) == 3
    check_every_clip(dls)


def test_a_given_split(sounds):
    table = sounds.table.assign(held=["yes" if name.startswith(("1", "5")) else "no" for name in sounds.table["fname"]])
    dls = load(sounds, table, valid_col="held")
    assert sorted({path[0] for path in dls.valid.clips["path"]}) == ["1", "5"] and len(dls.valid_ds) == 6
    folded = load(sounds, fold=2)
    assert sorted(folded.valid.clips["path"]) == sorted(sounds.table["fname"][sounds.table["fold"] == 2])
    with pytest.raises(ValueError, match=r"fold=7 holds 0 of 24 clips; the folds are \[0, 1, 2\]"):
        load(sounds, fold=7)
    with pytest.raises(ValueError, match="give valid_col or fold, not both"):
        load(sounds, table, valid_col="held", fold=1)
    with pytest.raises(ValueError, match="unknown column in the table 'folds'"):
        load(sounds, fold=1, fold_col="folds")


def test_a_class_that_only_validation_holds(sounds):
    with pytest.raises(ValueError, match=r"1 label in validation but not in training \(mid\)"):
        load(sounds, sounds.table.assign(held=sounds.table["label"] == "mid"), valid_col="held")


def test_one_class_is_nothing_to_learn(sounds):
    with pytest.raises(ValueError, match="training holds the label 'tone' only; a classifier needs two"):
        load(sounds, sounds.table.assign(label="tone"))
    assert list(load(sounds, sounds.table.assign(label=["tone", ""] * 12), label_delim=" ").vocab) == ["tone"]
    with pytest.raises(ValueError, match="training holds no label; a classifier needs two"):
        load(sounds, sounds.table.assign(label=""), label_delim=" ")


# ---------------------------------------------------------------------- weights


def drawn(dls, passes=200):
    """Which rows of training's clips `passes` epochs draw."""
    return np.concatenate([dls.train.get_idxs() for _ in range(passes)])


def test_weights_are_the_odds_of_being_drawn(sounds):
    table = sounds.table.assign(often=[{"low": 0, "mid": 1, "high": 3}[label] for label in sounds.table["label"]])
    dls = load(sounds, table, weight_col="often")
    rows = drawn(dls)
    counts = dls.train.clips["label"][rows].value_counts()
    assert len(rows) == 200 * len(dls.train_ds) and "low" not in counts
    assert counts["high"] / counts["mid"] == pytest.approx(3, rel=0.25)
    assert "low" in set(dls.valid.clips["label"])  # validation is left alone
    assert sorted(dls.valid.get_idxs()) == list(range(len(dls.valid_ds)))


def test_a_weighted_loader_made_anew_stays_weighted(sounds):
    table = sounds.table.assign(often=(sounds.table["label"] == "mid").astype(int))
    dls = load(sounds, table, weight_col="often")
    anew = dls.train.new(bs=4)
    assert set(anew.clips["label"][anew.get_idxs()]) == {"mid"}
    assert sorted(anew.new(shuffle=False).get_idxs()) == list(range(len(dls.train_ds)))
    assert anew.new(dls.valid_ds).weights is None


@pytest.mark.filterwarnings("ignore:5 recordings below")
def test_balance_draws_every_class_alike(sounds):
    few = sounds.table.drop(sounds.table.index[(sounds.table["label"] == "low") & (sounds.table["fname"].str[0] > "2")])
    dls, plain = load(sounds, few, balance=True), load(sounds, few)
    shares = dls.train.clips["label"][drawn(dls)].value_counts(normalize=True)
    assert plain.train.clips["label"][drawn(plain)].value_counts(normalize=True)["low"] < 0.25
    assert shares.to_dict() == pytest.approx({"high": 1 / 3, "low": 1 / 3, "mid": 1 / 3}, abs=0.06)


@pytest.mark.filterwarnings("ignore:5 recordings below")
def test_balance_by_square_roots_and_a_least_count(sounds):
    few = sounds.table.drop(sounds.table.index[(sounds.table["label"] == "low") & (sounds.table["fname"].str[0] > "2")])
    for balance in (Balance(power=0.5), Balance(power=0, least=5)):
        dls = load(sounds, few, balance=balance)
        labels = dls.train.clips["label"]
        expected = {label: weight * (labels == label).mean() for label, weight in balance.class_weights(labels).items()}
        assert labels[drawn(dls)].value_counts(normalize=True).to_dict() == pytest.approx(expected, abs=0.06)
    with pytest.raises(ValueError, match=r"balance='sqrt': give True, False or a Balance"):
        load(sounds, balance="sqrt")


def test_weights_that_draw_nothing_or_by_no_chance(sounds):
    with pytest.raises(ValueError, match="every clip of training has weight 0"):
        load(sounds, sounds.table.assign(w=0), weight_col="w")
    with pytest.raises(ValueError, match="leave out shuffle=False"):
        load(sounds, balance=True, shuffle=False)


# ---------------------------------------------------------------------- several labels, several windows


def several(sounds):
    """Two labels a clip, one or none of some."""
    label = [
        f"{label} {'odd' if int(name[0]) % 2 else 'even'}"
        for name, label in zip(sounds.table["fname"], sounds.table["label"])
    ]
    table = sounds.table.assign(label=label)
    table.loc[table["fname"] == "7_low_d.wav", "label"] = ""
    table.loc[table["fname"] == "6_low_c.wav", "label"] = "low"
    return table


def test_several_labels_a_clip(sounds):
    dls = load(sounds, several(sounds).sample(frac=1, random_state=3), label_delim=" ", fold=None, augment=None)
    assert dls.is_multi and list(dls.vocab) == ["even", "high", "low", "mid", "odd"] and dls.c == 5
    wanted = dict(zip(sounds.table["fname"], several(sounds)["label"]))
    for dl in (dls.train, dls.valid):
        for i, (x, y) in enumerate(dl.dataset):
            name = dl.clips["path"][i]
            assert {label for label, hot in zip(dls.vocab, y) if hot} == set(wanted[name].split())
            assert pitch_row(x.planes) == ROW[name.split("_")[1]]
    x, y = dls.valid.one_batch()
    assert y.shape == (len(x), 5) and y.dtype == torch.float32


def test_a_list_of_labels_in_a_cell(sounds):
    table = sounds.table.assign(label=[text.split() for text in several(sounds)["label"]])
    assert load(sounds, table).is_multi


@pytest.fixture(scope="module")
def rows_of_windows(tmp_path_factory):
    """Recordings that go from low to high; a row for the first, the second half, and the whole."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "audio").mkdir()
    rows = []
    for i in range(6):
        sf.write(folder / "audio" / f"{i}.wav", np.concatenate([tone("low", 0.2), tone("high", 0.2)]), SR)
        rows += [(f"{i}.wav", "low", 0.0, 0.19), (f"{i}.wav", "high", 0.21, 0.4), (f"{i}.wav", "mid", 0.0, 0.4)]
    return SimpleNamespace(folder=folder, table=pd.DataFrame(rows, columns=["fname", "label", "from", "to"]))


def test_rows_with_times_are_clips_of_their_own(rows_of_windows):
    dls = load(
        rows_of_windows,
        rows_of_windows.table.sample(frac=1, random_state=4),
        start_col="from",
        end_col="to",
        size=(16, 24),
        bs=4,
        valid_pct=0.34,
    )
    assert len(dls.clips) == 18 and not set(dls.train.clips["path"]) & set(dls.valid.clips["path"])
    columns = {"low": 24, "high": 24, "mid": 51}
    for dl in (dls.train, dls.valid):
        for i, (x, y) in enumerate(dl.dataset):
            label, info = dls.vocab[int(y)], x.picture_info
            assert (
                dl.clips["label"][i] == label and x.width == columns[label]
            )  # two clips of one start are two pictures
            assert info.begin == dl.clips["start"][i]
            if label != "mid":
                assert pitch_row(x.planes) == ROW[label]


def test_a_tree_of_windows(folders, tmp_path):
    names = [path.relative_to(folders / "train").as_posix() for path in sorted((folders / "train").rglob("*.wav"))]
    segments = pd.DataFrame(
        [(name, 0.0, end) for name in names for end in (0.1, 0.2)], columns=["path", "start", "end"]
    )
    tree = render_tree(names, LOOK, tmp_path, root=folders / "train", segments=segments, n_jobs=1)
    dls = SpecDataLoaders.from_tree(tree, size=(16, 24), bs=4)
    check_every_clip(dls)
    assert len(dls.clips) == 36 and dls.clips["picture"].nunique() == 36
    with pytest.raises(ValueError, match="none of the 1 clips has a picture"):  # whole recordings were not drawn
        SpecDataLoaders.from_tree(tree, pd.DataFrame({"path": names[:1], "label": ["dog"]}))


# ---------------------------------------------------------------------- files that do not fit


def test_rows_without_files_and_files_without_rows_are_said(sounds):
    table = pd.concat(
        [
            sounds.table[3:],
            pd.DataFrame([(f"gone{i}.wav", "low", "a", 0) for i in range(4)], columns=sounds.table.columns),
        ]
    )
    with pytest.warns(UserWarning) as caught:
        dls = load(sounds, table)
    said = " | ".join(str(w.message) for w in caught)
    assert "4 of 25 rows have no recording below" in said and "(gone0.wav, gone1.wav, gone2.wav, ...)" in said
    assert "3 recordings below" in said and "have no row in the table (0_high_a.wav, 0_low_a.wav, 0_mid_a.wav)" in said
    assert len(dls.clips) == 21
    check_every_clip(dls)


def test_a_table_without_any_file(sounds):
    with pytest.raises(
        ValueError,
        match=r"none of the 24 names .* \(the first is '0_high_a.wav'\); 'audio/0_high_a.wav' is one: give folder='audio'",
    ):
        load(sounds, folder="")


def test_names_without_their_ending(sounds):
    dls = load(sounds, sounds.table.assign(fname=sounds.table["fname"].str.removesuffix(".wav")), suffix=".wav")
    check_every_clip(dls)


def test_broken_recordings_are_left_out_and_named_at_every_call(tmp_path, sounds):
    (tmp_path / "audio").mkdir()
    for i, name in enumerate(sounds.table["fname"]):
        data = (sounds.audio / name).read_bytes()
        (tmp_path / "audio" / name).write_bytes(b"" if i == 0 else data[:300] if i == 4 else data)
    here = SimpleNamespace(folder=tmp_path, table=sounds.table)
    for _ in range(2):
        with pytest.warns(UserWarning) as caught:
            dls = load(here)
        said = [str(w.message) for w in caught if "clips" in str(w.message)]
        assert len(said) == 1 and said[0].startswith("2 of 24 clips have no picture and are left out")
        assert "0_high_a.wav: is empty (0 bytes)" in said[0] and "1_low_b.wav: is cut short" in said[0]
        assert len(dls.clips) == 22
        check_every_clip(dls)


def test_all_recordings_broken(tmp_path, sounds):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"none of the 1 clips has a picture .*a.wav: is not a recording"):
        load(SimpleNamespace(folder=tmp_path), pd.DataFrame({"fname": ["a.wav"], "label": ["dog"]}))


def test_names_and_columns_that_are_refused(sounds):
    with pytest.raises(ValueError, match=r"row 1: '../audio/0_high_a.wav' leads out of"):
        load(sounds, sounds.table.assign(fname="../audio/" + sounds.table["fname"]), folder="other")
    with pytest.raises(ValueError, match="unknown column in the table 'lable'; did you mean 'label'"):
        load(sounds, label_col="lable")


@pytest.mark.filterwarnings("ignore")  # so few clips
def test_batches_larger_than_the_data_are_lowered(sounds):
    with pytest.warns(UserWarning, match="only 19 clips to train on, fewer than bs=64; bs=19 is used"):
        dls = load(sounds, bs=64)
    assert len(dls.train) == 1 and len(dls.one_batch()[1]) == 19
    with pytest.raises(ValueError, match="bs=1: batch normalisation needs at least 2"):
        load(sounds, bs=1)
    with pytest.raises(ValueError, match="1 clip is left for training"):
        load(sounds, sounds.table[:2].assign(label="low", held=[True, False]), valid_col="held", label_delim=" ")


# ---------------------------------------------------------------------- axes


def check_axes(dl, figure, batch):
    """Every clip stands over its own seconds and hertz, under its own label."""
    assert isinstance(figure, Figure)
    clips = dl.clips
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == min(9, len(batch[1]))
    for ax, (index, spans) in zip(drawn, batch[0].clips):
        info = describe(clips["picture"][index])
        assert ax.get_xlim() == pytest.approx(spans[0] if spans else info.span)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("seconds", "Hz")
        label = clips["label"][index]
        assert ax.get_title().split("\n")[0] == (label if isinstance(label, str) else "; ".join(sorted(label)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(size=(20, 31)),
        dict(method="crop", seconds=0.15, windows=3),
        dict(method="pad", seconds=0.6),
        dict(renderer=Renderer(BY_CHANNELS[4])),
        dict(renderer=Renderer(BY_CHANNELS[2]), size=20),
        dict(renderer=Renderer(MEL, Picture(colormap="magma"))),
    ],
    ids=["own size", "another size", "crop", "pad", "4 channels", "2 channels", "colours"],
)
def test_a_batch_is_shown_over_its_own_seconds_and_hertz(options, sounds):
    dls = load(sounds, **options)
    for dl in (dls.train, dls.valid):
        batch = dl.one_batch()
        check_axes(dl, dl.show_batch(batch), batch)
    assert isinstance(dls.show_batch(), Figure)


def test_lengths_differ_on_the_axes(dls):
    batch = dls.train.new(
        shuffle=False, drop_last=False, bs=dls.train.n
    ).one_batch()  # all clips: a shuffled few may lack a length
    widths = {
        round(np.ptp(ax.get_xlim()), 3) for ax in dls.train.show_batch(batch, max_n=dls.train.n).axes if ax.axison
    }
    assert widths == {0.304, 0.352, 0.408}


def test_several_labels_stand_above_their_clip(sounds):
    dls = load(sounds, several(sounds), label_delim=" ")
    batch = dls.valid.one_batch()
    check_axes(dls.valid, dls.valid.show_batch(batch), batch)


def test_one_clip_many_times(sounds):
    dls = load(sounds, bs=4, augment=Augment(shift=0.3))
    figure = dls.show_batch(unique=True, max_n=4)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == 4 and len({ax.get_title() for ax in drawn}) == 1
    shown = [ax.images[0].get_array() for ax in drawn]
    assert not np.array_equal(shown[0], shown[1])  # as augmentation varies it


def test_rows_columns_and_axes_of_ones_own(dls):
    assert len(dls.show_batch(nrows=1, ncols=3).axes) == 3
    assert len(dls.show_batch(nrows=2, max_n=4).axes) == 4
    mine = Figure()
    axes = mine.subplots(2, 2)
    assert dls.show_batch(ctxs=axes) is mine and all(ax.get_title() in HZ for ax in axes.flat)


def test_a_batch_of_unknown_origin_is_shown_without_axes(dls):
    figure = dls.show_batch((torch.rand(4, 1, 16, 44), torch.tensor([0, 1, 2, 0])))
    assert [ax.get_title() for ax in figure.axes] == ["high", "low", "mid", "high"]
    assert not any(ax.get_xlabel() for ax in figure.axes)


def test_results_are_black_where_right_and_red_where_wrong(dls):
    x, y = dls.valid.one_batch()
    said = (y + torch.tensor([0, 1] * 8)[: len(y)]) % 3  # every second one is wrong
    figure = dls.valid.show_results((x, y), type(y)(said))
    names = [f"{dls.vocab[int(a)]}\n{dls.vocab[int(b)]}" for a, b in zip(y, said)]
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == names
    assert [ax.title.get_color() for ax in drawn] == (["black", "firebrick"] * 8)[: len(y)]
    check_axes(dls.valid, figure, (x, y))


def test_a_learner_shows_results(learn):
    learn.show_results()


# ---------------------------------------------------------------------- new recordings


def probabilities(learn, item):
    return learn.predict(item)[2].numpy()


def test_one_recording_however_it_is_given(learn, sounds):
    path = sounds.audio / "0_low_a.wav"
    said = probabilities(learn, path)
    assert said.shape == (3,) and said.sum() == pytest.approx(1)
    assert learn.predict(path)[0] == learn.dls.vocab[said.argmax()]
    y, sr = sf.read(path)
    for item in (
        str(path),
        (y, sr),
        (y.astype("float32")[:, None], sr),
        LOOK(path),
        str(learn.dls.tree.picture("0_low_a.wav")),
    ):
        assert (probabilities(learn, item) == said).all()


def test_many_recordings_one_after_the_other(learn, sounds):
    paths = [sounds.audio / name for name in sounds.table["fname"][:7]]
    alone = np.stack([probabilities(learn, path) for path in paths])
    y, sr = sf.read(paths[6])
    table = pd.DataFrame({"path": paths}, index=range(10, 17))
    for items in (paths, iter(paths), [*paths[:6], (y, sr)], table):
        together, _ = learn.get_preds(dl=learn.dls.test_dl(items))
        assert together.numpy() == pytest.approx(alone, abs=1e-6)


def test_a_folder_is_predicted_in_the_order_of_its_names(learn, sounds):
    dl = learn.dls.test_dl(sounds.audio)
    assert [Path(p).name for p in dl.clips["path"]] == sorted(sounds.table["fname"])
    assert learn.get_preds(dl=dl)[0].shape == (24, 3)


def test_known_clips_with_their_labels(learn, dls):
    probs, targets = learn.get_preds(dl=dls.test_dl(dls.valid.clips, with_labels=True))
    assert [dls.vocab[int(t)] for t in targets] == dls.valid.clips["label"].tolist()
    assert probs.numpy() == pytest.approx(learn.get_preds()[0].numpy(), abs=1e-6)


def test_new_recordings_are_shown_over_their_own_seconds(dls, sounds):
    figure = dls.test_dl([sounds.audio / "0_low_a.wav", (tone("mid", 0.6), SR)]).show_batch()
    assert [round(np.ptp(ax.get_xlim()), 3) for ax in figure.axes[:2]] == [0.304, 0.608]


def test_windows_of_a_new_recording_are_averaged(sounds):
    dls = load(sounds, method="crop", seconds=0.104, windows=3)
    learn = quiet(spec_learner(dls, "test_resnet", pretrained=False, seed=0))
    assert dls.test_dl([sounds.audio / "0_low_a.wav"]).one_batch()[0].shape == (1, 3, 1, 16, 13)
    assert probabilities(learn, sounds.audio / "0_low_a.wav").sum() == pytest.approx(1)


def test_recordings_that_cannot_be_predicted_on(learn, sounds, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"gone\.wav': is not there"):
        learn.predict(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match=r"bad\.wav': is not a recording"):
        learn.predict(str(tmp_path / "bad.wav"))
    with pytest.raises(ValueError, match=r"give \(y, sr\), the sampling rate last"):
        learn.predict((SR, np.zeros(2000)))
    with pytest.raises(ValueError, match="nothing can be predicted on a NoneType"):
        learn.predict(None)
    with pytest.raises(ValueError, match="no recordings"):
        learn.dls.test_dl([])
    with pytest.raises(ValueError, match="it needs 'path'"):
        learn.dls.test_dl(pd.DataFrame({"fname": ["a.wav"]}))


@pytest.mark.filterwarnings("ignore:load_learner")  # fastai warns of pickles
def test_an_exported_learner_says_the_same(learn, sounds, tmp_path):
    path = sounds.audio / "3_mid_d.wav"
    said = probabilities(learn, path)
    learn.export(tmp_path / "learner.pkl")
    loaded = quiet(load_learner(tmp_path / "learner.pkl"))
    assert (probabilities(loaded, path) == said).all()
    assert (
        loaded.dls.renderer == LOOK and loaded.dls.size == (16, 44) and list(loaded.dls.vocab) == list(learn.dls.vocab)
    )


def test_workers_carry_the_clips(sounds):
    dls = load(sounds, num_workers=2)
    batch = dls.train.one_batch()
    check_axes(dls.train, dls.train.show_batch(batch), batch)


# ---------------------------------------------------------------------- a DataBlock of one's own


def test_a_block_draws_recordings(sounds):
    block = DataBlock(
        blocks=(SpecBlock(LOOK), CategoryBlock),
        get_items=lambda folder: sorted(folder.glob("*.wav")),
        get_y=lambda path: path.name.split("_")[1],
        splitter=RandomSplitter(seed=0),
        item_tfms=FitSize((16, 24)),
    )
    dls = block.dataloaders(sounds.audio, bs=4)
    x, y = dls.train.one_batch()
    assert x.shape == (4, 1, 16, 24) and [pitch_row(picture) for picture in x] == [ROW[dls.vocab[int(i)]] for i in y]
    assert dls.show_batch().axes[0].get_xlabel() == "seconds"


def test_a_block_reads_a_table_and_a_tree(sounds, dls):
    block = DataBlock(
        blocks=(SpecBlock(tree=dls.tree), CategoryBlock),
        get_x=ColReader("fname"),
        get_y=ColReader("label"),
        splitter=RandomSplitter(seed=0),
        item_tfms=Resize((16, 24), method="squish"),
    )
    own = block.dataloaders(sounds.table, bs=4)
    x, y = own.valid.one_batch()
    assert x.shape[1:] == (1, 16, 24) and [pitch_row(picture) for picture in x] == [ROW[own.vocab[int(i)]] for i in y]
    assert own.show_batch().axes[0].get_xlabel() == "seconds"


def test_a_recording_without_a_renderer(sounds):
    with pytest.raises(ValueError, match="this data has no renderer to draw it with"):
        OpenPicture().source(sounds.audio / "0_low_a.wav")


def test_a_plain_datablock_predicts_on_names_and_paths(sounds):
    from fastai.vision.all import CategoryBlock, DataBlock

    block = DataBlock(
        (SpecBlock(LOOK), CategoryBlock),
        get_items=lambda _: sorted(sounds.audio.glob("*.wav")),
        get_y=lambda path: dict(zip(sounds.table["fname"], sounds.table["label"]))[path.name],
        item_tfms=FitSize((16, 24)),
    )
    learn = quiet(
        spec_learner(block.dataloaders(sounds.audio, bs=4, num_workers=0), "test_resnet", pretrained=False, seed=0)
    )
    file = sorted(sounds.audio.glob("*.wav"))[0]
    assert torch.equal(learn.predict(str(file))[2], learn.predict(file)[2])


def test_labels_asked_of_recordings_without_any(dls, sounds):
    with pytest.raises(
        ValueError, match="in no folder named after a label .*; give a table with the columns 'path' and 'label'"
    ):
        dls.test_dl([sounds.audio / sounds.table["fname"][0]], with_labels=True)


@pytest.mark.parametrize(
    "change",
    [
        dict(renderer=LOOK.replace(representation=LOOK.representation.replace(n_mels=12))),
        dict(size=(24, 24)),
        dict(seed=3),
        "labels",
    ],
)
def test_a_run_is_not_gone_on_with_on_other_pictures_or_labels(change, sounds, tmp_path):
    from specimg.training import Recipe, fit

    recipe, table = Recipe(epochs=2, lr=1e-3, seed=0), sounds.table
    first = quiet(spec_learner(load(sounds, size=(16, 24)), "test_resnet", pretrained=False, seed=0))
    fit(first, recipe, out=tmp_path / "run")
    if change == "labels":
        swapped = table["label"].map(dict(zip(sorted(set(table["label"])), sorted(set(table["label"]))[::-1])))
        table, change = table.assign(label=swapped), {}
    other = quiet(
        spec_learner(load(sounds, table, **{"size": (16, 24), **change}), "test_resnet", pretrained=False, seed=0)
    )
    with pytest.raises(ValueError, match="renderer|size|clips"):
        fit(other, recipe, out=tmp_path / "run")
