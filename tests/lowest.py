"""The lower bounds of pyproject.toml, printed as constraints for pip; `make test-lowest` installs
them.

torch stays the build that constraints.txt pins: its bound is argued in pyproject.toml, not tested.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_LOWERED = {"torch"}
FORM = r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?>=([0-9][0-9a-z.]*)(?:,<[0-9.]+)?"


def lowest(requirements: Iterable[str], pinned: Iterable[str]) -> Iterator[str]:
    """The constraints: each requirement at its lower bound, what is not lowered as it is pinned.

    Raises:
        ValueError: a requirement has no lower bound, or more than an upper one beside it.
    """
    for requirement in requirements:
        match = re.fullmatch(FORM, requirement)
        if match is None:
            form = "name>=version or name>=version,<version"
            raise ValueError(f"pyproject.toml: {requirement!r} is not of the form {form}")
        if match[1] not in NOT_LOWERED:
            yield f"{match[1]}=={match[2]}"
    yield from (line for line in pinned if line.partition("==")[0] in NOT_LOWERED)


def main() -> None:
    """Print the constraints for what the package and its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["test"]
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    sys.stdout.writelines(f"{line}\n" for line in lowest(requirements, pinned))


if __name__ == "__main__":
    main()
