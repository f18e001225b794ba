"""Mirrors a step's training metrics to Weights & Biases, offline unless WANDB_MODE says otherwise.

A mirror only: the manifest is the record, so an error of wandb's own is logged and training goes
on without it. The run id is the step's identity, so that a resumed step continues the same run and
two people running the same recipe meet. Upload an offline run later with `wandb sync`.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import wandb
from pydantic import JsonValue

from cluster.artifact import default_cache_dir

PROJECT = "tinysql"
_log = logging.getLogger(__name__)


class Tracker:
    """Where metrics rows go until close(); nowhere once wandb failed, or when disabled."""

    def __init__(self, run: wandb.Run | None) -> None:
        self._run = run

    @property
    def directory(self) -> Path | None:
        """What `wandb sync` takes; None when nothing is written."""
        return Path(self._run.dir).parent if self._run is not None else None

    def log(self, row: Mapping[str, JsonValue]) -> None:
        """Adds one row; a "step" in it becomes the x axis, a "split" part of the other names."""
        if self._run is None:
            return
        split = row.get("split")
        named = {
            f"{split}/{key}" if split and key != "step" else key: value
            for key, value in row.items()
            if key != "split"
        }
        try:
            self._run.log(named)
        except wandb.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Flushes what is pending."""
        if self._run is None:
            return
        try:
            self._run.finish()
        except wandb.Error as error:
            self._give_up(error)
        self._run = None

    def _give_up(self, error: Exception) -> None:
        _log.warning("tracking stopped, the manifest still has the metrics: %s", error)
        self._run = None


def open_tracker(
    identity: str, name: str, config: Mapping[str, JsonValue], mode: str | None = None
) -> Tracker:
    """A tracker for the step with that identity. mode None means WANDB_MODE, else offline."""
    mode = mode or os.environ.get("WANDB_MODE", "offline")
    if mode == "disabled":
        return Tracker(None)
    folder = default_cache_dir() / "wandb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity[:32],
            name=name,
            config=dict(config),
            dir=os.environ.get("WANDB_DIR", str(folder)),
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
        )
        run.define_metric("*", step_metric="step")
    except (wandb.Error, OSError, ValueError) as error:
        _log.warning("tracking is off, the manifest has the metrics: %s", error)
        return Tracker(None)
    return Tracker(run)
