"""Names of inversion sets."""

import hashlib
import json
import re
from typing import Any


def slug(name: str, recipe: dict[str, Any]) -> str:
    """A short name of letters, digits, `-` and `_` for what `recipe` makes: readable first, then a hash of all of it."""
    readable = (
        re.sub(r"[^A-Za-z0-9_]+", "-", name.rstrip("/").rpartition("/")[2]).strip("-")[:40]
        or "model"
    )
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return f"{readable}-{digest[:10]}"
