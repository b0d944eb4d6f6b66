"""Errors of `from_pretrained` in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from stir_hf.errors import RequestError, RunError, is_out_of_memory, one_line

_OTHER_REVISION = (
    " (some have a revision whose backbone is not timm's: facebook/detr-resnet-50@no_timm)"
)


@contextmanager
def readable(model: str, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn an error of `from_pretrained` into one line.

    Raises:
        RequestError: the error in one line.
        RunError: too little memory.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (RequestError, RunError):
        raise
    except SafetensorError as error:
        raise RequestError(
            f"weights of model {model} are broken or truncated: {one_line(error)}"
        ) from error
    except Exception as error:  # configurations fail in many ways
        if is_out_of_memory(error):
            raise RunError(
                f"out of memory while model {model} was loaded; use a device with more memory, or a"
                " smaller dtype"
            ) from error
        if "trust_remote_code" in str(error):
            raise RequestError(
                f"model {model} needs Python code from its repo, which is not run",
                " by default; review the code, then allow it with --trust-remote-code",
            ) from error
        other = _OTHER_REVISION if "timm" in str(error) else ""
        raise RequestError(f"model {model} {what}: {one_line(error)}{other}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the loader's progress bars and its warnings about missing weights, which we check."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
