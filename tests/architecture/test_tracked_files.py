"""What is committed holds for everyone: no path of one machine, no large file."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LARGEST_BYTES = 2 * 2**20
# Spelled apart, so that this file does not name what it looks for.
PLACES = ("work", "tmp/" + "exp", "root", "home/" + "[a-z]+", "Users")
MACHINE_PATH = re.compile(rf"(?<![\w.~$}}>/])/(?:{'|'.join(PLACES)})/")


def tracked():
    """Return the committed files; in a tree without history, all that are not ignored by name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        names = [ROOT / name for name in listed.stdout.split("\0") if name]
        return [path for path in names if path.is_file()]
    folders = ("flows", "tasks", "storage", "models", "tests", "docs", "deployments", ".ci")
    return [path for name in folders for path in (ROOT / name).rglob("*.*") if path.is_file()]


def machine_paths(text):
    return MACHINE_PATH.findall(text)


def test_no_file_names_a_path_of_one_machine():
    found = {
        str(path.relative_to(ROOT)): paths
        for path in tracked()
        if (paths := machine_paths(path.read_text(encoding="utf-8", errors="ignore")))
    }
    assert found == {}


def test_the_search_finds_such_a_path():
    assert machine_paths("open('" + "/wo" + "rk/data/x.png')")
    assert machine_paths("see " + "/home" + "/ada/slides")
    assert not machine_paths("docs/work/x, $HOME/work/x, https://example.org/work/")


def test_no_file_is_large():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked()}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}
