"""Values: what fits a field, what the errors say, and the journey through dictionaries, JSON, TOML and keys."""

import dataclasses
import json
import math
import pickle
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import specimg.audio.variants  # noqa: F401
import specimg.data.augment  # noqa: F401  registers its values
import specimg.data.tta  # noqa: F401
import specimg.data.waves  # noqa: F401
import specimg.training  # noqa: F401
from specimg.audio import Audio
from specimg.core.values import Value, choose, kinds
from specimg.render.renderer import Renderer
from specimg.spectrogram import (
    Chroma,
    Delta,
    Mel,
    Mfcc,
    Pcen,
    Representation,
    Scaled,
    Stack,
    Stft,
    list_representations,
)
from specimg.spectrogram.picture import Picture
from specimg.training.losses import GeneralizedCrossEntropy

# One value or more of each kind; every other kind is taken as its defaults make it.
SPECIMENS = {
    "delta": [Delta(Mel(n_mels=40), order=2)],
    "scaled": [Scaled(Mel(n_mels=40))],
    "stack": [Stack(Mel(n_mels=40), Delta(Mel(n_mels=40))), Stack(Delta(Mel(top_db=None)), Mfcc(fmax=None), Stft())],
    "picture": [Picture(), Picture(height=64, colormap="magma", low=-50.0, high=-1.5)],
    "renderer": [
        Renderer(),
        Renderer(Stack(Mel(), Delta(Mel(fmin=20.5))), Picture(width=96), Audio(sr=22050, duration=1.5)),
    ],
    "mel": [Mel(), Mel(n_mels=64, fmin=50.0, ref=1.0, top_db=None, norm=None)],
}
# What a field may be changed to: the first of these that its value accepts and that differs.
OTHERS = [
    1,
    2,
    7,
    0.5,
    3000.0,
    True,
    False,
    None,
    "rms",
    "repeat",
    "stationary",
    "partial",
    "hamming",
    "edge",
    "nearest",
    "viridis",
    "max",
    "slaney",
    "accuracy",
    "full",
    "real",
    "linear",
    "cqt",
    "picture",
    "log",
    12,
    [0.5],
    [0.9, 0.5],
    [1, 2],
    GeneralizedCrossEntropy(),
    Pcen(),
    Chroma(n_chroma=24),
    Stft(),
    Audio(sr=8000),
    Picture(width=9),
    [Stft()],
]


# Values with required fields and rules between them, which the tests of their own rooms cover.
ELSEWHERE = (
    "specimg.competitions",
    "specimg.core.hub",
    "specimg.data.s",
    "specimg.datasets",
    "specimg.experiments",
    "specimg.inference",
    "specimg.training.tracking",
)


def specimens():
    own = {
        kind: cls
        for kind, cls in kinds().items()
        if cls.__module__.startswith("specimg.") and not cls.__module__.startswith(ELSEWHERE)
    }
    return [value for kind, cls in own.items() for value in SPECIMENS.get(kind) or [cls()]]


def fields(value):
    return [f.name for f in dataclasses.fields(value)]


def changed(value, name):
    for other in OTHERS:
        try:
            candidate = value.replace(**{name: other})
        except ValueError:
            continue
        if candidate != value:
            return candidate
    return None


every_value = pytest.mark.parametrize("value", specimens(), ids=lambda v: v.kind)


# ---------------------------------------------------------------------- what fits a field


@pytest.mark.parametrize(
    "made, same",
    [
        (Audio(duration=20), Audio(duration=20.0)),
        (Audio(sr=16000.0), Audio(sr=16000)),
        (Mel(n_mels=np.int64(64)), Mel(n_mels=64)),
        (Mel(fmin=np.float32(20.5)), Mel(fmin=20.5)),
        (Mel(fmin=-0.0), Mel(fmin=0.0)),
        (Mel(fmin=Fraction(1, 2)), Mel(fmin=0.5)),
        (Mel(ref=1), Mel(ref=1.0)),
        (Mel(window=np.str_("hann")), Mel()),
        (Mel(center=np.bool_(False)), Mel(center=False)),
        (Audio(channel=1.0), Audio(channel=1)),
        (Stack(parts=[Mel(), Stft()]), Stack(Mel(), Stft())),
    ],
)
def test_equal_numbers_make_equal_values(made, same):
    assert made == same
    assert hash(made) == hash(same)
    assert made.key == same.key
    assert repr(made) == repr(same)
    assert made.to_json() == same.to_json()


