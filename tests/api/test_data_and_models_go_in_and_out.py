from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gristmill.client.asynchronous import AsyncClient
from gristmill.core.errors import NotFound, Unprocessable
from tests.api.conftest import Door


def test_a_dataset_is_added_once_for_the_same_content(door: Door, small_csv: Path) -> None:
    with door.client() as client:
        first = client.datasets.add(small_csv, name="colours", task="tabular-classification", target="colour")
        again = client.datasets.add(small_csv, name="colours", task="tabular-classification", target="colour")
        assert (first["version"], again["version"], first["digest"]) == (1, 1, again["digest"])
        small_csv.write_text(small_csv.read_text() + "\n3,1.5,red")
        assert (
            client.datasets.add(small_csv, name="colours", task="tabular-classification", target="colour")["version"]
            == 2
        )
        assert client.datasets.get("colours")["version"] == 2
        assert client.datasets.get("colours", 1)["rows"] == 60


def test_a_dataset_says_its_licence_source_and_cost(door: Door, small_csv: Path) -> None:
    with door.client() as client:
        client.datasets.add(small_csv, name="priced", cost="120USD", licence="CC0-1.0", source="a colleague")
        found = client.datasets.get("priced")
    assert (found["cost_micro"], found["currency"]) == (120_000_000, "USD")
    assert (found["licence"], found["source"]) == ("CC0-1.0", "a colleague")


def test_an_image_folder_travels_as_a_tar(door: Door, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(12):
            shade = (number * 20, 0 if label == "cat" else 255, number)
            image.new("RGB", (8, 8), shade).save(tmp_path / "pets" / label / f"{number}.png")
    with door.client() as client:
        version = client.datasets.add(tmp_path / "pets", name="pets", task="image-classification")
        profile = client.datasets.profile("pets")
    assert version["rows"] == 24
    assert profile


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("a,b\n1,2\n3", "Expected 2 columns"), ("a,a\n1,2", "'a'")])
def test_data_that_is_no_data_is_refused_with_the_place(door: Door, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with door.client() as client, pytest.raises(Unprocessable, match=says):
        client.datasets.add(path, name="broken")


def test_a_file_that_is_not_there_is_said_before_anything_is_sent(door: Door) -> None:
    with door.client() as client, pytest.raises(NotFound, match="no-such"):
        client.datasets.add("no-such.csv", name="nothing")


def test_the_async_client_gives_the_same_answers(door: Door, small_csv: Path) -> None:
    async def all_of_it() -> tuple[object, ...]:
        async with AsyncClient(url=door.url, key=door.key) as client:
            added = await client.datasets.add(small_csv, name="twice")
            return added, await client.datasets.list(), await client.keys.list(), await client.books.rates()

    added, *lists = asyncio.run(all_of_it())
    with door.client() as client:
        assert added == client.datasets.add(small_csv, name="twice")
        assert lists == [client.datasets.list(), client.keys.list(), client.books.rates()]


def test_the_books_of_a_new_tenant_balance(door: Door, tmp_path: Path) -> None:
    with door.client() as client:
        assert client.books.check()["problems"] == []
        client.books.export("postings", tmp_path / "postings.csv")
        assert (tmp_path / "postings.csv").read_text().startswith('"number","event"')


@pytest.mark.parametrize(
    ("task", "architecture", "target", "lacks"),
    [
        ("image-classification", "cnn", "colour", "'image'"),
        ("text-classification", "bilstm", None, "'label'"),
        ("tabular-classification", "mlp", "weight", "'weight'"),
        ("text-generation", "gpt", None, "text or messages"),
    ],
)
def test_a_recipe_for_columns_that_the_dataset_has_not_is_refused_before_it_is_queued(
    door: Door, small_csv: Path, task: str, architecture: str, target: str | None, lacks: str
) -> None:
    with door.client() as client:
        client.datasets.add(small_csv, name="unfit")
        before = len(client.runs.list())
        recipe = {"name": "unfit", "task": task, "data": {"dataset": "unfit", "target": target},
                  "architecture": {"name": architecture}}  # fmt: skip
        with pytest.raises(Unprocessable, match=lacks) as refused:
            client.runs.train(recipe)
        assert "a, b, colour" in refused.value.message
        assert len(client.runs.list()) == before
