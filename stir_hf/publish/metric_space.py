"""The evaluate module where `evaluate` looks for it: in its cache."""

import shutil
from pathlib import Path

from stir_hf.errors import RequestError

NAME = "stir"


def card_folder() -> Path:
    """The folder of the evaluate module: its script, its card and its app.

    Raises:
        RequestError: this installation lacks it.
    """
    package = Path(__file__).parent.parent
    for folder in (package / "metric_card" / NAME, package.parent / "metric_card" / NAME):
        if (folder / f"{NAME}.py").is_file():
            return folder
    raise RequestError(f"this installation of stir-hf lacks metric_card/{NAME}; install it again")


def install_metric() -> Path:
    """Put the module into evaluate's cache, where `evaluate.load("stir")` finds it without the
    Hub; returns the folder.

    `evaluate` looks on the Hub first, so that a canonical module of that name, once there is one,
    is what it takes.
    """
    from evaluate import loading

    folder = _place()
    _remove(folder)
    loading._create_importable_file(  # private, but the only door there is: evaluate 0.4.6
        local_path=str(card_folder() / f"{NAME}.py"),
        local_imports=[],
        additional_files=[],
        dynamic_modules_path=str(folder.parent.parent),
        module_namespace=folder.parent.name,
        name=f"evaluate-metric/{NAME}",
        download_mode=None,
    )
    return folder


def uninstall_metric() -> Path:
    """Take the module out of evaluate's cache again; returns the folder that is gone.

    Raises:
        RequestError: it is not there.
    """
    folder = _place()
    if not folder.is_dir():
        raise RequestError(f"the metric is not installed: there is no {folder}")
    _remove(folder)
    return folder


def _place() -> Path:
    from evaluate import loading

    return Path(loading.init_dynamic_modules()) / "metrics" / f"evaluate-metric--{NAME}"


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
