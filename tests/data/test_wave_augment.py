"""Waveforms changed in batches: other clips and their labels, backgrounds at a signal-to-noise ratio, polarity, noise of a colour."""

import warnings

import numpy as np
import pytest
import torch
from fastai.vision.all import TensorCategory, TensorMultiCategory

import specimg as sp
from specimg.data.wave_augment import AugmentWaves, MixWaves, WaveAugment, background_waves, wave_changes
from specimg.data.waves import TensorWave

SR = 8000
OFF = dict(shift=0, gain_db=0, noise_db=None)


def tones(n=8, level=0.1, samples=4000):
    """A tone of its own frequency in each row."""
    t, row = torch.arange(samples) / SR, torch.arange(n).view(-1, 1, 1, 1)
    return TensorWave(level * torch.sin(2 * np.pi * (200 + 100 * row) * t))


def loudness(x, row):
    """The amplitude of the tone of `row` in every waveform."""
    spectrum = torch.fft.rfft(x.as_subclass(torch.Tensor)[:, 0, 0]).abs() / (x.shape[-1] / 2)
    return spectrum[:, round((200 + 100 * row) * x.shape[-1] / SR)]


def mixed(y, **settings):
    torch.manual_seed(1)
    return MixWaves(WaveAugment(**OFF, **{"mix": 1.0, **settings}))((tones(len(y)), y), split_idx=0)


# ---------------------------------------------------------------------- other clips


@pytest.mark.parametrize("most", [0, 12])
def test_one_label_counts_by_its_share_of_the_amplitude(most):
    x, y = mixed(TensorCategory(torch.arange(8)), mix_db=most)
    assert torch.equal(y.as_subclass(torch.Tensor), torch.arange(8)) and torch.allclose(x.shares.sum(1), torch.ones(8))
    heard = torch.stack([loudness(x, row) for row in range(8)], 1)
    torch.testing.assert_close(heard / heard.sum(1, keepdim=True), x.shares, atol=2e-3, rtol=0)
    assert ((x.shares > 0.15).sum(1) == 2).all() and (most or (x.shares.max(1).values == 0.5).all())


def test_several_labels_are_all_there():
    x, y = mixed(TensorMultiCategory(torch.eye(8)))
    heard = torch.stack([loudness(x, row) for row in range(8)], 1) > 0.01
    assert torch.equal(y.as_subclass(torch.Tensor) == 1, heard) and (heard.sum(1) == 2).all()
    assert type(y) is TensorMultiCategory and not hasattr(x, "shares")


def test_some_are_mixed_and_none_outside_of_training():
    y = TensorCategory(torch.arange(200) % 2)
    x, _ = mixed(y, mix=0.3)
    assert 30 < int((x.shares.diagonal() < 1).sum()) < 90
    batch = (tones(), TensorCategory(torch.arange(8)))
    assert MixWaves(WaveAugment(mix=1))(batch, split_idx=1)[0] is batch[0]
    assert len(MixWaves(WaveAugment(mix=1))((tones(),), split_idx=0)) == 1


def test_silence_is_neither_mixed_in_nor_does_it_lose_its_label():
    x = tones(2)
    x[1] = 0
    out, _ = MixWaves(WaveAugment(mix=1.0))((x, TensorCategory(torch.arange(2))), split_idx=0)
    assert torch.equal(out.shares, torch.eye(2)) and torch.equal(
        out.as_subclass(torch.Tensor), x.as_subclass(torch.Tensor)
    )


# ---------------------------------------------------------------------- one clip


def changed(x, backgrounds=None, **settings):
    return AugmentWaves(WaveAugment(**{**OFF, **settings}), backgrounds)(x, split_idx=0).as_subclass(torch.Tensor)


