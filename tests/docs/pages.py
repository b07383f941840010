"""Pages as readers see them, and the blocks of code in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the mark in the comment before it."""

    language: str
    text: str
    mark: str

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each call of p2pkit in a console block, by itself or by torchrun."""
        calls = re.findall(r"^\$ (?:torchrun .* -m )?p2pkit (.*)$", self.text, re.MULTILINE)
        return [shlex.split(call, comments=True) for call in calls]

    @property
    def file(self) -> str:
        """The name that the first line gives the block: `# run.yaml`."""
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ") if re.fullmatch(r"# \w+\.yaml", first) else ""


def source(page: str) -> str:
    """Return a page as written."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return the blocks that a page itself holds."""
    return [Block(m["language"], m["text"], m["mark"] or "") for m in _BLOCK.finditer(source(page))]


def read(page: str) -> str:
    """Return a page with its includes."""
    path = DOCS / page

    def included(match: re.Match[str]) -> str:
        place = match[1]
        file = DOCS / place.lstrip("/") if place.startswith("/") else path.parent / place
        return file.read_text(encoding="utf-8")

    return re.sub(r"^```\{(?:include|literalinclude)\} (\S+)\n.*?^```$", included, source(page), flags=re.M | re.S)
