"""Cells on slides and images by a stored checkpoint, without a run: nothing is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import WrongUseError
from storage.checkpoints import find_checkpoint
from storage.geojson import geojson_name, new_file
from tasks.find import load_finder, surveys, write_found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.runtime_settings import DaskSettings
    from storage.layout import Workspace


def predict_files(  # noqa: PLR0913  # keyword-only, one per option of the command
    at: Workspace,
    checkpoint_prefix: str,
    images: Sequence[Path],
    output: Path,
    *,
    mpp: float | None = None,
    compressed: bool = False,
    dask: DaskSettings | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[Path, int]:
    """Write one GeoJSON file per slide or image and return how many cells each of them holds.

    Every file is opened, and every name checked, before the network looks at the first.

    Parameters
    ----------
    at, checkpoint_prefix
        The workspace, and the first digits of a checkpoint in it.
    images, output
        Slides or images, and the folder to write to.
    mpp
        Micrometres per pixel of all of them, in place of what the files say.
    compressed
        Whether the results are ``.geojson.gz``.
    dask
        The cluster whose workers look for tissue, and for cells where the network has looked;
        without it threads do. The results are the same.
    progress
        Called with the number of blocks done and their total.

    Raises
    ------
    WrongUseError
        If a result is already there, or two would have one name.
    InputError
        If a file is no slide or image, or coarser than what the network was trained on.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    from tasks.looking import looking

    checkpoint = find_checkpoint(at, checkpoint_prefix)
    targets = _targets(images, output, compressed=compressed)
    finder = load_finder(at, checkpoint)
    asked = surveys(finder, images, mpp, dask)
    total = sum(len(one.blocks) for one in asked.values())
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    with looking(at, finder.detector, dask=dask) as network:
        return {
            target: write_found(finder, asked[path], target, network, advance)
            for path, target in targets.items()
        }


def _targets(images: Sequence[Path], output: Path, *, compressed: bool) -> dict[Path, Path]:
    by_name: dict[str, Path] = {}
    for path in images:
        other = by_name.setdefault(path.name, path)
        if other != path:
            raise WrongUseError(
                f"{other} and {path} have one name, so would their results. Run the command for "
                f"each folder with an --output of its own."
            )
    names = {path: geojson_name(name, compressed=compressed) for name, path in by_name.items()}
    return {path: new_file(output, name) for path, name in names.items()}
