"""The table of stores says what the stores declare, and names every one."""

import re
from pathlib import Path

import pytest

from nearfield.cli.main import run
from nearfield.core.registry import STORES

PAGE = Path(__file__).parents[3] / "docs" / "stores.md"
COLUMNS = {
    "survives": "persistent",
    "exact": "exact",
    "filters": "filters",
    "by words": "text_search",
    "approximate index": "ann",
    "several processes": "concurrent",
}


def rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    names = [cell.strip() for cell in lines[0].strip("|").split("|")]
    table = {}
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = re.fullmatch(r"`(\w+)`", cells[0])
        if name is None or len(cells) != len(names):
            break
        table[name[1]] = dict(zip(names, cells, strict=True))
    return table


def test_the_page_names_every_store_and_no_other():
    assert set(rows()) == set(STORES)


@pytest.mark.parametrize("name", sorted(STORES))
def test_the_page_says_what_the_store_declares(name):
    declared, told = STORES[name].load().capabilities, rows()[name]
    assert {column: told[column] == "yes" for column in COLUMNS} == {
        column: getattr(declared, attribute) for column, attribute in COLUMNS.items()
    }


@pytest.mark.parametrize("name", sorted(STORES))
def test_the_page_says_which_indexes_migrate_in_place(name, capsys):
    """Those that are files; the command tells of any other the way out."""
    address = "missing.nearfield" if name == "sqlite" else f"{name}://place"
    assert run(["migrate", address, "--to", "bundled"]) != 0
    refused = "only an index file" in capsys.readouterr().err
    assert refused == (rows()[name]["`migrate`"] == "no")
