"""What ops see in MLflow, in a real browser: digests, the parent, the table of rounds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from selenium import webdriver
from selenium.webdriver.common.by import By

from storage.tracking.outbox import deliver

pytestmark = [pytest.mark.xdist_group("mlflow"), pytest.mark.slow, pytest.mark.server]

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1600,2400",
)  # fmt: skip


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for word in (*QUIET, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


def shown(browser, address, *wanted):
    """Return the text of a page once it shows all that is wanted, or as it is after a while."""
    browser.get(address)
    give_up = time.monotonic() + 120
    text = ""
    while time.monotonic() < give_up:
        for more in browser.find_elements(By.XPATH, "//*[text()='Show more']"):
            more.click()
        text = browser.find_element(By.TAG_NAME, "body").text
        if all(word in text for word in wanted):
            break
        time.sleep(0.5)
    return text


def test_the_pages_of_a_run_show_where_its_labels_come_from(
    browser, story, tmp_path, checkpoint, mlflow_server
):
    story.post(*story.whole(checkpoint))
    with mlflow_server(tmp_path) as uri:
        assert deliver(story.at, uri=uri).problem == ""
        parent, nested = found(story, uri)
        page = f"{uri}/#/experiments/{parent.info.experiment_id}/runs/"
        labels = ("a" * 8, "b" * 8)
        text = shown(browser, page + parent.info.run_id, "Rounds", "labels_out", *labels)
        # The table of rounds, with the labels that went in and came out.
        for word in ("Rounds", "labels_in", "labels_out", "self 1", *labels):
            assert word in text
        text = shown(browser, page + nested.info.run_id, "Parent run", "a" * 8)
        assert "Parent run" in text
        assert parent.info.run_name in text
        assert "a" * 8 in text


def found(story, uri):
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("signetflow/demo")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    mine = [one for one in runs if story.run_id in one.data.tags["signetflow.key"]]
    return sorted(mine, key=lambda one: "mlflow.parentRunId" in one.data.tags)
