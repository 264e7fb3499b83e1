"""What ledger, Prefect and MLflow cost a run, against its stages called as plain functions.

Run with ``python -m benchmarks.orchestration``, with ``--rounds N`` if wanted; ``--preset demo``
does it on the whole demo, which takes about four times its time for each round. Without that the
demo's figure is computed from a run of `tiny`: what is fixed, and what each stage costs.

Both ways make the same artefacts from the same slides, each in a fresh workspace and process, in
turn: `signetflow run` with its embedded Prefect server and MLflow on SQLite, and the bodies of the
stages one after the other. Networks are trained one after the other in both.

Foreign load changes how long a body takes more than orchestration costs. So what counts is the time
in which no body ran: from the start of the process to the first body, between bodies, and from the
last one to the end of the process. Of that the plain way has a little, too; it is subtracted. On a
busy machine even that grows; the processor time beside it, of all processes, hardly does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.config import RetrainConfig
    from storage.layout import Workspace
    from tasks.stage import Run, Stage, Work

SHARE, FIXED_S = 0.05, 15.0
"""Orchestration may cost a demo this share of its bodies' time, and so many seconds."""
DEMO_STAGES, DEMO_BODIES = 129, 20
"""Of the demo: its stages, and at least how many times as long as those of `tiny` they take, its
two networks side by side."""
TIMELINE = "timeline.json"
DATASET = "bench"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where the time of one process went, in seconds."""

    begin_s: float
    """Until the first body began."""
    bodies_s: float
    between_s: float
    gap_s: float
    """Between one body and the next; the median, so without what MLflow is told after an arm."""
    end_s: float
    """From the end of the last body to that of the process."""
    n_stages: int
    processor_s: float
    """Of the process and all of its children."""
    made: frozenset[str]
    """The artefacts, but for reports: those say when what was made."""

    @property
    def overhead_s(self) -> float:
        """Return the time in which no body ran."""
        return self.begin_s + self.between_s + self.end_s


def prepared(folder: Path, preset: str) -> None:
    """Make the slides of the preset's size and register them in a workspace."""
    from storage.datasets.catalogue import register
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset
    from storage.layout import Workspace

    sizes = {"tiny": SyntheticSettings.tiny, "demo": SyntheticSettings.small}
    make_dataset(folder / "slides", sizes[preset](0))
    items = SyntheticReader(folder / "slides").items()
    register(Workspace(folder / "workspace"), items, name=DATASET, group_by=("organ", "slide"))


