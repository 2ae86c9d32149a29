"""`mlflow://name/version`: a registered model's folder from the MLflow server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

from pathlib import Path

from gristmill.core.errors import Unavailable, Unprocessable


def fetch(name: str, folder: Path) -> Path:
    """Raises Unprocessable (mlflow is not installed), Unavailable."""
    try:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError:
        raise Unprocessable(
            "mlflow:// needs MLflow beside Gristmill: pip install 'gristmill[mlflow]', or import the model's folder.",
            field="source",
        ) from None
    try:
        return Path(download_artifacts(artifact_uri=f"models:/{name}", dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise Unavailable(f"MLflow does not give models:/{name}: check the name and MLFLOW_TRACKING_URI.") from error
