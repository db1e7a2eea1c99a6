"""Augmentation: each knob alone has a known answer, time never runs backwards, and nothing happens outside training."""

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import TensorCategory, TensorImage, TensorMultiCategory

from specimg.data import SpecDataLoaders, TensorSpec
from specimg.data.augment import Augment, CutMixTime, SpecAugment
from specimg.datasets import sine
from specimg.render.renderer import Renderer
from specimg.spectrogram import Delta, Mel, Stack
from specimg.spectrogram.picture import read_planes

torch.set_num_threads(1)
HEIGHT, WIDTH = 20, 64
KNOBS = {name: value for name, value in Augment().to_dict().items() if name not in ("kind", "bands")}
OFF = Augment(**dict.fromkeys(KNOBS, 0))


def augmented(x, seed=0, fill=(0.0,), **knobs):
    """`x` after the knobs given, all others off; in training."""
    torch.manual_seed(seed)
    return SpecAugment(OFF.replace(**knobs), fill)(TensorSpec(x), split_idx=0).as_subclass(torch.Tensor)


def pictures(n=1, channels=1, level=0.0):
    return torch.full((n, channels, HEIGHT, WIDTH), level)


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "knobs, message",
    [
        (dict(shift=1), r"Augment\(shift=1\): give a share, 0 \(off\) to below 1"),
        (dict(noise=-0.1), r"Augment\(noise=-0.1\): give a share"),
        (dict(time_masks=-1), r"time_masks=-1, freq_masks=1\): give 0"),
        (dict(gain="loud"), "'loud' is not a finite number"),
    ],
)
def test_settings_out_of_range(knobs, message):
    with pytest.raises(ValueError, match=message):
        Augment(**knobs)


def test_settings_travel():
    assert Augment.from_toml(Augment(shift=0.25, time_masks=3).to_toml()) == Augment(shift=0.25, time_masks=3)


# ---------------------------------------------------------------------- every draw


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shape_kind_and_range_are_kept(channels):
    x = TensorSpec(torch.rand(5, channels, HEIGHT, WIDTH))
    before = x.clone()
    out = SpecAugment(Augment(gain=0.5, noise=0.5))(x, split_idx=0)
    assert type(out) is TensorSpec and out.shape == x.shape and out.dtype == x.dtype
    assert 0 <= out.min() and out.max() <= 1 and not torch.equal(out, before)
    assert torch.equal(x, before)  # what comes in stays as it is


def test_a_seed_repeats_and_another_does_not():
    x = torch.rand(4, 1, HEIGHT, WIDTH)
    assert torch.equal(augmented(x, 1, **KNOBS), augmented(x, 1, **KNOBS))
    assert not torch.equal(augmented(x, 1, **KNOBS), augmented(x, 2, **KNOBS))


def test_what_a_batch_knows_of_its_clips_is_kept():
    x = TensorSpec(pictures(2))
    x.clips = [(4, None), (2, None)]
    assert SpecAugment()(x, split_idx=0).clips == x.clips


def test_nothing_happens_outside_training():
    x = TensorSpec(torch.rand(3, 1, HEIGHT, WIDTH))
    assert SpecAugment()(x, split_idx=1) is x


def test_all_knobs_off_change_nothing():
    x = torch.rand(3, 2, HEIGHT, WIDTH)
    assert torch.equal(augmented(x, fill=(0.0, 0.5)), x)


# ---------------------------------------------------------------------- moving


def test_a_shift_moves_a_line_by_at_most_its_share():
    x = pictures(200)
    x[..., 40] = 1
    out = augmented(x, shift=0.1)
    places = (out.mean(dim=(1, 2)) * torch.arange(WIDTH)).sum(1) / out.mean(dim=(1, 2)).sum(1)
    assert (places - 40).abs().max() <= 0.1 * WIDTH + 0.1
    assert places.min() < 36 and places.max() > 44 and places.unique().numel() > 150
    assert torch.allclose(out, out[:, :, :1].expand_as(out), atol=1e-5)  # the line stays upright