def test_a_share_is_turned_upside_down():
    x = tones(400)
    plain = x.as_subclass(torch.Tensor)
    out = changed(x, polarity=0.25)
    same, turned = (out == plain).all(-1).flatten(), (out == -plain).all(-1).flatten()
    assert (same ^ turned).all() and 60 < int(turned.sum()) < 140


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_falls_with_frequency_as_asked_at_the_level_asked(slope):
    x = tones(64, samples=8192)
    noise = changed(x, noise_db=0.0, noise_slope=(slope, slope)) - x.as_subclass(torch.Tensor)
    power = torch.fft.rfft(noise[:, 0, 0] / noise.square().mean(-1).sqrt()[:, 0]).abs().square().mean(0)
    octaves = torch.stack([power[64 * 2**i : 128 * 2**i].mean() for i in range(6)]).log2()
    assert float((octaves[0] - octaves[-1]) / 5) == pytest.approx(slope, abs=0.1)
    below = 20 * torch.log10(x.square().mean(-1).sqrt() / noise.square().mean(-1).sqrt())
    assert -0.1 < below.min() < 3 and 37 < below.max() < 40.1


# ---------------------------------------------------------------------- backgrounds


@pytest.fixture
def rain(tmp_path, write_wav):
    rng = np.random.default_rng(0)
    for name, seconds in (("a", 2.0), ("b", 0.2)):
        write_wav(
            tmp_path / "rain" / f"{name}.wav", 0.05 * rng.standard_normal(int(seconds * 16000)).astype("float32"), 16000
        )
    return tmp_path / "rain"


def waves_of(background, tmp_path):
    return background_waves(
        str(background), sp.Audio(sr=SR, duration=0.1, normalize="peak"), tmp_path / "cache", 1, False
    )


def test_backgrounds_lie_below_clips_by_the_ratio_asked(rain, tmp_path):
    waves = waves_of(rain, tmp_path)
    assert [wave.count for wave in waves.clips.values()] == [16000, 1600]  # whole, at the clips' rate
    x = tones(100)
    added = changed(x, waves, background="rain", background_share=0.7, background_db=(0, 20)) - x.as_subclass(
        torch.Tensor
    )
    levels = added.square().mean(-1).sqrt().flatten()
    heard = levels > 0
    below = 20 * torch.log10(x.square().mean(-1).sqrt().flatten()[heard] / levels[heard])
    assert 55 < int(heard.sum()) < 85 and -0.1 < below.min() < 4 and 16 < below.max() < 20.1
    assert len({float(row[0, 0, 5]) for row in added[heard]}) > 50  # other parts


def test_a_table_of_parts_is_a_background_too(rain, tmp_path):
    (rain / "parts.csv").write_text("path,start,end\na.wav,0.5,1.0\na.wav,1.5,1.75\n")
    assert [wave.count for wave in waves_of(rain / "parts.csv", tmp_path).clips.values()] == [4000, 2000]
    (rain / "whole.csv").write_text("path,place\nb.wav,wood\n")
    assert [wave.count for wave in waves_of(rain / "whole.csv", tmp_path).clips.values()] == [1600]


def test_backgrounds_that_are_none_are_refused(rain, tmp_path, write_wav):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no sound")
    with pytest.raises(ValueError, match="is a folder without recordings; give one that holds some"):
        waves_of(tmp_path / "empty", tmp_path)
    with pytest.raises(ValueError, match="is not there; give a folder of recordings, or a csv table"):
        waves_of(tmp_path / "gone", tmp_path)
    (rain / "other.csv").write_text("file\na.wav\n")
    with pytest.raises(ValueError, match="has 1 row and the columns file; it needs 'path'"):
        waves_of(rain / "other.csv", tmp_path)
    write_wav(tmp_path / "quiet" / "0.wav", np.zeros(800, "float32"), SR)
    with pytest.raises(ValueError, match=r"holds 1 recording without sound \(0.wav: is silent\)"):
        waves_of(tmp_path / "quiet", tmp_path)
    write_wav(rain / "c.wav", np.zeros(800, "float32"), SR)
    (rain / "d.wav").write_bytes(b"no sound")
    with pytest.warns(UserWarning, match=r"2 of 4 recordings of the background .*c.wav: is silent; d.wav: "):
        assert len(waves_of(rain, tmp_path)) == 2


