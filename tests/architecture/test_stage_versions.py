"""The ledger trusts stage versions: a stage whose code changed must say what that means."""

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import pytest

GUARD = Path(__file__).with_name("update_stage_versions.py")
TASK = """
from storage.store import save

@stage(name="train", version={version}, makes=None)
def train(work):
    {text}
    from models.loop import steps  # a comment
    return save(steps())
"""


@pytest.fixture
def guard():
    spec = importlib.util.spec_from_file_location("update_stage_versions", GUARD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def tree(guard, tmp_path, monkeypatch):
    """A project of one stage; call it to write its files and read its stages."""

    def write(version=1, text="''", steps="return 10", unrelated="x = 1"):
        files = {
            "tasks/train.py": TASK.format(version=version, text=text),
            "storage/__init__.py": "",
            "storage/store.py": "def save(value):\n    return value\n",
            "models/loop.py": f"def steps():\n    {steps}\n",
            "models/other.py": unrelated,
        }
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        for known in (guard.tree_of, guard.imported, guard.code_of):
            known.cache_clear()
        return guard.stages()

    monkeypatch.setattr(guard, "ROOT", tmp_path)
    monkeypatch.setattr(guard, "RECORD", tmp_path / "record.json")
    return write


def test_a_stage_whose_code_changed_says_what_that_means(guard):
    now, known = guard.stages(), guard.recorded()
    assert guard.unexplained(known, now) == [], f"changed with the version it had.\n{guard.__doc__}"
    assert known == now, (
        "the record is behind: run python tests/architecture/update_stage_versions.py"
    )


def test_every_stage_is_guarded(guard):
    import tasks
    from tasks.stage import STAGES

    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"tasks.{module.name}")
    # Other tests make stages of their own.
    ours = {name: one for name, one in STAGES.items() if one.body.__module__.startswith("tasks.")}
    versions = {name: one.version for name, one in ours.items()}
    assert {name: code.version for name, code in guard.stages().items()} == versions


def test_a_change_in_what_a_function_imports_is_a_change_of_the_stage(guard, tree):
    before, after = tree(), tree(steps="return 11")
    assert guard.unexplained(before, after) == ["train"]


def test_a_raised_version_explains_a_change(guard, tree):
    assert guard.unexplained(tree(version=1), tree(version=2, steps="return 11")) == []


def test_a_version_may_not_go_back(guard, tree):
    assert guard.unexplained(tree(version=2), tree(version=1)) == ["train"]


@pytest.mark.parametrize(
    "change", [{"text": "'''Train.'''"}, {"unrelated": "x = 2"}, {"steps": "return (10)  # ten"}]
)
def test_words_and_code_that_a_stage_does_not_use_change_nothing(tree, change):
    assert tree() == tree(**change)


def test_the_record_is_written_only_with_a_word_for_each_change(guard, tree, capsys):
    tree()
    assert guard.main([]) == 0
    changed = tree(steps="return 11")
    assert guard.main([]) == 1
    assert "train" in capsys.readouterr().err
    assert guard.recorded() != changed
    assert guard.main(["--output-unchanged"]) == 0
    assert guard.recorded() == changed
