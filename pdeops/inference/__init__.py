"""Using trained surrogates: files larger than memory, long rollouts, programs that run without pdeops."""

from pdeops.inference.batches import in_batches
from pdeops.inference.execution import running
from pdeops.inference.predict import predict_file
from pdeops.inference.programs import export
from pdeops.inference.rollout import rollout_file

__all__ = ["export", "in_batches", "predict_file", "rollout_file", "running"]
