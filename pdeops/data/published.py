"""Published data sets, converted from the files that their authors give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from pdeops.config import fingerprint
from pdeops.data.convert import convert
from pdeops.data.module import DataModule
from pdeops.errors import InputError
from pdeops.grid import Nodes


@dataclass(kw_only=True, eq=False)
class Converted(DataModule):
    """A published data set: its files are found in `source` and converted once.

    source: the folder that holds them; the variable PDEOPS_DATA by default.
    files: their names, `train` and, if there is one, `test`; nodes: where their samples sit.
    """

    name: str
    source: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    nodes: Nodes | None = None
    split: Sequence[float] = (0.8, 0.1, 0.1)
    dir: str = "data"

    def prepare(self) -> Path:
        if self.file is not None:
            return super().prepare()
        if self.source is None:
            raise InputError(
                f"data={self.name} needs the published files {list(self.files.values())}, which pdeops does not "
                "download. Say where they are: data.source=/path/to/folder, or set the variable PDEOPS_DATA."
            )
        folder = Path(self.source)
        paths = {key: folder / file for key, file in self.files.items()}
        for path in paths.values():
            if not path.exists():
                raise InputError(f"data={self.name}: there is no {path.name} in {folder} (data.source or PDEOPS_DATA)")
        recipe = {"files": {k: [p.name, p.stat().st_size] for k, p in paths.items()}, "split": list(self.split)}
        out = Path(self.dir) / f"{self.name}-{fingerprint({**recipe, 'nodes': self.nodes})}.h5"
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.with_suffix(".lock")):
            if not out.exists():
                convert(paths["train"], out, test=paths.get("test"), split=self.split, name=self.name, nodes=self.nodes)
        return out
