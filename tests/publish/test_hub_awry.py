"""A Hub that answers half of what it is asked, or strangely."""

import pytest

from tests.publish.clients import Worker
from tests.stand_in_hub import Fault, StandInHub


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_revision_that_is_not_there_is_told_where_the_others_are_not(
    status: int, worker: Worker, hub: StandInHub
) -> None:
    hub.faults.extend([Fault("GET", "/refs", status=status)] * 9)
    line = worker.refused(2, "layers", "lab/standard-0@secund")
    assert line == "stir-hf: model lab/standard-0 has no revision 'secund'"
