"""How long a Hub that is busy or away is waited for."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stir_hf.hub import again, one_run


@dataclass
class Answer:
    """What a client's error has of the Hub's answer."""

    status_code: int
    headers: dict[str, str] = field(default_factory=dict)
    url: Any = field(default_factory=lambda: SimpleNamespace(path="/"))


class RefusedError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(str(status))
        self.response = Answer(status, headers)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    def sleep(seconds: float) -> None:
        found.append(seconds)
        assert len(found) < 1000

    monkeypatch.setattr(time, "sleep", sleep)
    return found


def refuse(status: int, **headers: str) -> None:
    raise RefusedError(status, **headers)


@pytest.mark.parametrize("given", ["", "0", "8", "30"])
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    "said",
    ["", "0", "-1", "nan", "1.5", "1000000000", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT"],
    ids=["nothing", "0", "-1", "nan", "1.5", "30 years", "endless", "date"],
)
def test_waiting_ends_whatever_the_hub_asks(
    said: str, status: int, given: str, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STIR_HF_HUB_TIMEOUT", given)
    with pytest.raises(RefusedError):
        again(lambda: refuse(status, **({"Retry-After": said} if said else {})), "model a/b")
    too_long = said.isdecimal() and said != "0"
    assert sum(slept) == (0 if too_long else float(given or 60))


def test_a_run_waits_no_longer_for_several_repos_than_for_one(slept: list[float]) -> None:
    with one_run():
        for _ in range(3):
            with pytest.raises(RefusedError):
                again(lambda: refuse(503), "model a/b")
    assert sum(slept) == 60
