"""Checkpoints on disk."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn

from pdeops.files import atomically

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class Storage(TorchCheckpointIO):
    """Checkpoints written as a whole or not at all; when `last.ckpt` is replaced, the one before stays as
    `previous.ckpt`.

    Lightning's own writer makes the temporary file on another disk perhaps, and does not wait for the disk. What cannot
    be written (a full disk) is warned of and noted in `failed`: the run goes on, with the files of before.
    """

    failed = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path, content = Path(path), io.BytesIO()
        torch.save(checkpoint, content)  # to memory: of a disk's errors it makes others
        try:
            with atomically(path) as temporary:
                temporary.write_bytes(content.getbuffer())
                if path.name == LAST and path.exists():
                    os.replace(path, path.with_name(PREVIOUS))
            self.failed = False
        except OSError as error:
            self.failed = True
            rank_zero_warn(f"{path} could not be written ({error.strerror or error}); the run goes on without it")
