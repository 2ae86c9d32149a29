"""What the command line says to wrong lines, through a real platform where one is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.cli.explain import save_picture
from gristmill.cli.failure import guarded, say
from gristmill.cli.main import run
from tests.running import Platform


@pytest.mark.parametrize("group", ["data", "runs", "models", "endpoints", "keys", "tenants", "books"])
def test_a_group_without_a_command_prints_one_sentence_and_nothing_on_stdout(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([group]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"Missing command. See `gristmill {group} --help`.\n"


def test_nothing_at_all_asks_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("deploy a@1 --strategy magic", "Invalid value for '--strategy': 'magic' is not one of"),
        ("data show wine@latest", "a dataset's version is a number, and 'latest' is none"),
        ("models compare wine@1", "name two or more versions"),
        ("models compare wine@1 wine", "write NAME@VERSION, as in wine@1"),
        ("data add", "Missing argument 'NAME'"),
        ("deploy a@1 --cores -1", "Invalid value for '--cores': Input should be greater"),
    ],
)
def test_what_the_line_alone_shows_to_be_wrong_exits_2(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    output = capsys.readouterr()
    assert (output.out, says in output.err, len(output.err.splitlines())) == ("", True, 1), output.err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: (tmp_path / "no" / "x.png").write_bytes(b"x")) == 1
    assert capsys.readouterr().err == f"{tmp_path}/no/x.png cannot be used: no such file or directory.\n"


def test_a_page_that_is_saved_says_by_itself_how_it_is_read(tmp_path: Path) -> None:
    save_picture({"explanations": [{"picture": "<p>磨坊 {}</p>"}]}, tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.startswith('<!doctype html><html><head><meta charset="utf-8">')
    assert "<p>磨坊 {}</p>" in page


def test_a_sentence_that_quotes_a_file_gives_no_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert say("bin.csv is wrong: \x1b[2J\x07 here.", 1) == 1
    assert capsys.readouterr().err == "bin.csv is wrong: �[2J� here.\n"


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        (["predict", "wine", "[[1, 2"], 1, "INPUT is not valid JSON, so it was sent as text: "),
        (["predict", "wine", "/nope.png"], 1, "INPUT is neither JSON nor a file ('/nope.png')"),
        (["models", "alias", "wine@2", "best", "--remove"], 1, "stands for wine@1, not for wine@2"),
        (["models", "show", "wine@99999999999999999999999"], 1, "There is no version wine@99999"),
        (["data", "show", "wine@99999999999999999999999"], 1, "There is no dataset wine@99999"),
        (["runs", "watch", "run_nope"], 1, "There is no run 'run_nope'"),
        (["runs", "show", "what?"], 1, "There is no run 'what?'"),
        (["deploy", "wine@1", "--endpoint", "a/b"], 1, "The endpoint name 'a/b' is not valid"),
    ],
)
def test_what_only_the_platform_knows_exits_1_with_one_sentence(
    wine_platform: Platform, line: list[str], status: int, says: str
) -> None:
    wine_platform.cli("models", "alias", "wine@1", "best")
    ended = wine_platform.cli(*line, check=False)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (status, "", 1), ended.stderr
    assert says in ended.stderr
