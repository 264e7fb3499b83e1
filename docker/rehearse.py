"""Run the instructions of docker/Dockerfile one by one in a chroot, where no engine is at hand.

    debootstrap --variant=minbase --include=ca-certificates,python3-venv,python-is-python3 \
        bookworm FOLDER
    python3 docker/rehearse.py FOLDER          # as root; FOLDER is then the image's files

All stages are run in the one folder, on Debian's Python in place of the base image's. What a chroot
cannot show is in docker/README.md.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
PASSED_OVER = {"LABEL", "STOPSIGNAL", "CMD"}
"""What there is nothing to run of; CMD would not end."""


@dataclass
class Image:
    """A folder that becomes what the image would hold."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    health: list[str] = field(default_factory=list)
    stages: dict[str, dict[str, str]] = field(default_factory=dict)
    """The variables of each stage that has a name."""

    def do(self, name: str, words: str) -> None:
        """Do one instruction."""
        if name not in PASSED_OVER:
            getattr(self, f"do_{name.lower()}")(words)

    def do_from(self, words: str) -> None:
        """Begin a stage: with the variables of the one that it stands on, and nothing else."""
        base, _, name = self.filled(words).partition(" AS ")
        self.variables = dict(self.stages.get(base, BARE))
        self.stages[name], self.workdir, self.user = self.variables, "/", "0:0"

    def do_arg(self, words: str) -> None:
        """Take a build argument's default."""
        key, _, value = words.partition("=")
        self.arguments[key] = value

    def do_env(self, words: str) -> None:
        """Set variables."""
        for word in shlex.split(words):
            key, _, value = word.partition("=")
            self.variables[key] = value.replace("$PATH", self.variables["PATH"])

    def do_workdir(self, words: str) -> None:
        """Make a folder and stay there."""
        self.workdir = words
        self.place(words).mkdir(parents=True, exist_ok=True)

    def do_user(self, words: str) -> None:
        """Be somebody from here on."""
        self.user = self.filled(words)

    def do_healthcheck(self, words: str) -> None:
        """Remember the check."""
        self.health = json.loads(words.partition("CMD ")[2])

    def do_copy(self, words: str) -> None:
        """Copy from the checkout; between stages, everything is there already."""
        *sources, target = words.split()
        if sources[0].startswith("--from="):
            if sources[1] != target or not self.place(target).exists():
                raise AssertionError(f"COPY {words}: the stages would not be one folder")
            return
        for source in sources:
            into = self.place(target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, dirs_exist_ok=True)
            else:
                into = into / Path(source).name if target.endswith("/") else into
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)

    def do_run(self, words: str) -> None:
        """Run a command line inside."""
        self.inside(["/bin/sh", "-c", words])

    def inside(self, command: list[str]) -> None:
        """Run a command as the image's user, in its folder, with its environment."""
        user, _, group = self.user.partition(":")
        known = {**self.arguments, **self.variables}
        variables = [f"{key}={value}" for key, value in known.items()]
        enter = ["chroot", f"--userspec={user}:{group}", str(self.folder)]
        change = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.workdir]
        subprocess.run([*enter, "/usr/bin/env", "-i", *variables, *change, *command], check=True)  # noqa: S603  # what the Dockerfile says

    def filled(self, text: str) -> str:
        """Return a text with the build arguments in their places."""
        return re.sub(r"\$\{(\w+)\}", lambda found: self.arguments[found[1]], text)

    def place(self, path: str) -> Path:
        """Return where a path inside lies outside."""
        return self.folder / str(Path(self.workdir, path)).lstrip("/")


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each as its name and its words."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    named = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, words.strip()) for name, _, words in named]


def tell(text: str) -> None:
    """Print a line at once, between those of the commands."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    """Run everything, then the health check, which must fail: nothing is served."""
    image = Image(folder)
    for name, words in instructions((ROOT / "docker" / "Dockerfile").read_text()):
        began = time.monotonic()
        image.do(name, words)
        tell(f"{time.monotonic() - began:6.1f} s  {name} {words[:90]}")
    image.inside(["id"])
    image.inside(["signetflow", "--help"])
    image.inside(["signetflow", "doctor", "--workspace", "/var/lib/signetflow/workspace"])
    try:
        image.inside(image.health)
    except subprocess.CalledProcessError:
        tell("the health check fails while nothing is served, as it must")
    else:
        raise AssertionError("the health check passes though nothing is served")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
