"""A file becomes samples: read, mono, resample, denoise, filter, trim, cut out silence, normalise, fit length; in that order.

`Audio` is the choice of all that, `read_audio` does it:

    y, sr = read_audio("dog.ogg", Audio(sr=32000, duration=5.0))                    # float32 (160000,), 32000
    y, sr = read_audio("owl.wav", Audio(highpass_hz=200, lowpass_hz=4000, trim_db=40, normalize="loudness"))

`find` lists the recordings of a folder, `decode` turns bytes into samples, `stream` does so window by window for recordings of any
length, `effects` changes the sound, `levels` measures and sets its level, and `read` puts them together. `windows` cuts recordings
into rows of a table; `variants` are changed copies for training.

A file that cannot be read as a whole raises `AudioError` with its path and a reason: a recording that is shorter than its header
promises is a broken file, not a short clip.
"""

from .decode import recording_seconds
from .effects import filter_band, fit_length, resample
from .errors import AudioError, UnreadableError
from .find import AUDIO_SUFFIXES, find_audio
from .levels import loudness
from .read import Audio, read_audio
from .variants import AddNoise, PitchShift, Roll, TimeStretch, Variant, list_variants
from .windows import cut_windows, silence_clips

__all__ = [
    "AUDIO_SUFFIXES",
    "AddNoise",
    "Audio",
    "AudioError",
    "PitchShift",
    "Roll",
    "TimeStretch",
    "UnreadableError",
    "Variant",
    "cut_windows",
    "filter_band",
    "find_audio",
    "fit_length",
    "list_variants",
    "loudness",
    "read_audio",
    "recording_seconds",
    "resample",
    "silence_clips",
]