def test_a_frequency_shift_moves_rows_by_at_most_its_share():
    x = pictures(200)
    x[:, :, 10] = 1
    out = augmented(x, freq_shift=0.1)
    places = (out.mean(dim=(1, 3)) * torch.arange(HEIGHT)).sum(1) / out.mean(dim=(1, 3)).sum(1)
    assert (places - 10).abs().max() <= 0.1 * HEIGHT + 0.1 and places.min() < 9 and places.max() > 11
    assert torch.allclose(out, out[..., :1].expand_as(out), atol=1e-5)


def test_a_stretch_moves_two_lines_apart_or_together_by_at_most_its_share():
    x = pictures(200)
    x[..., 16] = x[..., 47] = 1
    row = augmented(x, stretch=0.2)[:, 0, 0]
    apart = row[:, 32:].argmax(1) + 32 - row[:, :32].argmax(1)
    assert apart.min() >= 31 / 1.2 - 1.5 and apart.max() <= 31 / 0.8 + 1.5
    assert apart.min() < 29 and apart.max() > 33


def test_time_never_runs_backwards_and_notes_never_turn_over():
    across = torch.linspace(0.1, 0.9, WIDTH).expand(200, 1, HEIGHT, WIDTH)
    down = torch.linspace(0.1, 0.9, HEIGHT)[:, None].expand(200, 1, HEIGHT, WIDTH)
    knobs = dict(shift=0.3, stretch=0.5, freq_shift=0.2)
    inside = augmented(pictures(200, level=1.0), 7, **knobs) > 0.999  # the same draws: where the picture still is
    for ramp, dim in ((across, 3), (down, 2)):
        steps = augmented(ramp, 7, **knobs).diff(dim=dim)
        both = inside.narrow(dim, 1, inside.shape[dim] - 1) & inside.narrow(dim, 0, inside.shape[dim] - 1)
        assert both.flatten(1).any(dim=1).all()
        assert (steps[both] > 0).all()


