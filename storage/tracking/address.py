"""Where the tracking server is, whether anybody answers there, and how it can fail."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from models.errors import TrackingError

if TYPE_CHECKING:
    from storage.layout import Workspace

PROBE_TIMEOUT_S = 3.0


class ServerAwayError(TrackingError):
    """The server cannot be reached, or broke in the middle."""


class RefusedError(TrackingError):
    """The server will not take this event, now or later."""


def tracking_uri(at: Workspace, uri: str | None = None) -> str:
    """Return the server that is asked for, that the environment names, or the workspace's own."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or at.mlflow_uri


def shown(uri: str) -> str:
    """Return the address without the user and password that it may carry."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def below(uri: str, path: str) -> str:
    """Return the address of something that a server has below its own, without the password."""
    parts = urlsplit(shown(uri))
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=""))


def problem_reaching(uri: str) -> str:
    """Return why nobody answers at an http address; empty if somebody does, or for a database."""
    if urlsplit(uri).scheme not in {"http", "https"}:
        return ""
    try:
        with urllib.request.urlopen(below(uri, "/health"), timeout=PROBE_TIMEOUT_S):  # noqa: S310  # http(s) only
            return ""
    except urllib.error.HTTPError as error:
        # A login page is an answer; a gateway without a server behind it is not.
        return f"it answered {error.code} {error.reason}" if error.code >= 500 else ""
    except (OSError, ValueError) as error:
        return f"it cannot be reached ({getattr(error, 'reason', error)})"


def server_version(uri: str) -> str | None:
    """Return which MLflow answers at an http address; None for a database, or if it is not said."""
    if urlsplit(uri).scheme not in {"http", "https"}:
        return None
    try:
        with urllib.request.urlopen(below(uri, "/version"), timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310  # http(s) only
            said: str = answer.read(64).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return None
    return said if said[:1].isdigit() else None
