"""Set-up says what a machine lacks, never takes half an environment for a whole one."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README_TEST = "python3.11 dev.py test"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """The script over an empty folder, with a build that only makes the folder."""
    module = load(ROOT / "dev.py")
    for name in (*module.PINNED, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "fingerprint")
    monkeypatch.setattr(module, "DISK_BYTES", 0)
    module.built = 0

    def build():
        module.built += 1
        module.VENV.mkdir(exist_ok=True)

    monkeypatch.setattr(module, "_build", build)
    return module


def test_an_environment_is_built_once(dev):
    dev.set_up()
    dev.set_up()
    assert dev.built == 1


@pytest.mark.parametrize(
    ("name", "before", "after", "rebuilds"),
    [
        ("requirements.txt", "torch==", "torch==0", True),
        ("requirements-dev.txt", "ruff==", "ruff==0", True),
        ("pyproject.toml", '"typer>=', '"typer>=0', True),
        ("pyproject.toml", "line-length = 100", "line-length = 99", False),
    ],
)
def test_it_is_built_again_when_what_it_holds_changes(dev, name, before, after, rebuilds):
    dev.set_up()
    file = dev.ROOT / name
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    dev.set_up()
    assert dev.built == 1 + rebuilds


def test_a_half_built_environment_is_built_again(dev, monkeypatch, capsys):
    build = dev._build

    def fail():
        build()
        raise subprocess.CalledProcessError(1, "pip")

    dev.set_up()
    dev.STAMP.write_text("of other requirements")
    monkeypatch.setattr(dev, "_build", fail)
    with pytest.raises(SystemExit, match=r"setting up \.venv failed"):
        dev.set_up()
    assert not dev.STAMP.exists()
    monkeypatch.setattr(dev, "_build", build)
    dev.set_up()
    assert dev.built == 3


def test_a_full_disk_is_said_before_anything_is_made(dev, monkeypatch):
    monkeypatch.setattr(dev, "DISK_BYTES", 2**60)
    with pytest.raises(SystemExit, match="GB free"):
        dev.set_up()
    assert dev.built == 0


@pytest.mark.parametrize("version", [(3, 10), (3, 13), (2, 7)])
def test_another_python_is_refused_by_its_version(dev, monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert f"need Python 3.11 or 3.12; this is {version[0]}.{version[1]}" in dev.missing()


@pytest.mark.parametrize("version", [(3, 11), (3, 12)])
def test_the_pythons_of_the_lock_are_taken(dev, monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert dev.missing() == ""


def test_a_python_without_venv_names_the_package_to_install(dev, monkeypatch):
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)
    version = "{}.{}".format(*sys.version_info[:2])
    assert f"apt-get install python{version}-venv" in dev.missing()


def test_another_system_is_refused_by_its_name(dev, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert "runs on Linux (or WSL); this is win32" in dev.missing()


@pytest.mark.parametrize("words", [[], ["build"]])
def test_an_unknown_command_shows_the_known_ones(words):
    done = subprocess.run(
        [sys.executable, ROOT / "dev.py", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "demo,test,lint,bench" in done.stderr


def test_all_tests_are_measured_and_a_part_of_them_is_not():
    (everything,), _ = load(ROOT / "dev.py").steps_of("test", [])
    assert {"--cov", "-n=auto", "not slow"} <= set(everything)
    (part,), _ = load(ROOT / "dev.py").steps_of("test", ["tests/models"])
    assert "--cov" not in part
    assert part[-1] == "tests/models"


def test_slow_tests_run_when_asked_for():
    (slow,), _ = load(ROOT / "dev.py").steps_of("test", ["--slow"])
    assert "not slow" not in slow
    assert "--slow" not in slow
    assert "--cov" in slow


def test_the_gate_runs_the_slow_tests_too():
    gate = (ROOT / ".ci" / "run").read_text()
    assert 'slow="$test_command --slow -m slow"' in gate
    (slow,), _ = load(ROOT / "dev.py").steps_of("test", ["--slow", "-m", "slow", "-n", "auto"])
    assert slow[-4:] == ["-m", "slow", "-n", "auto"]
    assert "not slow" not in slow


def test_every_benchmark_but_the_longest_runs_unless_one_is_named(capsys):
    dev = load(ROOT / "dev.py")
    steps, _ = dev.steps_of("bench", [])
    assert ["-m", "benchmarks.training"] in steps
    assert ["-m", "benchmarks.soak"] not in steps
    assert dev.steps_of("bench", ["soak"])[0] == [["-m", "benchmarks.soak"]]
    assert dev.steps_of("bench", ["training"])[0] == [["-m", "benchmarks.training"]]
    with pytest.raises(SystemExit, match=r"no benchmark 'nothing'; there are .*training"):
        dev.steps_of("bench", ["nothing"])


def test_only_the_standard_library_is_imported():
    text = (ROOT / "dev.py").read_text()
    imported = re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)
    assert set(imported) <= {*sys.stdlib_module_names, "__future__"}


def test_the_makefile_has_the_same_commands():
    (line,) = re.findall(r"^(demo .*):$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tuple(line.split()) == load(ROOT / "dev.py").COMMANDS


def test_the_readme_shows_the_command_that_is_checked():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if line.split("  #")[0].rstrip() == README_TEST]


SKIPPED = (
    "<testsuites><testsuite>"
    '<testcase classname="tests.a" name="test_one"/>'
    '<testcase classname="tests.a" name="test_gpu[1, 2]%s"><skipped message="no GPU"/></testcase>'
    "</testsuite></testsuites>"
)


@pytest.mark.parametrize("group", ["", "@gpu"], ids=["alone", "side by side"])
@pytest.mark.parametrize(
    ("listed", "code"),
    [("# nothing\n", 1), ("tests.a::test_gpu[1, 2] # why\n", 0), ("tests.a::test_gpu # why", 1)],
)
def test_a_skip_that_is_not_on_the_list_fails(tmp_path, capsys, listed, code, group):
    (tmp_path / "junit.xml").write_text(SKIPPED % group)
    (tmp_path / "allowed.txt").write_text(listed)
    words = ["skipped", str(tmp_path / "junit.xml"), str(tmp_path / "allowed.txt")]
    assert load(ROOT / ".ci" / "found.py").main(words) == code
    assert ("no GPU" in capsys.readouterr().out) == bool(code)


FAILING = """
import pytest

@pytest.mark.xdist_group("some")
@pytest.mark.parametrize("word", ["a b", "x@y"])
def test_in_a_group(word):
    assert word == "a b"

@pytest.fixture
def broken():
    raise ValueError

def test_that_breaks(broken):
    pass

def test_that_passes():
    pass
"""


def test_what_failed_side_by_side_can_be_run_again_alone(tmp_path, capsys):
    (tmp_path / "test_some.py").write_text(FAILING)
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir=."]
    words = ["-n1", "--dist=loadgroup", "--junitxml=found.xml"]
    subprocess.run([*pytest_here, *words], cwd=tmp_path, capture_output=True, check=False)
    load(ROOT / ".ci" / "found.py").main(["failed", str(tmp_path / "found.xml")])
    failed = capsys.readouterr().out.split("\n")[:-1]
    assert failed == ["test_some.py::test_in_a_group[x@y]", "test_some.py::test_that_breaks"]
    again = subprocess.run(
        [*pytest_here, *failed], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "1 failed, 1 error" in again.stdout
