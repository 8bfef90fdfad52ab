"""How the documentation is built; what can be read from the code is made from it."""

from __future__ import annotations

import importlib
from importlib.metadata import version as installed_version
from typing import Any

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vmharness._settings import SETTINGS
from vmharness.cli._app import app as command
from vmharness.testing import checks

project = "vmharness"
author = "the vmharness authors"
version = release = installed_version("vmharness")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"vmharness {version}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True  # a default may be the environment, which is nobody's business
autodoc_default_options = {"exclude-members": "__init__, __new__"}
# References to what isn't ours would need other hosts; of ours, each must be found.
nitpick_ignore_regex = [(r"py:.*", r"(?!vmharness).*"), (r"py:.*", r"vmharness\._session\.SpecFields")]

# Where readers find what private modules define: there it is documented, and references lead there.
_PUBLIC = (
    "vmharness.provider",
    "vmharness.hooks",
    "vmharness.testing",
    "vmharness.pytest_plugin",
    "vmharness",
)


def _show_public_homes() -> None:
    for home in _PUBLIC:
        public = importlib.import_module(home)
        for name in public.__all__:
            found = getattr(public, name)
            if getattr(found, "__module__", "").startswith(("vmharness._", f"{home}._")):
                found.__module__ = home


class SettingsTable(SphinxDirective):
    """A row for each setting, from the table that options, keys and variables are made of."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown."""
        rows = ["| key | option | variable | meaning |", "|---|---|---|---|"]
        for setting in SETTINGS:
            metavar = setting.metavar.replace("|", "\\|")
            option = f"`--vm-{setting.name.replace('_', '-')}={metavar}`" if setting.option else "none"
            help = setting.help.replace("|", "\\|")
            rows.append(f"| `{setting.name}` | {option} | `VMHARNESS_{setting.name.upper()}` | {help} |")
        return self.parse_text_to_nodes("\n".join(rows))


class CommandReference(SphinxDirective):
    """What `--help` says of each command."""

    def run(self) -> list[nodes.Node]:
        """Write a section for each command as Markdown."""
        group: Any = typer.main.get_command(command)
        text: list[str] = []
        for name, one in group.commands.items():
            arguments = [param.metavar or param.name for param in one.params if param.opts[0][0] != "-"]
            text += [f"## vmharness {name}", "", f"`vmharness {' '.join([name, '[OPTIONS]', *arguments])}`"]
            text += ["", one.help, ""]
            for param in one.params:
                value = f" {param.metavar}" if param.metavar and param.opts[0].startswith("-") else ""
                spelled = ", ".join(param.opts) if param.opts[0].startswith("-") else param.metavar
                text += [f"`{spelled}{value}`", f": {param.help}", ""]
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


class ContractTable(SphinxDirective):
    """A row for each check of the conformance kit."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown."""
        rows = ["| about | level | what it proves | check |", "|---|---|---|---|"]
        rows += [
            f"| {check.verb} | {check.level} | {check.sentence} | `{check.name}` |" for check in checks()
        ]
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app: Sphinx) -> None:
    """Register what is made from the code."""
    _show_public_homes()
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("command-reference", CommandReference)
    app.add_directive("contract-table", ContractTable)
