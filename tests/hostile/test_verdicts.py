"""Each verdict on the files of public test suites is right, and the page shows it."""

from __future__ import annotations

import pytest

from tests.hostile.verdicts import PAGE, READERS, data, page, verdicts

pytestmark = [
    pytest.mark.skipif(data() is None, reason="needs SIGNETFLOW_TEST_DATA"),
    pytest.mark.xdist_group("verdicts"),
]


@pytest.fixture(scope="module")
def found():
    folder = data()
    assert folder is not None
    return list(verdicts(folder))


def test_what_is_read_has_the_pixels_that_another_reader_sees(found):
    assert [one.name for one in found if one.image is not None and not one.same_as] == []


def test_what_no_reader_can_read_is_refused(found):
    hopeless = [one for one in found if all(one.others[name].startswith("ERR") for name in READERS)]
    assert hopeless
    assert [one.name for one in hopeless if one.image is not None] == []


def test_what_pillow_reads_is_refused_for_a_reason_that_the_page_explains(found):
    refused = [one for one in found if one.reason and one.others["pillow"].startswith("ok")]
    assert [(one.name, one.reason) for one in refused if not one.why] == []


def test_plain_eight_bit_files_that_pillow_reads_are_read(found):
    """All that is refused of them is turned, in several pages, or damaged within."""
    plain = ("ok RGB ", "ok L ", "ok P ", "ok 1 ")
    for one in found:
        if one.others["pillow"].startswith(plain) and one.reason:
            known = ("orientation tag", "pictures", "uint16", "int8", "it is damaged (")
            assert any(part in one.reason for part in known), one


def test_the_page_shows_these_verdicts(found):
    assert PAGE.read_text() == page(found), "run python -m tests.hostile.verdicts"
