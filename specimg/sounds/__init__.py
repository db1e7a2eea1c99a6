"""Synthetic sounds with known answers: signals for tests, and a small competition to learn from.

>>> import numpy as np
>>> from specimg.sounds import make_sound, sine
>>> tone = sine(440, seconds=0.5, sr=16000)                 # always the same
>>> bell = make_sound("bell", np.random.default_rng(0))     # another generator, another bell

A kind of sound is a function `(rng, seconds, sr) -> y` under `@sound`; `make_sound` puts what it plays into a room, at
a random place of a noisy clip. Some kinds come in pairs, of which the second is the first played backwards: the average
and the spread of every row of their spectrograms agree, and only a model that sees the order of time tells them apart.
`make_competition` writes a folder of such clips in the layout of Kaggle's freesound-audio-tagging (2018).
"""

from .competition import SoundCompetition, make_competition
from .synthesis import chirp, click, list_sounds, make_sound, noise, silence, sine, sound

__all__ = [
    "silence", "click", "sine", "chirp", "noise", "sound", "list_sounds", "make_sound", "SoundCompetition", "make_competition",
]
