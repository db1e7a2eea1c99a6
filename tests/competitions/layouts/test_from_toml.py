"""Competitions described in a TOML file."""

import pytest
from pets import CSV, place, quietly, touch

from specimg.competitions import BestLabels, ClassColumns, Competition, Decisions, LabelSets
from specimg.competitions.layouts import from_toml as by_hand


@pytest.fixture
def toml(tmp_path):
    """toml(text) -> the competition that pets.toml, beside the folder pets, describes."""

    def read(text, encoding="utf-8", path=tmp_path / "pets.toml"):
        path.write_text(text, encoding=encoding)
        return Competition.from_toml(path)

    return read


PETS = 'slug = "pets"\nfolder = "pets"\n'


TRAIN = '[train]\ncsv = "train.csv"\naudio = "train"\n'


def asks(**test):
    """The table [test]."""
    test = {"sample": "sample_submission.csv", "audio": "test", **test}
    return "[test]\n" + "".join(f"{name} = {value!r}\n" for name, value in test.items())


def test_a_csv_and_a_sample_submission(pets_folder, toml):
    comp = quietly(toml, PETS + 'metric = "map@3"\n' + TRAIN + asks())
    assert (comp.slug, comp.folder, comp.metric, comp.format, comp.vocab) == (
        "pets",
        pets_folder,
        "map@3",
        BestLabels(),
        ("cat", "dog"),
    )
    assert comp.train.to_dict("list") == {
        "path": ["train/a.wav", "train/sub/b.wav", "train/007.wav"],
        "label": ["dog", "cat", "dog"],
    }
    assert comp.test.to_dict("list") == {"id": ["1.wav", "2.wav"], "path": ["test/1.wav", "test/2.wav"]}
    assert comp.sample == pets_folder / "sample_submission.csv" and comp.options == {}
    assert "accepted" in comp.check(comp.sample)


def test_the_folder_is_seen_from_the_file(pets_folder, toml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "pets/train")
    (tmp_path / "notes").mkdir()
    for folder in ("../pets", str(pets_folder), "../notes/../pets"):
        comp = toml(f"slug = 'pets'\nfolder = {folder!r}\n" + TRAIN, path=tmp_path / "notes/pets.toml")
        assert comp.folder.resolve() == pets_folder and comp.test is None


def test_every_column_of_the_csv(pets_folder, toml):
    (pets_folder / "train.csv").write_text(
        "file,species,from,to,site,k,trust,ok\na,owl|wren,0,5,n,0,1,True\na,,5,10,n,0,0.5,no\nsub/b,wren,,,s,1,1,1\n007,owl,1,2,s,-1,0,0\n"
    )
    comp = toml(
        PETS
        + 'metric = "lwlrap"\n'
        + TRAIN
        + """
        fn_col = "file"
        label_col = "species"
        label_delim = "|"
        suffix = ".wav"
        start_col = "from"
        end_col = "to"
        group_col = "site"
        fold_col = "k"
        weight_col = "trust"
        scored_col = "ok"
        """
    )
    assert comp.train["label"].tolist() == [["owl", "wren"], [], ["wren"], ["owl"]] and comp.format == ClassColumns()
    assert comp.train["path"].tolist() == ["train/a.wav", "train/a.wav", "train/sub/b.wav", "train/007.wav"]
    assert comp.train["start"].tolist()[:2] == [0, 5] and comp.train["end"].isna().tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert comp.train["group"].tolist() == ["n", "n", "s", "s"] and comp.train["scored"].tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert comp.given_folds == [0, 1] and comp.train["weight"].tolist() == [1, 0.5, 1, 0]


