"""What goes to the Hub, and what is read from there."""

from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.publish.leaderboard import boards, boards_text
from stir_hf.publish.push import (
    check_destination,
    check_models,
    entries,
    publish,
    push,
    push_folder,
    send,
)

__all__ = [
    "PublishConfig",
    "ShareConfig",
    "boards",
    "boards_text",
    "check_destination",
    "check_models",
    "entries",
    "publish",
    "push",
    "push_folder",
    "send",
]
