"""The names by which the Hub knows judged models now, and scores of one network put together."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import huggingface_hub as hub

from stir_hf.hub import is_of_the_hub, is_unreachable, status_of

_log = logging.getLogger("stir_hf")
MOST_ASKED = 200
"""The number of models that are asked for; the others stay as their scores name them."""
_AT_A_TIME = 8
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)


def present_ids(judged: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The id that the Hub gives each model now, by `id_key`: of one that was renamed, or is spelt
    with other capitals.

    Each id is asked for once; one that is gone, that may not be seen or that has no such commit is
    not in what is returned. A Hub out of reach is not asked further.
    """
    ids = {id_key(name): (repo_of(name), commit) for name, commit in judged}
    asked = [(name, commit) for name, commit in ids.values() if _ID.fullmatch(name)]
    if len(asked) > MOST_ASKED:
        _log.warning(f"of {len(asked)} models, {MOST_ASKED} are looked up on the Hub")
        asked = asked[:MOST_ASKED]
    found: dict[str, str] = {}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for start in range(0, len(asked), _AT_A_TIME):
            some = asked[start : start + _AT_A_TIME]
            answers = list(pool.map(_present_id, some))
            found |= {
                id_key(name): now for (name, _), now in zip(some, answers, strict=True) if now
            }
            if None in answers:
                _log.warning("the Hub gave no answer: a model that was renamed may stand twice")
                break
    return found


def _present_id(judged: tuple[str, str]) -> str | None:
    """The id of a model now; empty if the Hub shows none, None if it gives no answer."""
    name, commit = judged
    try:
        info = hub.HfApi().model_info(name, revision=commit, expand=["sha"], timeout=10)
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error):
            raise
        return None if is_unreachable(error) or status_of(error) == 429 else ""
    return info.id if _ID.fullmatch(info.id) else ""


def id_key(name: str) -> str:
    """The part that the names of one model share: its id without the revision and capitals."""
    return repo_of(name).casefold()


def repo_of(name: str) -> str:
    """The id in what a score calls a network of the Hub, which may be any text: `id@revision`."""
    return name.partition("@")[0]


def together(keys: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Places of scores that are of one network: those that share any of their keys, directly or
    through others. A key with the value None is shared with none.
    """
    groups: list[tuple[set[tuple[str, Any]], list[int]]] = []
    for place, mine in enumerate(keys):
        known, places = {one for one in mine.items() if one[1] is not None}, [place]
        joined = [group for group in groups if not group[0].isdisjoint(known)]
        groups = [group for group in groups if group[0].isdisjoint(known)]
        for its_keys, its_places in joined:
            known, places = known | its_keys, places + its_places
        groups.append((known, places))
    return sorted(sorted(places) for _, places in groups)
