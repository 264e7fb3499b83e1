import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import AnnotationError
from storage.datasets import json_lists
from storage.datasets.json_lists import read_list, read_lists

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def read(path, *names):
    found: dict[str, list[object]] = {name: [] for name in names}
    there = read_lists(path, {name: found[name].append for name in names})
    return found, there


@pytest.fixture(params=[1, 7, 1 << 20])
def block(request, monkeypatch):
    """Read so few characters at a time that values are cut anywhere."""
    monkeypatch.setattr(json_lists, "_BLOCK", request.param)


@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_elements_are_handed_over_in_order(tmp_path, block, how):
    content = {"a": [1, 23, {"x": [4.5, "]"]}], "other": {"b": [1]}, "b": [], "c": ['"', "\\", "é"]}
    (tmp_path / "x.json").write_text(json.dumps(content, **how))
    found, there = read(tmp_path / "x.json", "a", "b", "c")
    assert found == {name: content[name] for name in "abc"}
    assert there == {"a", "b", "c", "other"}


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.integers(1, 30))
def test_what_is_read_is_what_the_standard_library_reads(tmp_path_factory, content, block):
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps(content))
    lists = [name for name, value in content.items() if isinstance(value, list)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lists, "_BLOCK", block)
        found, there = read(path, *lists)
    assert found == {name: content[name] for name in lists}
    assert there == set(content)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]:,"a1e.-\\ \n'), max_size=40))
def test_no_file_does_anything_worse_than_being_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        read(path, "a")
    except AnnotationError:
        return
    assert isinstance(json.loads(path.read_bytes()), dict)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_json_are_read(tmp_path, encoding):
    (tmp_path / "x.json").write_text('{"a": ["é"]}', encoding=encoding)
    assert read(tmp_path / "x.json", "a")[0] == {"a": ["é"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": [1, 2', "not JSON"),
        ('{"a": [1 2]}', "'2' instead of , or ] at character 9"),
        ('{"a": [1,]}', "not JSON"),
        ('{"a": [1]} x', "more than one value"),
        ('{"a": [1]', "'the end' instead of , or }"),
        ('{"a" 1}', "not JSON"),
        ("{1: 2}", "not JSON"),
        ('{"a": "\n"}', "not JSON"),
        (b'{"a": ["\xff"]}', "not JSON"),
        ('{"a": ' + "[" * 100_000 + "1", "nested too deeply"),
        ('{"a": ' + '[{"b":' * 50_000, "nested too deeply"),
        ('{"a": 7}', "'a' is a JSON number, expected a list"),
        ('{"a": [], "a": []}', "'a' is there twice"),
        ("[]", "holds a JSON list"),
        ('"text"', "holds a JSON text"),
        ("null", "holds a JSON null"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, block, content, reason):
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AnnotationError, match=reason):
        read(path, "a")


def test_a_single_value_that_is_too_large_is_refused_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, "MAXIMUM_VALUE_MB", 1)
    for content in ('{"a": ["', '{"other": "', '{"a": [[', '{"'):
        (tmp_path / "x.json").write_text(content + "1," * (5 << 19))
        with pytest.raises(AnnotationError, match=r"a single value of more than 1 MB"):
            read(tmp_path / "x.json", "a")


def test_lists_that_nobody_asked_for_are_passed_over_whatever_their_length(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, "MAXIMUM_VALUE_MB", 1)
    content = {"other": ["x" * 1000] * 3000, "a": [1]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert read(tmp_path / "x.json", "a")[0] == {"a": [1]}


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read(tmp_path / "gone.json", "a")


def test_the_elements_of_a_list_are_handed_over(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(' [1, {"a": [2]}, "b"] ')
    elements: list[object] = []
    read_list(path, elements.append)
    assert elements == [1, {"a": [2]}, "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": []}', "holds a JSON object, expected a list"),
        ("7", "holds a JSON number, expected a list"),
        ("[1, 2", "not JSON"),
        ("[1] [2]", "more than one value"),
        ("", "not JSON"),
    ],
)
def test_a_file_that_holds_no_list_is_refused(tmp_path, text, message):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_list(path, lambda _: None)
