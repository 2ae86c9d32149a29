"""`hf://org/name[@revision]`: a model's folder from the Hugging Face hub, without anything that can run code.

`hf://org/name/file.gguf[@revision]`: that one file of it.
"""

from __future__ import annotations

from pathlib import Path

from gristmill.core.errors import NotFound, Unavailable, Unprocessable

# Weights as safetensors or ONNX only; no .bin, no .py, no pickled tokenizers.
_WEIGHTS = ("*.safetensors", "*.onnx")
_TAKEN = ["*.safetensors", "*.onnx", "*.onnx_data", "*.json", "*.jinja", "*.txt", "*.model", "*.md"]


def fetch(name: str, folder: Path) -> Path:
    """Raises Unprocessable (no client installed, no safe weights), NotFound, Unavailable."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError:
        raise Unprocessable("hf:// needs huggingface_hub: pip install 'gristmill[clients]'.", field="source") from None
    path, _, revision = name.partition("@")
    organisation, _, rest = path.partition("/")
    model, _, file = rest.partition("/")
    repository = f"{organisation}/{model}" if model else organisation
    target = folder / repository.rpartition("/")[2]
    try:
        snapshot_download(
            repository, revision=revision or None, local_dir=target, allow_patterns=[file] if file else _TAKEN
        )
    except RepositoryNotFoundError:
        raise NotFound(
            f"The hub has no model {repository!r}, or it is private: check the name, or set HF_TOKEN."
        ) from None
    except RevisionNotFoundError:
        raise NotFound(f"The hub's model {repository!r} has no revision {revision!r}.") from None
    except HFValidationError:
        raise Unprocessable(f"hf://{name} does not name a model: write hf://ORG/NAME.", field="source") from None
    except (HfHubHTTPError, OSError, RuntimeError) as error:  # its HTTP client's errors derive from these
        raise Unavailable("The Hugging Face hub cannot be reached from here: download the model where it can, "
                          "and import its folder.") from error  # fmt: skip
    if file and not (target / file).is_file():
        raise NotFound(f"The hub's model {repository!r} has no file {file!r}.")
    if not file and not any(path for weights in _WEIGHTS for path in target.rglob(weights)):
        raise Unprocessable(
            f"The hub's model {repository!r} has no weights as safetensors or ONNX, and pickles run code when they are "
            "loaded: convert it where you trust it, and import its folder.", field="source",
        )  # fmt: skip
    return target
