"""Requests to the Hub, their retries and errors, and names of repos."""

from stir_hf.hub.found import Found
from stir_hf.hub.names import (
    destination,
    is_hub_id,
    is_local,
    is_path,
    is_there,
    no_such_folder,
    split_revision,
)
from stir_hf.hub.refusals import (
    hub_errors,
    is_invalid,
    is_of_the_hub,
    is_unreachable,
    not_cached,
    only_cached,
    silence,
    status_of,
    storage_errors,
)
from stir_hf.hub.repos import SMALL_FILES, about, fetch, resolve
from stir_hf.hub.retry import again, once, one_run, request

__all__ = [
    "SMALL_FILES",
    "Found",
    "about",
    "again",
    "destination",
    "fetch",
    "hub_errors",
    "is_hub_id",
    "is_invalid",
    "is_local",
    "is_of_the_hub",
    "is_path",
    "is_there",
    "is_unreachable",
    "no_such_folder",
    "not_cached",
    "once",
    "one_run",
    "only_cached",
    "request",
    "resolve",
    "silence",
    "split_revision",
    "status_of",
    "storage_errors",
]