def one_turn(prepared_in: Path, preset: str, way: str) -> Timeline:
    """Run one way in a process of its own, from a fresh workspace."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "workspace"
        shutil.copytree(prepared_in / "workspace", at)
        before, started = _processor_s(), time.time()
        command = [sys.executable, "-m", "benchmarks.orchestration", "--preset", preset]
        subprocess.run(
            [*command, "--way", way, "--workspace", str(at)],
            check=True, env=_without_servers(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ended = time.time()
        bodies = sorted(json.loads((at / TIMELINE).read_text()))
    took = sum(stop - start for start, stop, _ in bodies)
    return Timeline(
        begin_s=bodies[0][0] - started,
        bodies_s=took,
        gap_s=statistics.median(
            max(0.0, following[0] - one[1]) for one, following in pairwise(bodies)
        ),
        between_s=bodies[-1][1] - bodies[0][0] - took,
        end_s=ended - bodies[-1][1],
        n_stages=len(bodies),
        processor_s=_processor_s() - before,
        made=frozenset(ref for _, _, ref in bodies if not ref.startswith("reports/")),
    )


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _without_servers() -> dict[str, str]:
    named = ("PREFECT_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(named)}


def child(preset: str, way: str, workspace: Path) -> None:
    """Go through the stages one way, and note when the body of each began and ended."""
    from flows.config import load_config
    from storage.layout import Workspace
    from tasks import stage

    bodies: list[tuple[float, float, str]] = []
    at = Workspace(workspace)
    config = load_config(preset, (f"dataset={DATASET}", "side_by_side=false"))
    import flows.stages  # noqa: F401  # all stages are known from here on

    for one in stage.STAGES.values():
        object.__setattr__(one, "body", partial(_noted, one.body, bodies))
    (plain if way == "plain" else orchestrated)(config, at)
    (workspace / TIMELINE).write_text(json.dumps(bodies))


def _noted(body: Any, bodies: list[tuple[float, float, str]], *given: Any, **named: Any) -> Any:  # noqa: ANN401  # any stage
    start = time.time()
    made = body(*given, **named)
    bodies.append((start, time.time(), str(made)))
    return made


def plain(config: RetrainConfig, at: Workspace) -> None:
    """Call the body of each stage, and nothing else."""
    from flows.stages import Conductor, open_run
    from tasks.stage import Stage, Work

    def call(known: Stage, run: Run, label: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # any stage
        work: Work = Work(run.at, known.key(arguments), label)
        made = known.body(work, **arguments)
        work.unfinished.clear()
        return made

    Stage.__call__ = call  # type: ignore[method-assign]  # in this process only
    Conductor(open_run(config, at), config).report()


def orchestrated(config: RetrainConfig, at: Workspace) -> None:
    """Do what `signetflow run` does."""
    from flows.cli.running import execute

    execute(config, at)


def measure(preset: str, n_rounds: int) -> dict[str, Any]:
    """Return what orchestration costs, medians of rounds in which both ways take turns."""
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder), preset)
        done: dict[str, list[Timeline]] = {"plain": [], "orchestrated": []}
        for number in range(n_rounds):
            for way in sorted(done, reverse=bool(number % 2)):
                done[way].append(one_turn(Path(folder), preset, way))
    bare, full = (_medians(done[way]) for way in ("plain", "orchestrated"))
    n_stages = done["plain"][0].n_stages
    overhead_s = full["overhead_s"] - bare["overhead_s"]
    each_s = full["gap_s"] - bare["gap_s"]
    fixed_s = overhead_s - each_s * n_stages  # with what MLflow is told: both have twelve arms
    longer, times = (DEMO_STAGES / n_stages, DEMO_BODIES) if preset == "tiny" else (1, 1)
    processor_s = full["processor_s"] - bare["processor_s"]
    demo_s = fixed_s + each_s * n_stages * longer
    allowed_s = SHARE * bare["bodies_s"] * times + FIXED_S
    return {
        "figure": "orchestration of a run, against its stages as plain functions",
        "preset": preset,
        "n_stages": n_stages,
        "same_artefacts": len({one.made for ways in done.values() for one in ways}) == 1,
        "overhead_s": round(overhead_s, 2),
        "of_it_start_and_end_s": round(
            full["begin_s"] + full["end_s"] - bare["begin_s"] - bare["end_s"], 2
        ),
        "fixed_s": round(fixed_s, 2),
        "each_stage_s": round(each_s, 4),
        "processor_s": round(processor_s, 2),
        "demo_processor_s_at_most": round(processor_s * longer, 2),
        "demo_processor_allowed_s": round(SHARE * bare["processor_s"] * times + FIXED_S, 2),
        "demo_s": round(demo_s, 2),
        "demo_allowed_s": round(allowed_s, 2),
        "turns": {way: [_rounded(one) for one in ways] for way, ways in done.items()},
    }


def _medians(turns: list[Timeline]) -> dict[str, float]:
    names = [one.name for one in fields(Timeline) if one.name.endswith("_s")]
    return {
        name: statistics.median(getattr(turn, name) for turn in turns)
        for name in (*names, "overhead_s")
    }


def _rounded(one: Timeline) -> dict[str, float]:
    return {name: round(took, 3) for name, took in asdict(one).items() if name.endswith("_s")}


def main(argv: list[str]) -> int:
    """Print one line of JSON; exit code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=("tiny", "demo"), default="tiny")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", choices=("plain", "orchestrated"), help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.way:
        child(asked.preset, asked.way, asked.workspace)
        return 0
    result = measure(asked.preset, asked.rounds)
    print(json.dumps(result))
    return 0 if result["demo_s"] <= result["demo_allowed_s"] and result["same_artefacts"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
