"""A folder as an answer: a tar that lives until its last byte is sent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from gristmill.bundles.archives import write_tar
from gristmill.control.platform import Platform


def packed(platform: Platform, folder: Path, name: str) -> FileResponse:
    work = tempfile.TemporaryDirectory(dir=platform.settings.home_path)
    tar = Path(work.name) / f"{name}.tar"
    write_tar(folder, tar)
    return FileResponse(tar, media_type="application/x-tar", filename=tar.name, background=BackgroundTask(work.cleanup))