def test_coerced_fields_are_pythons_own_types():
    mel = Mel(n_mels=np.int64(64), fmin=np.float32(5), center=np.bool_(True), window=np.str_("hann"))
    assert [type(getattr(mel, name)) for name in ("n_mels", "fmin", "center", "window")] == [int, float, bool, str]


def test_minus_zero_is_zero():
    assert math.copysign(1, Mel(fmin=-0.0).fmin) == 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Mel(n_mels=20.5), r"Mel\(n_mels=\.\.\.\): 20.5 is not a whole number"),
        (lambda: Mel(n_mels=True), r"Mel\(n_mels=\.\.\.\): True is not a whole number"),
        (lambda: Mel(fmin=False), "False is not a finite number"),
        (lambda: Mel(n_mels="64"), "'64' is not a whole number"),
        (lambda: Mel(n_mels=None), "None is not a whole number"),
        (lambda: Mel(fmin=math.nan), "nan is not a finite number"),
        (lambda: Mel(fmin=np.float32("inf")), "not a finite number"),
        (lambda: Mel(n_mels=10**400), "not a whole number"),
        (lambda: Mel(fmin=10**400), "not a finite number"),
        (lambda: Mel(fmin=1j), "1j is not a finite number"),
        (lambda: Mel(fmin=Decimal(1)), "not a finite number"),
        (lambda: Mel(n_mels=np.array([64])), "not a whole number"),
        (lambda: Mel(center=1), "1 is not True or False"),
        (lambda: Mel(window=3), "3 is not a string"),
        (lambda: Audio(sr="16k"), "'16k' is not a whole number or None"),
        (lambda: Delta(Mel), "is not Representation"),
        (lambda: Delta(Picture()), "is not Representation"),
        (lambda: Stack(Mel(), 3), r"Stack\(parts=\.\.\.\)\[1\]: 3 is not Representation"),
        (lambda: Renderer(picture=Mel()), "is not Picture"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Mel().n_mels = 3


# ---------------------------------------------------------------------- names and near names


def test_choose_returns_the_name_or_lists_near_ones_and_all():
    assert choose("b", {"b", "a"}, "letter") == "b"
    with pytest.raises(
        ValueError, match=r"'relect'; did you mean 'reflect' or 'repeat'\? choose one of reflect, repeat, silence"
    ):
        choose("relect", ("silence", "repeat", "reflect"), "pad")
    with pytest.raises(ValueError, match="unknown pad 3; choose one of"):
        choose(3, ("silence",), "pad")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Mel().replace(n_mel=3), "unknown field of Mel 'n_mel'; did you mean 'n_mels'"),
        (lambda: Mel.from_dict({"kind": "mel", "hop": 3}), "unknown field of Mel 'hop'.* choose one of .*hop_length"),
        (lambda: Representation.from_dict({"kind": "mell"}), "unknown representation 'mell'; did you mean 'mel'"),
        (lambda: Mel.from_dict({"kind": "stft"}), "unknown mel 'stft'; choose one of mel"),
        (
            lambda: Representation.from_dict({"n_mels": 3}),
            "no 'kind'; choose one of chroma, contrast, .*mel, mfcc, scaled, stack, stft",
        ),
        (lambda: Representation.from_dict({"kind": None}), "no 'kind'"),
        (lambda: Representation.from_dict({"kind": ["mel"]}), "unknown representation"),
        (lambda: Representation.from_dict("mel"), "expects a dictionary, got str 'mel'"),
        (lambda: Delta.from_dict({"kind": "delta"}), "'delta' lacks the field 'spec'"),
        (lambda: Delta.from_dict({"spec": {"kind": "audio"}}), "unknown representation 'audio'"),
        (lambda: Delta.from_dict({"spec": {"n_mels": 3}}), "no 'kind'"),
        (lambda: Renderer.from_json("[1, 2]"), "expects a dictionary, got list"),
        (lambda: Mel.from_json('{"fmin": NaN}'), "not a finite number"),
        (lambda: Mel.from_json("{"), "Expecting"),
        (lambda: Mel.from_toml("n_mels = = 3"), "Invalid value"),
    ],
)
def test_what_is_unknown_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_fields_left_out_take_their_default():
    assert Mel.from_dict({}) == Mel()
    assert Renderer.from_dict({"representation": {"kind": "stft"}}) == Renderer(Stft())


def test_kinds_lists_all_or_those_below_a_base():
    assert {"delta", "mel", "mfcc", "stack", "stft"} <= set(kinds(Representation)) == set(list_representations())
    assert {"audio", "picture", "renderer", "mel"} <= set(kinds())


