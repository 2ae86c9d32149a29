"""Opening a stranger's folder with Transformers' own classes: safetensors or GGUF, no remote code, no hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from packaging.version import InvalidVersion, Version

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.transformers.folder import CONFIG, read_json


def opened(kind: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model, and which keys were missing or of another shape. Raises CorruptBundle, Unprocessable."""
    if (folder / CONFIG).is_file():
        _check_known(read_json(folder, CONFIG))
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


def _check_known(config: dict[str, Any]) -> None:
    """Raises Unprocessable for an architecture that this Transformers has not."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind in transformers.CONFIG_MAPPING:
        return
    raise Unprocessable(
        f"Transformers {transformers.__version__}, which is installed here, knows no architecture {kind[:80]!r}"
        f"{_remedy(config.get('transformers_version'))}.", field="model_type",
    )  # fmt: skip


def _remedy(saved_by: Any) -> str:
    try:
        newer = Version(str(saved_by)) > Version(transformers.__version__)
    except InvalidVersion:
        return ""
    if newer:
        return f": the model was saved by Transformers {saved_by}, install that or a newer one"
    return f": the model was saved by Transformers {saved_by}, with code of its own"
