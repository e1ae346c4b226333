"""The code as it was at submission: what runs is what was submitted, whatever is edited afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "methods", "reports", "slurm")


def take_snapshot(folder: Path, root: Path = ROOT) -> tuple[Path, str]:
    """Copy the code to `folder/code-<version>`, unless it is there.

    In a git checkout these are the tracked files as they lie in the working tree, and what lies beside them in the
    packages without being ignored; elsewhere the packages.

    Returns:
        the copy, and the commit ("...+dirty" when the files differ from it, "" outside a checkout).
    """
    if (root / ".git").exists():
        commit = _git(root, "rev-parse", "HEAD").decode().strip()
        new = _list(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *PACKAGES)
        files = _list(root, "ls-files", "-z") + new
        dirty = bool(new) or bool(_git(root, "diff", "HEAD", "--stat"))
    else:
        commit, dirty = "", False
        files = [path.relative_to(root) for name in PACKAGES for path in (root / name).rglob("*") if path.is_file()]
        files = [path for path in files if "__pycache__" not in path.parts]
    copy = folder / f"code-{_version(root, files, commit, dirty)}"
    if not copy.exists():
        _copy(root, files, copy)
    return copy, commit + ("+dirty" if dirty else "")


def _version(root: Path, files: list[Path], commit: str, dirty: bool) -> str:
    if commit and not dirty:
        return commit[:12]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0".encode() + (root / path).read_bytes())
    return f"{commit[:12] or 'installed'}-{digest.hexdigest()[:8]}"


def _copy(root: Path, files: list[Path], copy: Path) -> None:
    temporary = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
    for path in files:
        (temporary / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, temporary / path)
    try:
        os.rename(temporary, copy)
    except OSError:  # another launch made it meanwhile
        shutil.rmtree(temporary)
        if not copy.exists():
            raise


def _list(root: Path, *arguments: str) -> list[Path]:
    return [Path(name) for name in _git(root, *arguments).decode().split("\0") if name and (root / name).is_file()]


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True).stdout
