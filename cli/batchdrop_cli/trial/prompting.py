"""Ask for a prompt where there is no recipe, and write one with it."""

from __future__ import annotations

from pathlib import Path

import click

from batchdrop.domain.errors import Waits
from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.rendering import columns_used
from batchdrop.recipes.starter import starter
from batchdrop.recipes.templates import expression
from batchdrop.stages.plan.first_look import FirstLook
from batchdrop_cli.opening.opened_file import check_recipe, said_here
from batchdrop_client.plain_text import plain

_NAME = "recipe.yaml"


def ask_for_recipe(file: Path, look: FirstLook) -> Path:
    """The recipe that was written beside the file. Asks until the prompt fits the file.

    Raises click.Abort when the person gives up; Waits, Rejected for a file that needs more than a prompt.
    """
    if look.fault:
        raise Waits(look.fault)
    click.echo(f"columns  {shown(plain(', '.join(look.columns)))}", err=True)
    column = next(iter(columns_used(read_recipe(starter(look.columns, [look.row]), _NAME).recipe)), "text")
    click.echo(f"No recipe.yaml here. What should Claude do with each row? Use {plain(expression(column))}.", err=True)
    while True:
        prompt = plain(click.prompt(">", prompt_suffix=" ", err=True))
        text = starter(look.columns, [look.row], prompt=prompt, alone=True)
        try:
            check_recipe(file, text)
        except Waits as reason:
            click.echo(plain(said_here(reason)), err=True)
            continue
        path = file.absolute().parent / _NAME
        with path.open("xb") as written:
            written.write(text)
        return path
