"""What tests of several flows need."""

import socket

import pytest


@pytest.fixture
def no_mlflow(monkeypatch):
    """Name an MLflow server that does not answer: nothing is told to anybody."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{held.getsockname()[1]}")
        yield
