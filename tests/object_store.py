"""A real S3 server on loopback, moto's, that counts what it is asked for and can be made to fail."""

import logging
import os
from contextlib import contextmanager

import pytest


class Store:
    """The server: what was asked of it, and how it fails.

    asked : (method, path, range, bytes answered) of each request
    fault : given (method, path, range) of a request before it is answered; returns the status of a refusal, or None
    """

    def __init__(self, server):
        self.server, self.asked, self.fault = server, [], lambda *request: None
        self.app = server._server.app
        server._server.app = self
        self.url = "http://{}:{}".format(*server.get_host_and_port())

    def __call__(self, environ, start_response):
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE")
        status = self.fault(*request)
        if status is not None:
            start_response(f"{status} Fault", [("Content-Type", "application/xml")])
            code = {403: "AccessDenied"}.get(status, "InternalError")
            return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]
        body = b"".join(self.app(environ, start_response))
        self.asked.append((*request, len(body)))
        return [body]

    def got(self, name=""):
        """Bytes of all answers about objects of this name."""
        return sum(size for method, path, _, size in self.asked if method == "GET" and path.endswith(name))

    def put(self, folder, address):
        """Copy a folder into a bucket, which is made."""
        import fsspec

        fs = fsspec.filesystem("s3")
        fs.makedirs(address.split("/")[0], exist_ok=True)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                fs.pipe_file(f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        fs.invalidate_cache()
        self.asked.clear()


@contextmanager
def serving(port=0):
    """The server while it runs."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    store = Store(server)
    try:
        yield store
    finally:
        server.stop()


def environment(url, key="reader", secret="wJalrSECRET"):
    """The variables with which s3fs asks this server."""
    return {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def s3_server():
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install specimg[s3]")
    pytest.importorskip("moto.server", reason="moto's server is not installed: pip install 'moto[s3]' flask flask-cors")
    with serving() as store:
        yield store


@pytest.fixture
def s3(s3_server, monkeypatch):
    """An empty log, no faults, and an environment in which `s3://` is this server; one attempt more, where it fails."""
    import s3fs

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(s3_server.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    s3_server.asked.clear()
    s3_server.fault = lambda *request: None
    yield s3_server
    s3fs.S3FileSystem.clear_instance_cache()
