"""The text of the card of a repo, from plain data."""

from stir_hf.report.cards.scores import MOST_ROWS, Row, tables
from stir_hf.report.cards.sets import Shown
from stir_hf.report.cards.text import Held, card_text

__all__ = ["MOST_ROWS", "Held", "Row", "Shown", "card_text", "tables"]
