"""Unknown arguments: the closest names, and where a setting of this name lives."""

import inspect

import pytest

import specimg as sp
from specimg.core.arguments import UnknownArgument, names_arguments, parameter_texts, place_of


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sp.Recipe(epoch=3), r"unknown field of Recipe 'epoch'; did you mean 'epochs'\?"),
        (lambda: sp.Mel(sr=16000), "unknown field of Mel 'sr'; sr is a field of Audio; choose one of .*n_mels"),
        (lambda: sp.Mel().replace(sr=16000), "sr is a field of Audio"),
        (lambda: sp.Mel.from_dict({"kind": "mel", "sr": 16000}), "sr is a field of Audio"),
        (lambda: sp.Picture(size=224), r"size is an argument of SpecDataLoaders\.from_\.\.\."),
        (lambda: sp.Renderer(n_mels=64), "n_mels is a field of Mel"),
        (lambda: sp.Audio(bs=64), r"bs is an argument of SpecDataLoaders\.from_\.\.\., WaveDataLoaders\.from_\.\.\."),
        (lambda: sp.Audio(zzz=1), "unknown field of Audio 'zzz'; choose one of"),
        (lambda: sp.Stack(sp.Mel(), hop_length=5), "unknown field of Stack 'hop_length'; hop_length is a field of Mel"),
    ],
)
def test_values_say_where_an_unknown_field_lives(make, message):
    with pytest.raises(UnknownArgument, match=message):
        make()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: sp.spec_learner(None, epochs=3),
            "unknown argument of spec_learner 'epochs'; epochs is a field of Recipe",
        ),
        (lambda: sp.fit(None, epochs=3), "epochs is a field of Recipe"),
        (lambda: sp.render_tree("clips", sr=8000), "sr is a field of Audio"),
        (lambda: sp.cross_validate(None, n_mels=64), "n_mels is a field of Mel"),
        (lambda: sp.SpecDataLoaders.from_folder("clips", n_mels=64), "n_mels is a field of Mel"),
        (lambda: sp.SpecDataLoaders.from_df(None, sr=8000), "sr is a field of Audio"),
        (lambda: sp.WaveDataLoaders.from_folder("clips", sizes=64), "unknown argument of from_folder 'sizes'"),
    ],
)
def test_functions_say_where_an_unknown_argument_lives(call, message):
    with pytest.raises(UnknownArgument, match=message):
        call()


def test_an_unknown_argument_is_a_type_error_and_a_value_error():
    assert issubclass(UnknownArgument, TypeError) and issubclass(UnknownArgument, ValueError)


def test_default_parts_of_other_values_are_named_first():
    assert place_of("hop_length").startswith("hop_length is a field of Mel, ")


def test_a_checked_function_keeps_signature_and_docstring():
    @names_arguments
    def double(x: int, *, times: int = 2) -> int:
        """Double it."""
        return x * times

    assert str(inspect.signature(double)) == "(x: int, *, times: int = 2) -> int" and double.__doc__ == "Double it."
    assert double(3, times=3) == 9
    with pytest.raises(UnknownArgument, match="unknown argument of double 'time'; did you mean 'times'"):
        double(3, time=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        double()


def test_values_show_their_fields():
    assert list(inspect.signature(sp.Picture).parameters)[:2] == ["height", "width"]


@pytest.mark.parametrize("verb", [sp.spec_learner, sp.fit, sp.render_tree, sp.cross_validate])
def test_verbs_show_all_their_arguments(verb):
    assert not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(verb).parameters.values())


def test_entries_of_a_docstring_are_read_with_their_lists():
    doc = """Draw.

    Parameters
    ----------
    a, b : int
        Numbers.

        - one: 1
    c
        Last.

    Returns
    -------
    int
    """
    assert parameter_texts(doc) == {"a, b : int": "a, b : int\n    Numbers.\n\n    - one: 1\n", "c": "c\n    Last.\n"}


SISTERS = [
    (cls, name)
    for cls in (sp.SpecDataLoaders, sp.WaveDataLoaders)
    for name in ("from_csv", "from_folder", "from_names", "from_lists", "from_audiofolder")
]


@pytest.mark.parametrize("cls, name", SISTERS, ids=lambda part: getattr(part, "__name__", part))
def test_sisters_of_from_df_show_and_describe_all_its_arguments(cls, name):
    sister = getattr(cls, name)
    parameters = inspect.signature(sister).parameters
    assert {"bs", "seconds", "augment", "group_col", "seed"} <= set(parameters)
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    described = [n for heading in parameter_texts(sister.__doc__) for n in heading.split(" : ")[0].split(", ")]
    assert sorted(described) == sorted(parameters)
