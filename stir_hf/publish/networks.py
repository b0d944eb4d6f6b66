"""Present Hub ids of judged models, and grouping of the scores of one network."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stir_hf.hub import is_of_the_hub, is_unreachable, status_of

_log = logging.getLogger("stir_hf")
MOST_ASKED = 200
"""Number of models for which the Hub is asked; others keep the name in their scores."""
_AT_A_TIME = 8
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)


def present_ids(judged: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The present Hub id of each model by `id_key`, as models may be renamed or spelt with other
    capitals.

    Each id is requested once. Models that are deleted, not visible or without such a commit are
    left out. If the Hub is unreachable, no further requests are made.

    Args:
        judged: names of models, each with a commit.
    """
    ids = {id_key(name): (repo_of(name), commit) for name, commit in judged}
    asked = [(name, commit) for name, commit in ids.values() if _ID.fullmatch(name)]
    if len(asked) > MOST_ASKED:
        _log.warning(f"of {len(asked)} models, {MOST_ASKED} are looked up on the Hub")
    found: dict[str, str] = {}
    for start in range(0, min(len(asked), MOST_ASKED), _AT_A_TIME):
        some = asked[start : start + _AT_A_TIME]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            answers = list(pool.map(_present_id, some))
        found |= {id_key(one): now for (one, _), now in zip(some, answers, strict=True) if now}
        if None in answers:
            _log.warning("the Hub gave no answer: a model that was renamed may stand twice")
            break
    return found


def _present_id(judged: tuple[str, str]) -> str | None:
    """The present id of a model; empty if the Hub shows none, None if it does not answer."""
    import huggingface_hub as hub

    name, commit = judged
    try:
        info = hub.HfApi().model_info(name, revision=commit, expand=["sha"], timeout=10)
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error):
            raise
        return None if is_unreachable(error) or status_of(error) == 429 else ""
    return info.id if _ID.fullmatch(info.id) else ""


def id_key(name: str) -> str:
    """The common part of all names of a model: its id in lower case without a revision."""
    return repo_of(name).casefold()


def repo_of(name: str) -> str:
    """The id in the name of a network in a score, such as `id@revision`; the name may be
    any text.
    """
    return name.partition("@")[0]


def together(keys: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Group scores by network: the positions of scores that share any key, directly or through
    other scores.

    Args:
        keys: for each score its keys by kind; None equals no other key.
    """
    groups: list[list[int]] = []
    of: dict[tuple[str, Any], int] = {}
    for place, mine in enumerate(keys):
        known = [(kind, value) for kind, value in mine.items() if value is not None]
        joined = sorted({of[key] for key in known if key in of})
        target = joined[0] if joined else len(groups)
        if not joined:
            groups.append([])
        for other in joined[1:]:
            groups[target] += groups[other]
            groups[other] = []
            of |= {key: target for key, group in of.items() if group == other}
        groups[target].append(place)
        of |= dict.fromkeys(known, target)
    return [sorted(group) for group in groups if group]
