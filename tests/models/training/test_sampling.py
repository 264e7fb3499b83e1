"""Which crop is which sample."""

from collections import Counter

import numpy as np
import pytest

from models.annotations import Role
from models.augmentation.settings import AugmentationSettings
from models.training.sampling import Randomness, Sampler
from models.training.settings import TrainingSettings

POSITIVE, NEGATIVE, UNLABELLED = Role.POSITIVE, Role.NEGATIVE, Role.UNLABELLED
AS_READ = AugmentationSettings(turn=False, stain=0, brightness=0)


def sampler(source, seed=0, stage="supervised", **changes):
    changes = {"crop_px": 32, "batch": 4, "crops_per_region": 3, **changes}
    return Sampler(source, TrainingSettings(**changes), Randomness(seed, stage))


def places(one, n=24, epoch=0):
    return [one.place(epoch, index) for index in range(n)]


def visits(one, roles, n):
    """How many of the first n samples came from regions of each role."""
    return Counter(roles[place.region] for place in places(one, n))


def test_a_sample_depends_on_seed_stage_epoch_and_index_only(regions):
    source = regions(POSITIVE, NEGATIVE)
    first = places(sampler(source))
    again = sampler(source)
    assert [again.place(0, index) for index in reversed(range(24))][::-1] == first
    others = [
        places(sampler(source, seed=1)),
        places(sampler(source, stage="self")),
        places(sampler(source), epoch=1),
    ]
    assert all(other != first for other in others)


def test_a_batch_holds_the_samples_of_its_step(regions):
    one = sampler(regions(POSITIVE, NEGATIVE))
    images, classes = one.batch(epoch=2, step=3)
    image, labels = one.crop(epoch=2, index=3 * 4 + 1)
    assert np.array_equal(images[1], image)
    assert np.array_equal(classes[1], labels)


def test_few_positives_are_read_as_often_as_many_negatives(regions):
    roles = [POSITIVE, *[NEGATIVE] * 5]
    assert visits(sampler(regions(*roles)), roles, 30) == {POSITIVE: 15, NEGATIVE: 15}


def test_without_balance_each_region_is_read_equally_often(regions):
    roles = [POSITIVE, *[NEGATIVE] * 5]
    found = visits(sampler(regions(*roles), balance_roles=False), roles, 30)
    assert found == {POSITIVE: 5, NEGATIVE: 25}


def test_unlabelled_regions_count_to_the_positive_ones_or_have_their_own_share(regions):
    roles = [POSITIVE, UNLABELLED, UNLABELLED, NEGATIVE]
    together = visits(sampler(regions(*roles)), roles, 36)
    apart = visits(sampler(regions(*roles), unlabelled="own_share"), roles, 36)
    assert together == {POSITIVE: 6, UNLABELLED: 12, NEGATIVE: 18}
    assert apart == {POSITIVE: 12, UNLABELLED: 12, NEGATIVE: 12}


def test_an_epoch_reads_each_region_of_the_largest_group_as_often_as_asked(regions):
    source = regions(POSITIVE, POSITIVE, NEGATIVE)
    one = sampler(source, crops_per_region=4)
    assert one.steps_per_epoch == 4  # 2 groups x 2 regions x 4 crops / batch 4
    counts = Counter(place.region for place in places(one, 16))
    assert counts == {0: 4, 1: 4, 2: 8}
    assert sampler(source, steps_per_epoch=7).steps_per_epoch == 7


def test_all_crops_over_cells_hold_a_labelled_cell_and_stay_inside(regions):
    source = regions(POSITIVE, shape=(300, 260))
    source.classes[0][:, :200] = 0  # cells at the right border only
    one = sampler(source, foreground_fraction=1.0, augmentation=AS_READ)
    assert all((one.crop(0, index)[1] > 0).any() for index in range(40))
    lefts = [place.x0 for place in places(one, 40)]
    assert max(lefts) == 260 - 32
    anywhere = sampler(source, foreground_fraction=0.0, augmentation=AS_READ)
    assert not all((anywhere.crop(0, index)[1] > 0).any() for index in range(40))


def test_crops_reach_every_border_of_a_region(regions):
    found = places(sampler(regions(POSITIVE, shape=(34, 33)), foreground_fraction=0.0), 60)
    assert {place.y0 for place in found} == {0, 1, 2}
    assert {place.x0 for place in found} == {0, 1}


def test_a_region_smaller_than_the_crop_is_padded_and_the_padding_ignored(regions):
    source = regions(POSITIVE, shape=(20, 24))
    image, classes = sampler(source, augmentation=AS_READ).crop(0, 0)
    assert np.array_equal(image[:20, :24], source.images[0])
    assert np.array_equal(classes[:20, :24], source.classes[0])
    assert (classes[20:] == 255).all()
    assert (classes[:, 24:] == 255).all()
    assert np.array_equal(image[20], image[19])  # mirrored, not black


@pytest.mark.parametrize("roles", [[POSITIVE], [NEGATIVE, NEGATIVE], [UNLABELLED]])
def test_one_role_alone_is_enough(regions, roles):
    assert len(places(sampler(regions(*roles)), 8)) == 8
