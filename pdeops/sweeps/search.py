"""Looking for the best hyper-parameters: trials asked of a study (Optuna), run side by side, and told what came out."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pdeops.clusters import package
from pdeops.errors import InputError, Preempted
from pdeops.files import atomically
from pdeops.overrides import check_group, in_full
from pdeops.report.search import Trial, search_figure
from pdeops.study import FILE, open_study
from pdeops.sweeps.expansion import check, composed
from pdeops.sweeps.launching import (
    chosen_launcher,
    clock,
    devices_of,
    for_launcher,
    refuse_ranks,
    stopped_by_sigterm,
)
from pdeops.sweeps.local import Local
from pdeops.sweeps.point import Outcome, Point, quoted
from pdeops.sweeps.space import Range, ranges

HOPELESS = 3  # trials that fail before any has ended well


@dataclass(frozen=True)
class Search:
    """A node of `conf/search`.

    trials: how many, of all workers together, those that failed included; space: nested as the configuration is, with
    ranges (`Range`) for leaves; sampler, pruner: of Optuna, as nodes (pruner None: nothing is given up); storage: None
    is a journal in the search's folder, otherwise the address of a database.
    """

    trials: int
    space: Mapping[str, Any]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any] | None = None
    storage: str | None = None


@dataclass
class Worker:
    """One command at work on a study. words: of a run, without the search's and the launcher's."""

    folder: Path
    words: tuple[str, ...]
    search: Search
    ranges: dict[str, Range]
    launcher: Local
    devices: dict[str, Any]
    study: Any
    start: float = field(default_factory=time.monotonic)
    ended: int = 0

    def point(self, number: int, identity: int, values: Mapping[str, Any]) -> Point:
        """A trial as a run that tells the study of its epochs, and does not look at the test data."""
        chosen = tuple(in_full(f"{key}={value}") for key, value in values.items())
        told = f"study:{quoted(self.folder)},trial:{identity}"
        callback = f"+callbacks.pruning={{_target_:pdeops.tasks.pruning.Pruning,{told}}}"
        overrides = (*self.words, *chosen, "test=false", callback)
        label = " ".join(f"{key}={_short(value)}" for key, value in values.items())
        return Point(number, "train.py", overrides, label, self.folder / str(number), **self.devices)

    def points(self) -> Iterator[Point]:
        """Trials whose worker is gone, to be gone on with, and new ones until there are enough."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING" and set(trial.params) == set(self.ranges):
                left = self.point(trial.number, trial._trial_id, trial.params)
                if not left.running:
                    yield left
        while len(self.study.get_trials(deepcopy=False)) < self.search.trials:
            trial = self.study.ask()
            values = {key: found.ask(trial, key) for key, found in self.ranges.items()}
            yield self.point(trial.number, trial._trial_id, values)

    def tell(self, point: Point, outcome: Outcome) -> str:
        """Tell the study how a trial ended; the same in words."""
        if outcome.status is None or outcome.words == "stopped before its end":
            return outcome.words  # it is somebody's, or will be gone on with
        trial = self.study.get_trials(deepcopy=False)[point.number]
        errors = trial.intermediate_values
        if not outcome.good or not errors:
            self.study.tell(point.number, state=_state("FAIL"))
            return f"FAILED: {outcome.words if not outcome.good else 'no validation error'}"
        if trial.user_attrs.get("pruned"):
            self.study.tell(point.number, state=_state("PRUNED"))
            return f"{min(errors.values()):.4g}, given up after {len(errors)} epochs"
        self.study.tell(point.number, min(errors.values()))
        return f"{min(errors.values()):.4g}"

    def work(self) -> None:
        """Until there are enough trials. Raises InputError if all fail."""
        for point, outcome in self.launcher.one_by_one(self.points(), self.devices["devices"] or 1):
            said = self.tell(point, outcome)
            self.ended += 1
            seconds, count = time.monotonic() - self.start, len(self.study.get_trials(deepcopy=False))
            pace = seconds / self.ended * (self.search.trials - count)
            left = f"  {clock(pace)} left" if count < self.search.trials else ""
            print(
                f"[{count}/{self.search.trials}] {point.number}: {point.label}  {said}  {clock(seconds)}{left}",
                flush=True,
            )
            states = [trial.state.name for trial in self.study.get_trials(deepcopy=False)]
            if states.count("FAIL") >= HOPELESS and not {"COMPLETE", "PRUNED"} & set(states):
                raise InputError(
                    "\n  ".join([f"the first {HOPELESS} trials failed, the last by:", *point.cause(), f"{point.log}"])
                )

    def report(self) -> int:
        """Figure, the best trials and the command of the best one; the exit status, 1 if there is none."""
        ended = [
            Trial(t.number, t.params, min(t.intermediate_values.values()), t.state.name == "PRUNED")
            for t in self.study.get_trials(deepcopy=False)
            if t.state.name in ("COMPLETE", "PRUNED")
        ]
        whole = sorted((trial for trial in ended if not trial.pruned), key=lambda trial: trial.error)
        if not whole:
            print(f"no trial in {self.folder} has ended well")
            return 1
        logarithmic = [key for key, found in self.ranges.items() if found.kind == "log"]
        figure = search_figure(ended, logarithmic, self.folder / "search.png")
        print(f"\n{len(whole)} trials to the end, {len(ended) - len(whole)} given up; the best by validation error:")
        for trial in whole[:5]:
            values = " ".join(f"{key}={_short(value)}" for key, value in trial.values.items())
            print(f"  {trial.error:.4g}  {trial.number}: {values}")
        best = [f"{key}={value}" for key, value in whole[0].values.items()]
        print(f"figure: {figure}\nmore of them: pdeops search --resume {self.folder} search.trials=...")
        print(f"train and test the best with:\n{shlex.join(['pdeops', 'train', *self.words, *best])}", flush=True)
        return 0


