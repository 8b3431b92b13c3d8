"""How Sphinx turns the Markdown pages and the docstrings into a site; see CONTRIBUTING.md for the command.

The source folder is the repository, so that links between README, docs and benchmarks hold on the site and off it.
"""

import re
from typing import Any

from diamond import __version__

PAGES = {
    "Start": ["README", "docs/tutorial", "docs/concepts", "docs/faq"],
    "Use": ["docs/playing", "docs/export", "docs/configuration", "docs/run-folder"],
    "Trust": [
        "docs/fidelity",
        "docs/benchmark",
        "docs/studies",
        "docs/performance",
        "docs/reproducing",
        "benchmarks/README",
    ],
    "Change": ["CONTRIBUTING", "docs/extending", "docs/paper-to-code", "docs/deviations"],
    "Reference": ["docs/reference/api", "docs/reference/world-model", "docs/reference/data"],
    "History": ["EXPERIMENTS", "CHANGELOG"],
}
"""The contents at the side of every page."""

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:")
"""Of docstrings, read by napoleon."""

AS_WRITTEN = re.compile(r"(Axes|Units) |\w+ = ")
"""Beginnings of paragraphs that are no prose."""

project = "diamond-wm"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = [f"{page}.*" for pages in PAGES.values() for page in pages] + [f"{root_doc}.md"]
exclude_patterns = [".*", "runs", "site", "build", "dist", "src", "tests"]
highlight_language = "text"
default_role = "code"  # docstrings put names in single backticks
myst_heading_anchors = 3
html_theme = "furo"
html_title = "diamond-wm"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_theme_options = {"navigation_with_keys": True}
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Append the table of contents to the front page, which shows none outside the site."""
    if page == root_doc:
        for caption, pages in PAGES.items():
            entries = "\n".join(f"/{entry}" for entry in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def keep_layout(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Show formulas, code, tables and legends in a docstring as they are written, up to a section such as "Args:"."""
    if lines and lines[0].startswith("Alias for field number"):  # a NamedTuple's field without a docstring
        lines.clear()
    shown: list[str] = []
    blocks = "\n".join(lines).split("\n\n")
    while blocks and not any(line in SECTIONS for line in blocks[0].splitlines()):
        block = blocks.pop(0)
        if AS_WRITTEN.match(block):
            block = "\n".join(f"    {line}" for line in block.splitlines())
        shown.append(f"::\n\n{block}" if block.startswith("    ") else block)
    lines[:] = "\n\n".join([*shown, *blocks]).splitlines()


def setup(app: Any) -> None:
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", keep_layout, priority=400)  # before napoleon
