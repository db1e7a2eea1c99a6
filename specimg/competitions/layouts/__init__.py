"""One module for each kind of competition; importing this room registers them all. `registry` says how to add one."""

from . import birdclef, environmental, freesound, from_toml, speech_commands

__all__ = ["birdclef", "environmental", "freesound", "from_toml", "speech_commands"]
