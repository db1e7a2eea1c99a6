"""One module for each kind of competition; importing this registers them all."""

from . import birdclef, environmental, freesound, from_toml, speech_commands

__all__ = ["birdclef", "environmental", "freesound", "from_toml", "speech_commands"]
