"""Every error that signetflow raises on purpose, and the exit code each one means.

A message says what happened, where, what was found, what was expected and what to do. Most classes
are also the builtin that a caller would expect, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations


class SignetflowError(Exception):
    """Anything signetflow refuses or fails at on purpose."""

    exit_code: int = 1
    """Exit code of the command line: 1 failed, 2 wrong use, 3 input refused."""


class WrongUseError(SignetflowError, ValueError):
    """The command or a setting asks for something that does not exist."""

    exit_code = 2


class ConfigError(WrongUseError):
    """A preset or a ``--set`` has an unknown key, a bad type or a value out of bounds."""


class InputError(SignetflowError, ValueError):
    """A user's data cannot be used as it is."""

    exit_code = 3


class ImageError(InputError):
    """An image file is damaged, unsupported or not what it claims to be."""


class SlideError(ImageError):
    """A slide cannot be opened, or its size or resolution is not believable."""


class AnnotationError(InputError):
    """An annotation file or one of its records is damaged or contradicts its image."""


class EmptyDatasetError(InputError):
    """Nothing in a dataset could be accepted."""


class WorkspaceError(SignetflowError, OSError):
    """The workspace cannot be written, is locked, full, or from another format version."""


class BusyError(WorkspaceError):
    """Somebody is at work in the workspace, and who asked does not wait for that."""


class IntegrityError(SignetflowError, RuntimeError):
    """A stored artefact is missing, altered or not what its manifest says."""


class NotFoundError(SignetflowError, LookupError):
    """A version, run, region or checkpoint of that name is not in the workspace."""

    exit_code = 2


class LabelContractError(SignetflowError, RuntimeError):
    """A label version would break a promise: a human cell lost, or masks and records at odds."""


class LeakError(SignetflowError, RuntimeError):
    """A stage was handed a region that its split forbids."""


class DataLeakError(LeakError):
    """A dataset ties what its folds keep apart: one slide, one patient or the same pixels."""

    exit_code = 3


class WeightsError(SignetflowError, RuntimeError):
    """Pretrained weights were asked for and cannot be had."""


class TrainingError(SignetflowError, RuntimeError):
    """Training diverged or cannot start."""


class StoppedError(SignetflowError, RuntimeError):
    """A stage was ended from outside; what it has so far is kept for the next run."""


class TrackingError(SignetflowError, RuntimeError):
    """The tracking server refused or could not be reached."""


class OperationsError(SignetflowError, RuntimeError):
    """A server that deployments need is not there, or refused what it was asked for."""
