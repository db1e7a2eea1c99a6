"""Sounds of a page: within a budget, linked beyond it."""

from specimg.reports.sound import embed_first, link_to


def test_the_budget_goes_to_the_first_and_small_ones_fill_gaps():
    assert embed_first([40, 30, 90, 9], 80) == [True, True, False, True]
    assert embed_first([40, 30], 0) == [False, False] and embed_first([], 5) == []


def test_links_are_relative_quoted_and_say_the_span(tmp_path):
    assert link_to(tmp_path / "a b/ü#1.wav", tmp_path / "pages", 1.0, 3.5) == "../a%20b/%C3%BC%231.wav#t=1.000,3.500"
    assert link_to(tmp_path / "x.wav", tmp_path) == "x.wav"
