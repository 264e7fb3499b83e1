"""Which crop is sample ``index`` of an epoch: a pure function, so that any step can be redone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import PixelClass, Role
from models.augmentation.crops import augment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.training.protocols import RegionSource
    from models.training.settings import TrainingSettings

_ORDER, _CROP = 0, 1
"""What a random stream is for; streams of different purposes must not meet."""


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where all randomness of one training comes from."""

    seed: int
    """Of the run, at least 0."""
    stage: str
    """Name of the training within the run; others get other crops."""

    def generator(self, *numbers: int) -> np.random.Generator:
        """Return the stream of these numbers: equal numbers, equal stream."""
        name = int.from_bytes(hashlib.sha256(self.stage.encode()).digest()[:8], "big")
        return np.random.default_rng(np.random.SeedSequence([self.seed, name, *numbers]))


@dataclass(frozen=True, slots=True)
class CropPlace:
    """Where one crop lies; it may be larger than its region."""

    region: int
    y0: int
    x0: int


class Sampler:
    """Chooses, reads and varies the crops of one training.

    Parameters
    ----------
    source : RegionSource
        At least one region.
    settings : TrainingSettings
        Crop size, balance, augmentation.
    randomness : Randomness
        Seed and stage.
    """

    def __init__(
        self, source: RegionSource, settings: TrainingSettings, randomness: Randomness
    ) -> None:
        self._source = source
        self._settings = settings
        self._randomness = randomness
        self._groups = groups_of([source.role(i) for i in range(len(source))], settings)
        self._centres: dict[int, NDArray[np.int64]] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch; all are full."""
        if self._settings.steps_per_epoch is not None:
            return self._settings.steps_per_epoch
        largest = max(len(group) for group in self._groups)
        n_crops = len(self._groups) * largest * self._settings.crops_per_region
        return -(-n_crops // self._settings.batch)

    def batch(self, epoch: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return images (n, side, side, 3) and classes (n, side, side) of a step of an epoch."""
        size, side = self._settings.batch, self._settings.crop_px
        images = np.empty((size, side, side, 3), np.uint8)
        classes = np.empty((size, side, side), np.uint8)
        for row in range(size):
            images[row], classes[row] = self.crop(epoch, step * size + row)
        return images, classes

    def crop(self, epoch: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image and classes of one sample."""
        rng = self._randomness.generator(_CROP, epoch, index)
        place = self._place(epoch, index, rng)
        image, classes = self._read(place)
        return augment(image, classes, self._settings.augmentation, rng)

    def place(self, epoch: int, index: int) -> CropPlace:
        """Return where one sample lies."""
        return self._place(epoch, index, self._randomness.generator(_CROP, epoch, index))

    def _place(self, epoch: int, index: int, rng: np.random.Generator) -> CropPlace:
        region = self._region(epoch, index)
        over_a_cell = rng.random() < self._settings.foreground_fraction
        centres = self._centres_of(region) if over_a_cell else np.zeros((0, 2), np.int64)
        side = self._settings.crop_px
        free = np.array(self._source.shape(region)) - side
        if len(centres):
            reach = side // 4
            middle = centres[rng.integers(len(centres))] + rng.integers(-reach, reach + 1, 2)
            corner = np.clip(middle - side // 2, 0, np.maximum(free, 0))
        else:
            corner = rng.integers(0, np.maximum(free, 0) + 1)
        return CropPlace(region, int(corner[0]), int(corner[1]))

    def _region(self, epoch: int, index: int) -> int:
        """Return the region of a sample: groups take turns, each in an order drawn anew."""
        number = index % len(self._groups)
        group = self._groups[number]
        turn, place = divmod(index // len(self._groups), len(group))
        order = self._randomness.generator(_ORDER, epoch, number, turn)
        return group[int(order.permutation(len(group))[place])]

    def _centres_of(self, region: int) -> NDArray[np.int64]:
        if region not in self._centres:
            self._centres[region] = np.asarray(self._source.centres(region), np.int64)
        return self._centres[region].reshape(-1, 2)

    def _read(self, place: CropPlace) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read a crop; what lies outside a small region mirrors it and is ignored by the loss."""
        side = self._settings.crop_px
        height, width = self._source.shape(place.region)
        inside = min(side, height), min(side, width)
        image, classes = self._source.read(place.region, place.y0, place.x0, *inside)
        below, right = side - inside[0], side - inside[1]
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")
            classes = np.pad(classes, ((0, below), (0, right)), constant_values=PixelClass.IGNORE)
        return image, classes


def groups_of(roles: list[Role], settings: TrainingSettings) -> list[list[int]]:
    """Return the regions in groups that get equally many crops; no group is empty."""
    if not settings.balance_roles:
        return [list(range(len(roles)))]
    names = {Role.POSITIVE: 0, Role.UNLABELLED: 0, Role.NEGATIVE: 2}
    if settings.unlabelled == "own_share":
        names[Role.UNLABELLED] = 1
    groups: list[list[int]] = [[], [], []]
    for index, role in enumerate(roles):
        groups[names[role]].append(index)
    return [group for group in groups if group]
