"""What the site changes in the documents, which are written to be read in the repository.

Links to files outside of docs/ become their text: the site does not hold them. Formulas become
MathML, which browsers draw themselves, without scripts.
"""

import html
import logging
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

LOG = logging.getLogger("mkdocs.hooks.satl")
OUTWARD = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((\.\./[^)\s#]*)(#[^)]*)?\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Unlink what lies outside of docs/; a link to nowhere is a warning, so strict builds fail."""

    def unlinked(link: re.Match[str]) -> str:
        source = Path(page.file.abs_src_path).parent
        if not (source / link[2]).exists():
            LOG.warning("%s: no such file: %s", page.file.src_uri, link[2])
        return link[1]

    return OUTWARD.sub(unlinked, markdown)


def on_page_content(page_html: str, **_: Any) -> str:
    """Draw formulas as MathML."""

    def drawn(formula: re.Match[str]) -> str:
        display = "inline" if formula[1] == "span" else "block"
        return convert(html.unescape(formula[3]), display=display)

    return FORMULA.sub(drawn, page_html)
