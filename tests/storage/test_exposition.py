import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from models.errors import WorkspaceError
from storage.exposition import Gauge, exposed, write_exposed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def parsed(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


@given(TEXT, TEXT, st.floats())
def test_prometheus_own_parser_reads_back_any_label_and_value(own, shared, value):
    text = exposed([Gauge("x_seconds", "Says\nwhat \\ it is.", (({"own": own}, value),))], {
        "workspace": shared
    })  # fmt: skip
    (sample,) = parsed(text)["signetflow_x_seconds"].samples
    assert sample.labels == {"own": own, "workspace": shared}
    assert sample.value == value or (math.isnan(value) and math.isnan(sample.value))


def test_a_gauge_has_help_and_type_and_none_without_values():
    gauges = [Gauge("x", "Says what.", (({"a": "1"}, 1), ({"a": "2"}, 2))), Gauge("y", "None.", ())]
    families = parsed(exposed(gauges, {}))
    assert families.keys() == {"signetflow_x"}
    one = families["signetflow_x"]
    assert (one.type, one.documentation) == ("gauge", "Says what.")
    assert [sample.value for sample in one.samples] == [1, 2]


def test_who_reads_meanwhile_sees_the_old_figures_whole(tmp_path):
    path = tmp_path / "signetflow.prom"
    write_exposed(path, "old 1\n")
    with path.open() as reader:
        write_exposed(path, "new 2\n")
        assert reader.read() == "old 1\n"
    assert path.read_text() == "new 2\n"
    assert list(tmp_path.iterdir()) == [path]  # nothing that a collector would read as well


def test_the_collector_can_read_it_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        write_exposed(tmp_path / "signetflow.prom", "x 1\n")
    finally:
        os.umask(before)
    assert (tmp_path / "signetflow.prom").stat().st_mode & 0o777 == 0o644


def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="textfile collector that this user can write"):
        write_exposed(tmp_path / "file" / "signetflow.prom", "x 1\n")
