"""The twelve novels of ../shared/data/lm as a folder of documents, split by book."""

from __future__ import annotations

import zipfile
from pathlib import Path

BOOKS = Path(__file__).parents[2] / "shared" / "data" / "lm" / "gutenberg12" / "books.zip"
UNSEEN, VALIDATING = "Dracula", ("Middlemarch", "Moby-Dick")


def books(folder: Path) -> Path:
    """Eleven to learn from, the ends of two of them to validate, the first 40,000 characters of Dracula to test on."""
    for part in ("train", "validation", "test"):
        (folder / part).mkdir(parents=True)
    with zipfile.ZipFile(BOOKS) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode()
            if UNSEEN in name:
                (folder / "test" / name).write_text(text[:40_000])
                continue
            if any(validating in name for validating in VALIDATING):
                text, end = text[:-10_000], text[-10_000:]
                (folder / "validation" / name).write_text(end)
            (folder / "train" / name).write_text(text)
    return folder
