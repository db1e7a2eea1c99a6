"""A file becomes samples: read, mono, resample, denoise, filter, trim, cut out silence, normalise, fit length; in that order.

`Audio` is the choice of all that, `read_audio` does it:

    y, sr = read_audio("dog.ogg", Audio(sr=32000, duration=5.0))                    # float32 (160000,), 32000
    y, sr = read_audio("owl.wav", Audio(highpass_hz=200, lowpass_hz=4000, trim_db=40, normalize="loudness"))

`finding` lists the recordings of a folder, `decoding` turns bytes into samples, `streaming` does so window by window for recordings of
any length, `levels` judges by loudness (trimming, silence, normalising), `conditioning` changes the sound, and `reading` puts them
together.

A file that cannot be read whole raises `AudioError` with its path and a reason: a recording that is shorter than its header
promises is a broken file, not a short clip.
"""

from .decode import MAX_FRAMES_PER_BYTE, AudioError, SampleBuffer, UnreadableError, recording_seconds
from .effects import DENOISERS, MAX_FILTER_ORDER, PADS, filter_band, fit_length, resample
from .find import AUDIO_SUFFIXES, find_audio, is_audio_name, walk_audio
from .levels import LOUDNESS, NORMALIZERS, RMS_LEVEL, loudness
from .read import Audio, Clip, condition, read_audio, read_clip
from .variants import AddNoise, PitchShift, Roll, TimeStretch, Variant
from .windows import cut_windows, silence_clips

__all__ = [
    "AddNoise",
    "PitchShift",
    "Roll",
    "TimeStretch",
    "Variant",
    "cut_windows",
    "silence_clips",
    "AUDIO_SUFFIXES",
    "DENOISERS",
    "MAX_FRAMES_PER_BYTE",
    "MAX_FILTER_ORDER",
    "LOUDNESS",
    "NORMALIZERS",
    "PADS",
    "RMS_LEVEL",
    "Audio",
    "AudioError",
    "Clip",
    "SampleBuffer",
    "UnreadableError",
    "condition",
    "filter_band",
    "find_audio",
    "fit_length",
    "is_audio_name",
    "loudness",
    "read_audio",
    "read_clip",
    "recording_seconds",
    "resample",
    "walk_audio",
]
