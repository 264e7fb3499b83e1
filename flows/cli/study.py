"""``signetflow study``: a paper's table, run anew and laid beside the published one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.demo import Size
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json
from flows.cli.run import SetOption
from flows.cli.study_table import show_study
from models.errors import WrongUseError

if TYPE_CHECKING:
    from flows.config import RetrainConfig
    from flows.studies.study import Study
    from storage.layout import Ref, Workspace

    Row = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("study")(study)


def study(  # one per option
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="See --list.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="An ingested dataset.", show_default="slides are made up"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Networks and training; splits, folds and arms are the study's.",
            show_default="the paper's settings for a dataset, the demo's for made-up slides",
        ),
    ] = None,
    settings: SetOption = None,
    size: Annotated[
        Size,
        typer.Option(help="Of made-up slides. tiny: minutes; its numbers mean nothing."),
    ] = Size.SMALL,
    seed: Annotated[int, typer.Option(min=0, help="Of made-up slides and their training.")] = 0,
    workspace: WorkspaceOption = None,
    *,
    listed: Annotated[bool, typer.Option("--list", help="Name the studies there are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a paper's table anew: every arm, over all folds, beside the published numbers.

    table1 (Li et al. 2019): easy and hard mode, three folds each, supervised training,
    self-training with and without extra regions, cooperative training, and controls that train as
    long on unchanged labels. Without --dataset it runs on made-up slides with small networks, in
    about an hour on two cores. Stop it when you like: the same command goes on where it stopped.

    Example: signetflow study table1 --dataset mine --workspace ./workspace
    """
    from flows.cli.running import workspace_at
    from flows.studies import study_named

    if listed or name is None:
        _list(as_json=as_json)
        return
    chosen, at = study_named(name), workspace_at(workspace)
    if dataset is not None and (seed or size is not Size.SMALL):
        raise WrongUseError(
            "--size and --seed are of made-up slides. With --dataset, seeds of the training are "
            "set with --set seeds=[0,1,2]."
        )
    base, asked = chosen.preset, tuple(settings or ())
    if dataset is None:
        dataset = _made_up(chosen, at, size, seed)
        base = chosen.tiny_preset if size is Size.TINY else chosen.small_preset
        asked = (f"seeds=[{seed}]", *asked)
    config, left_out = chosen.config(at, preset or base, dataset, asked)
    found, was_there = _made(chosen, config, at, left_out)
    _show(chosen, config, at, found, was_there=was_there, as_json=as_json)


def _list(*, as_json: bool) -> None:
    from flows.studies import STUDIES

    if as_json:
        studies = [
            {"name": one.name, "title": one.paper.title, "citation": one.paper.citation}
            for one in STUDIES.values()
        ]
        write_json({"studies": studies})
        return
    table("Studies", ["name", "of"], [[one.name, one.paper.citation] for one in STUDIES.values()])
    say("Run one on made-up slides: signetflow study table1")


def _made_up(chosen: Study, at: Workspace, size: Size, seed: int) -> str:
    """Make up slides and return the name of their dataset."""
    from flows.cli.demo import make_slides
    from storage.datasets.synthetic.settings import SyntheticSettings

    name = f"{chosen.name}-{size.value}-{seed}"
    tiny = size is Size.TINY
    drawn = SyntheticSettings.tiny(seed) if tiny else SyntheticSettings.study(seed)
    make_slides(at, name, drawn)
    return name


def _made(
    chosen: Study, config: RetrainConfig, at: Workspace, left_out: tuple[str, ...]
) -> tuple[Ref, bool]:
    """Return the table of a study, made now unless it is there already, and which of the two."""
    from flows.cli.running import in_flow
    from flows.planning import plan_of
    from flows.studies.comparing import compared
    from storage.layout import Kind, Ref
    from tasks.stage import StageCall, is_pending

    at.require_writable()
    plan = plan_of(config, at)
    known = compared(chosen.name, config, at, left_out, planning=True)
    if not is_pending(known):
        return known, True
    plan.calls.append(StageCall("compare", chosen.name, "", done=False, seconds=float("nan")))

    def made() -> str:
        from flows.study import study as flow

        text: str = flow(chosen.name, config, at.root, left_out)
        return text

    kind, digest = in_flow(at, plan, made).split("/")
    return Ref(Kind(kind), digest), False


def _show(
    chosen: Study, config: RetrainConfig, at: Workspace, found: Ref, *, was_there: bool,
    as_json: bool,
) -> None:  # fmt: skip
    from flows.planning import link_report
    from flows.stages import open_run
    from flows.studies.comparing import link_name
    from tasks.compare import PAGE, read_study

    run_id = open_run(config, at).run_id
    link = link_name(chosen.name, run_id)
    link_report(at, link, found)
    content, page = read_study(at, found), at.root / "reports" / link / PAGE
    if as_json:
        write_json({"run": run_id, "nothing_new": was_there, "report": str(page), **content})
        return
    if was_there:
        say("Nothing new: every stage of this study is done and its artefacts are intact.")
    show_study(content)
    say(f"table with intervals: {page}")
    say(f"every fold of its own: {at.root / 'reports' / run_id}")
