"""What keeps a file from being opened, as a sentence for whoever runs the command."""

from __future__ import annotations

from collections.abc import Callable

from batchdrop.domain.errors import ObjectGone, Rejected, Waits
from batchdrop.formats.invalid_line import shown
from batchdrop_cli.exit_codes import FAILED
from batchdrop_cli.opening.opened_file import NeedsRecipe, said_here
from batchdrop_cli.terminal import say
from batchdrop_client.plain_text import plain

RECIPE_NAMED = "{} is a recipe. Name the file with the rows; the recipe beside it is found."


def guarded(work: Callable[[], int]) -> int:
    """The exit code of what opens a file and reads its rows."""
    try:
        return work()
    except (Waits, Rejected) as reason:
        return say(plain(said_here(reason)), FAILED)
    except ObjectGone as gone:
        return say(f"{plain(str(gone))} was removed while it was read.", FAILED)
    except BrokenPipeError:
        raise  # whoever reads the output has enough; click ends without a word
    except OSError as error:
        return say(f"{plain(str(error.filename or 'The file'))} cannot be read: {error.strerror or error}.", FAILED)


def without_recipe(name: str, needs: NeedsRecipe, otherwise: str) -> str:
    """`name`: of the file. `otherwise`: what else can be done than writing a recipe or naming one."""
    columns = f" Its columns: {shown(plain(', '.join(needs.look.columns)))}." if needs.look.columns else ""
    fault = f" {needs.look.fault}" if needs.look.fault else ""
    return (
        f"{plain(name)} holds rows, and no recipe says what to ask about each.{columns}{fault} Write a "
        f"recipe.yaml beside it, name one with --recipe, or {otherwise}."
    )
