"""`compile=true`: the same run, and files that do not show it."""

import json

import pytest
import torch

import pdeops


@pytest.mark.slow
def test_a_compiled_run_is_the_same_run(run, tiny, tmp_path):
    torch._dynamo.utils.counters.clear()
    for name, compiled in (("eager", "false"), ("compiled", "true")):
        assert run("train", *tiny, f"compile={compiled}", f"hydra.run.dir={name}")[0] == 0
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0
    eager, compiled = (pdeops.load(name) for name in ("eager", "compiled"))
    assert eager.describe() == compiled.describe()
    for (key, p), (other, q) in zip(eager.state_dict().items(), compiled.state_dict().items(), strict=True):
        assert key == other
        torch.testing.assert_close(q, p, rtol=1e-3, atol=1e-4, msg=key)
    assert pdeops.load("compiled/checkpoints/best.ckpt").describe() == eager.describe()
    assert list(torch.load("compiled/checkpoints/last.ckpt", weights_only=True)["state_dict"]) == list(
        torch.load("eager/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    )
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("eager", "compiled")]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-2)

    # a run may be resumed with the switch turned over
    options = ["train=false", "ckpt_path=compiled/checkpoints/best.ckpt", "hydra.run.dir=again"]
    assert run("train", *tiny, *options)[0] == 0


def test_no_compiler_is_refused_before_data_are_generated(run, tiny, tmp_path):
    with torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",)):  # a monkeypatch would delete it after all
        status, _, err = run("train", *tiny, "compile=true")
    assert status == 2
    assert "compile=true needs a C++ compiler" in err
    assert not (tmp_path / "data").exists()
