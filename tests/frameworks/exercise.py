"""One process of one framework, told by name: trains through lab, dies, resumes, serves, explains; prints JSON.

TensorFlow takes seven seconds to import and fixes its threads once, so all that is asked of it is asked together.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gristmill.bundles.digests import verify
from gristmill.core.errors import Unprocessable
from gristmill.core.types import DatasetRef, Resources, RunSpec
from gristmill.lab.events import Events, Heartbeat
from gristmill.lab.loading import LoadedVersion, open_version
from gristmill.lab.train import train
from gristmill.store.blobs import Blobs
from gristmill.tasks.recipe import Augmentation, Loss
from tests import waves
from tests.frameworks import pictures
from tests.lab.rig import Rig, events

EVERYTHING_ON: dict[str, Any] = {
    "task": "image-classification",
    "architecture": {"name": "cnn", "channels": [4, 8]},
    "schedule": {"name": "one-cycle"},
    "regularisation": {"dropout": 0.2, "mixup": 0.3, "ema": 0.9, "clip_norm": 1.0, "l1": 1e-5},
    "augmentation": {"flip": True, "shift": 1, "erase": 2},
    "training": {"epochs": 3, "batch_size": 32, "accumulate": 2, "seed": 3, "early_stopping": {"patience": 3}},
}
WINE: dict[str, Any] = {
    "task": "tabular-classification",
    "architecture": {"name": "mlp", "hidden": [32]},
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 20, "batch_size": 32, "seed": 1},
}
DIABETES: dict[str, Any] = {
    "task": "tabular-regression",
    "architecture": {"name": "mlp", "hidden": [32]},
    "loss": {"name": "huber"},
    "optimiser": {"name": "sgd", "learning_rate": 0.03, "weight_decay": 0.001},
    "schedule": {"name": "cosine", "warmup_steps": 5},
    "training": {"epochs": 30, "batch_size": 32},
}
TEXT: dict[str, Any] = {
    "task": "text-classification",
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 4},
    "preprocessing": {"max_length": 40},
}
TEXTS = {
    "bilstm": {"name": "bilstm", "embedding": 16, "hidden": 16},
    "bigru": {"name": "bigru", "embedding": 16, "hidden": 16},
    "transformer": {"name": "transformer", "width": 16, "heads": 2, "layers": 1, "max_length": 32},
}


WAVES: dict[str, Any] = {
    "task": "time-series-forecasting",
    "preprocessing": {"window": waves.PERIOD, "horizon": 6, "season": 1},
    "optimiser": {"learning_rate": 0.02},
    "training": {"epochs": 8, "batch_size": 32, "seed": 1},
}
FORECASTERS = {"lstm": {"name": "lstm", "hidden": 16, "layers": 2}, "gru": {"name": "gru", "hidden": 16}}


class Death(Exception):
    """Where a kill -9 would strike: right after a checkpoint, in the midst of an epoch."""


class Exercise:
    def __init__(self, framework: str, folder: Path) -> None:
        self.framework, self.rig = framework, Rig(folder)
        self.datasets = {path.stem: self.rig.dataset(path, task, **options) for path, task, options in (
            (folder / "digits.npz", "image-classification", {}),
            (folder / "wine.csv", "tabular-classification", {}),
            (folder / "diabetes.csv", "tabular-regression", {}),
            (folder / "mills.tsv", "text-classification", {"columns": ["text", "label"], "quote": False}),
            (folder / "waves.csv", "time-series-forecasting", {"target": "load,heat"}),
        )}  # fmt: skip

    def run(self, name: str, dataset: str, recipe: dict[str, Any], deaths: int = 0, **changes: Any) -> dict[str, float]:
        ref: DatasetRef = self.datasets[dataset]
        folder = self.rig.prepare(name, ref, recipe | {"framework": self.framework}, **changes)
        spec = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunSpec)
        told = Events(folder, spec.attempt)
        if deaths:
            told.checkpointed = self._dying(deaths)  # type: ignore[method-assign]
        return train(spec, folder, told, Heartbeat(told)).metrics

    def _dying(self, checkpoints: int) -> Any:
        left = iter(range(checkpoints - 1))

        def checkpointed(step: int) -> None:
            if next(left, None) is None:
                raise Death(step)

        return checkpointed

    def bundle(self, name: str) -> Path:
        return self.rig.folder / "runs" / name / "bundle"

    def version(self, name: str) -> LoadedVersion:
        bundle = self.bundle(name)
        return open_version(name, bundle, verify(bundle), Resources())

    def resumed(self) -> dict[str, Any]:
        undisturbed = self.run("undisturbed", "digits", EVERYTHING_ON, checkpoint_every_s=1000.0)
        died_at = 0
        try:
            self.run("killed", "digits", EVERYTHING_ON, deaths=13, checkpoint_every_s=1e-6)
        except Death as death:
            died_at = death.args[0]
        after = self.run("killed", "digits", EVERYTHING_ON, checkpoint_every_s=1000.0)
        same = [np.array_equal(a, b) for a, b in zip(self.weights("undisturbed"), self.weights("killed"), strict=True)]
        values = [event.values for event in events(self.rig.folder / "runs" / "undisturbed")]
        return {"died_at": died_at, "same_metrics": undisturbed == after, "same_weights": same, "told": values}

    def weights(self, name: str) -> list[np.ndarray]:
        if self.framework == "keras":
            import keras

            found: list[np.ndarray] = keras.saving.load_model(self.bundle(name) / "weights/model.keras").get_weights()
            return found
        import tensorflow as tf

        place = str(self.bundle(name) / "weights/saved_model/variables/variables")
        return [tf.train.load_variable(place, key) for key, shape in tf.train.list_variables(place) if shape]

    def tables(self) -> dict[str, Any]:
        wine = self.run("wine", "wine", WINE)
        diabetes = self.run("diabetes", "diabetes", DIABETES)
        x = np.random.default_rng(0).normal(size=(4, 13)).astype(np.float32)
        version = self.version("wine")
        kernels = [values for values in self.weights("wine") if values.ndim == 2]
        biases = [values for values in self.weights("wine") if values.ndim == 1]
        found, delta = version.runtime.integrated_gradients(  # type: ignore[attr-defined]
            {"features": x}, {"features": np.zeros_like(x)}, np.array([0, 1, 2, 0]), 50
        )
        return {
            "wine": wine["test/accuracy"], "diabetes": diabetes["test/r2"], "x": x.tolist(), "delta": delta.tolist(),
            "kernels": [kernel.tolist() for kernel in kernels], "biases": [bias.tolist() for bias in biases],
            "attributions": found["features"].tolist(),
            "scores": np.asarray(version.runtime.infer({"features": x})).tolist(),
        }  # fmt: skip

    def texts(self) -> dict[str, Any]:
        found = {}
        for name, architecture in TEXTS.items():
            if (self.framework, name) == ("keras", "bigru"):
                continue  # the same graph as bilstm with another layer of Keras's own
            metrics = self.run(f"mills-{name}", "mills", TEXT | {"architecture": architecture})
            version = self.version(f"mills-{name}")
            short, long = b"a fine good mill", b"one two three bad five six seven eight nine ten eleven twelve"
            alone = version.outputs({"text": np.asarray([short, b""], object)})["probabilities"]
            beside = version.outputs({"text": np.asarray([short, b"", long], object)})["probabilities"]
            tokens = version.preprocessing.apply({"text": np.asarray([short, long], object)})
            attributions, delta = version.runtime.integrated_gradients(  # type: ignore[attr-defined]
                tokens, {"tokens": np.zeros_like(tokens["tokens"])}, np.array([1, 0]), 100
            )
            found[name] = {
                "accuracy": metrics["test/accuracy"], "padding": float(np.abs(alone - beside[:2]).max()),
                "delta": float(np.abs(delta).max()), "shape": attributions["tokens"].shape == tokens["tokens"].shape,
            }  # fmt: skip
        return found

    def forecasts(self) -> dict[str, Any]:
        """An LSTM undisturbed, a GRU killed and resumed."""
        found: dict[str, Any] = {"lstm": self.run("waves-lstm", "waves", WAVES | {"architecture": FORECASTERS["lstm"]})}
        recipe = WAVES | {"architecture": FORECASTERS["gru"], "regularisation": {"dropout": 0.1}}
        found["gru"] = self.run("waves-gru", "waves", recipe, checkpoint_every_s=1000.0)
        with suppress(Death):
            self.run("waves-killed", "waves", recipe, deaths=15, checkpoint_every_s=1e-6)
        again = self.run("waves-killed", "waves", recipe, checkpoint_every_s=1000.0)
        weights = zip(self.weights("waves-gru"), self.weights("waves-killed"), strict=True)
        found["resumed"] = found["gru"] == again and all(np.array_equal(a, b) for a, b in weights)
        version, given = self.version("waves-gru"), waves.values()[None, -waves.PERIOD :].astype(np.float32)
        scaled = version.preprocessing.apply({"history": given})
        attributions, delta = version.runtime.integrated_gradients(  # type: ignore[attr-defined]
            scaled, {"history": np.zeros_like(scaled["history"])}, np.array([5]), 100
        )
        attributed = list(attributions["history"].shape)
        forecast = version.outputs({"history": given})["forecast"].tolist()
        return found | {"forecast": forecast, "attributed": attributed, "delta": float(np.abs(delta).max())}

    def losses(self) -> dict[str, float]:
        from gristmill.frameworks.on_tensorflow.losses import build_loss

        chance = np.random.default_rng(5)
        logits, y = chance.normal(size=(50, 4)).astype(np.float32), chance.integers(0, 4, 50)
        values = chance.normal(size=(50, 1)).astype(np.float32) * 3
        ahead = (chance.normal(size=(50, 3, 2)).astype(np.float32) * [1, 9]).astype(np.float32)  # two series, 3 steps
        found = {}
        for name, options in LOSSES.items():
            loss = Loss(**options)
            classes = None if loss.name in ("mse", "mae", "huber") else 4
            targets = y if classes else values[::-1, 0].copy()
            found[name] = float(
                build_loss(loss, str(loss.name), targets, classes)(logits if classes else values, targets)
            )
            if not classes:
                function = build_loss(loss, str(loss.name), ahead, None)
                found[f"{name} of series"] = float(function(ahead[::-1].reshape(50, 6), ahead))
        return found

    def own(self) -> dict[str, Any]:
        code = OWN[self.framework]
        right, first = self._own("own", code), self._own("own-again", code)
        return {
            "right": right, "again": first, "missing": self._own("missing", code, "built"),
            "outputs": self._own("outputs", code.replace("shapes.outputs", "7")),
            "raises": self._own("raises", "def build(shapes, hidden):\n    raise KeyError('no such mill')\n"),
            "exits": self._own("exits", "def build(shapes, hidden):\n    raise SystemExit(3)\n"),
            "softmax": self._own("softmax", code.replace(*SOFTMAX[self.framework])),
            "type": self._own("type", "def build(shapes, hidden):\n    return 3\n"),
            "unsafe": self._own("unsafe", UNSAFE[self.framework]),
        }  # fmt: skip

    def _own(self, name: str, code: str, function: str = "build") -> Any:
        digest = Blobs(self.rig.blobs_url).put_bytes(code.encode())
        recipe = {key: value for key, value in WINE.items() if key != "architecture"}
        recipe |= {"model": f"my/model.py:{function}", "architecture": {"hidden": 16}}
        try:
            metrics = self.run(f"wine-{name}", "wine", recipe, own_code=digest)
        except Unprocessable as error:
            return error.message
        files = sorted(path.name for path in (self.bundle(f"wine-{name}") / "weights").iterdir())
        x = np.random.default_rng(0).normal(size=(5, 13)).astype(np.float32)
        scores = np.asarray(self.version(f"wine-{name}").runtime.infer({"features": x}))
        return {"accuracy": metrics["test/accuracy"], "files": files, "scores": scores.tolist()}

    def several(self) -> dict[str, Any]:
        """On one device and on two: the processor as two devices, an odd row in each epoch's last step."""
        from gristmill.frameworks.tensorflow import trainer

        recipe = WINE | {"training": {"epochs": 5, "batch_size": 31}, "regularisation": {"ema": 0.9, "clip_norm": 1.0}}
        one = self.run("wine-one", "wine", recipe)
        trainer.strategy = two_processors
        two = self.run("wine-two", "wine", recipe)
        far = [
            float(np.abs(a - b).max()) for a, b in zip(self.weights("wine-one"), self.weights("wine-two"), strict=True)
        ]
        return {"furthest": max(far), "losses": [one["train/loss"], two["train/loss"]]}

    def augmented(self) -> list[list[float]]:
        import tensorflow as tf

        from gristmill.frameworks.on_tensorflow.augmentation import augmented

        images, wanted = pictures.images(), Augmentation(**pictures.WANTED)
        changed = tf.function(lambda x, seed: augmented(x, wanted, seed), jit_compile=True)
        found: list[list[float]] = changed(images, tf.constant([3, 7], tf.int64)).numpy().tolist()
        return found

    def refused(self) -> dict[str, str]:
        changes: dict[str, tuple[str, dict[str, Any]]] = {
            "architecture": ("wine", WINE | {"architecture": {"name": "resnet"}}),
            "option": ("wine", WINE | {"architecture": {"name": "mlp", "hiden": [3]}}),
            "mixup": ("mills", TEXT | {"architecture": TEXTS["bilstm"], "regularisation": {"mixup": 0.2}}),
            "infinite": ("wine", WINE | {"optimiser": {"name": "sgd", "learning_rate": 1e30, "momentum": 0.0}}),
        }
        return {name: self._refusal(name, *change) for name, change in changes.items()}

    def _refusal(self, name: str, dataset: str, recipe: dict[str, Any]) -> str:
        try:
            self.run(f"refused-{name}", dataset, recipe)
        except Unprocessable as error:
            return error.message
        return ""


