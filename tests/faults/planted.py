"""Faults that somebody could make, and the tests that must notice each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One change of the code for the worse."""

    name: str
    path: str
    old: str
    """Occurs exactly once in the file."""
    new: str
    tests: tuple[str, ...]
    """Files of tests, at least one of which must fail."""


FAULTS = (
    Fault(
        "edge is merged before inner, so that cells that touch become one",
        "models/merging/three_steps.py",
        "    merged[inner] = PixelClass.INNER\n    merged[edge] = PixelClass.EDGE\n",
        "    merged[edge] = PixelClass.EDGE\n    merged[inner] = PixelClass.INNER\n",
        ("tests/models/merging/test_three_steps.py",),
    ),
    Fault(
        "a person's cell is overwritten by a prediction",
        "models/merging/three_steps.py",
        "    return np.where(harmed[human.cells], human.classes, merged)\n",
        "    return merged\n",
        ("tests/models/merging/test_three_steps.py",),
    ),
    Fault(
        "a pixel at the threshold counts as a cell",
        "models/merging/three_steps.py",
        "    classes[foreground <= settings.threshold] = PixelClass.BACKGROUND\n",
        "    classes[foreground < settings.threshold] = PixelClass.BACKGROUND\n",
        ("tests/models/merging/test_three_steps.py",),
    ),
    Fault(
        "a detection looks at its best cell only, and is false when that one is taken",
        "models/metrics/matching.py",
        "        if searching[row] and free[cell]:\n            found[row] = cell\n",
        "        if searching[row]:\n            found[row] = cell if free[cell] else UNMATCHED\n",
        ("tests/models/metrics/test_matching.py",),
    ),
    Fault(
        "a setting is missing in the key of a stage",
        "tasks/stage.py",
        '        return value.model_dump(mode="json")\n',
        '        return value.model_dump(mode="json", exclude={"threshold"})\n',
        ("tests/tasks/test_stage.py", "tests/flows/test_planning.py"),
    ),
    Fault(
        "an artefact is renamed before its files are on the disk",
        "storage/artefacts.py",
        "            list(pool.map(sync, paths))\n",
        "            list(paths)\n",
        ("tests/storage/test_artefacts.py",),
    ),
    Fault(
        "a cell seen from two blocks is kept twice",
        "models/merging/stitching.py",
        "                new[row] = False\n",
        "                new[row] = True\n",
        ("tests/models/merging/test_stitching.py",),
    ),
    Fault(
        "a cell that a seam cut is another cell to the next block",
        "models/merging/stitching.py",
        "    smaller = min(np.count_nonzero(mask), np.count_nonzero(other_mask))\n",
        "    smaller = max(np.count_nonzero(mask), np.count_nonzero(other_mask))\n",
        ("tests/models/merging/test_stitching.py", "tests/tasks/test_seams.py"),
    ),
    Fault(
        "a cell on a seam of a region's blocks is counted twice",
        "tasks/predict.py",
        "in_level0(cells.take(new), self",
        "in_level0(cells, self",
        ("tests/tasks/test_large_regions.py",),
    ),
    Fault(
        "a column of each core is missing in the masks",
        "storage/detections.py",
        "                found[low - top : high - top, window.x0 : window.x1] = part\n",
        "                found[low - top : high - top, window.x0 : window.x1 - 1] = part[:, :-1]\n",
        ("tests/tasks/test_large_regions.py",),
    ),
    Fault(
        "the border of a window weighs as much as its middle",
        "models/prediction/grid.py",
        "    return np.asarray(np.sin(np.pi / 2 * rise) ** 2, np.float32)\n",
        "    return np.ones_like(rise, np.float32)\n",
        ("tests/models/prediction/test_grid.py", "tests/models/prediction/test_windows.py"),
    ),
    Fault(
        "a cell names itself as its parent instead of the one it grew from",
        "models/merging/identity.py",
        "    return Ragged(overlaps.second[kept].astype(np.uint32), offsets)\n",
        "    return Ragged(overlaps.first[kept].astype(np.uint32), offsets)\n",
        ("tests/models/merging/test_identity.py",),
    ),
    Fault(
        "a found cell gets the score of another",
        "models/merging/relabel.py",
        "sums[rows] / areas[rows])",
        "sums[present] / areas[present])",
        ("tests/models/merging/test_relabel.py", "tests/models/merging/test_records.py"),
    ),
    Fault(
        "a cell found again is said to be of the latest round",
        "models/merging/records.py",
        "        rounds=_with(found.rounds, known, before.rounds),\n",
        "        rounds=found.rounds,\n",
        ("tests/models/merging/test_records.py",),
    ),
    Fault(
        "a label version is named by its files instead of by what they hold",
        "storage/labels/store.py",
        "        return commit(self._at, Kind.LABELS, self._work, digest)\n",
        "        return commit(self._at, Kind.LABELS, self._work)\n",
        ("tests/storage/labels/test_store.py",),
    ),
    Fault(
        "what MLflow heard is delivered again",
        "storage/ledger.py",
        '        chosen = "topic NOT GLOB ?" + ("" if every else " AND delivered IS NULL")\n',
        '        chosen = "topic NOT GLOB ?"\n',
        ("tests/storage/test_ledger.py", "tests/storage/tracking/test_outbox.py"),
    ),
    Fault(
        "a lock is not released",
        "storage/locks.py",
        "        yield\n    finally:\n        os.close(descriptor)\n",
        "        yield\n    finally:\n        del descriptor\n",
        ("tests/storage/test_locks.py",),
    ),
    Fault(
        "parts of a prediction are taken over from another network's",
        "tasks/stage.py",
        '        return Parts(self.unfinished.folder / "parts")\n',
        '        return Parts(self.at.ledger / "unfinished" / "parts")\n',
        ("tests/tasks/test_predict.py",),
    ),
    Fault(
        "the rounds that a stop counts are off by one",
        "models/methods/rounds.py",
        "    if round_number >= 2 and abs(growth) < settings.minimum_growth:\n",
        "    if round_number >= 3 and abs(growth) < settings.minimum_growth:\n",
        ("tests/models/methods/test_rounds.py",),
    ),
    Fault(
        "regions of one slide crowd in one easy fold",
        "storage/datasets/easy.py",
        "key=lambda one: (self._of_slide[*looked, one], self._of_role[looked.role, one], one),\n",
        "key=lambda one: (self._of_role[looked.role, one], one),\n",
        ("tests/storage/datasets/test_easy.py",),
    ),
    Fault(
        "hard folds split the regions of a slide",
        "storage/datasets/splits.py",
        '    if mode == "hard":\n        return Place(info.hard_fold, info.hard_half)\n',
        '    if mode == "":\n        return Place(info.hard_fold, info.hard_half)\n',
        ("tests/storage/datasets/test_splits.py",),
    ),
    Fault(
        "half of the test fold validates",
        "storage/datasets/splits.py",
        "    if place.fold == fold:\n        return Part.TEST\n",
        "    if place == Place(fold, 1):\n        return Part.TEST\n"
        "    if place.fold == fold:\n        return Part.VALIDATION\n",
        ("tests/storage/datasets/test_splits.py",),
    ),
    Fault(
        "a revert leaves what grew from what it takes back",
        "storage/labels/revert.py",
        "    is_gone = np.isin(records.cell_ids, gone) | grew | (",
        "    is_gone = np.isin(records.cell_ids, gone) | (",
        ("tests/storage/labels/test_revert.py",),
    ),
    Fault(
        "cleaning removes a version that another one grew from",
        "storage/collecting.py",
        "        versions = {info.parent, info.human_source} - {None, ref.digest}\n",
        "        versions = {info.human_source} - {None, ref.digest}\n",
        ("tests/storage/labels/test_revert.py",),
    ),
    Fault(
        "a file that kept its size and time is never hashed",
        "storage/artefacts.py",
        "    if (thorough or not untouched) and hash_file(path) ",
        "    if not untouched and hash_file(path) ",
        ("tests/storage/test_artefacts.py",),
    ),
    Fault(
        "blame follows the parents of a region that was only kept",
        "storage/labels/blame.py",
        "        known = set() if self.is_kept_from(older) else self.recorded_parents(cell)\n",
        "        known = self.recorded_parents(cell)\n",
        ("tests/storage/labels/test_blame.py",),
    ),
)
