import os
import uuid
from pathlib import Path

import pytest

from gristmill.core.errors import CorruptBundle, NotFound, Unprocessable
from gristmill.store.blobs import Blobs


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs((tmp_path / "blobs").as_uri() if request.param == "file" else f"memory://{uuid.uuid4().hex}")


def test_content_is_found_by_its_digest_and_stored_once(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"grist")
    digest = blobs.put_file(file)
    assert digest == blobs.put_bytes(b"grist")
    assert (blobs.get(digest), blobs.size(digest), blobs.exists(digest)) == (b"grist", 5, True)
    blobs.fetch(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"grist"
    blobs.delete(digest)
    with pytest.raises(NotFound):
        blobs.get(digest)


def test_a_flipped_bit_is_noticed_on_reading_and_on_fetching(tmp_path: Path) -> None:
    blobs = Blobs((tmp_path / "blobs").as_uri())
    digest = blobs.put_bytes(os.urandom(1000))
    (path,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    data = bytearray(path.read_bytes())
    data[500] ^= 4
    path.write_bytes(data)
    with pytest.raises(CorruptBundle):
        blobs.get(digest)
    with pytest.raises(CorruptBundle):
        blobs.fetch(digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:../x", "sha256:" + "g" * 64, ""])
def test_what_is_no_digest_never_becomes_a_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(Unprocessable):
        blobs.get(digest)
