"""What surrogates are tried on, found from settings that may be a stranger's."""

import pytest

from pdeops.datasets import file_of
from pdeops.errors import InputError
from pdeops.report.runs import Run


def test_a_strangers_card_builds_nothing_of_its_own(tmp_path):
    for key, target in (
        ("data", "builtins.dict"),
        ("problem", "numpy.savetxt"),
        ("data", "pdeops.data.file.h5py.File"),
    ):
        settings = {"data": {"_target_": "pdeops.data.module.Generated"}, "problem": None, "task": {}}
        settings[key] = {"_target_": "pdeops.data.module.Generated", "x": [{"_target_": target}]}
        with pytest.raises(InputError, match="refused to build"):
            file_of(Run(tmp_path, settings, {}))
