"""What networks are given: pictures and waveforms behind one set of members, as JSON and back."""

import numpy as np
import pytest
import torch

from specimg.audio import Audio
from specimg.data import TTA, PictureInput, WaveInput
from specimg.data.images import FitSize
from specimg.data.inputs import input_from_dict
from specimg.data.waves import FitWave
from specimg.render import Renderer
from specimg.spectrogram import Mel, Picture, mel_and_deltas

SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
AUDIO = Audio(sr=SR)
CLIP = (np.sin(np.arange(SR) / 5).astype(np.float32), SR)
INPUTS = {
    "squish": PictureInput(Renderer(MEL, audio=AUDIO), FitSize((16, 20))),
    "crop": PictureInput(Renderer(MEL, audio=AUDIO), FitSize((16, 25), "crop", 0.2, 3, (0.5,))),
    "colours": PictureInput(Renderer(MEL, Picture(colormap="magma"), AUDIO), FitSize((16, 20), "pad", 0.5)),
    "stack": PictureInput(Renderer(mel_and_deltas(MEL), audio=AUDIO), FitSize((16, 20))),
    "augmented": PictureInput(Renderer(MEL, audio=AUDIO), FitSize((16, 20))).with_tta(TTA(shifts=(0, 0.1))),
    "wave": WaveInput(FitWave(Audio(sr=SR, duration=0.5), 4000)),
    "windows": WaveInput(FitWave(AUDIO, 2000, 4)),
}


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
def test_a_recording_becomes_a_tensor_of_the_size_that_is_told(given):
    x = given.to_tensor(given.prepare(CLIP))
    assert x.dtype == torch.float32 and tuple(x.shape[-3:]) == (given.channels, *given.size)
    assert given.audio.sr == SR and given.renderer is (given.reader if given.name == "picture" else None)
    assert [reason for _, reason in given.prepare_all([CLIP, ("text", 0)])][0] == ""


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
def test_an_input_travels_as_json(given):
    again = input_from_dict(given.to_dict())
    assert again.to_dict() == given.to_dict() and repr(again) == repr(given)
    prepared = given.prepare(CLIP)
    assert torch.equal(again.to_tensor(prepared), given.to_tensor(prepared))


@pytest.mark.parametrize(
    "name, method, seconds, windows, one",
    [
        ("squish", "squish", None, 1, (1, 16, 20)),
        ("crop", "crop", 0.2, 3, (1, 16, 25)),
        ("colours", "pad", 0.5, 1, (3, 16, 20)),
        ("augmented", "squish", None, 1, (2, 1, 16, 20)),
        ("wave", "pad", 0.5, 1, (1, 1, 4000)),
        ("windows", "crop", 0.25, 4, (1, 1, 2000)),
    ],
)
def test_what_a_network_reads_of_a_clip(name, method, seconds, windows, one):
    given = INPUTS[name]
    assert (given.method, given.seconds, given.windows) == (method, seconds, windows)
    assert given.one_window().to_tensor(given.prepare(CLIP)).shape == one
    assert given.windows == windows  # a copy was changed
