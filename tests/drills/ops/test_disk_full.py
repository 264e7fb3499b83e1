"""The disk of a workspace fills while a run is under way.

Who may mount gets a small disk of memory, and fills it. Elsewhere a limit on the size of files is
laid on the run: every writer meets it as the same kind of error.
"""

import resource
import subprocess
from contextlib import suppress

import psutil
import pytest

from storage.artefacts import problems
from storage.layout import Kind, Ref
from tests.drills.ops.plant import under_way, until

pytestmark = pytest.mark.xdist_group("operations_drills")
DISK = "192m"
BLOCKS = (2**20, 2**12)
FULL = ("No space left on device", "File too large")


@pytest.fixture
def disk(drill_folder, tmp_path):
    """Return a folder, a disk of its own if that can be had."""
    folder = drill_folder / f"{tmp_path.name}-disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "signetflow-drill", folder]
    with suppress(FileNotFoundError):
        subprocess.run(mount, capture_output=True, check=False, timeout=20)
    yield folder
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=20)


@pytest.mark.slow
@pytest.mark.server
def test_a_run_whose_disk_fills_fails_by_name_and_goes_on_when_there_is_room(
    plant, undisturbed, disk, place, measured
):
    own = plant.workspace("workspace", disk)
    run = plant.ask(own)
    until(lambda: undisturbed.last_training in under_way(own), "the training of a round")
    how = fill(plant, disk)
    failed = until(lambda: plant.is_over(run), "the end of the run")
    assert plant.state(run) == "Failed"
    assert any(words in plant.flow_run(run).state.message for words in FULL)
    until(plant.slot_is_free, "a free slot")
    assert sound(own)
    with suppress(FileNotFoundError):
        (disk / "ballast").unlink()
    plant.retry(run)
    assert undisturbed.differs(own) == {}
    measured(
        f"{how}: Failed by name after {failed:.1f} s, nothing half-visible, retry Completed, same "
        f"digests"
    )


def fill(plant, disk):
    """Leave no room for the run, and return how."""
    if disk.is_mount():
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            for block in BLOCKS:  # the run writes and removes files meanwhile
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(block))
        return f"a disk of {DISK} full"
    for one in plant.runners()[1:]:
        with suppress(psutil.NoSuchProcess):
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    return "no file may grow"


def sound(at):
    """Tell whether every artefact that can be seen is whole."""
    found = [
        Ref(kind, path.parent.name)
        for kind in Kind
        for path in (at.root / kind).glob("[0-9a-f]*/MANIFEST.json")
    ]
    return bool(found) and not any(problems(at, ref, thorough=True) for ref in found)
