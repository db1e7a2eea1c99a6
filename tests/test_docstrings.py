"""Every public name is described: parameters, returns, an example that runs, annotations. benchmarks/docstrings.py says what counts."""

import docstrings
import pytest

ROOMS = sorted({room.split(".")[0] for room in docstrings.ROOMS})


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_described(room):
    found = docstrings.survey([room])
    assert found
    assert {name: lacks for name, lacks in found.items() if lacks} == {}


def test_what_is_missing_is_found():
    def undescribed(a, b: int = 0):
        """Does something."""

    lacks = docstrings.lacks_of_function(undescribed, needs_example=True)
    assert lacks == ["parameters a, b", "annotations a", "annotation of return", "returns", "example"]
