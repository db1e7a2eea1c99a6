"""Versions of what is installed here."""

import specimg
from specimg.core.installed import installed_versions


def test_what_is_not_installed_is_left_out():
    found = installed_versions({"no-such-package", "numpy"})
    assert list(found) == ["specimg", "numpy"] and found["specimg"] == specimg.__version__
