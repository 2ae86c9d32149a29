from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.cli.failure import Failed, guarded
from gristmill.cli.main import run
from gristmill.core.errors import Conflict


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path))
    return tmp_path


def _raise(error: Exception) -> None:
    raise error


ELECTRICITY = ("--item", "energy.electricity", "--unit", "kwh")
SERVERS = ("--name", "servers", "--amount", "9USD", "--on", "team")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["statu"], "Did you mean 'status'?"),
        (["up", "--inference-port", "http"], "--inference-port"),
        (["train"], "RECIPE.yaml"),
        (["train", "no-such-file.yaml"], "no-such-file.yaml"),
        (["deploy", "digits"], "write NAME@VERSION, as in digits@1"),
        (["deploy", "Digits@1"], "does not name a version"),
        (["deploy", "digits@1", "--replicas", "many"], "a range such as 1..4"),
        (["deploy", "digits@1", "--replicas", "4..1"], "the lower number first"),
        (["data", "add", "wine", ".", "--cost", "lots"], "is not an amount of money"),
        (["books", "report", "profit"], "profit"),
        (["books", "report", "margin", "--from", "never"], "not a time"),
        (["books", "report", "rate-change", "--propose", "compute.cpu=1"], "proposes no rate"),
        (["books", "rates", "--item", "compute.cpu", "--unit", "core_hour", "--price", "1"], "is not a price"),
        (["books", "rates", *ELECTRICITY, "--price", "1USD", "--card", "emissions"], "445g"),
        (["books", "rates", *ELECTRICITY, "--price", "1USD", "--card", "exchange"], "not on the card exchange"),
        (["books", "rates", "--item", "compute.cpu", "--unit", "mile", "--price", "1USD"], "core_hour"),
        (["books", "rates", "--item", "compute.tpu", "--unit", "kwh", "--price", "1USD"], "no item 'compute.tpu'"),
        (["books", "report", "rate-change", "--propose", "compute.cpu=1USD/mile"], "core_hour"),
        (["books", "report", "cost", "--by", "month"], "does not go by month"),
        (["books", "report", "cost", "--from", "2026-01"], "not narrowed by days"),
        (["books", "report", "margin", "--team", "miller"], "not narrowed by a team"),
        (["books", "hours", "--who", "a", "--hours", "0", "--on", "team"], "without 0"),
        (["books", "services", "--name", "a b", "--amount", "3USD", "--on", "team"], "not valid"),
        (["books", "data", "rye", "--amount", "3USD"], "rye@1"),
        (["books", "reverse", "event_1", "--reason", " "], "it is empty"),
        (["books", "allocate", "--spread", "metric"], "belong together"),
        (["books", "allocate", "--on", "model:a", "--on", "model:a"], "named twice"),
        (["books", "compute", "--on", "team"], "Say what was used"),
        (["books", "compute", "--on", "team", "--kwh", "1", "--pue", "0.5"], "1 or more"),
        (["books", "compute", "--on", "team", "--gpu-hours", "1", "--pue", "1.5"], "goes with --kwh"),
        (["books", "compute", "--on", "team", "--gpu-hours", "-1"], "hours are a number"),
        (["books", "compute", "--on", "team", "--gpu-hours", "1", "--hardware", "A 100"], "not valid"),
        (["books", "hardware", *SERVERS, "--life-days", "100", "--days", "101"], "more than the life"),
        (["books", "hardware", *SERVERS, "--life-days", "0", "--days", "0"], "without 0"),
        (["books", "hardware", *SERVERS, "--life-days", "9", "--days", "1", "--share", "2"], "at most 1"),
        (["books", "invoice", "--month", "2026-13"], "is not a month"),
        (["books", "inherit", "a@1", "--from", "b@1", "--share", "2"], "more than 0 and at most 1"),
        (["books", "services", "--name", "a", "--amount", "-3USD", "--on", "team"], "negative"),
        (["books", "hours", "--who", "a", "--hours", "1", "--on", "team", "--at", "soon"], "not a time"),
        (["books", "hours", "--who", "a", "--hours", "nan", "--on", "team"], "hours are a number from 0 to 1,000,000"),
        (["books", "hours", "--who", " ", "--hours", "1", "--on", "team"], "it is empty: write a name"),
        (["books", "services", "--name", "", "--amount", "3USD", "--on", "team"], "it is empty: write a name"),
        (["books", "services", "--name", "a", "--amount", "3USD", "--on", "team", "--calls", "inf"], "calls are"),
        (["books", "report", "cost", "--from", "2026-12", "--to", "2026-01"], "lies before --from 2026-12"),
        (["books", "report", "cost", "--picture", "cost.gif"], "neither"),
        (
            ["books", "rates", "--item", "x", "--unit", "kwh", "--price", "1USD", "--card", "visa"],
            "'visa' is not one of",
        ),
        (
            [
                "books",
                "rates",
                "--item",
                "x",
                "--unit",
                "kwh",
                "--price",
                "1USD",
                "--from",
                "2026-05",
                "--to",
                "2026-04",
            ],
            "lies before",
        ),
        (["books", "set-budget", "nowhere", "12USD"], "none of tenant, key:ID"),
        (["books", "remove-budget", "model:"], "none of tenant, key:ID"),
        (["books", "allocate", "--on", "model:a", "--weight", "1", "--weight", "2"], "there are 2 and 1"),
        (["books", "write-down", "a@1", "--method", "straight-line"], "needs --days"),
        (["books", "write-down", "a@1", "--method", "units-of-production", "--days", "3"], "takes no --days"),
        (["books", "write-down", "a@1", "--method", "straight-line", "--days", "nan"], "days are a number"),
        (["forecast", "digits", "--budget", "much"], "is not an amount of money"),
        (["forecast", "--csv", ".", "--x", "N,D", "--y", "loss"], "is a directory"),
        (["forecast", "--csv", __file__, "--x", "N,N", "--y", "loss"], "each should be another column"),
        (["forecast", "digits", "--at", "rows=many"], "no NAME=NUMBER"),
        (["forecast", "digits", "--target", "accuracy"], "no NAME=NUMBER"),
        (["forecast", "digits", "--inputs", "luck"], "luck"),
        (["forecast", "--csv", __file__, "--x", "N,D", "--y", "loss", "--at", "D=many"], "no NAME=NUMBER"),
        (["keys", "create", "ci", "--role", "root"], "root"),
    ],
)
def test_bad_arguments_exit_2_and_say_which(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert says in output.err
    assert len(output.err.splitlines()) == 1


_WINE = "name: wine\ntask: tabular-classification\n"


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("", "empty or not a mapping"),
        ("name: [\n", "not valid YAML in line 2"),
        ("dataset: wine@1\n", "write the dataset as data: {dataset: wine@1}"),
        (_WINE + "data: wine@1\n", "write the dataset as data: {dataset: wine@1}"),
        (_WINE + "data: {dataset: wine}\narchitecture: mlp\n", "should hold fields: name"),
        (_WINE + "data: {dataset: wine}\narchitecture: {name: cnn}\n", "cnn is for image-classification"),
        (_WINE + "data: {dataset: wine}\narchitecture: {name: mlp}\ntraining: {epochs: -3}\n", "training.epochs is -3"),
        ("name: wine\ntask: wines\ndata: {dataset: wine}\narchitecture: {name: mlp}\n", "not wines"),
    ],
)
def test_a_recipe_that_is_wrong_in_itself_exits_2_before_anybody_is_asked(
    home: Path, recipe: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "wine.yaml").write_text(recipe)
    assert run(["train", str(home / "wine.yaml")]) == 2
    sentence = capsys.readouterr().err
    assert says in sentence
    assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "is empty"),
        ("N,D,loss\n", "no rows below its header"),
        ("1,2,3\n4,5,6\n", "no header: line 1 holds numbers"),
        ("# a comment\nN;D;loss\n1e6;2e8;1,5\n1e7;;2\n", "line 4: nothing stands in 'D'"),
        ("N,D,loss\n1e6,2e8,nan\n", "line 2: 'nan' is no number in 'loss'"),
        ("N D Loss\n70M 1.4B 2.5\n", "no column 'steps': it has N, D, Loss"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_by_its_line(
    home: Path, table: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "runs.csv"
    path.write_text(table)
    inputs = "N,steps" if "Loss" in table else "N,D"
    assert run(["forecast", "--csv", str(path), "--x", inputs, "--y", "loss"]) == 1
    sentence = capsys.readouterr().err
    assert says in sentence
    assert len(sentence.splitlines()) == 1


def test_an_error_of_the_platform_exits_1_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raise(Conflict("Two at once."))) == 1
    assert capsys.readouterr().err == "Two at once.\n"


def test_a_command_that_says_no_exits_1_and_may_have_said_it_already(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raise(Failed())) == 1
    assert capsys.readouterr().err == ""


def test_a_bug_shows_no_traceback_but_keeps_it_in_the_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raise(KeyError("oops"))) == 1
    sentence = capsys.readouterr().err
    assert "Traceback" not in sentence
    line = json.loads((home / "cli.log").read_text())
    assert line["request_id"] in sentence
    assert "KeyError" in line["traceback"]


def test_an_interruption_is_no_failure_to_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: _raise(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("command", ["status", "runs list", "books check", "endpoints list"])
def test_without_a_platform_a_command_says_how_to_start_one(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_CONTROL_PORT", "9")  # discard: nothing listens there
    assert run([*command.split(), "--json"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "gristmill up" in output.err
    assert len(output.err.splitlines()) == 1
