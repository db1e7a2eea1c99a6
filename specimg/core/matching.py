"""A regular expression that somebody else may have written is searched for in a process of its own, for a bounded time.

Python's engine tries every way to match, and for repeats inside of repeats these double with every letter.

>>> search_all(r"(\\d+)_(?P<label>[a-z]+)", ["3_dog.wav", "cat.wav"])
[['3_dog', '3', 'dog'], None]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 10.0  # for all texts, and as many again for each 100,000 of them

_CHILD = """
import json, re, sys
regex, texts = json.load(sys.stdin)
found = map(re.compile(regex).search, texts)
json.dump([match and [match[0], *match.groups()] for match in found], sys.stdout)
"""


def compile_regex(regex: str) -> re.Pattern:
    """`re.compile`, of which every failure is a ValueError.

    >>> compile_regex("(")
    Traceback (most recent call last):
    ValueError: '(' is not a regular expression: missing ), unterminated subpattern at position 0
    """
    try:
        return re.compile(regex)
    except (re.error, OverflowError, RecursionError) as exc:
        shown = regex if len(regex) <= 200 else regex[:197] + "..."
        raise ValueError(f"{shown!r} is not a regular expression: {exc}") from exc


def search_all(regex: str, texts: Sequence[str]) -> list[list[str | None] | None]:
    """`re.search` in many texts, ended after a while.

    Parameters
    ----------
    regex : str
        The regular expression.
    texts : sequence of str
        Where it is searched for.

    Returns
    -------
    list of (list of (str or None) or None)
        For each text the whole match and then its groups, as `[match[0], *match.groups()]`; None where there is none.

    Raises
    ------
    ValueError
        It is no regular expression, or was not done in time.
    """
    compile_regex(regex)
    seconds = SECONDS * (1 + len(texts) / 100_000)
    command = [sys.executable, "-I", "-S", "-c", _CHILD]
    try:
        done = subprocess.run(
            command, input=json.dumps([regex, list(texts)]), capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as exc:
        raise ValueError(
            f"the regular expression {regex!r} was not done with {len(texts)} names after {seconds:.0f} s: repeats inside of repeats, as in "
            f"(a+)+, try every way to match; write it without"
        ) from exc
    if done.returncode:
        raise ValueError(f"the regular expression {regex!r} failed: {done.stderr.strip()[-200:]}")
    return json.loads(done.stdout)
