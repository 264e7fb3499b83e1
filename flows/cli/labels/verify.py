"""``signetflow labels verify``: are versions what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.cluster import DaskOption, cluster_at
from flows.cli.labels.chosen import version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json

if TYPE_CHECKING:
    from storage.labels.findings import Checked

FINDINGS_SHOWN = 50


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("verify")(verify)


def verify(
    version: Annotated[
        str | None, typer.Argument(help="First digits of a version, or a tag.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions of the workspace.")] = False,
    dask: DaskOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check every file, every pixel and every promise of a version, or of all.

    Hashes all files, decodes all arrays, computes all digests anew; classes, cells and records must
    agree, the cells of a person be those that were read in, and all ancestors be there. The exit
    code is 1 if anything is wrong. A damaged file is touched: the next run looks at it closely and
    makes it anew. Files that versions share are read once.

    Examples: signetflow labels verify --all; signetflow labels verify gold --json
    """
    from models.errors import WrongUseError
    from storage.labels.verify import verify as check
    from storage.labels.verify import version_refs

    if (version is None) is not every:
        raise WrongUseError("name one version, or --all: signetflow labels verify --all.")
    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    refs = version_refs(at) if version is None else [version_ref(at, version)]
    with progress("verify") as advance:
        checked = check(at, refs, advance, cluster)
    if as_json:
        write_json({"workspace": str(at.root), **checked.to_json()})
    else:
        _tell(checked)
    return 1 if checked.findings else 0


def _tell(checked: Checked) -> None:
    for finding in checked.findings[:FINDINGS_SHOWN]:
        say(str(finding))
    if len(checked.findings) > FINDINGS_SHOWN:
        say(f"and {len(checked.findings) - FINDINGS_SHOWN} more; --json lists all.")
    looked = (
        f"{checked.n_versions} versions, {checked.n_regions} regions, {checked.n_files} files "
        f"({checked.n_bytes / 1e6:.1f} MB)"
    )
    if checked.findings:
        say(f"{len(checked.findings)} things are wrong in {looked}.")
    else:
        say(f"All is as it was written: {looked}.")