def test_the_whole_default_is_never_a_mirror_image():
    ramp = torch.linspace(0, 1, WIDTH).expand(200, 1, HEIGHT, WIDTH)
    torch.manual_seed(3)
    out = SpecAugment()(TensorSpec(ramp), split_idx=0)
    left, right = out[..., : WIDTH // 2].mean(dim=(1, 2, 3)), out[..., WIDTH // 2 :].mean(dim=(1, 2, 3))
    assert (right > left).all()
    low, high = pictures(200, level=0.2), pictures(200)
    low[:, :, : HEIGHT // 2] = 0.8  # the upper half is loud
    out = SpecAugment()(TensorSpec(low + high), split_idx=0)
    assert (out[:, :, : HEIGHT // 2].mean(dim=(1, 2, 3)) > out[:, :, HEIGHT // 2 :].mean(dim=(1, 2, 3))).all()


# ---------------------------------------------------------------------- loudness


def test_gain_adds_one_number_to_a_picture():
    x = pictures(100, 2, level=0.5)
    out = augmented(x, gain=0.2)
    change = (out - x).flatten(1)
    assert torch.allclose(change, change[:, :1].expand_as(change), atol=1e-6)
    assert change.abs().max() <= 0.2 and change.min() < -0.15 and change.max() > 0.15


def test_silence_stays_silent_under_gain():
    x = pictures(50)
    x[..., 30:] = 1 / 255  # the faintest level that is stored
    out = augmented(x, gain=0.3)
    assert not out[..., :30].any() and out[..., 30:].max() > 0.2
    for level in (127, 128):  # what is stored of a signed picture's zero
        quiet = pictures(50, level=level / 255)
        assert torch.allclose(augmented(quiet, gain=0.3, fill=(127.5 / 255,)), quiet, atol=1e-6)


def test_noise_has_at_most_its_deviation():
    out = augmented(pictures(60, level=0.5), noise=0.1)
    deviations = (out - 0.5).flatten(1).std(dim=1)
    assert deviations.max() <= 0.11 and deviations.min() < 0.02 and deviations.max() > 0.07


def test_a_hiss_covers_what_is_quieter_in_half_of_the_pictures():
    x = pictures(200, 2, level=0.0)
    x[:, 0, :, 40:] = 0.95
    x[:, 1] = 0.5
    out = augmented(x, hiss=0.2, fill=(0.0, 0.5))
    assert torch.equal(out[:, 0, :, 40:], x[:, 0, :, 40:])  # louder than any hiss
    assert torch.equal(out[:, 1], x[:, 1])  # a signed picture has no quiet end
    quiet = out[:, 0, :, :40]
    heard = (quiet > 0).flatten(1).any(dim=1)
    assert 70 < heard.sum() < 130
    means = quiet[heard].mean(dim=(1, 2))
    assert means.max() < 0.25 and means.min() < 0.05 and means.max() > 0.15


# ---------------------------------------------------------------------- gaps


@pytest.mark.parametrize(
    "axis, share, masks", [("time", 0.15, 1), ("freq", 0.3, 1), ("time", 0.2, 2), ("freq", 0.04, 1)]
)
def test_gaps_hide_whole_lines_and_at_most_their_share(axis, share, masks):
    x, length = pictures(300, 2, level=0.7), {"time": WIDTH, "freq": HEIGHT}[axis]
    out = augmented(x, **{f"{axis}_masks": masks, f"{axis}_mask": share})
    lines = out if axis == "time" else out.transpose(2, 3)
    hidden = (lines == 0).all(dim=2).all(dim=1)  # (n, length)
    assert torch.equal((lines == 0).any(dim=2).any(dim=1), hidden)  # lines as a whole, through all channels
    assert torch.equal(out[out != 0].unique(), x.unique())
    sizes = hidden.sum(1)
    assert sizes.max() <= masks * int(share * length)
    if masks == 1:
        assert set(sizes.tolist()) == set(range(int(share * length) + 1))  # every size is drawn
        assert (hidden.int().diff(dim=1).abs().sum(1) <= 2).all()  # one gap
        if sizes.max():
            assert hidden[:, 0].any() and hidden[:, -1].any()  # that may lie anywhere


@pytest.mark.parametrize("knobs", [dict(time_masks=3), dict(freq_mask=0.5)])
def test_masks_of_no_number_or_no_size_do_nothing(knobs):
    x = pictures(20, level=0.7)
    assert torch.equal(augmented(x, **knobs), x)


def test_what_is_hidden_or_moved_out_is_filled_with_nothing():
    x = pictures(40, 2, level=0.9)
    fill = (0.0, 127.5 / 255)
    for knobs in (dict(time_masks=1, time_mask=0.5), dict(shift=0.5), dict(freq_shift=0.5)):
        out = augmented(x, fill=fill, **knobs)
        hidden = out[:, 0] < 1e-6
        assert hidden.any()
        assert torch.allclose(out[:, 1][hidden], torch.tensor(fill[1]), atol=1e-6)


# ---------------------------------------------------------------------- in the loaders


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """12 tones of 0.3 s in a folder, and their table."""
    folder = tmp_path_factory.mktemp("sounds")
    table = pd.DataFrame({"path": [f"{i}.wav" for i in range(12)], "label": ["low", "high"] * 6})
    for name, label in table.itertuples(index=False):
        sf.write(folder / name, sine({"low": 400, "high": 3000}[label], 0.3, 8000), 8000)
    return folder, table


def load(sounds, **kwargs):
    folder, table = sounds
    options = dict(renderer=Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)), cache=folder / "cache", bs=4, n_jobs=1)
    return SpecDataLoaders.from_df(table, folder, **{**options, **kwargs})


def is_stored(dl):
    """Does every picture of a pass equal its file?"""
    stored = [read_planes(picture) / 255 for picture in dl.clips["picture"]]
    return all(
        np.allclose(x.cpu(), stored[index], atol=1e-6)
        for batch in dl
        for x, (index, _) in zip(batch[0], batch[0].clips)
    )


def test_without_augmentation_batches_are_what_is_stored(sounds):
    dls = load(sounds, augment=None)
    assert is_stored(dls.train) and is_stored(dls.valid)


@pytest.mark.parametrize("augment", ["default", Augment(time_masks=4, noise=0.3)])
def test_training_is_augmented_and_validation_is_not(augment, sounds):
    dls = load(sounds, augment=augment)
    assert not is_stored(dls.train) and is_stored(dls.valid)
    assert is_stored(dls.test_dl(dls.train.clips))


def test_nothing_is_mid_grey_where_a_picture_is_signed(sounds):
    mel = Mel(n_mels=16, n_fft=256, hop_length=64)
    dls = load(sounds, renderer=Renderer(Stack(mel, Delta(mel))), method="pad", seconds=1.0)
    augment = next(t for t in dls.train.after_batch.fs if isinstance(t, SpecAugment))
    assert augment.fill == (0.0, 127.5 / 255)
    x = dls.valid.one_batch()[0]
    assert (x[:, 0, :, 40:] == 0).all() and torch.allclose(
        x[:, 1, :, 40:].as_subclass(torch.Tensor), torch.tensor(128 / 255)
    )


# ---------------------------------------------------------------------- bands and parts in time


def test_bands_of_frequency_get_a_gain_that_is_even_in_time_and_changes_slowly():
    torch.manual_seed(0)
    x = TensorImage(torch.full((40, 1, 64, 30), 0.5))
    x[:, :, :4] = 0
    settings = Augment(hiss=0, band_gain=0.1)
    out = SpecAugment(settings)(x, split_idx=0).as_subclass(torch.Tensor)
    gain = out[:, 0] - 0.5
    assert (gain[..., :1] == gain).all() and not out[:, :, :4].any()  # silence stays
    profile = gain[:, 4:, 0]
    assert 0.09 < profile.abs().max() <= 0.1 and len({round(float(p), 4) for p in profile[:, 20]}) > 30
    turns = (profile.diff(dim=1).diff(dim=1).abs() > 1e-5).sum(1)
    assert (turns <= 2 * 5).all() and (turns >= 1).all()  # straight lines between at most 7 rows
    signed = SpecAugment(settings, fill=(0.5,))(TensorImage(torch.rand(2, 1, 64, 30)), split_idx=0)
    assert signed.shape == (2, 1, 64, 30)
    x = TensorImage(torch.rand(2, 1, 64, 30))
    assert torch.equal(SpecAugment(settings, fill=(0.5,))(x, split_idx=0), x)  # a signed picture has no gain to shift


@pytest.mark.parametrize("height", [1, 2, 3, 5])
def test_bands_fit_low_pictures(height):
    x = TensorImage(torch.full((3, 1, height, 8), 0.5))
    assert SpecAugment(Augment(hiss=0, band_gain=0.1))(x, split_idx=0).shape == x.shape


def test_a_part_in_time_is_another_clips_and_labels_count_by_the_time():
    torch.manual_seed(0)
    n = 64
    x = TensorImage(torch.arange(n).view(-1, 1, 1, 1).expand(n, 1, 8, 50) / n)
    out, y = CutMixTime(1.0)((x, TensorCategory(torch.arange(n))), split_idx=0)
    owner = (out.as_subclass(torch.Tensor)[:, 0] * n).round().long()
    assert (owner[:, :1] == owner).all()  # the whole height
    counted = torch.stack([(owner[:, 0] == clip).float().mean(1) for clip in range(n)], 1)
    torch.testing.assert_close(counted, out.shares)
    kept = out.shares.diagonal()
    assert kept.min() < 0.1 and kept.max() > 0.9 and (owner[:, 0].diff(dim=1) != 0).sum(1).max() <= 2
    multi, soft = CutMixTime(1.0)((x, TensorMultiCategory(torch.eye(n))), split_idx=0)
    found = (multi.as_subclass(torch.Tensor)[:, 0, 0] * n).round().long()
    want = torch.stack([(found == clip).float().mean(1) for clip in range(n)], 1)
    torch.testing.assert_close(soft.as_subclass(torch.Tensor), want)
    some, _ = CutMixTime(0.25)((x, TensorCategory(torch.arange(n))), split_idx=0)
    assert 4 < int((some.shares.diagonal() < 1).sum()) < 30
    assert CutMixTime(1.0)((x, y), split_idx=1)[0] is x


def test_parts_of_parts_keep_count():
    torch.manual_seed(0)
    x = TensorImage(torch.arange(6).view(-1, 1, 1, 1).expand(6, 1, 4, 60) / 6)
    first = CutMixTime(1.0)((x, TensorCategory(torch.arange(6))), split_idx=0)
    assert torch.allclose(CutMixTime(1.0)(first, split_idx=0)[0].shares.sum(1), torch.ones(6))


@pytest.mark.parametrize("settings", [dict(cut_mix=1.1), dict(bands=(3,)), dict(bands=(5, 2)), dict(band_gain=1.0)])
def test_bands_and_parts_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="give "):
        Augment(**settings)