def test_labels_from_names_and_folders(tmp_path, toml):
    touch(*(tmp_path / "pets/rec" / name for name in ("ann_dog_1.wav", "bob_cat_1.wav", "ann_cat_2.wav")))
    comp = toml(PETS + "[train]\naudio = 'rec'\nregex = '(?P<group>\\w+)_(?P<label>\\w+)_\\d'\n")
    assert comp.train.to_dict("list") == {
        "path": ["rec/ann_cat_2.wav", "rec/ann_dog_1.wav", "rec/bob_cat_1.wav"],
        "label": ["cat", "dog", "cat"],
        "group": ["ann", "ann", "bob"],
    }
    touch(tmp_path / "birds/owl/1.wav", tmp_path / "birds/wren/1.wav")
    comp = toml("slug = 'birds'\nfolder = 'birds'\n[train]\nfolders = true\n")
    assert comp.train.to_dict("list") == {"path": ["owl/1.wav", "wren/1.wav"], "label": ["owl", "wren"]}
    comp = toml("slug = 'birds'\nfolder = '.'\n[train]\nregex = '(?P<label>\\w+)/\\d'\non = 'path'\naudio = 'birds'\n")
    assert comp.train["path"].tolist() == ["birds/owl/1.wav", "birds/wren/1.wav"] and comp.train["label"].tolist() == [
        "owl",
        "wren",
    ]


def test_recordings_of_the_test_set_are_no_surprise_in_the_same_folder(pets_folder, toml):
    (pets_folder / "train.csv").write_text("fname,label\ntrain/a.wav,dog\ntrain/007.wav,cat\n")
    comp = quietly(toml, PETS + "[train]\ncsv = 'train.csv'\n" + asks())
    assert comp.train["path"].tolist() == ["train/a.wav", "train/007.wav"]


def test_recordings_that_are_missing_are_counted(pets_folder, toml):
    (pets_folder / "train/007.wav").unlink(), (pets_folder / "test/2.wav").unlink()
    with pytest.warns(UserWarning) as said:
        comp = toml(PETS + TRAIN + asks())
    assert len(comp.train) == 2 and comp.expected_rows().tolist() == ["1.wav", "2.wav"]
    assert [str(warning.message).split(" (")[0] for warning in said] == [
        "1 of 3 training rows have no recording and are left out",
        "1 of 2 test files are missing",
    ]
    assert {warning.filename for warning in said} == {__file__}


def test_class_columns_order_the_labels(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,dog,cat\n1,0.5,0.5\n2,0.5,0.5\n")
    comp = toml(PETS + TRAIN + asks(suffix=".wav", id_col="row_id"))
    assert comp.format == ClassColumns(id_col="row_id") and comp.vocab == ("dog", "cat")
    assert comp.test.to_dict("list") == {
        "id": ["1", "2"],
        "path": ["test/1.wav", "test/2.wav"],
    } and "accepted" in comp.check(comp.sample)


def test_windows(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,birds\n2_5,nocall\n2_10,nocall\n1_2.5,nocall\n")
    text = PETS + 'metric = "row_f1"\n' + TRAIN + "label_delim = ' '\n" + asks(suffix=".wav", row_id="{stem}_{end}")
    comp = toml(text + "seconds = 2.5\n")
    assert comp.format == LabelSets() and list(comp.test.itertuples(index=False, name=None)) == [
        ("2_5", "test/2.wav", 2.5, 5.0),
        ("2_10", "test/2.wav", 7.5, 10.0),
        ("1_2.5", "test/1.wav", 0.0, 2.5),
    ]
    with pytest.raises(
        ValueError, match=r"1 row of the test table whose times are not 0 <= start < end \(test/1.wav\)"
    ):
        toml(text + "seconds = 5\n")


def test_questions(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,target\n1_dog_5,False\n1_big_cat_5,False\n")
    (pets_folder / "train.csv").write_text("fname,label\na.wav,dog\n007.wav,cat\nsub/b.wav,big_cat\n")
    comp = toml(PETS + TRAIN + asks(suffix=".wav", row_id="{stem}_{label}_{end}", seconds=5))
    assert (
        comp.format == Decisions()
        and comp.test["target_label"].tolist() == ["dog", "big_cat"]
        and set(comp.test["path"]) == {"test/1.wav"}
    )
    (pets_folder / "sample_submission.csv").write_text("row_id,target\n1_owl_5,False\n")
    with pytest.raises(
        ValueError, match=r"1 row of sample_submission.csv whose name is not {stem}_{label}_{end} \(1_owl_5\)"
    ):
        toml(PETS + TRAIN + asks(suffix=".wav", row_id="{stem}_{label}_{end}", seconds=5))


def test_a_format_and_labels_of_its_own(pets_folder, toml):
    with pytest.warns(UserWarning, match="1 label of the vocabulary without a clip in training .owl."):
        comp = toml(
            PETS + 'vocab = ["owl", "dog", "cat"]\n' + TRAIN + asks() + '[format]\nkind = "bestlabels"\nk = 3\n'
        )
    assert comp.format == BestLabels(k=3) and comp.vocab == ("owl", "dog", "cat")


def test_labels_with_blanks_are_told_from_several(pets_folder, toml):
    (pets_folder / "train.csv").write_text("fname,label\na.wav,air conditioner\n007.wav,dog\nsub/b.wav,dog\n")
    (pets_folder / "sample_submission.csv").write_text("fname,label\n1.wav,air conditioner\n2.wav,air conditioner\n")
    assert toml(PETS + TRAIN + asks()).format == BestLabels(k=1)


def test_a_label_named_none(pets_folder, toml):
    (pets_folder / "train.csv").write_text(CSV.replace("cat", "none"))
    assert toml(PETS + 'vocab = ["none", "dog"]\n' + TRAIN).vocab == ("none", "dog")


def test_a_file_of_a_windows_editor(pets_folder, toml):
    assert toml((PETS + TRAIN).replace("\n", "\r\n"), encoding="utf-8-sig").slug == "pets"


def test_without_a_folder_it_is_looked_for(kaggle, toml):
    touch(kaggle / "datasets/me/pets/rec/owl_1.wav", kaggle / "datasets/me/pets/rec/wren_1.wav")
    comp = toml("slug = 'pets'\n[train]\naudio = 'rec'\nregex = '(\\w+)_'\n")
    assert comp.folder == kaggle / "datasets/me/pets"
    with pytest.raises(
        ValueError,
        match=r"no owls in '.*kaggle' or 'owls': searched for a folder with 'train.csv' and 'rec' and 's.csv'",
    ):
        toml("slug = 'owls'\n[train]\naudio = 'rec'\ncsv = 'train.csv'\n[test]\nsample = 's.csv'\naudio = 'rec'\n")
    with pytest.raises(ValueError, match="no folder is given, and no file is named by which it could be found"):
        toml("slug = 'owls'\n[train]\nfolders = true\n")


def test_a_known_layout(pets, tmp_path, toml, kaggle):
    place(tmp_path / "data/unpacked")
    comp = toml('slug = "pets-2021"\nfolder = "data"\n[options]\nseed = 4\n')
    assert (comp.slug, comp.folder, comp.options) == ("pets-2021", tmp_path / "data/unpacked", {"seed": 4})
    assert comp.test["id"].tolist() == ["4"]
    assert toml('slug = "pets-2021"\nfolder = ""\n').folder == tmp_path / "data/unpacked"  # beside the file
    place(kaggle / "pets-2022")
    assert toml('slug = "pets-2022"\n').folder == kaggle / "pets-2022"
    with pytest.warns(UserWarning, match="noisy clips are left out") as said:
        toml('slug = "pets-2021"\nfolder = "data"\n[options]\nnoisy = "leave"\n')
    assert said[0].filename == pets.__code__.co_filename
    with pytest.raises(ValueError, match=r"pets.toml': unknown option of pets-2021 'sed'"):
        toml('slug = "pets-2021"\nfolder = "data"\n[options]\nsed = 4\n')
    with pytest.raises(ValueError, match=r"pets.toml': unknown competition 'pet-2021'; did you mean 'pets-2021'"):
        toml('slug = "pet-2021"\n')


@pytest.mark.parametrize(
    "text, what",
    [
        ("slug = ", "Invalid value|invalid"),
        ('folder = "pets"\n', "lacks the field 'slug', which has no default"),
        (PETS + 'metrik = "map@3"\n' + TRAIN, "unknown field of CompetitionFile 'metrik'; did you mean 'metric'"),
        (
            PETS + TRAIN + 'metric = "map@3"\n',
            r"metric is below \[train\], so it belongs to that table; write it above the first table",
        ),
        ('slug = "pets"\n[options]\nfolder = "pets"\n', r"folder is below \[options\]"),
        (PETS + TRAIN + 'fname_col = "x"\n', "unknown field of TrainFile 'fname_col'; did you mean 'fn_col'"),
        (PETS + TRAIN + asks(secs=5), "unknown field of TestFile 'secs'; "),
        (
            PETS + TRAIN + '[format]\nkind = "bestlabel"\n',
            "unknown submissionformat 'bestlabel'; did you mean 'bestlabels'",
        ),
        (
            PETS + TRAIN + "[format]\nk = 3\n",
            "the dictionary has no 'kind'; choose one of bestlabels, classcolumns, decisions, labelsets",
        ),
        (PETS + TRAIN + '[format]\nkind = "mel"\n', "unknown submissionformat 'mel'"),
        (PETS + TRAIN + "[test]\naudio = 'test'\n", "lacks the field 'sample', which has no default"),
        ("slug = 3\n" + TRAIN, r"CompetitionFile\(slug=...\): 3 is not a string"),
        (PETS + "train = 'train.csv'\n", r"CompetitionFile\(train=...\): 'train.csv' is not TrainFile or None"),
        (
            PETS + 'metric = "lwlrap"\nvocab = ["a"]\n[test]\nsample = "s.csv"\n',
            "vocab, test, metric without .train.: a known layout",
        ),
        (
            PETS + TRAIN + "[options]\nseed = 3\n",
            r"\[options\] \(seed\) beside \[train\]: options are for known layouts",
        ),
        (
            PETS + "[train]\naudio = 'train'\n",
            r"\[train\] gives none of them; labels come from one of csv, regex, folders",
        ),
        (PETS + TRAIN + "folders = true\n", r"\[train\] gives csv and folders; labels come from one of"),
        (
            PETS + "[train]\nfolders = true\ngroup_col = 'x'\nsuffix = 'y'\n",
            "gives suffix, group_col, which has no meaning beside folders",
        ),
        (PETS + TRAIN + "on = 'path'\n", r"\[train\] gives on, which has no meaning beside csv"),
        (PETS + TRAIN + "start_col = 'x'\n", "gives only one of start_col and end_col"),
        (PETS + "[train]\nregex = '(x)'\non = 'nam'\n", "unknown text to search 'nam'; did you mean 'name'"),
        (PETS + "[train]\nregex = '(x'\naudio = 'train'\n", "is not a regular expression"),
        (
            PETS + TRAIN + asks(seconds=5),
            r"row_id = '{stem}' with seconds: windows need both seconds and {end} in row_id",
        ),
        (PETS + TRAIN + asks(row_id="{stem}_{end}"), "row_id = '{stem}_{end}' without seconds: windows need both"),
        (PETS + TRAIN + asks(seconds=0, row_id="{stem}_{end}"), "seconds = 0: give the length of a window, above 0"),
        (
            PETS + TRAIN + asks(row_id="{end}"),
            "row_id = '{end}': it needs {stem}, and may have {end} and {label}, each once",
        ),
        (PETS + TRAIN + asks(row_id="{stem}{stem}"), "each once"),
        (PETS + TRAIN + asks(row_id="{stm}"), "unknown field of row_id 'stm'; did you mean 'stem'"),
        (PETS + TRAIN + asks(row_id="{stem"), "row_id = '{stem': .*; write it like '{stem}_{end}'"),
        (
            PETS.replace('"pets"\n', '"nowhere"\n') + TRAIN,
            "folder = 'nowhere': '.*' is not a folder; give the one that",
        ),
        (PETS + TRAIN.replace("train.csv", "trian.csv"), "csv = 'trian.csv': there is no such file in '.*pets'"),
        (PETS + TRAIN.replace("train.csv", "../pets.toml"), "'../pets.toml' leads out of"),
        (PETS + TRAIN.replace('"train"', '"train.csv"'), "audio = 'train.csv': there is no such folder in '.*pets'"),
        (PETS + TRAIN.replace('"train"', '".."'), r"'..' leads out of"),
        (
            PETS + TRAIN + 'fn_col = "file"\n',
            "unknown column in .*train.csv 'file'; choose one of fname, label, sure, who",
        ),
        (PETS + TRAIN + 'group_col = "speaker"\n', "unknown column in .*train.csv 'speaker'"),
        (PETS + TRAIN + 'scored_col = "who"\n', "column 'who' is neither True nor False"),
        (PETS + 'metric = "lwlrap"\n' + TRAIN, "the metric 'lwlrap' does not go with clips of one label"),
        (PETS + TRAIN + asks(sample="s.csv"), "sample = 's.csv': there is no such file"),
        (PETS + TRAIN + asks(sample="../pets.toml"), "'../pets.toml' leads out of"),
        (PETS + TRAIN + asks(audio="tests"), "audio = 'tests': there is no such folder"),
        (PETS + TRAIN + asks(id_col="id"), "unknown column in sample_submission.csv 'id'; choose one of fname, label"),
        (
            PETS + TRAIN + asks(suffix=".wav"),
            r"none of the 2 test rows has its recording \(the first is 'test/1.wav.wav'\); correct",
        ),
        (
            PETS + TRAIN + asks(row_id="x{stem}"),
            r"2 rows of sample_submission.csv whose name is not x{stem} \(1.wav, 2.wav\); correct row_id",
        ),
        (
            PETS + TRAIN + asks() + "[format]\nkind = 'bestlabels'\nlabel_col = 'species'\n",
            r"sample_submission.csv does not fit the format bestlabels: 1 column missing \('label'\); 1 column too many \('species'\)",
        ),
        (
            PETS + TRAIN + asks() + "[format]\nkind = 'classcolumns'\n",
            r"2 labels in training that the vocabulary lacks \(cat, dog\)",
        ),
        (
            PETS + 'vocab = ["cat", "dog"]\n' + TRAIN + asks() + "[format]\nkind = 'classcolumns'\n",
            r"classcolumns: .* missing \('label'\)",
        ),
    ],
)
def test_files_that_say_what_they_may_not(text, what, pets_folder, toml):
    with pytest.raises(ValueError, match=what) as error:
        toml(text)
    assert "pets.toml'" in str(error.value)


def test_a_sample_that_leads_out(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("fname,label\n../train/a.wav,dog\n")
    with pytest.raises(ValueError, match=r"pets.toml': '../train/a.wav' leads out of"):
        toml(PETS + TRAIN + asks())


def test_a_toml_file_that_is_not_there(tmp_path):
    with pytest.raises(
        ValueError, match="nowhere.toml' is not a file; give the TOML file that describes the competition"
    ):
        Competition.from_toml(tmp_path / "nowhere.toml")


def test_what_a_file_says_is_a_value():
    train, test = by_hand.TrainFile(csv="train.csv"), by_hand.TestFile("s.csv")
    about = by_hand.CompetitionFile("pets", train=train, test=test, format=BestLabels(k=3))
    assert by_hand.CompetitionFile.from_toml(about.to_toml()) == about
