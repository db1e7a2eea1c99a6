"""A small Hub on loopback: repositories in memory, and the requests of huggingface_hub that push and load them."""

import base64
import hashlib
import json
import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = re.compile(r"\.(safetensors|wav|png|npz|db|parquet|flac)$")  # go by git-lfs there
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_RESOLVE = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?")
_BATCH = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Repository:
    """Branches and tags lead to commits, commits are dictionaries of files."""

    def __init__(self, private=False):
        self.private, self.gated, self.card = private, False, {}
        first = self.key({})
        self.commits, self.refs, self.messages = {first: {}}, {"main": first}, []

    @staticmethod
    def key(files, message=""):
        return hashlib.sha1(repr((sorted(files.items()), message)).encode()).hexdigest()

    def commit(self, files, branch="main", message=""):
        key = self.key(files, f"{message}{len(self.commits)}")
        self.commits[key], self.refs[branch] = dict(files), key
        self.messages.append(message)
        return key

    def at(self, revision):
        key = self.refs.get(revision, revision)
        return (key, self.commits[key]) if key in self.commits else (None, None)


class Hub:
    """What the server holds and how it behaves."""

    def __init__(self):
        self.repos, self.blobs, self.asked = {}, {}, []
        self.status, self.token, self.names = None, "hf_writer", {}  # status : of every answer, where it is set

    def repo(self, name, kind="model"):
        return self.repos[kind, name]

    def put(self, name, files, kind="model", private=False):
        """Put files into a repository without asking anybody."""
        repo = self.repos.setdefault((kind, name), Repository(private))
        return repo.commit(files)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    # -- answers

    def answer(self, status=200, body=None, **headers):
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code):
        self.answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    # -- requests

    def handle_any(self):
        hub = self.server.hub
        self.url = urlsplit(self.path)
        self.where, self.query = unquote(self.url.path), parse_qs(self.url.query)
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        hub.asked.append((self.command, self.where))
        if hub.status is not None:
            return self.answer(hub.status, {"error": "down"})
        self.may = self.headers.get("Authorization") == f"Bearer {hub.token}"
        if self.where == "/api/whoami-v2":
            return self.answer(200, {"name": "user", "type": "user", "orgs": []})
        if self.where == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.where == "/api/repos/create":
            return self.create(json.loads(body))
        if self.where.startswith("/lfs/"):
            hub.blobs[self.where[5:]] = body
            return self.answer()
        for form, handle in ((_BATCH, self.batch), (_API, self.api), (_RESOLVE, self.resolve)):
            if found := form.fullmatch(self.where):
                return handle(found, body)
        self.refuse(404, "EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def create(self, asked):
        if not self.may:
            return self.refuse(401, "RepoNotFound")
        hub, kind = self.server.hub, asked.get("type") or "model"
        name = f"{asked['organization'] or 'user'}/{asked['name']}"
        url = f"http://127.0.0.1:{self.server.server_port}/{'' if kind == 'model' else kind + 's/'}{name}"
        known = (kind, name) in hub.repos
        if not known:
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            hub.repos[kind, name] = Repository(private)
            hub.names[name] = asked
        self.answer(409 if known else 200, {"url": url, "name": name})

    def found(self, kind, name):
        """The repository; None after an answer that says why not."""
        repo = self.server.hub.repos.get((kind, name))
        if repo is None or (repo.private and not self.may):
            self.refuse(401, "RepoNotFound")
        elif repo.gated and not self.may:
            self.refuse(403, "GatedRepo")
        else:
            return repo

    def api(self, found, body):
        kind, name, rest = KINDS[found[1]], found[2], found[3] or ""
        repo = self.found(kind, name)
        if repo is None:
            return
        verb, _, revision = rest.partition("/")
        if self.command == "POST" and not self.may and verb != "paths-info":
            return self.refuse(403, "Forbidden")
        if verb in ("tree", "paths-info"):
            revision, _, below = revision.partition("/")
        if (
            verb in ("preupload", "commit", "tree", "paths-info", "revision", "")
            and repo.at(revision or "main")[0] is None
        ):
            return self.refuse(404, "RevisionNotFound")
        if verb == "branch":
            known = revision in repo.refs
            repo.refs.setdefault(revision, repo.refs["main"])
            return self.answer(409 if known else 201)
        if verb == "preupload":
            named = [file["path"] for file in json.loads(body)["files"]]
            modes = {True: "lfs", False: "regular"}
            form = [
                {"path": path, "uploadMode": modes[bool(LARGE.search(path))], "shouldIgnore": False} for path in named
            ]
            return self.answer(200, {"files": form})
        if verb == "commit":
            return self.commit(repo, revision, body, f"{'' if kind == 'model' else found[1] + '/'}{name}")
        key, files = repo.at(revision or "main")
        if verb == "tree":
            named = [path for path in files if not below or path.startswith(f"{below}/")]
            return self.answer(200, [{"type": "file", "path": path, **self.facts(path, files[path])} for path in named])
        if verb == "paths-info":
            named = [path for path in parse_qs(body.decode()).get("paths", ()) if path in files]
            return self.answer(200, [{"type": "file", "path": path, **self.facts(path, files[path])} for path in named])
        siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
        about = {"id": name, "sha": key, "private": repo.private, "siblings": siblings, "cardData": repo.card}
        self.answer(200, {**about, "downloads": 0, "likes": 0, "tags": []})

    @staticmethod
    def facts(path, data):
        oid = hashlib.sha1(data).hexdigest()
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return {"size": len(data), "oid": oid, **({"lfs": lfs} if LARGE.search(path) else {})}

    def batch(self, found, body):
        href = f"http://127.0.0.1:{self.server.server_port}/lfs/"
        rows = [{**each, "actions": {"upload": {"href": href + each["oid"]}}} for each in json.loads(body)["objects"]]
        self.answer(200, {"transfer": "basic", "objects": rows})

    def commit(self, repo, branch, body, name):
        hub, (_, files) = self.server.hub, repo.at(branch)
        files, message = dict(files), ""
        for line in map(json.loads, body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                assert len(hub.blobs[value["oid"]]) == value["size"]
                files[value["path"]] = hub.blobs[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        key = repo.commit(files, branch, message)
        url = f"http://127.0.0.1:{self.server.server_port}/{name}/commit/{key}"
        self.answer(200, {"success": True, "commitOid": key, "commitUrl": url})

    def resolve(self, found, body):
        kind, name, revision, path = KINDS[(found[1] or "models")], found[2], found[3], found[4]
        repo = self.found(kind, name)
        if repo is None:
            return
        key, files = repo.at(revision)
        if key is None:
            return self.refuse(404, "RevisionNotFound")
        if path not in files:
            return self.refuse(404, "EntryNotFound")
        facts = self.facts(path, files[path])
        etag = facts["lfs"]["oid"] if "lfs" in facts else facts["oid"]
        self.answer(200, files[path], ETag=f'"{etag}"', X_Repo_Commit=key, Content_Type="application/octet-stream")


@contextmanager
def serving():
    """(the hub, its address) while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.hub = True, Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def environment(address, home, cache):
    """The variables with which a fresh process asks this hub, and no other."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    own = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_TOKEN": "hf_writer", "HF_HUB_DISABLE_XET": "1"}
    return {**inherited, **own, "HF_HUB_DISABLE_TELEMETRY": "1", "SPECIMG_CACHE": str(cache)}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that this process asks: huggingface_hub has read its environment already, so its constants are set."""
    from huggingface_hub import constants

    with serving() as (hub, address):
        for name, value in {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("SPECIMG_CACHE", str(tmp_path / "specimg"))
        hub.address = address
        yield hub
