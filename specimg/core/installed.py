"""Versions of what is installed here.

>>> list(installed_versions(["numpy", "a package that is not there"]))
['specimg', 'numpy']
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Library -> installed version, specimg's own first. What is not installed is left out; using it raises its error."""
    from .. import __version__

    found = {"specimg": __version__}
    for name in sorted(set(libraries) - {"specimg"}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
