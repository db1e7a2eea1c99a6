"""A regular expression of somebody else's finds what `re` finds, and ends."""

import os
import re

import pytest

from specimg.core import matching
from specimg.core.matching import compile_regex, search_all
from specimg.labels import labels_from_names

ENDLESS = r"(?P<label>(a+)+)$"


def test_it_finds_what_re_finds():
    names = ["3_dog_12.wav", "ünder_1.wav", "no", "", "a\nb_2", os.fsdecode(b"caf\xe9_7.wav")]
    regex = r"(?P<label>\w+?)_(\d)(x)?"
    found = [re.search(regex, name) for name in names]
    assert search_all(regex, names) == [match and [match[0], *match.groups()] for match in found]


def test_one_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(matching, "SECONDS", 0.3)
    with pytest.raises(ValueError, match=r"was not done with 2 names after 0 s: repeats inside of repeats"):
        labels_from_names(["b.wav", "a" * 60 + "b.wav"], ENDLESS)


@pytest.mark.parametrize("regex", ["(", "(" * 100_000, "a{99999999999}", "(?P<1>a)"])
def test_what_is_none_is_said(regex):
    with pytest.raises(ValueError, match="is not a regular expression"):
        compile_regex(regex)
    with pytest.raises(ValueError, match="is not a regular expression"):
        labels_from_names(["a.wav"], regex)


def test_it_takes_no_memory_of_ours(peak_memory):
    code = f"matching.SECONDS = 0.5; matching.search_all({ENDLESS!r}, ['a' * 100_000 + 'b'])"
    assert peak_memory("from specimg.core import matching", code) < 20  # MB
