"""Pictures drawn in the batch: the tree's pixels, random parts, one kind of classifier, and refusals with their reason."""

import warnings

import numpy as np
import pytest
import torch

import specimg as sp
from specimg.data import TensorSpec, TensorWave, WaveAugment
from specimg.data.live import DrawLive
from specimg.inference import load_classifier
from specimg.spectrogram import Chroma, mel_and_deltas
from specimg.training import predict_all

SR, FRAMES = 8000, dict(n_fft=256, hop_length=64)
MEL = sp.Mel(n_mels=24, **FRAMES)
WHOLE = sp.Audio(sr=SR, duration=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import soundfile as sf

    root, rng = tmp_path_factory.mktemp("live") / "clips", np.random.default_rng(0)
    for label, hz in (("low", 300), ("high", 1500)):
        (root / label).mkdir(parents=True)
        for i in range(6):
            t = np.arange(4000 + 400 * i) / SR
            y = 0.3 * np.sin(2 * np.pi * (hz + 20 * i) * t) * np.exp(-2 * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(root / label / f"{i}.wav", y, SR)
    return root


def loaders(folder, live=True, look=MEL, audio=WHOLE, **options):
    options = {"bs": 5, "augment": None, "progress": False, "n_jobs": 1, **options}
    look = look if isinstance(look, sp.Renderer) else sp.Renderer(look, audio=audio)
    return sp.SpecDataLoaders.from_folder(folder, renderer=look, cache=folder.parent / "cache", live=live, **options)


LOOKS = [
    MEL,
    MEL.replace(pcen=sp.Pcen()),
    sp.Stft(**FRAMES),
    sp.Mfcc(n_mels=24, **FRAMES),
    sp.Gammatone(n_bands=24, fmin=100.0, **FRAMES),
    sp.Gfcc(n_bands=24, fmin=100.0, **FRAMES),
    mel_and_deltas(MEL),
    sp.Scaled(MEL),
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.slug)
def test_pixels_are_the_trees_to_one_level(folder, look):
    for options in ({}, {"method": "pad", "seconds": 0.6, "audio": sp.Audio(sr=SR, duration=0.6)}):
        drawn, stored = (loaders(folder, live, look, shuffle=False, **options) for live in (True, False))
        for (x, y), (x0, y0) in zip(drawn.train, stored.train):
            assert x.shape == x0.shape and torch.equal(y, y0)
            off = (x - x0).abs().mul(255).round()
            assert off.max() <= 1 and (off > 0).float().mean() < 2e-3


def test_what_a_graph_cannot_condition_is_conditioned_before(folder):
    audio = sp.Audio(sr=4000, duration=0.4, trim_db=40, highpass_hz=100, normalize="rms")
    drawn, stored = (loaders(folder, live, audio=audio, shuffle=False) for live in (True, False))
    for (x, _), (x0, _) in zip(drawn.train, stored.train):
        assert (x - x0).abs().max() <= 1.01 / 255


def test_a_part_is_drawn_as_that_part_of_the_recording_would_be(folder):
    dls = loaders(folder, audio=sp.Audio(sr=SR), method="crop", seconds=0.25, size=(24, 31))
    x, _ = dls.train.one_batch()
    assert isinstance(x, TensorSpec) and x.dtype == torch.float32 and x.shape == (5, 1, 24, 31)
    for picture, (index, [(start, end)]) in zip(x, x.clips):
        clip = dls.train.clips.iloc[index]
        want = sp.Renderer(MEL, audio=sp.Audio(sr=SR))(folder / clip["path"], start=start, end=end)
        assert end - start == pytest.approx(0.25)
        apart = np.abs(picture[0].numpy() * 255 - np.asarray(want)[:, :31].astype(float))
        assert apart.max() <= 1.01


def test_every_epoch_has_other_parts_and_short_clips_end_in_silence(folder):
    dls = loaders(folder, audio=sp.Audio(sr=SR), method="crop", seconds=0.3, shuffle=False)
    starts = [x.clips[0][1][0][0] for _ in range(6) for x, _ in dls.train]
    assert len(set(starts)) > 6
    longer = loaders(folder, audio=sp.Audio(sr=SR), method="crop", seconds=2.0)
    x, _ = longer.train.one_batch()
    assert not x[..., -40:].any() and x[..., :40].any()


def test_what_is_evaluated_takes_the_trees_way(folder):
    drawn, stored = (
        loaders(folder, live, audio=sp.Audio(sr=SR), method="crop", seconds=0.25, size=32) for live in (True, False)
    )
    for (x, _), (x0, _) in zip(drawn.valid, stored.valid):
        assert torch.equal(x, x0) and x.ndim == 5
    learn = sp.spec_learner(drawn, "mini_resnet", pretrained=False, stats="train", seed=0)
    with learn.no_bar():
        assert len(predict_all(learn, ds_idx=0).table) == len(drawn.train_ds)
    assert drawn.input.describe() == stored.input.describe() and drawn.renderer == stored.renderer


def test_a_classifier_trained_live_is_like_any_other(folder, tmp_path):
    dls = loaders(folder, audio=sp.Audio(sr=SR), method="crop", seconds=0.25, size=32)
    learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging():
        sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0), out=tmp_path / "run")
        valid = predict_all(learn)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as that it does without a transform of validation
            sp.save_classifier(learn, tmp_path / "clf")
        learn.export(tmp_path / "learner.pkl")
    table = load_classifier(tmp_path / "clf").predict(
        [folder / path for path in dls.valid.clips["path"]], progress=False
    )
    np.testing.assert_allclose(table[[f"p_{label}" for label in valid.vocab]], valid.probs, atol=1e-5)
    assert sp.SpecInterpretation.from_learner(learn).plot_top_losses(2) is not None


