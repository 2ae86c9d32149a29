"""What a client fetches as a folder: it comes as a tar and stands there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from gristmill.client.calls import Call, Steps
from gristmill.client.uploads import UPLOAD_TIMEOUT_S
from gristmill.core.errors import Conflict, Internal


def download(path: str, folder: Path) -> Steps[Path]:
    """GET a tar and unpack it as the new `folder`. Raises Conflict, Internal when the tar is broken."""
    if folder.exists():
        raise Conflict(f"{folder} is there already: name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    packed, unpacked = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("tar", "folder"))
    try:
        yield Call("GET", path, save_to=packed, timeout_s=UPLOAD_TIMEOUT_S)
        with tarfile.open(packed) as tar:
            tar.extractall(unpacked, filter="data")
        unpacked.rename(folder)
    except tarfile.TarError:
        raise Internal("The folder that came is broken: try again.") from None
    finally:
        packed.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder
