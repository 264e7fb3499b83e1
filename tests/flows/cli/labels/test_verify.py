import json
import os

import pytest


@pytest.fixture
def damaged(at, refs):
    """Flip a bit of a shard of the second version, in silence; return the file."""
    (shard,) = (path for path in (at.path(refs[1]) / "slide-a@0,0" / "cells").rglob("0/0"))
    times, content = shard.stat(), bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(bytes(content))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    return shard


def test_sound_versions_are_told_with_what_was_read(run, refs):
    code, out, _ = run("verify", "--all")

    assert code == 0
    assert out.startswith("All is as it was written: 2 versions, 2 regions, 14 files")


def test_a_damaged_file_is_named_and_the_exit_code_is_1(run, refs, damaged):
    code, out, _ = run("verify", "--all")

    assert code == 1
    assert f"{refs[1].digest[:8]}: {damaged}: altered on disk since it was written; run" in out
    assert "1 things are wrong in 2 versions" in out


def test_one_version_is_verified_by_its_first_digits(run, refs, damaged):
    assert run("verify", refs[0].digest[:6])[0] == 0
    assert run("verify", refs[1].digest[:6])[0] == 1


def test_findings_as_json(run, refs, damaged):
    code, out, err = run("verify", "--all", "--json")

    answer = json.loads(out)
    assert (code, err) == (1, "")
    assert (answer["ok"], answer["versions"]) == (False, 2)
    (finding,) = answer["findings"]
    assert (finding["version"], finding["place"]) == (refs[1].digest, str(damaged))
    assert set(finding) == {"version", "place", "what", "remedy"}


@pytest.mark.parametrize("words", [[], ["3f2a", "--all"]])
def test_one_version_or_all_must_be_asked(run, refs, words):
    code, _, err = run("verify", *words)

    assert code == 2
    assert "name one version, or --all" in err


def test_reading_a_damaged_version_names_the_file_too(run, refs, damaged):
    code, _, err = run("diff", refs[0].digest, refs[1].digest, "--shown", 0)
    assert code == 0, "diff needs classes and records, and those are sound"

    classes = damaged.parents[3] / "classes" / "c" / "0" / "0"
    content = bytearray(classes.read_bytes())
    content[10] ^= 1
    times = classes.stat()
    classes.write_bytes(bytes(content))
    os.utime(classes, ns=(times.st_atime_ns, times.st_mtime_ns))
    code, _, err = run("diff", refs[0].digest, refs[1].digest)
    assert code == 1
    assert f"error: {classes}: altered on disk since it was written." in err