def test_clips_are_shown_over_their_own_seconds(folder):
    dls = loaders(folder, audio=sp.Audio(sr=SR), method="crop", seconds=0.25)
    x, y = dls.train.one_batch()
    figure = dls.show_batch((x, y), max_n=2)
    shown = np.asarray(figure.axes[0].images[0].get_array()).reshape(x.shape[-2:])
    np.testing.assert_allclose(shown, x[0, 0] * 255, atol=1)
    left, right = figure.axes[0].get_xlim()
    assert right - left == pytest.approx(0.25, abs=0.01) and figure.axes[0].get_xlabel() == "seconds"


def test_folds_and_workers(folder):
    table = sp.add_folds(sp.labels_from_folders(folder), n_splits=3)
    stored = loaders(folder)
    dls = sp.SpecDataLoaders.from_tree(stored.tree, table, fold=0, live=True, bs=4, num_workers=1)
    x, _ = dls.train.one_batch()
    assert type(x) is TensorSpec and len(dls.train_ds) + len(dls.valid_ds) == len(table)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "options, reason",
    [
        (dict(look=Chroma(**FRAMES)), r"live with the representation chroma \(these can: delta, .*leave out live=True"),
        (
            dict(look=sp.Renderer(MEL, sp.Picture(width=20, resample="lanczos"), WHOLE)),
            r"Picture\(resample='lanczos'\)",
        ),
        (dict(variants=[sp.audio.AddNoise(20)]), "variants are pictures that are drawn ahead"),
        (dict(item_tfms=[lambda x: x]), "item_tfms change stored pictures"),
    ],
)
def test_what_cannot_be_drawn_live_is_refused_before_anything_is_drawn(folder, options, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        loaders(folder, **options)


def test_one_length_and_one_rate_are_needed(folder, tmp_path, write_wav, sine):
    with pytest.raises(ValueError, match=r"lengths in seconds .*give Audio\(duration=...\), or method='crop'"):
        loaders(folder, audio=sp.Audio(sr=SR))
    for i, sr in enumerate([8000, 16000] * 4):
        write_wav(tmp_path / "two" / "ab"[i // 4] / f"{i}.wav", sine(400, 0.5, sr), sr)
    with pytest.raises(ValueError, match="2 sampling rates in Hz"), pytest.warns(UserWarning, match="sampling rates"):
        loaders(tmp_path / "two", audio=sp.Audio(duration=0.5))


def test_clips_that_can_no_longer_be_decoded_are_left_out(tmp_path, write_wav, sine):
    for i in range(12):
        write_wav(tmp_path / "some" / "ab"[i % 2] / f"{i}.wav", sine(300 + i, 0.5, SR), SR)
    stored = loaders(tmp_path / "some", live=False)
    lost = stored.train.clips["path"][0]
    (tmp_path / "some" / lost).unlink()
    with pytest.warns(UserWarning, match=f"1 of .* clips of training cannot be decoded and are left out .{lost}"):
        dls = sp.SpecDataLoaders.from_tree(stored.tree, live=True, bs=4)
    assert lost not in set(dls.train.clips["path"])


def test_pieces_of_a_batch_are_drawn_as_each_clip_alone(folder):
    draw = next(t for t in loaders(folder).train.after_batch.fs if isinstance(t, DrawLive))
    waves = torch.randn(7, 1, 1, 4000) * torch.linspace(0.01, 1, 7).view(-1, 1, 1, 1)
    together = draw(TensorWave(waves), split_idx=0)
    alone = torch.cat([draw(TensorWave(wave[None]), split_idx=0) for wave in waves])
    assert torch.equal(together, alone)


def test_a_cross_validation_is_live_too_and_refuses_before_it_draws(folder, tmp_path):
    table = sp.labels_from_folders(folder)
    comp = sp.Competition("tiny", folder, table)
    look, recipe = sp.Renderer(MEL, audio=sp.Audio(sr=SR)), sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0)
    loading = dict(bs=4, size=32, cache=tmp_path / "cache", method="crop", seconds=0.25, live=True, progress=False)
    loading["wave_augment"] = WaveAugment(mix=0.5)
    options = dict(folds=2, loaders=loading, learner=dict(pretrained=False))
    run = sp.cross_validate(comp, look, "mini_resnet", recipe, out=tmp_path / "run", **options)
    assert len(run.oof) == len(table) and next((tmp_path / "cache").glob("*/waves.f32")).is_file()
    with pytest.raises(ValueError, match="the representation chroma"):
        sp.cross_validate(comp, sp.Renderer(Chroma()), "mini_resnet", recipe, out=tmp_path / "no", **options)
    assert not (tmp_path / "no").exists()
