"""Text of others on a terminal: one line, nothing that a terminal obeys."""

from collections.abc import Callable

import pytest

from stir_hf.errors import RequestError, one_line, printable

HOSTILE = "a\x1b[31mred\r\n| forged |\u2028\u202eright\ud800\x07\t\x9b2J"


@pytest.mark.parametrize("make", [printable, lambda text: str(RequestError(text))])
def test_a_line_holds_nothing_that_a_terminal_obeys(make: Callable[[str], str]) -> None:
    line = make(HOSTILE)
    assert line.isprintable()
    assert line.encode().decode() == line  # no surrogate is left
    assert line == r"a\x1b[31mred | forged | \u202eright\ud800\x07 \x9b2J"


@pytest.mark.parametrize("plain", ["", "org/model", "é ☃ 猫", "a  b"])
def test_plain_text_stays(plain: str) -> None:
    assert printable(plain) == plain


def test_a_line_of_an_error_of_others_is_printable() -> None:
    assert one_line(ValueError("bad\x1b]0;title\x07")) == r"bad\x1b]0;title\x07"
