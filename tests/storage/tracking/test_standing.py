"""Champion and challenger as aliases of a registered model."""

import pytest

from storage.ledger import Event
from storage.tracking.outbox import Delivery, deliver
from storage.tracking.projection import registered_name

pytestmark = pytest.mark.xdist_group("mlflow")


def stands(name, checkpoint, at="2026-11-21T00:00:00+00:00"):
    body = {
        "type": "standing", "name": name, "checkpoint": str(checkpoint), "by": "ada",
        "reason": "fewer misses", "at": at,
    }  # fmt: skip
    return Event(f"standing/{name}/{at}", body)


def test_a_champion_is_an_alias_of_the_version_of_its_checkpoint(story, checkpoint):
    story.post(*story.whole(checkpoint), stands("challenger", checkpoint))
    assert deliver(story.at).problem == ""
    story.post(stands("champion", checkpoint))
    assert deliver(story.at) == Delivery(1, 0, "")
    client, name = story.client, registered_name(story.at)
    version = client.get_model_version_by_alias(name, "champion")
    assert version.version == client.get_model_version_by_alias(name, "challenger").version
    assert version.tags["champion.by"] == "ada"
    assert version.tags["champion.reason"] == "fewer misses"
    assert version.run_id == story.nested[0].info.run_id


def test_told_again_there_is_still_one_version(story, checkpoint):
    story.post(*story.whole(checkpoint), stands("champion", checkpoint))
    deliver(story.at)
    name = registered_name(story.at)
    before = len(story.client.search_model_versions(f"name = '{name}'"))
    assert deliver(story.at, every=True).problem == ""
    assert len(story.client.search_model_versions(f"name = '{name}'")) == before


def test_a_checkpoint_that_nobody_told_of_is_refused_by_name(story):
    story.post(story.announced(), stands("champion", "checkpoints/none"))
    assert "checkpoints/none was never told as the model of a round" in deliver(story.at).problem


def test_an_alarm_is_in_the_description_and_counted(story):
    story.post(story.announced(), story.round(), story.end(alarms=["a · self_extra round 2: bias"]))
    deliver(story.at)
    tags = story.parent.data.tags
    assert tags["signetflow.alarms"] == "1"
    assert "**Alarm** a · self_extra round 2: bias" in tags["mlflow.note.content"]
