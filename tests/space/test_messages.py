"""What a request tells its visitor: sentences of this package, without the server's paths."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stir_hf.errors import RequestError
from stir_hf.models.load.messages import readable
from stir_hf.space.work import TOO_LARGE, Send, attempt


def told(work: Any) -> Exception:
    """The error that a request sends."""
    sent: list[dict[str, Any]] = []
    attempt(work, None, Path(), sent.append)
    error: Exception = sent[-1]["error"]
    return error


def too_much() -> None:
    torch.empty(1 << 55)


@pytest.mark.parametrize("doing", ["loading", "reading", "computing"])
def test_too_little_memory_is_one_sentence(doing: str) -> None:
    """However deep in the libraries it ran out."""

    def work(_: Any, __: Path, ___: Send) -> None:
        if doing == "loading":
            with readable("lab/large"):
                too_much()
        try:
            too_much()
        except RuntimeError as error:
            if doing == "computing":
                raise
            raise RequestError(f"dataset lab/x cannot be loaded: {error}") from error

    assert str(told(work)) == TOO_LARGE
