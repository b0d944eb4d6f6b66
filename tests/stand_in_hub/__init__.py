"""A stand-in Hugging Face Hub on 127.0.0.1, for the real clients through HF_ENDPOINT."""

from tests.stand_in_hub.server import serve
from tests.stand_in_hub.store import Fault, StandInHub

__all__ = ["Fault", "StandInHub", "serve"]
