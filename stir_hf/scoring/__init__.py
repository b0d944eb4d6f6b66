"""One model judged on one inversion set: three forward passes per image."""

from stir_hf.scoring.checks import JudgeConfig, check, check_count, check_first
from stir_hf.scoring.judging import judge
from stir_hf.scoring.notes import notes_on

__all__ = ["JudgeConfig", "check", "check_count", "check_first", "judge", "notes_on"]
