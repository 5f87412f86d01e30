"""Build the site, offline: the repository's Markdown pages, and the API reference from the docstrings.

Pages keep their place (docs/design.md becomes docs/design.html), so that links work here, in the repository and in the
site alike. What a page links to is copied beside it; a link that leads nowhere fails the build.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import pdoc
from markdown_it import MarkdownIt

import voltome

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - voltome</title>
<style>
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; color: #1d2430; }}
nav a {{ margin-right: 1rem; }}
a {{ color: #1b5e9b; }}
pre {{ background: #f4f5f7; padding: .8rem 1rem; overflow-x: auto; }}
code {{ font: 0.9em ui-monospace, monospace; }}
table {{ border-collapse: collapse; }}
th, td {{ border-bottom: 1px solid #d5d9e0; padding: .3rem .7rem; text-align: left; vertical-align: top; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
<nav>{navigation}</nav>
{body}
</body>
</html>
"""
TOP_PAGES = ("README.md", "docs/design.md", "docs/decisions/README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r'(href|src)="(?![a-z]+:|#)([^"#]+)(#[^"]*)?"')


def target_of(page: Path) -> Path:
    """Where a Markdown page stands in the site; a README is its folder's index."""
    return page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html")


def navigation(page: Path) -> str:
    """Links from a page to the top pages and the API reference."""
    up = "../" * (len(page.parts) - 1)
    names = ("voltome", "Design", "Decisions", "Contributing", "Changes")
    links = [
        f'<a href="{up}{target_of(Path(top)).as_posix()}">{name}</a>'
        for top, name in zip(TOP_PAGES, names, strict=True)
        if Path(top).exists()
    ]
    return "".join([*links, f'<a href="{up}api/voltome.html">API</a>'])


def build_page(page: Path, site: Path, broken: list[str]) -> None:
    """Write one page into the site, with what it links to; name links that lead nowhere in `broken`."""

    def resolve(match: re.Match[str]) -> str:
        attribute, address, anchor = match[1], unquote(match[2]), match[3] or ""
        linked = page.parent / address
        if not linked.exists():
            broken.append(f"{page}: link to {address}, which does not exist")
        elif linked.suffix == ".md":
            address = target_of(Path(address)).as_posix()
        elif linked.is_file():
            copy = site / page.parent / address
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, copy)
        return f'{attribute}="{address}{anchor}"'

    text = page.read_text(encoding="utf-8")
    body = LINK.sub(resolve, MarkdownIt("commonmark").enable("table").render(text))
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    target = site / target_of(page)
    target.parent.mkdir(parents=True, exist_ok=True)
    title = heading[1] if heading else page.stem
    target.write_text(PAGE.format(title=title, navigation=navigation(page), body=body), encoding="utf-8")


def build_reference(site: Path) -> None:
    """Write the API reference: what each room exports, from its docstrings."""
    for name in ("voltome", *(f"voltome.{found.name}" for found in pkgutil.iter_modules(voltome.__path__))):
        if name != "voltome.__main__":
            module = importlib.import_module(name)
            for public in getattr(module, "__all__", ()):  # rooms export lazily: pdoc sees only what is already there
                setattr(module, public, getattr(module, public))
    pdoc.render.configure(docformat="numpy", show_source=False)
    pdoc.pdoc("voltome", output_directory=site / "api")


def main(site: Path) -> int:
    """Build everything into `site`; 1 if a link is broken."""
    shutil.rmtree(site, ignore_errors=True)
    broken: list[str] = []
    pages = {Path(top) for top in TOP_PAGES if Path(top).exists()} | set(Path("docs").rglob("*.md"))
    for page in sorted(pages):
        build_page(page, site, broken)
    build_reference(site)
    for line in broken:
        print(line)
    print(f"built {len(pages)} pages and the API reference: {site / 'index.html'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
