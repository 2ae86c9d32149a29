"""The model that a training starts from: a base's weights under a head of its own, or an architecture with new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from gristmill.bundles.manifest import MANIFEST, decode_manifest
from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import build_architecture, chosen
from gristmill.frameworks.protocol import TrainJob
from gristmill.frameworks.transformers.causal import load_causal
from gristmill.frameworks.transformers.kept_adapter import check_kept
from gristmill.tasks.recipe import Adapter

_CLASSES = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "image-classification": transformers.AutoModelForImageClassification,
}
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
)


class Starting(NamedTuple):
    model: PreTrainedModel | PeftModel
    padding: int


def starting_model(job: TrainJob) -> Starting:
    """Its new weights are a function of the seed. Raises Unprocessable."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(job.seed)
    if job.base is None:
        architecture, shapes = chosen(job)
        folder = "gristmill.frameworks.transformers.architectures"
        return Starting(build_architecture(folder, "Transformers", job.recipe.task, architecture, shapes), 0)
    manifest = decode_manifest((job.base / MANIFEST).read_bytes())
    causal = manifest.signature.language is not None
    model = _causal(job.base / "weights") if causal else _on_base(job)
    return Starting(
        model if job.recipe.adapter is None else adapted(model, job.recipe.adapter),
        int(manifest.architecture.get("padding", 0)),
    )


def _causal(folder: Path) -> Any:
    model = load_causal(folder, torch.float32)
    if not hasattr(model.config, "quantization_config"):
        return model
    del model.config.quantization_config  # a GGUF's weights, dequantised: the loaded model itself refuses to be saved
    fresh = type(model)(model.config)
    fresh.load_state_dict(model.state_dict())
    return fresh


def _on_base(job: TrainJob) -> PreTrainedModel:
    assert job.base is not None
    task = job.recipe.task
    if task not in _CLASSES:
        raise Unprocessable(f"Transformers trains no {task}: it trains {', '.join(_CLASSES)}.", field="task", got=task)
    options: dict[str, Any] = {"num_labels": job.classes}
    config = transformers.AutoConfig.from_pretrained(job.base / "weights", local_files_only=True)
    if job.recipe.regularisation.dropout:
        options |= {name: job.recipe.regularisation.dropout for name in _DROPOUTS if hasattr(config, name)}
    model: PreTrainedModel = _CLASSES[task].from_pretrained(
        job.base / "weights", local_files_only=True, use_safetensors=True, trust_remote_code=False,
        dtype=torch.float32, ignore_mismatched_sizes=True, **options,
    )  # fmt: skip
    return model


def adapted(model: PreTrainedModel, adapter: Adapter) -> PeftModel:
    """LoRA on the body; a classifier's head is new and is trained whole.

    Raises Unprocessable when no layer fits `targets`.
    """
    heads = [
        name for name, child in model.named_children()
        if name not in (model.base_model_prefix, "lm_head") and any(True for _ in child.parameters())
    ]  # fmt: skip
    config = LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, modules_to_save=heads or None,
        target_modules=adapter.targets or "all-linear",
    )  # fmt: skip
    try:
        made = get_peft_model(model, config)
    except ValueError as error:
        raise Unprocessable(f"The adapter does not fit the base: {error}.", field="adapter.targets") from error
    if not adapter.merge:
        check_kept(made)
    return made


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """With what the adapter learned added to the base's weights."""
    if not isinstance(model, PeftModel):
        return model
    whole: PreTrainedModel = model.merge_and_unload()
    return whole
