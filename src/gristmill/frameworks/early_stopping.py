"""Early stopping: which epoch was the best, and when to wait no longer."""

from __future__ import annotations

import msgspec

from gristmill.tasks.recipe import EarlyStopping

_LOWER_IS_BETTER = ("loss", "log_loss", "mse", "rmse", "mae", "mase", "brier", "calibration_error")


class Patience(msgspec.Struct):
    """Early stopping's memory; restored from a checkpoint as it was."""

    best: float | None = None
    best_epoch: int = 0

    def improved(self, rule: EarlyStopping, values: dict[str, float], epoch: int) -> bool:
        """Note the epoch's value; True when it is the best so far by `min_delta`. KeyError for an unknown metric."""
        value = values[rule.metric]
        sign = 1 if rule.metric.rpartition("/")[2] in _LOWER_IS_BETTER else -1
        if self.best is None or sign * (self.best - value) > rule.min_delta:
            self.best, self.best_epoch = value, epoch
            return True
        return False

    def exhausted(self, rule: EarlyStopping, epoch: int) -> bool:
        return epoch - self.best_epoch >= rule.patience