# ---------------------------------------------------------------------- journeys


@every_value
def test_a_value_comes_back_from_dictionary_json_toml_and_pickle(value):
    assert type(value).from_dict(value.to_dict()) == value
    assert type(value).from_json(value.to_json(indent=1)) == value
    assert type(value).from_toml(value.to_toml()) == value
    assert Value.from_dict(json.loads(value.to_json())) == value
    assert pickle.loads(pickle.dumps(value)) == value


@every_value
def test_a_value_comes_back_from_a_toml_file(value, tmp_path):
    (tmp_path / "value.toml").write_text(value.to_toml(), encoding="utf-8")
    assert type(value).from_toml(tmp_path / "value.toml") == value


def levels(plain):
    """All dictionaries in nested plain data."""
    if isinstance(plain, dict):
        return [plain] + [d for part in plain.values() for d in levels(part)]
    return [d for part in plain for d in levels(part)] if isinstance(plain, list) else []


@every_value
def test_every_level_names_its_kind_first(value):
    found = levels(value.to_dict())
    assert all(next(iter(level)) == "kind" and level["kind"] in kinds() for level in found)
    assert found[0]["kind"] == value.kind


def test_a_nested_value_writes_all_its_levels():
    plain = Stack(Mel(), Delta(Mel(n_mels=40))).to_dict()
    assert [level["kind"] for level in levels(plain)] == ["stack", "mel", "delta", "mel"]
    assert plain["parts"][1]["spec"]["n_mels"] == 40


def test_the_dictionary_is_plain_and_the_callers_own():
    renderer = Renderer(Stack(Mel(), Stft()))
    plain = renderer.to_dict()
    plain["representation"]["parts"][0]["n_mels"] = 3
    plain["representation"]["parts"].clear()
    assert renderer == Renderer(Stack(Mel(), Stft()))
    given = renderer.to_dict()
    Renderer.from_dict(given)
    assert given == renderer.to_dict()


def test_none_is_a_word_in_toml_and_null_in_json():
    assert 'top_db = "none"' in Mel(top_db=None).to_toml()
    assert json.loads(Mel(top_db=None).to_json())["top_db"] is None
    assert Mel.from_toml('kind = "mel"\ntop_db = "none"\nn_mels = 3') == Mel(top_db=None, n_mels=3)


def test_toml_has_a_table_for_each_nested_value():
    text = Renderer(Mel(n_mels=40)).to_toml()
    assert "[representation]" in text and "[audio]" in text and "n_mels = 40" in text


# ---------------------------------------------------------------------- changed copies and keys


def test_replace_leaves_the_original_alone_and_checks_again():
    mel = Mel()
    assert mel.replace(n_mels=np.int32(40)) == Mel(n_mels=40)
    assert mel == Mel() and mel.replace() == mel
    assert Stack(Mel()).replace(parts=(Stft(),)) == Stack(Stft())
    with pytest.raises(ValueError, match="n_fft"):
        mel.replace(win_length=4096)


@every_value
def test_any_changed_field_gives_another_value_and_another_key(value):
    found = {name: changed(value, name) for name in fields(value)}
    unchanged = [name for name, other in found.items() if other is None]
    assert set(unchanged) <= {"low", "high"}, (
        "OTHERS holds nothing these fields accept"
    )  # low and high only go together
    keys = {other.key for other in found.values() if other is not None}
    assert len(keys) == len(fields(value)) - len(unchanged)
    assert value.key not in keys


def test_a_change_deep_inside_changes_the_key():
    def nest(n_mels):
        return Renderer(Stack(Mel(), Delta(Mel(n_mels=n_mels))))

    assert nest(40).key == nest(40.0).key != nest(41).key


def test_the_key_is_sixteen_hexadecimal_digits_and_tells_kinds_apart():
    keys = [value.key for value in specimens()]
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)
    assert len(set(keys)) == len(keys)


def test_the_key_of_a_value_stays_what_it_is_for_good():
    """Trees on people's disks are found by it."""
    assert Picture().key == "de510fba684b59d7"


def test_a_class_of_ones_own_is_a_value_without_being_registered():
    @dataclass(frozen=True)
    class Span(Value):
        seconds: float = 1.0  # s

    assert Span(2) == Span(2.0) and Span(2).to_dict() == {"kind": "span", "seconds": 2.0}
    assert "span" not in kinds()
