"""What goes to the Hub, and what is read from there."""

from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.publish.leaderboard import boards, boards_text
from stir_hf.publish.push import (
    check_destination,
    publish,
    push,
    push_folder,
    send,
)
from stir_hf.publish.steps import push_all

__all__ = [
    "PublishConfig",
    "ShareConfig",
    "boards",
    "boards_text",
    "check_destination",
    "publish",
    "push",
    "push_all",
    "push_folder",
    "send",
]
