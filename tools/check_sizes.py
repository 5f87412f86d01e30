"""Fail where a module, a function or a file in git has grown past what one can read or clone at ease."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 450
FUNCTION_LINES = 60
FILE_MEGABYTES = 5.0

_NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source: str) -> set[int]:
    """Lines of a module that hold code: no blank line, comment or docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def check_module(path: Path) -> Iterator[str]:
    """Yield one line for a module that is too long and for each function of it that is."""
    source = path.read_text(encoding="utf-8")
    total = len(source.splitlines())
    if total > MODULE_LINES:
        yield f"{path}: {total} lines (at most {MODULE_LINES}): a module is one concept, split it"
    code = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.end_lineno or node.lineno
            length = sum(node.body[0].lineno <= line <= last for line in code)  # its signature does not count
            if length > FUNCTION_LINES:
                yield (
                    f"{path}:{node.lineno}: {node.name} has {length} lines of code (at most {FUNCTION_LINES}): "
                    "a function is one thought, split it"
                )


def check_tracked_files() -> Iterator[str]:
    """Yield one line for each file in git that is too large."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=False)
    for name in listed.stdout.decode().split("\0"):
        path = Path(name)
        if name and path.is_file() and path.stat().st_size > FILE_MEGABYTES * 1e6:
            yield f"{path}: {path.stat().st_size / 1e6:.1f} MB (at most {FILE_MEGABYTES:g}): keep data out of git"


def main() -> int:
    """Print what is too large; 1 if there is anything."""
    found = [line for path in sorted(Path("src").rglob("*.py")) for line in check_module(path)]
    found += check_tracked_files()
    for line in found:
        print(line)
    if not found:
        print(f"sizes: modules <= {MODULE_LINES} lines, functions <= {FUNCTION_LINES}, files <= {FILE_MEGABYTES:g} MB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
