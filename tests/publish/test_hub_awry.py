"""A Hub that answers half of what it is asked, or strangely."""

from typing import Any

import pytest

from tests.publish.clients import Client, Worker
from tests.stand_in_hub import Fault, StandInHub


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_revision_that_is_not_there_is_told_where_the_others_are_not(
    status: int, worker: Worker, hub: StandInHub
) -> None:
    hub.faults.extend([Fault("GET", "/refs", status=status)] * 9)
    line = worker.refused(2, "layers", "lab/standard-0@secund")
    assert line == "stir-hf: model lab/standard-0 has no revision 'secund'"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"delay": 8.0}, marks=pytest.mark.verify),
        {"status": 200, "said": "Please sign in"},
    ],
)
def test_a_file_that_does_not_come_or_is_another_is_asked_for_again(
    how: dict[str, Any], client: Client, hub: StandInHub
) -> None:
    hub.faults.append(Fault("GET", "/resolve/.*/preprocessor_config.json", **how))
    before = len(hub.seen)
    client.done("layers", "lab/robust-1", HF_HUB_DOWNLOAD_TIMEOUT="2")
    asked = [line for line in hub.seen[before:] if line.endswith("/preprocessor_config.json")]
    assert len(asked) == 2


@pytest.mark.verify
def test_a_hub_that_never_answers_is_not_waited_for_without_end(
    worker: Worker, hub: StandInHub
) -> None:
    code = """
import sys
from stir_hf.errors import RequestError
from stir_hf.hub import repos

repos._LONGEST = 1.0
try:
    repos.resolve("lab/robust-1", None, "model")
except RequestError as error:
    print(error)
"""
    hub.faults.extend([Fault("GET", "/api/models/lab/robust-1", delay=4.0)] * 9)
    told = worker.python(code, HF_HOME=f"{worker.home}/other", STIR_HF_HUB_TIMEOUT="1")
    assert "is not in the cache, and the Hub cannot be reached (ReadTimeout)" in told
