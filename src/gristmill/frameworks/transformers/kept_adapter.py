"""A trained adapter kept apart from its base: the folder that PEFT writes, plain LoRA, with nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel, TaskType

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.lora import LowRank, read_lora

_CARD = "README.md"  # an empty form that PEFT lays beside: the version has a card of its own


def check_kept(model: PeftModel) -> None:
    """Before it is trained. Raises Unprocessable where engines could not serve it beside others on its base."""
    whole: Any = model.get_base_model()
    output = whole.get_output_embeddings()
    names = {name for name, module in whole.named_modules() if module is output}
    if names & set(model.base_model.targeted_module_names):
        raise Unprocessable(f"The adapter's targets name {min(names)!r}, which goes with merge: true only.",
                            field="adapter.targets")  # fmt: skip


def write_kept(model: PeftModel, base: str, folder: Path) -> tuple[LowRank, ...]:
    """`base`: NAME@VERSION, as the adapter's config is to call it."""
    config: Any = model.peft_config["default"]
    config.base_model_name_or_path, config.task_type = base, TaskType.CAUSAL_LM
    config.target_modules = sorted(config.target_modules)  # a set, which each process orders in its own way
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / _CARD).unlink()
    return read_lora(folder)
