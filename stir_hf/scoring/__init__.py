"""Scores of models on inversion sets: three forward passes per input."""

from stir_hf.scoring.checks import JudgeConfig, check, check_count, check_first
from stir_hf.scoring.judging import judge
from stir_hf.scoring.notes import notes_on

__all__ = ["JudgeConfig", "check", "check_count", "check_first", "judge", "notes_on"]
