"""From words to points, and what is said of keys that some of them lack."""

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.expansion import check, expand


def test_points_are_all_combinations_in_order():
    assert expand(["seed=0,1", "model.width=8", "model=fno,unet"]) == [
        ("seed=0", "model.width=8", "model=fno"),
        ("seed=0", "model.width=8", "model=unet"),
        ("seed=1", "model.width=8", "model=fno"),
        ("seed=1", "model.width=8", "model=unet"),
    ]
    assert expand(["data.strides=[1,2]", "optimizer.lr=1e-3"]) == [("data.strides=[1,2]", "optimizer.lr=1e-3")]
    assert expand(["seed=1", "seed=range(0,6,3)"]) == [("seed=0",), ("seed=3",)]
    assert expand(["data.strides=[1],[1,2]"]) == [("data.strides=[1]",), ("data.strides=[1,2]",)]
    assert len(expand(["model=glob(neuralop_*)"])) == 3


def test_short_words_are_written_in_full_at_each_point():
    points = expand(["scheduler=null,step", "solver=auto,direct", "~logger"])
    assert points[0] == ("~scheduler", "solver@problem.solver=auto", "~logger")
    assert points[3] == ("scheduler=step", "solver@problem.solver=direct", "~logger")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer.lr=interval(0,1)", "an interval has no points"),
        ("model.modes=[4,", r"cannot read the override 'model.modes=\[4,'"),
    ],
)
def test_what_has_no_points_is_refused(word, message):
    with pytest.raises(InputError, match=message):
        expand([word])


def checked(*words):
    return check(expand(words), words)


def test_a_key_that_one_model_lacks_is_named_with_two_commands_that_work():
    words = ["model=fno,mgno,unet", "model.modes=16", "seed=0,1"]
    with pytest.raises(InputError) as refused:
        checked(*words)
    lines = str(refused.value).splitlines()
    assert lines[0] == "'model.modes' is no key of model=mgno, model=unet (4 of the 6 points). Sweep them apart:"
    assert [line.strip() for line in lines[1:3]] == [
        "-m model=fno model.modes=16 seed=0,1",
        "-m model=mgno,unet seed=0,1",
    ]
    for line in lines[1:3]:  # what is told works
        checked(*line.split()[1:])


def test_keys_that_all_points_lack_and_other_mistakes_are_told_as_of_a_single_run():
    for words, message in (
        (
            ["model=fno,unet", "model.widht=3"],
            "unknown key 'model.widht' in 'model.widht=3'. Did you mean 'model.width'",
        ),
        (["model=fno,unett"], "model=unett: there is no such model. Did you mean 'unet'"),
        (["seed=0,1", "trainer.max_epochs=abc"], "trainer.max_epochs='abc': wanted an integer or null, got str"),
    ):
        with pytest.raises(InputError) as refused:
            checked(*words)
        assert message in str(refused.value)


def test_a_key_of_the_problem_that_some_data_lack():
    with pytest.raises(InputError) as refused:
        checked("data=ns2d,darcy", "problem.viscosity=1e-3", "seed=0,1")
    assert "'problem.viscosity' is no key of data=darcy (2 of the 4 points)" in str(refused.value)
