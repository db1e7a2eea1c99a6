"""The samples of many clips in one file: as they are read, once, whole or not at all."""

import json
import os
import pickle

import numpy as np
import pytest

from specimg.audio import Audio, read_audio
from specimg.audio.read import read_clip
from specimg.core import files
from specimg.render import waves as module
from specimg.render.plan import jobs_of_files, jobs_of_segments
from specimg.render.waves import Waves, keep_waves

AUDIO = Audio(sr=8000, normalize="peak")


@pytest.fixture
def folder(tmp_path, write_wav, sine):
    for i in range(5):
        write_wav(tmp_path / "clips" / f"{i}.wav", sine(300 + 50 * i, 0.2 + 0.1 * i))
    return tmp_path / "clips"


def keep(folder, audio=AUDIO, jobs=None):
    jobs = jobs_of_files(str(folder), str(folder)) if jobs is None else jobs
    return keep_waves(folder.parent / "kept", folder, audio, jobs, n_jobs=1, progress=False)


def test_clips_are_as_they_are_read(folder):
    waves, reasons = keep(folder)
    assert len(waves) == 5 and not reasons and not waves.verify()
    for i in range(5):
        want, sr = read_audio(folder / f"{i}.wav", AUDIO)
        np.testing.assert_array_equal(waves.read(f"{i}.wav.png"), want)
        assert waves.clips[f"{i}.wav.png"].sr == sr == 8000
    np.testing.assert_array_equal(waves.read("4.wav.png", 100, 50), want[100:150])
    assert len(waves.read("4.wav.png", len(want) - 10, 50)) == 10


def test_parts_of_a_recording_begin_where_they_begin(folder):
    parts = [{"path": "4.wav", "start": 0.1, "end": 0.3}, {"path": "4.wav", "start": 0.25, "end": 0.5}]
    jobs = jobs_of_segments(parts, str(folder))
    waves, _ = keep(folder, jobs=jobs)
    for job, part in zip(jobs, parts):
        want, _ = read_audio(folder / "4.wav", AUDIO, start=part["start"], end=part["end"])
        np.testing.assert_array_equal(waves.read(job.picture), want)
        assert waves.clips[job.picture].begin == part["start"]


def test_only_what_is_new_or_changed_is_decoded(folder, write_wav, sine, monkeypatch):
    before, _ = keep(folder)
    write_wav(folder / "1.wav", sine(900, 0.5))
    write_wav(folder / "new.wav", sine(500, 0.3))
    read = []
    monkeypatch.setattr(
        module, "read_clip", lambda path, *a, **k: read.append(os.path.basename(path)) or read_clip(path, *a, **k)
    )
    waves, _ = keep(folder)
    assert sorted(read) == ["1.wav", "new.wav"] and len(waves) == 6 and not waves.verify()
    np.testing.assert_array_equal(waves.read("1.wav.png"), read_audio(folder / "1.wav", AUDIO)[0])
    assert len(before.read("1.wav.png")) == before.clips["1.wav.png"].count  # a reader of before still has what it knew
    keep(folder)
    assert len(read) == 2


def test_a_kill_costs_the_clips_that_no_index_names(folder, monkeypatch):
    def killed(self, job, clip, add=module._Writer.add):
        add(self, job, clip)
        if len(self.clips) == 2:
            self.save()
        if len(self.clips) == 4:
            self.file.flush()
            raise KeyboardInterrupt

    monkeypatch.setattr(module._Writer, "add", killed)
    save = module._Writer.save
    monkeypatch.setattr(module._Writer, "save", lambda self: save(self) if len(self.clips) == 2 else None)
    with pytest.raises(KeyboardInterrupt):
        keep(folder)
    assert len(Waves(folder.parent / "kept")) == 2
    monkeypatch.undo()
    waves, _ = keep(folder)
    assert len(waves) == 5 and not waves.verify()
    assert waves.file.stat().st_size == 4 * sum(
        wave.count for wave in waves.clips.values()
    )  # nothing of the kill is left


def test_a_damaged_index_or_a_short_file_is_made_again(folder):
    waves, _ = keep(folder)
    index = waves.folder / "waves.json"
    entries = json.loads(index.read_text())
    entries["clips"]["0.wav.png"][2] = -4
    entries["clips"]["1.wav.png"] = "x"
    index.write_text(json.dumps(entries))
    assert len(Waves(waves.folder)) == 3
    assert len(keep(folder)[0]) == 5 and not keep(folder)[0].verify()
    os.truncate(waves.file, waves.file.stat().st_size - 4)
    assert len(Waves(waves.folder)) == 4
    assert not keep(folder)[0].verify()
    index.write_text("{")
    assert len(Waves(waves.folder)) == 0 and len(keep(folder)[0]) == 5


def test_changed_samples_are_found(folder):
    waves, _ = keep(folder)
    with open(waves.file, "r+b") as file:
        file.write(b"\x00\x00\x80\x3f" * 3)
    assert Waves(waves.folder).verify() == [next(iter(waves.clips))]


def test_what_cannot_be_read_is_said_and_tried_again(folder, write_wav, sine):
    (folder / "broken.wav").write_bytes(b"RIFF no sound")
    waves, reasons = keep(folder)
    assert len(waves) == 5 and list(reasons) == ["broken.wav.png"]
    write_wav(folder / "broken.wav", sine(400, 0.2))
    assert len(keep(folder)[0]) == 6


def test_a_link_is_not_followed(folder, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "other").write_bytes(b"keep me")
    (tmp_path / "kept" / "waves.f32").symlink_to(tmp_path / "other")
    with pytest.raises(files.OutsideError, match="is a link"):
        keep(folder)
    assert (tmp_path / "other").read_bytes() == b"keep me"


def test_another_process_opens_its_own_map(folder):
    waves, _ = keep(folder)
    waves.read("0.wav.png")
    assert len(pickle.dumps(waves)) < 2000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(waves)).read("0.wav.png"), waves.read("0.wav.png"))


def test_who_reads_keeps_what_was_there_when_the_index_is_lost(folder):
    waves, _ = keep(folder)
    want = waves.read("4.wav.png")
    (waves.folder / "waves.json").unlink()
    jobs = jobs_of_files([f"{i}.wav" for i in (4, 0)], str(folder))
    again, _ = keep(folder, jobs=jobs)
    assert len(again) == 2
    np.testing.assert_array_equal(waves.read("4.wav.png"), want)
    np.testing.assert_array_equal(again.read("4.wav.png"), want)
