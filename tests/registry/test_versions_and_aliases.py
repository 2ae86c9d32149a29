import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gristmill.bundles.digests import scan, verify
from gristmill.bundles.manifest import FileEntry, Lineage, Manifest, write_manifest
from gristmill.core.errors import Conflict, CorruptBundle, GristmillError, NotFound, Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.registry import aliases, versions
from gristmill.registry.bundles import store_bundle, unpack, verify_stored
from gristmill.store.blobs import Blobs
from gristmill.store.database import Database


def manifest(name: str = "digits", files: dict[str, FileEntry] | None = None) -> Manifest:
    signature = Signature("t", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 1)),))
    return Manifest(name=name, task="t", framework="f", runtime="r", architecture={}, signature=signature,
                    lineage=Lineage(), files=files or {}, parameters=1, licence=None, created_at=1.0)  # fmt: skip


def bundle(folder: Path) -> str:
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "model.bin").write_bytes(bytes(range(256)) * 10)
    (folder / "card.md").write_text("# digits\n")
    return write_manifest(folder, manifest(files=scan(folder)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    database.migrate()
    yield database
    database.close()


def test_versions_are_numbered_by_model_and_tenant_and_a_run_makes_one(database: Database) -> None:
    with database.write() as connection:
        made = [("a", "m", "r1"), ("a", "m", "r2"), ("a", "m", "r1"), ("b", "m", "r1"), ("a", "n", None)]
        numbers = [
            versions.register(connection, tenant, manifest(name), "sha256:0", run, 1.0) for tenant, name, run in made
        ]
        assert numbers == [1, 2, 1, 1, 1]
        assert versions.resolve(connection, "a", "m").version == 2
        assert versions.resolve(connection, "a", "m@1").run == "r1"
        for reference in ("m@2", "n@1", "x"):
            with pytest.raises(NotFound):
                versions.resolve(connection, "b", reference)


def test_parallel_registrations_get_numbers_without_gaps(database: Database) -> None:
    taken: list[int] = []

    def register(number: int) -> None:
        with database.write() as connection:
            taken.append(versions.register(connection, "a", manifest(), "sha256:0", f"run{number}", time.time()))

    threads = [threading.Thread(target=register, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 17))


def test_an_alias_moves_and_its_history_stays(database: Database) -> None:
    with database.write() as connection:
        for run in ("r1", "r2"):
            versions.register(connection, "a", manifest(), "sha256:0", run, 1.0)
        aliases.set_alias(connection, "a", "digits", "champion", 1, 2.0, "key1")
        assert versions.resolve(connection, "a", "digits").version == 1
        aliases.set_alias(connection, "a", "digits", "champion", 2, 3.0, "key2")
        assert versions.resolve(connection, "a", "digits@champion").version == 2
        aliases.remove_alias(connection, "a", "digits", "champion", 4.0, "key1")
        assert aliases.current(connection, "a", "digits") == {}
        assert [(change.version, change.key) for change in aliases.history(connection, "a", "digits")] == [
            (1, "key1"), (2, "key2"), (None, "key1"),
        ]  # fmt: skip
        with pytest.raises(NotFound):
            aliases.set_alias(connection, "a", "digits", "champion", 9, 5.0, "key1")
        with pytest.raises(Unprocessable):
            aliases.set_alias(connection, "a", "digits", "7", 1, 5.0, "key1")


def test_a_version_is_retired_once(database: Database) -> None:
    with database.write() as connection:
        versions.register(connection, "a", manifest(), "sha256:0", None, 1.0)
        assert versions.retire(connection, "a", "digits", 1).state == "retired"
        with pytest.raises(Conflict):
            versions.retire(connection, "a", "digits", 1)


def test_a_bundle_comes_back_from_the_blobs_as_it_went_in_and_is_mended_when_its_copy_breaks(tmp_path: Path) -> None:
    blobs = Blobs((tmp_path / "blobs").as_uri())
    digest = bundle(tmp_path / "made")
    assert store_bundle(tmp_path / "made", blobs)[0] == digest
    unpack(digest, blobs, tmp_path / "out")
    (tmp_path / "out" / "card.md").write_text("# other\n")
    assert unpack(digest, blobs, tmp_path / "out") == verify(tmp_path / "made", digest)
    assert verify_stored(digest, blobs).name == "digits"


def test_a_flipped_byte_in_the_blobs_is_refused_by_the_files_name_and_nothing_is_unpacked(tmp_path: Path) -> None:
    blobs = Blobs((tmp_path / "blobs").as_uri())
    digest = bundle(tmp_path / "made")
    store_bundle(tmp_path / "made", blobs)
    weights = verify(tmp_path / "made").files["weights/model.bin"].sha256
    stored = tmp_path / "blobs" / "sha256" / weights[:2] / weights
    data = bytearray(stored.read_bytes())
    data[7] ^= 1
    stored.write_bytes(data)
    for attempt in (lambda: unpack(digest, blobs, tmp_path / "out"), lambda: verify_stored(digest, blobs)):
        with pytest.raises(CorruptBundle, match=r"weights/model\.bin"):
            attempt()
    assert not (tmp_path / "out").exists()


def spoil_content(folder: Path) -> None:
    (folder / "card.md").write_text("# digitz\n")


def spoil_by_adding(folder: Path) -> None:
    (folder / "extra.py").write_text("print()")


def spoil_by_removing(folder: Path) -> None:
    (folder / "card.md").unlink()


def spoil_with_a_symbolic_link(folder: Path) -> None:
    (folder / "card.md").unlink()
    (folder / "card.md").symlink_to("/etc/hostname")


def spoil_with_a_hard_link(folder: Path) -> None:
    (folder.parent / "outside").hardlink_to(folder / "card.md")


def spoil_the_manifest(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("card.md", "../card.md"))


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_content,
        spoil_by_adding,
        spoil_by_removing,
        spoil_with_a_symbolic_link,
        spoil_with_a_hard_link,
        spoil_the_manifest,
    ],
)
def test_a_bundle_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path, spoil: object) -> None:
    folder = tmp_path / "bundle"
    bundle(folder)
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(CorruptBundle) as refusal:
        verify(folder)
    assert refusal.value.details["file"] in refusal.value.message
    assert isinstance(refusal.value, GristmillError)
