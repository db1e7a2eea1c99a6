"""Addresses on the Hub, and folders that travel there and back: byte for byte, within bounds, and with errors that say what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import environment, serving

from specimg.core.files import OutsideError, files_below
from specimg.core.hub import HubAddress, download, is_address, local_folder, parse_address, push_folder

MARKS = {"marks": ["mark.json"], "what": "a marked folder"}


def contents(folder):
    return {name: Path(folder, name).read_bytes() for name, _ in files_below(folder)}


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


FILES = {
    "mark.json": b"{}",
    "README.md": b"# it",
    "golden/0-dog.wav": os.urandom(5000),
    "w.safetensors": b"\0" * 70_000,
}


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "text, address",
    [
        ("hf://user/dog-or-not", HubAddress("user/dog-or-not")),
        ("hf://user/dog@v2", HubAddress("user/dog", revision="v2")),
        ("hf://user/dog@refs/pr/1:a/b", HubAddress("user/dog", revision="refs/pr/1", subfolder="a/b")),
        ("hf://user/dog:small", HubAddress("user/dog", subfolder="small")),
        ("hf://datasets/user/birds", HubAddress("user/birds", "dataset")),
        ("hf://spaces/user/app@main", HubAddress("user/app", "space", "main")),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address and str(address) == text and is_address(text)
    assert parse_address(Path(text)) == address  # which has one slash only


@pytest.mark.parametrize(
    "text",
    [
        "hf://", "hf://dog", "hf://a/b/c", "hf://user/..", "hf://../dog", "hf://user/dog@", "hf://user/dog@../x", "hf://user/dog@-x",
        "hf://user/dog:", "hf://user/dog:../x", "hf://user/dog:/etc", "hf://user/dog:a//b", "hf://user/dog:a\\b", "hf://user/dog:a\nb",
        "hf://user/do--g", "hf://user/dog.git", "hf://user/d g", "hf://buckets/user/dog/x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_form_of_one(text):
    with pytest.raises(ValueError, match="is not an address on the Hub .*write hf://user/name"):
        parse_address(text)


def test_a_folder_here_stays_what_it_is(tmp_path):
    assert local_folder(tmp_path, ["mark.json"], "x") == tmp_path
    assert not is_address("hf") and not is_address(3) and not is_address(tmp_path)


# ---------------------------------------------------------------------- there and back


def test_what_is_pushed_comes_back_byte_for_byte_and_without_links(hub, tmp_path):
    there = push_folder(write(tmp_path / "own", FILES), "user/dog", message="first")
    repo = hub.repo("user/dog")
    assert there == f"hf://user/dog@{repo.refs['main']}" and repo.at("main")[1] == FILES and repo.messages == ["first"]
    back = download(parse_address("hf://user/dog"), **MARKS)
    assert contents(back) == FILES and not any(path.is_symlink() for path in back.rglob("*"))
    assert back == download(parse_address(there), **MARKS) and back.name == repo.refs["main"]


def test_a_folder_of_a_repository_and_an_older_revision(hub, tmp_path):
    old = hub.put("user/dog", {f"small/{name}": data for name, data in FILES.items()} | {"other.bin": b"x"})
    hub.put("user/dog", {"mark.json": b"new"})
    back = download(parse_address(f"hf://user/dog@{old}:small"), **MARKS)
    assert contents(back) == FILES
    assert not any(where.endswith("other.bin") for _, where in hub.asked)
    assert contents(download(parse_address("hf://user/dog"), **MARKS)) == {"mark.json": b"new"}


def test_a_commit_that_is_here_needs_no_network_and_a_branch_falls_back_to_the_cache(hub, tmp_path):
    commit = hub.put("user/dog", FILES)
    back = download(parse_address("hf://user/dog"), **MARKS)
    hub.asked.clear()
    assert download(parse_address(f"hf://user/dog@{commit}"), **MARKS) == back and not hub.asked
    hub.status = 503
    assert download(parse_address("hf://user/dog"), **MARKS) == back


def test_a_second_push_replaces_and_deletes_what_it_is_told_to(hub, tmp_path):
    push_folder(write(tmp_path / "one", FILES | {"golden/1-cat.wav": b"cat"}), "user/dog")
    push_folder(write(tmp_path / "two", FILES | {"README.md": b"# new"}), "user/dog", replaces=["golden/*"])
    assert hub.repo("user/dog").at("main")[1] == FILES | {"README.md": b"# new"}


def test_branches_private_repositories_and_spaces(hub, tmp_path):
    folder = write(tmp_path / "own", FILES)
    push_folder(folder, "user/dog", private=True, revision="try")
    repo = hub.repo("user/dog")
    assert repo.private and repo.at("try")[1] == FILES and repo.at("main")[1] == {}
    there = push_folder(folder, "user/app", repo_type="space")
    assert there.startswith("hf://spaces/user/app@") and hub.names["user/app"]["sdk"] == "gradio"
    hub.put("user/open", {})
    with pytest.raises(ValueError, match="exists and is public, which private=True does not change"):
        push_folder(folder, "user/open", private=True)
    assert hub.repo("user/open").at("main")[1] == {}


# ---------------------------------------------------------------------- what goes wrong


def refused(address, match, error=ValueError, **how):
    with pytest.raises(error, match=match) as caught:
        download(parse_address(address), **{**MARKS, **how})
    assert "\n" not in str(caught.value)


def test_repositories_and_revisions_that_are_not_there(hub, monkeypatch):
    hub.put("user/secret", FILES, private=True)
    hub.put("user/gated", FILES)
    hub.repo("user/gated").gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    refused("hf://user/none", r"the Hub has no model 'user/none' that you may read: .*hf auth login")
    refused("hf://user/secret", r"the Hub has no model 'user/secret' that you may read")
    refused("hf://user/gated", r"model 'user/gated' is gated: accept its terms at http://127.*/user/gated")
    hub.put("user/dog", FILES)
    refused("hf://user/dog@gone", r"has no revision 'gone', or no longer: .*/tree/main lists its branches")
    refused("hf://user/dog:none", r"hf://user/dog:none holds nothing")


def test_what_is_listed_is_checked_before_anything_is_downloaded(hub, monkeypatch):
    hub.put("user/pickle", FILES | {"model.pkl": b"cos\nsystem\n"})
    refused("hf://user/pickle", r"holds model.pkl: a pickle runs whatever code it holds")
    hub.put("user/other", {"config.json": b"{}", "deep/mark.json": b"{}"})
    refused(
        "hf://user/other",
        r"is not a marked folder: it has no mark.json, but config.json.*did you mean hf://user/other:deep\?",
    )
    hub.put("user/out", FILES | {"../../evil": b"x"})
    refused("hf://user/out", "could lead out of its folder", OutsideError)
    hub.put("user/large", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    refused("hf://user/large", r"needs 75.0 kB, and .* has 100 bytes left", OSError)
    assert not any("/resolve/" in where for _, where in hub.asked)


def test_a_data_set_may_hold_anything(hub):
    hub.put("user/birds", {"a.wav": b"RIFF", "note.pkl": b"x"}, kind="dataset")
    assert contents(download(parse_address("hf://datasets/user/birds"))) == {"a.wav": b"RIFF", "note.pkl": b"x"}


def test_a_hub_out_of_reach_is_said_with_the_ways_out(hub, monkeypatch, tmp_path):
    from huggingface_hub import constants

    hub.status = 503
    refused("hf://user/dog", r"the Hub at http://127.* is out of reach \(it answers 503.*HF_ENDPOINT", ConnectionError)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused("hf://user/dog", r"is out of reach \(ConnectError: .*try again", ConnectionError)
    with pytest.raises(ConnectionError, match="nothing was pushed to hf://user/dog: .*out of reach.*push again"):
        push_folder(write(tmp_path / "own", FILES), "user/dog")


def test_a_token_that_may_not_write(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(ValueError, match="that you may write to|may not write to"):
        push_folder(write(tmp_path / "own", FILES), "user/dog")


def test_links_are_neither_pushed_nor_followed_out_of_the_cache(hub, tmp_path):
    folder = write(tmp_path / "own", FILES)
    (folder / "link.wav").symlink_to("/etc/hostname")
    with pytest.raises(OutsideError, match="is a link"):
        push_folder(folder, "user/dog")
    commit = hub.put("user/cat", FILES)
    back = download(parse_address("hf://user/cat"), **MARKS)
    [snapshot] = (tmp_path / "hf").glob(f"*/snapshots/{commit}")
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").symlink_to("/etc/hostname")
    shutil.rmtree(back)
    hub.status = 503
    refused("hf://user/cat", "leads out of the cache", OutsideError)


def test_a_fresh_process_offline_and_by_its_environment(tmp_path):
    """HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE as a user sets them."""
    code = """
import sys
from specimg.core.hub import download, parse_address
try:
    print(download(parse_address(sys.argv[1]), marks=["mark.json"], what="x"))
except Exception as exc:
    print(type(exc).__name__, exc)
"""
    with serving() as (hub, address):
        hub.put("user/dog", FILES, private=True)
        known = environment(address, tmp_path / "home", tmp_path / "cache")

        def ask(name, **more):
            return subprocess.run(
                [sys.executable, "-c", code, name], env={**known, **more}, capture_output=True, text=True
            ).stdout

        here = ask("hf://user/dog").strip()
        assert contents(here) == FILES
        hub.asked.clear()
        assert ask("hf://user/dog", HF_HUB_OFFLINE="1").strip() == here and not hub.asked
        said = ask("hf://user/cat", HF_HUB_OFFLINE="1")
        assert said.startswith("ConnectionError HF_HUB_OFFLINE is set, and hf://user/cat is not whole in the cache")
