"""Opening a stranger's folder with Transformers' own classes: safetensors or GGUF, no remote code, no hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

from gristmill.core.errors import CorruptBundle


def opened(kind: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model, and which keys were missing or of another shape. Raises CorruptBundle."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model, told = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
            **options,
        )  # fmt: skip
    except Exception as error:  # a config's values reach every corner of Transformers: no list of errors is whole
        raise CorruptBundle("The folder cannot be opened by Transformers: its config and its weights do not agree.",
                            file="config.json") from error  # fmt: skip
    return model, told
