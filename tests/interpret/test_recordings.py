"""Where recordings are."""

import pytest

from specimg.interpret.recordings import find_recording


def test_no_name_of_a_table_leads_out_of_the_folder(tmp_path, write_wav, sine):
    there = write_wav(tmp_path / "in" / "a.wav", sine(400))
    write_wav(tmp_path / "secret.wav", sine(400))
    assert find_recording("a.wav", tmp_path / "in") == there
    assert find_recording(str(there), None) == there
    assert find_recording("/gone/from/here/a.wav", tmp_path / "in") == there
    for path, folder, words in [
        ("../secret.wav", tmp_path / "in", "leads out"),
        ("a.wav", None, "folder of the recordings is not known"),
        ("b.wav", tmp_path / "in", "not where it was"),
        ("/gone/b.wav", tmp_path / "in", "not where it was"),
    ]:
        with pytest.raises(ValueError, match=words):
            find_recording(path, folder)
