"""A report and its tabs, and the running task's own."""

from __future__ import annotations

import html
import string
from dataclasses import dataclass, field

from flyte import storage
from flyte._context import ctx
from flyte_auth._dual import anything, dual

# The name of the file beside a task's outputs.
FILE = "report.html"
_MAIN = "main"

# It loads nothing from elsewhere, because reports are read where there may be no network.
_PAGE = string.Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font-family: system-ui, sans-serif; margin: 0; }
[role=tablist] { border-bottom: 1px solid #ccc; display: flex; flex-wrap: wrap; gap: .5rem; padding: .5rem 1rem 0; }
[role=tab] { background: none; border: 0; border-bottom: 3px solid transparent; cursor: pointer; font: inherit; padding: .5rem; }
[role=tab][aria-selected=true] { border-color: #6f2aef; font-weight: bold; }
[role=tabpanel] { overflow-x: auto; padding: 1rem; }
table { border-collapse: collapse; }
</style>
</head>
<body>
<div role="tablist">$tabs</div>
$panels
<script>
const tabs = [...document.querySelectorAll("[role=tab]")];
const panels = [...document.querySelectorAll("[role=tabpanel]")];
tabs.forEach((tab, chosen) => tab.addEventListener("click", () => {
  tabs.forEach((other, at) => other.setAttribute("aria-selected", String(at === chosen)));
  panels.forEach((panel, at) => { panel.hidden = at !== chosen; });
}));
</script>
</body>
</html>
""")


@dataclass
class Tab:
    """A page of a report."""

    name: str
    content: list[str] = field(default_factory=list, init=False)

    def log(self, content: str) -> None:
        """Adds HTML: what goes into the body of a page."""
        self.content.append(content)

    def replace(self, content: str) -> None:
        """Replaces all that it has with this HTML."""
        self.content = [content]

    def get_html(self) -> str:
        """All that it has."""
        return "\n".join(self.content)


@dataclass
class Report:
    """A report: its tabs by their names. There is always one named `main`; it is left out of the page while it is empty."""

    name: str
    tabs: dict[str, Tab] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tabs.setdefault(_MAIN, Tab(_MAIN))

    def has_content(self) -> bool:
        """Whether something was written to one of its tabs."""
        return any(tab.content for tab in self.tabs.values())

    def get_tab(self, name: str, create_if_missing: bool = True) -> Tab:
        """The tab of this name. Raises ValueError if there is none and none is to be made."""
        if name not in self.tabs:
            if not create_if_missing:
                raise ValueError(f"the report has no tab {name!r}; its tabs are: {', '.join(self.tabs)}")
            self.tabs[name] = Tab(name)
        return self.tabs[name]

    def get_final_report(self) -> str:
        """The page. The names of tabs are escaped, and what is in them is not: it is HTML."""
        tabs = [tab for tab in self.tabs.values() if tab.content or tab.name != _MAIN]
        buttons = [
            f'<button role="tab" aria-selected="{"false" if at else "true"}">{html.escape(tab.name)}</button>'
            for at, tab in enumerate(tabs)
        ]
        panels = [
            f'<div role="tabpanel"{" hidden" if at else ""}>{tab.get_html()}</div>'
            for at, tab in enumerate(tabs)
        ]
        return _PAGE.substitute(title=html.escape(self.name), tabs="".join(buttons), panels="\n".join(panels))


def current_report() -> Report:
    """The running task's report; outside of tasks, a new one that is not stored."""
    task = ctx()
    return task.report if task else Report("none")


def get_tab(name: str, /, create_if_missing: bool = True) -> Tab:
    """A tab of the running task's report. Raises ValueError if there is none and none is to be made."""
    return current_report().get_tab(name, create_if_missing)


@dual
async def log(content: str, do_flush: bool = False) -> None:
    """Adds HTML to the tab `main`; with `do_flush`, also stores the report."""
    get_tab(_MAIN).log(content)
    if do_flush:
        await flush.aio()


@dual
async def replace(content: str, do_flush: bool = False) -> None:
    """Replaces the HTML of the tab `main`; with `do_flush`, also stores the report."""
    get_tab(_MAIN).replace(content)
    if do_flush:
        await flush.aio()


@dual
async def flush() -> None:
    """Stores the running task's report as it is now. Does nothing outside of tasks."""
    task = ctx()
    if task:
        url, page = storage.join(task.output_path, FILE), task.report.get_final_report().encode()
        await anything(lambda: storage.write(url, page))