LOSSES: dict[str, dict[str, Any]] = {
    "plain": {"name": "cross-entropy"},
    "smooth": {"name": "cross-entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
    "focal": {"name": "focal", "gamma": 1.5, "class_weights": "balanced"},
    "bce": {"name": "bce", "class_weights": "balanced"},
    "mse": {"name": "mse"},
    "mae": {"name": "mae"},
    "huber": {"name": "huber", "delta": 0.5},
}


def two_processors() -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


OWN = {
    "torch": """
from torch import nn

def build(shapes, hidden):
    return nn.Sequential(nn.Linear(shapes.values, hidden), nn.Tanh(), nn.Linear(hidden, shapes.outputs))
""",
    "keras": """
import keras

def build(shapes, hidden):
    layers = [keras.Input(shapes.row), keras.layers.Dense(hidden, "tanh"), keras.layers.Dense(shapes.outputs)]
    return keras.Sequential(layers)
""",
    "tensorflow": """
import tensorflow as tf

class Model(tf.Module):
    def __init__(self, shapes, hidden):
        super().__init__()
        self.first = tf.Variable(tf.random.normal([shapes.values, hidden], stddev=0.2))
        self.second = tf.Variable(tf.random.normal([hidden, shapes.outputs], stddev=0.2))

    def __call__(self, x, training):
        return tf.tanh(x @ self.first) @ self.second

def build(shapes, hidden):
    return Model(shapes, hidden)
""",
}
SOFTMAX = {
    "torch": ("shapes.outputs))", "shapes.outputs), nn.Softmax(1))"),
    "keras": ("Dense(shapes.outputs)", 'Dense(shapes.outputs, "softmax")'),
    "tensorflow": ("tf.tanh(x @ self.first) @ self.second", "tf.nn.softmax(tf.tanh(x @ self.first) @ self.second)"),
}
UNSAFE = {
    "tensorflow": """
import tensorflow as tf

class Mine(tf.Module):
    def __init__(self, outputs):
        super().__init__()
        self.weights = tf.Variable(tf.ones([13, outputs]))

    def __call__(self, x, training):
        return tf.py_function(lambda values: values, [x @ self.weights], tf.float32)

def build(shapes, hidden):
    return Mine(shapes.outputs)
""",
    "keras": """
import keras

class Mine(keras.layers.Layer):
    def call(self, x):
        return x * 2

def build(shapes, hidden):
    return keras.Sequential([keras.Input(shapes.row), Mine(), keras.layers.Dense(shapes.outputs)])
""",
    "torch": """
from torch import nn

class Mine(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(13, outputs)

    def forward(self, x):
        return self.layer(x) * (2 if x.sum().item() > 0 else 1)

def build(shapes, hidden):
    return Mine(shapes.outputs)
""",
}


def main(framework: str, folder: Path) -> dict[str, Any]:
    exercise = Exercise(framework, folder)
    parts = [
        exercise.resumed,
        exercise.tables,
        exercise.texts,
        exercise.forecasts,
        exercise.losses,
        exercise.augmented,
        exercise.refused,
        exercise.own,
    ]
    parts = parts[-1:] if framework == "torch" else parts  # the rest is in tests/lab
    if framework == "tensorflow":
        import tensorflow as tf

        processor = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
        parts.append(exercise.several)
    report: dict[str, Any] = {part.__name__: part() for part in parts}
    return report | {"loaded": sorted({name.partition(".")[0] for name in sys.modules})}


if __name__ == "__main__":
    found = main(sys.argv[1], Path(sys.argv[2]))
    (Path(sys.argv[2]) / "report.json").write_text(json.dumps(found))