def begin(words: Sequence[str]) -> int:
    """A new search by a command line's words; the exit status."""
    theirs = tuple(text for text in words if for_launcher(text))
    searchs = tuple(text for text in words if _for_search(text))
    ours = tuple(in_full(text) for text in words if not for_launcher(text) and not _for_search(text))
    search = of_words(searchs)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    given = [text.partition("=")[2] for text in ours if text.startswith("hydra.sweep.dir=")]
    folder = Path(given[-1] if given else f"runs/search/{stamp}").resolve()
    if (folder / FILE).exists():
        raise InputError(
            f"{folder} has a search already: go on with it by --resume {folder}, or take another hydra.sweep.dir"
        )
    words = [text for text in ours if not text.startswith("hydra.sweep.")]
    plain = {"words": words, "launcher": theirs, "search": asdict(search)}
    worker = _worker(folder, plain, search)
    with atomically(folder / FILE) as temporary:
        temporary.write_text(json.dumps(plain, indent=1))
    return _run(worker)


def resume(folder: Path, words: Sequence[str]) -> int:
    """Go on with a search, or join those who work on it: the same command, here or on another machine."""
    try:
        plain = json.loads((folder / FILE).read_text())
    except OSError as error:
        raise InputError(f"there is no search in {folder} (no {FILE})") from error
    more = [text for text in words if text.startswith("search.trials=")]
    for text in words:
        if text not in more and not for_launcher(text):
            raise InputError(
                f"{text}: --resume {folder} has its settings; only search.trials and launcher.* can be given anew"
            )
    if more:
        plain["search"]["trials"] = OmegaConf.from_dotlist(more).search.trials
        check_group("search", {"_target_": "pdeops.sweeps.search.Search", **plain["search"]})
    plain["launcher"] = [*plain["launcher"], *[text for text in words if for_launcher(text)]]
    return _run(_worker(folder.resolve(), plain, Search(**plain["search"])))


def _worker(folder: Path, plain: Mapping[str, Any], search: Search) -> Worker:
    """Everything is checked before the folder is made: the space too, at its first values."""
    refuse_ranks()
    launcher = chosen_launcher(plain["launcher"])
    if not isinstance(launcher, Local):
        raise InputError(
            "pdeops search takes launcher=local. Elsewhere, start as many workers as you like on one search: "
            f"pdeops search --resume {folder}"
        )
    found = ranges(search.space)
    if not found:
        raise InputError("search.space is empty: give ranges, such as search.space.optimizer.lr.log=[1e-4,1e-2]")
    firsts = tuple(in_full(f"{key}={value.first}") for key, value in found.items())
    (config,) = check([(*plain["words"], *firsts)], (*plain["words"], *firsts))
    return Worker(folder, tuple(plain["words"]), search, found, launcher, devices_of(config.trainer), None)


def _run(worker: Worker) -> int:
    worker.study = open_study(worker.folder, samples=True)
    print(f"{worker.search.trials} trials in {worker.folder}", flush=True)
    with stopped_by_sigterm():
        try:
            worker.work()
        except (KeyboardInterrupt, Preempted) as stop:
            again = shlex.join([sys.executable, "-m", "pdeops", "search", "--resume", str(worker.folder)])
            raise type(stop)(f"{stop or 'interrupted'}; go on with:\n{again}") from stop
    return worker.report()


def of_words(words: Sequence[str]) -> Search:
    """What the words of `search` say. Raises InputError for their first fault, and without Optuna."""
    package("optuna", "search", "pdeops search")  # before its classes are looked up
    chosen = [text for text in words if text.startswith("search=")] or ["search=default"]
    others = [_unceremonious(text) for text in words if not text.startswith("search=")]
    node: Any = OmegaConf.to_container(composed([f"+{chosen[-1]}", *others]).search, resolve=True)
    check_group("search", node)
    if node["trials"] < 1:
        raise InputError(f"search.trials={node['trials']}: wanted at least 1")
    return Search(**{key: value for key, value in node.items() if key != "_target_"})


def _for_search(text: str) -> bool:
    return text.lstrip("+~").startswith(("search=", "search."))


def _unceremonious(text: str) -> str:
    """Ranges of keys that a `conf/search` does not name need no `+`."""
    return f"++{text}" if text.startswith("search.space.") else text


def _state(name: str) -> Any:
    return package("optuna.trial", "search", "pdeops search").TrialState[name]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
