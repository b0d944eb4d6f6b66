"""Text of others on a terminal: one line, nothing that a terminal obeys."""

import io
import json
import math
import re
from collections.abc import Callable

import pytest
from PIL import Image

from stir_hf.cli.streams import echo, echo_json
from stir_hf.errors import RequestError, one_line, printable
from stir_hf.report import heat_map
from tests.conftest import ROOT
from tests.test_report import result

HOSTILE = "a\x1b[31mred\r\n| forged |\u2028\u202eright\ud800\x07\t\x9b2J"


@pytest.mark.parametrize("make", [printable, lambda text: str(RequestError(text))])
def test_a_line_holds_nothing_that_a_terminal_obeys(make: Callable[[str], str]) -> None:
    line = make(HOSTILE)
    assert line.isprintable()
    assert line.encode().decode() == line  # no surrogate is left
    assert line == r"a\x1b[31mred | forged | \u202eright\ud800\x07 \x9b2J"


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "org/model",
        "é ☃ 猫",
        "a  b",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "Screenshot at 9.00\u202fAM, 猫\u3000犬, n\xa0= 3",
    ],
)
def test_plain_text_stays(plain: str) -> None:
    assert printable(plain) == plain


def test_what_does_not_show_is_shown_between_letters() -> None:
    assert printable("lab/mo\u200ddel \u200c") == r"lab/mo\u200ddel \u200c"


def test_a_line_of_an_error_of_others_is_printable() -> None:
    assert one_line(ValueError("bad\x1b]0;title\x07")) == r"bad\x1b]0;title\x07"


def test_commands_print_through_one_function() -> None:
    direct = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "stir_hf" / "cli").glob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"click\.s?echo\(|\bprint\(|json\.dumps\((?!.*allow_nan=False)", line)
        and "printable" not in line
    ]
    assert direct == ["streams.py: click.echo(json.dumps(value, allow_nan=False))"]


def test_lines_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    echo("one", HOSTILE, "")
    shown = capsys.readouterr().out
    assert shown == f"one\n{printable(HOSTILE)}\n\n"
    with pytest.raises(ValueError, match="not JSON compliant"):
        echo_json({"stir": math.nan})
    echo_json([HOSTILE])
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown) == [HOSTILE]


@pytest.mark.parametrize("name", [r"$\frac{", HOSTILE.replace("\ud800", ""), "m" * 100_000])
def test_a_name_is_drawn_as_text_of_bounded_width(name: str) -> None:
    figure = heat_map(result((name, "output"), ("b", "output"))).get_figure(root=True)
    assert figure is not None
    file = io.BytesIO()
    figure.savefig(file, dpi=20, bbox_inches="tight")
    with Image.open(file, formats=("PNG",)) as picture:
        assert max(picture.size) < 600
