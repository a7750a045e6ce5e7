"""The guard that keeps tests on this machine."""

import socket

import pytest


def test_another_machine_cannot_be_reached() -> None:
    with socket.socket() as outgoing, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        outgoing.connect(("192.0.2.1", 80))


def test_this_machine_can() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