def test_a_ratio_that_would_clip_makes_all_of_it_softer_and_is_said_once(rain, tmp_path):
    waves = waves_of(rain, tmp_path)
    augment = AugmentWaves(WaveAugment(**OFF, background="rain", background_share=1, background_db=(-10, -10)), waves)
    x = tones(6, level=0.9)
    torch.manual_seed(0)
    with pytest.warns(
        UserWarning, match="6 of 6 waveforms of a batch leave full scale with what is mixed in; .* softer"
    ):
        out = augment(x, split_idx=0).as_subclass(torch.Tensor)
    assert out.abs().amax(-1).flatten().allclose(torch.ones(6))
    tone = torch.stack([loudness(TensorWave(out), row)[row] for row in range(6)])  # what is left of it: the ratio stays
    rest = (out.square().mean(-1).flatten() - tone.square() / 2).sqrt()
    assert (20 * torch.log10(tone / 2**0.5 / rest) + 10).abs().max() < 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        augment(x, split_idx=0)
        AugmentWaves(WaveAugment(gain_db=40))(x, split_idx=0)  # nothing is mixed in


# ---------------------------------------------------------------------- values, loaders


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(mix=1.2), r"WaveAugment\(mix=1.2\): give a share, 0 \(off\) to 1"),
        (dict(mix_db=-1), "it goes both ways"),
        (dict(background_db=(10, 5)), "give two decibels, the least and the largest, between -60 and 120"),
        (dict(background_db=(5,)), "give two decibels"),
        (dict(noise_slope=(0, 9)), "give two exponents"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WaveAugment(**settings)


def test_settings_travel_and_say_what_they_do(rain):
    value = WaveAugment(mix=0.5, background=rain, background_db=(0, 25))
    assert WaveAugment.from_json(value.to_json()) == value and value.background == str(rain)
    assert value.mixes_in and not WaveAugment().mixes_in
    assert [type(t).__name__ for t in wave_changes("default", sp.Audio(sr=SR))] == ["AugmentWaves"]


@pytest.fixture
def clips(tmp_path, write_wav, sine):
    for i in range(12):
        write_wav(tmp_path / "clips" / ("low", "high")[i % 2] / f"{i}.wav", sine((300, 1500)[i % 2] + i, 0.5, SR), SR)
    return tmp_path / "clips"


def live(clips, **options):
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64), audio=sp.Audio(sr=SR, duration=0.5))
    options = {"augment": None, "bs": 8, "progress": False, "live": True, **options}
    return sp.SpecDataLoaders.from_folder(clips, renderer=look, cache=clips.parent / "cache", **options)


def test_live_pictures_show_what_was_mixed(clips, rain):
    plain = live(clips, shuffle=False).train.one_batch()[0]
    dls = live(
        clips, shuffle=False, wave_augment=WaveAugment(**OFF, mix=1.0, background=str(rain), background_share=0.5)
    )
    x, y = dls.train.one_batch()
    assert x.shape == plain.shape and (x.shares.diagonal() < 1).all() and not torch.allclose(x, plain)
    titles = [ax.get_title() for ax in dls.show_batch((x, y), max_n=8).axes]
    assert any("0." in title and "low" in title and "high" in title for title in titles)
    assert not hasattr(dls.valid.one_batch()[0], "shares")


def test_networks_of_waveforms_take_the_same(clips):
    dls = sp.WaveDataLoaders.from_folder(clips, audio=sp.Audio(sr=SR, duration=0.5), bs=8, augment=WaveAugment(mix=1.0))
    x, _ = dls.train.one_batch()
    assert x.shape == (8, 1, 1, 4000) and x.shares.shape == (8, 8)


def test_waveforms_are_changed_only_where_pictures_are_drawn_live(clips):
    with pytest.raises(ValueError, match="these are drawn ahead; give live=True too"):
        live(clips, live=False, wave_augment=WaveAugment())
    with pytest.raises(ValueError, match="wave_augment='default': give None or WaveAugment"):
        live(clips, wave_augment="default")
