"""A server of archives, and no other connection."""

import os
import socket
import threading
from http.server import ThreadingHTTPServer

import pooch
import pytest
from archive_site import Handler, Site

from specimg.datasets import download as downloading


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None  # a client that goes away is part of the tests
    server.site = Site()
    server.site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.site
    if server.site.hold:
        server.site.hold[1].set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    """No test reaches anything but this machine, through no proxy, and pooch is quiet."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    connect = socket.socket.connect

    def only_here(sock, address):
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1"), address
        return connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)
    monkeypatch.setattr(downloading, "CHUNK", 4096)
    monkeypatch.setattr(pooch.get_logger(), "level", 30)
