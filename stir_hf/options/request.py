"""The request of a run, as its result records it."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from stir_hf.data.identity import hash_of
from stir_hf.data.sets.folder import OutputConfig
from stir_hf.data.sets.manifest import Manifest
from stir_hf.engine import OBJECTIVES, RelativeError
from stir_hf.models import Opened
from stir_hf.models.load.spec import LayerConfig
from stir_hf.options.fields import options_of
from stir_hf.options.verbs import MatrixOptions, PairConfig, ScoreOptions
from stir_hf.publish.config import PublishConfig
from stir_hf.runtime import ProcessConfig
from stir_hf.similarity import MEASURES

UNRECORDED = (LayerConfig, PairConfig, ProcessConfig, OutputConfig, PublishConfig)
"""Dataclasses whose options a result records elsewhere, or not at all."""


def _objective(made: Manifest) -> str:
    """The objective of a set, with its further models by their names in results."""
    spelling = made.identity["engine"].get("objective")
    objective = RelativeError() if spelling is None else OBJECTIVES.build(spelling)
    return OBJECTIVES.text(objective.of_networks(made.names.get("objective") or ()))


def asked_for(
    options: MatrixOptions | ScoreOptions, networks: Sequence[Opened], sets: Sequence[Manifest]
) -> dict[str, Any]:
    """Return the request: names, revisions resolved to commits, every option, and a hash.

    Equal hashes belong to the same run: the verb, the networks, the inversion sets and the measure,
    whatever the number of images.
    """
    models = [
        {
            "model": n.label,
            "revision": n.encoder.commit,
            "layer": n.encoder.layer,
            "dtype": n.identity["precision"]["dtype"],
            "processor_class": n.encoder.preprocessing.processor,
        }
        for n in networks
    ]
    different = {s.hash: s for s in sets}.values()
    data = [{**s.names, "engine": s.identity["engine"], "hash": s.hash[:16]} for s in different]
    found: dict[str, Any] = {"command": options.verb, "models": models, "data": data}
    for field in fields(options):
        config = getattr(options, field.name)
        if not isinstance(config, UNRECORDED):
            found |= {o.name: o.written(getattr(config, o.name)) for o in options_of(type(config))}
    if "objective" in found:
        found["objective"] = _objective(sets[0])
    found["inversion_sets"] = [s.hash[:16] for s in sets]
    same = [
        options.verb,
        [hash_of(n.identity) for n in networks],
        [s.hash for s in sets],
        [MEASURES.spelling(measure) for measure in options.judge.measure],
    ]
    return {**found, "hash": hash_of(same)[:16]}
