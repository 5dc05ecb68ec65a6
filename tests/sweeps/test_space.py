"""What a search varies: ranges as they are written, and what Optuna is asked."""

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.space import Range, ranges


class Asked:
    """A trial that notes what it is asked, and answers with the lower end."""

    def suggest_float(self, key, low, high, log):
        self.asked = ("float", low, high, log)
        return low

    def suggest_int(self, key, low, high, step=1, log=False):
        self.asked = ("int", low, high, step, log)
        return low

    def suggest_categorical(self, key, choices):
        self.asked = choices
        return choices[-1]


def test_ranges_are_nested_as_the_configuration_is():
    found = ranges(
        {
            "optimizer": {"lr": {"log": [1e-4, 1]}},
            "model": {"branch": {"modes": {"int": [2, 8, 2]}}, "norm": None},
            "scheduler": {"choice": ["onecycle", None]},
        }
    )
    assert found == {
        "optimizer.lr": Range("log", [1e-4, 1]),
        "model.branch.modes": Range("int", [2, 8, 2]),
        "scheduler": Range("choice", ["onecycle", None]),
    }


@pytest.mark.parametrize(
    ("node", "asked"),
    [
        ({"float": [0, 1]}, ("float", 0, 1, False)),
        ({"log": [1e-4, 1e-2]}, ("float", 1e-4, 1e-2, True)),
        ({"log": [8, 128]}, ("int", 8, 128, 1, True)),
        ({"int": [3, 9]}, ("int", 3, 9, 1, False)),
        ({"int": [3, 9, 2]}, ("int", 3, 9, 2, False)),
        ({"choice": ["a", 2, 0.5, None, True, [4, 8]]}, ["a", 2, 0.5, "null", "true", "[4, 8]"]),
    ],
)
def test_optuna_is_asked_for_what_is_written(node, asked):
    trial = Asked()
    ranges({"x": node})["x"].ask(trial, "x")
    assert trial.asked == asked


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (3, "search.space.a.x=3: wanted {float"),
        ({"logg": [1, 2]}, r"search.space.a.x.logg=\[1, 2\]: wanted {float"),
        ({"log": [0.0, 1]}, "a logarithmic range begins above 0"),
        ({"int": [1, 2.5]}, "the smaller one first"),
        ({"int": [5, 2]}, "the smaller one first"),
        ({"float": [1, 2, 3]}, "the smaller one first"),
        ({"float": 1}, "wanted {float"),
        ({"int": [1, 9, 0]}, "wanted a step of at least 1"),
        ({"choice": []}, "wanted {float"),
        ({"int": [1, 9], "log": [1, 9]}, "wanted {float"),
    ],
)
def test_what_is_no_range_is_refused(node, message):
    with pytest.raises(InputError, match=message):
        ranges({"a": {"x": node}})
