"""What goes with time, and that every question to what stays is still answered."""

import os
import random
import shutil
import time

import pytest

from models.errors import BusyError
from storage.champion import history, stand
from storage.checkpoints import load_card
from storage.labels.log import ancestry, log
from storage.labels.tags import tag
from storage.labels.verify import verify, version_refs
from storage.layout import Kind
from storage.ledger import Ledger
from storage.locks import shared
from storage.retention import Rules, tidy


@pytest.fixture
def ended(conducted, tmp_path):
    """Return a copy of a finished run's ground, and what its report was made of."""
    ground = conducted.ground.copied(tmp_path)
    ledger = Ledger(ground.at)
    ledger.start_run(ground.run.run_id, "n", {}, 0.0)
    ledger.finish_run(ground.run.run_id, "completed", 1.0, result=conducted.report)
    for number in range(3):  # others that need nothing of it
        ledger.start_run(str(number) * 32, "n", {}, 10.0 + number)
        ledger.finish_run(str(number) * 32, "completed", 11.0)
    return ground, conducted.inputs


def every_question(at):
    """Ask of every version and every champion what lineage has to answer."""
    assert verify(at, version_refs(at)).findings == []
    answers = {}
    for info in log(at):
        answers[info.digest] = [one.digest for one in ancestry(at, info.ref)]
        checkpoint = info.parameters.get("checkpoint")
        if checkpoint:
            assert (at.root / Kind.CHECKPOINT / checkpoint).is_dir()
    for one in history(at):
        card = load_card(at, one.ref)
        assert (at.root / Kind.LABELS / card["labels"]).is_dir()
        assert (at.root / Kind.REGIONS / card["regions"]).is_dir()
    return answers


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_kept_its_lineage_answers_every_question_as_before(ended, seed):
    ground, inputs = ended
    at, chance = ground.at, random.Random(seed)  # noqa: S311  # no secret
    versions = sorted({one.labels for arm in inputs.arms for one in arm.rounds})
    networks = sorted({one.checkpoint for arm in inputs.arms for one in arm.rounds})
    tagged = chance.sample(versions, chance.randint(0, 3))
    for number, one in enumerate(tagged):
        tag(at, f"name{number}", one)
    champions = chance.sample(networks, chance.randint(0, 2))
    for one in champions:
        stand(at, "champion", one, by="ada", reason="x")
    before = every_question(at)
    rules = Rules(keep_runs=chance.choice([1, 3, 4]))
    said = tidy(at, rules, dry_run=True)
    assert every_question(at) == before
    done = tidy(at, rules)
    assert [one.what for one in done.leftovers] == [one.what for one in said.leftovers]
    after = every_question(at)
    assert after.items() <= before.items()
    assert {one.digest for one in tagged} <= after.keys()
    kept_all = rules.keep_runs == 4
    assert (after == before) is (kept_all or len(after) == len(before))
    assert bool(done.leftovers) is not kept_all
    assert tidy(at, rules).leftovers == ()


def test_a_training_that_nobody_came_back_to_goes_after_its_days_only(ended):
    at = ended[0].at
    old, new = (at.ledger / "unfinished" / (digit * 32) for digit in "ab")
    for folder in (old, new):
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "weights").write_bytes(b"x" * 1000)
    long_ago = time.time() - 40 * 86400
    os.utime(old / "a" / "weights", (long_ago, long_ago))
    rules = Rules(keep_runs=None, unfinished_days=30)
    done = tidy(at, rules)
    assert [(one.what, one.bytes_freed) for one in done.leftovers] == [
        (f"ledger/unfinished/{'a' * 32}", 1000)
    ]
    assert (old.exists(), new.exists()) == (False, True)


def test_a_large_log_is_put_aside_while_its_server_goes_on_writing(ended):
    at = ended[0].at
    path = at.root / "servers" / "prefect.log"
    path.parent.mkdir()
    with path.open("ab", buffering=0) as server:
        server.write(b"x" * 2**20)
        tidy(at, Rules(None, log_mib=0.5))
        server.write(b"on it goes\n")
    assert path.read_bytes() == b"on it goes\n"
    assert path.with_name("prefect.log.1").stat().st_size == 2**20
    assert tidy(at, Rules(None, log_mib=0.5)).leftovers == ()


def test_the_name_of_a_report_that_is_gone_goes(ended):
    ground, _ = ended
    link = ground.at.root / Kind.REPORT / ground.run.run_id
    link.symlink_to("0" * 32)
    tidy(ground.at, Rules(None))
    assert not link.is_symlink()


def test_a_run_that_is_at_work_is_not_disturbed(ended):
    ground, _ = ended
    with shared(ground.at), pytest.raises(BusyError, match="needs it alone"):
        tidy(ground.at, Rules())
    shutil.rmtree(ground.at.root)
