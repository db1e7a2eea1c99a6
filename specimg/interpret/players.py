"""Spectrograms with players below them, for a notebook: what `SpecInterpretation.listen` shows."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ..audio import Audio
from ..audio.opus import clip_sound

if TYPE_CHECKING:
    from IPython.display import HTML


def player(recording: Path | None, why: str, audio: Audio, start: float | None, end: float | None) -> str:
    """The markup of a player of a recording's span as it was drawn; the reason, in words, where there is no sound."""
    from IPython.display import Audio as Player

    try:
        if recording is None:
            raise ValueError(why)
        sound = Player(data=clip_sound(recording, audio, start, end).data)
    except (ValueError, OSError) as exc:
        return f"<p>No sound. {escape(str(exc))}</p>"
    sound.mimetype = "audio/ogg"
    return sound._repr_html_()


def card(figure: Figure, said: str, player: str) -> str:
    """The markup of one clip: its figure, described by what is `said` of it, and its player."""
    picture = base64.b64encode(figure._repr_png_()).decode()
    image = f'<img src="data:image/png;base64,{picture}" alt="{escape(said)}" style="width:100%">'
    return f'<div style="width:min(24em, 100%)">{image}{player}</div>'


def in_a_grid(cards: list[str]) -> HTML:
    """Cards side by side, as many as fit."""
    from IPython.display import HTML

    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(cards)}</div>')
