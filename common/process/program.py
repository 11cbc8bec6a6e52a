"""Whether the program on disk is still the one that runs, and whether the two would understand each other.

A reload forks its processes from the zygote, which has the program in its memory. After an upgrade that is the old one, so a reload first
looks at the files: when they have changed, it has a fresh zygote import them (common/process/spawner.py). The master goes on with
what it has: what it hands to its processes (the model, `Launch`, the layout of shared memory) must be what they expect. That is the
*contract*: the text of the modules that say it, without comments. With another contract the reload is refused, and nothing changes.

What does not survive an upgrade is the key of TLS session tickets: contexts share it by fork alone, and nobody can read or set it with
pyOpenSSL. Clients that come with an older ticket make one full handshake more.
"""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("common", "dispatcher", "worker")
CONTRACT = (
    "common/model.py",
    "common/process/launch.py",
    "common/process/messages.py",
    "common/process/zygote.py",
    "common/observe/fields.py",
    "common/observe/layout.py",
    "common/observe/states.py",
)


def fingerprint(root: Path = ROOT) -> str:
    """Of all files of the program, by their names, times and sizes."""
    found = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            try:
                status = os.stat(path)
            except OSError:
                continue  # removed in this moment
            found.update(f"{path}\0{status.st_mtime_ns}\0{status.st_size}\0{status.st_ino}\n".encode())
    return found.hexdigest()


def contract(root: Path = ROOT) -> dict[str, bytes]:
    """The text of what master and processes must agree upon. Raises OSError."""
    return {name: (root / name).read_bytes() for name in CONTRACT}


def agree(ours: dict[str, bytes], theirs: dict[str, bytes]) -> bool:
    """Whether two contracts say the same, comments and explanations apart. Raises SyntaxError: one is broken, or half written."""
    return all(ours[name] == theirs[name] or _meaning(ours[name]) == _meaning(theirs[name]) for name in CONTRACT)


def _meaning(source: bytes) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not _is_text(one)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
