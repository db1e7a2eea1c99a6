"""Text for terminals, tables and other programs."""

import pandas as pd
import pytest

from specimg.core.text import printable, printable_cells


@pytest.mark.parametrize(
    "text, shown",
    [
        ("dog", "dog"),
        ("ünï 犬 'x' \\", "ünï 犬 'x' \\"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\n\tb\x00\x7f\x9b", "a\\r\\n\\tb\\x00\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2028b\udce9", "a\\u2028b\\udce9"),
        (3, "3"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text, shown):
    assert printable(text) == shown
    assert printable(text, keep="\n").replace("\n", "\\n") == shown


def test_cells_are_text_that_no_program_runs():
    cells = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\tx", "a=b", "a\x1b", None]
    table = pd.DataFrame({"path": cells, "p\x07": range(8), "=x": [0.5] * 8, "several": [["a\x1b"]] * 8})
    plain = printable_cells(table)
    assert list(plain) == ["path", "p\\x07", "=x", "several"] and plain["p\\x07"].dtype.kind == "i"
    assert plain["path"].tolist()[:6] == [*cells[:4], "\\tx", "a=b"] and plain["path"][6] == "a\\x1b"
    quoted = printable_cells(table, quote_formulas=True)
    assert quoted["path"].tolist()[:6] == [f"'{cell}" for cell in cells[:4]] + ["'\\tx", "a=b"]
    assert list(quoted)[2] == "'=x" and (quoted["'=x"] == 0.5).all()
    assert pd.isna(quoted["path"][7])
