"""Options whose value was left out are named; none takes the next option for its value."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("export", "lite", "--calib-data", "ir", "--imgsz", "64", "64"),
            "--calib-data takes 2 values (IR VIS), and the option --imgsz follows ir",
        ),
        (
            ("export", "lite", "--pairs=ir", "-o", "x.onnx"),
            "--pairs takes 2 values (IR VIS), and the option -o follows ir",
        ),
        (
            ("export", "lite", "--pairs", "ir", "--no-such-option"),
            "--pairs takes 2 values (IR VIS), and the option --no-such-option follows ir",
        ),
        (
            ("export", "lite", "--min-imgsz", "--dynamic"),
            "--min-imgsz takes 2 values (H W), and the option --dynamic follows --min-imgsz",
        ),
        (("fuse", "--ir", "--vis", "b.png"), "--ir takes a value, and the option --vis follows"),
        (("eval", "--ir", "--vis=b"), "--ir takes a value, and the option --vis=b follows"),
        (("bench", "lite", "--imgsz", "--json"), "--imgsz takes a value, and the option --json follows"),
        (("data", "check", "x", "--split", "--json"), "--split takes a value, and the option --json follows"),
    ],
)
def test_an_option_is_no_value(run_cli, arguments: tuple[str, ...], message: str) -> None:
    """One line that names the option without its value and what follows, for commands and groups alike."""
    result = run_cli(*arguments)
    assert (result.code, result.err.strip()) == (2, f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("calibrate", "--time-offset", "-12"), "choose one: --auto"),
        (("stream", "--ir", "synthetic:", "--preview-token", "-x"), "give both --ir and --vis"),
        (("stream", "--ir", "synthetic:", "--agc-range", "-20C:60C"), "give both --ir and --vis"),
    ],
)
def test_a_dash_may_begin_a_value(run_cli, arguments: tuple[str, ...], message: str) -> None:
    """Negative numbers and texts that are no option of the command are taken as they are."""
    result = run_cli(*arguments)
    assert message in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "lite", "--seconds", "nan"),
        ("bench", "kernels", "--seconds", "nan"),
        ("bench", "stream", "lite", "--seconds", "nan"),
        ("bench", "train", "lite", "--seconds", "nan"),
        ("train", "lite", "--data", "x", "--max-minutes", "nan"),
    ],
)
def test_a_time_of_nan_is_refused(run_cli, arguments: tuple[str, ...]) -> None:
    """It would never be over."""
    result = run_cli(*arguments)
    assert result.code == 2
    assert f"{arguments[-2]} " in result.err
    assert "at least 0" in result.err or "above 0" in result.err


def test_what_follows_two_dashes_is_no_option(run_cli) -> None:
    """Files may have any name there."""
    result = run_cli("inspect", "--", "--json")
    assert "--json: no such file" in result.err
