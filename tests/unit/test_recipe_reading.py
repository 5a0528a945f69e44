"""A recipe is read, or refused with a sentence that says where and what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.reading import MAX_BYTES, MAX_LEVELS, read_recipe, worded
from batchdrop.recipes.recipe import DEFAULT_MAX_TOKENS, powers

MODEL = "model: claude-haiku-5-5\n"
GOOD = MODEL + "prompt: |\n  Label this:\n  {{ text }}\n"


IN_QUOTES = (
    "recipe.yaml, line 5: `documents` needs quotes around a text with {{ }}, since to YAML a brace begins a mapping. Write "
)


def fault(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(RecipeFault) as raised:
        read_recipe(data, "recipe.yaml")
    return raised.value.message


def test_a_recipe() -> None:
    found = read_recipe(
        b"# a comment\nmodel: m\nmax_tokens: 50\nmessages:\n- role: user\n  content: [{type: text, text: '{{ a }}'}]\n"
        b"output: {label: [yes, no, 5]}\nthinking: off\nexpected: 2026-01-01\nparams: {top_p: 0.5, service_tier: auto}\n"
        b"anthropic_version: 2023-06-01\nid: on\n",
        "recipe.yaml",
    ).recipe
    assert (found.model, found.max_tokens, found.thinking, found.id) == ("m", 50, "off", "on")
    assert found.messages is not None
    assert found.messages[0].content == [{"type": "text", "text": "{{ a }}"}]
    assert found.output == {"label": ["yes", "no", 5]}
    assert found.expected == "2026-01-01"
    assert found.anthropic_version == "2023-06-01"
    assert found.params == {"top_p": 0.5, "service_tier": "auto"}
    assert read_recipe(GOOD.encode(), "recipe.yaml").recipe.max_tokens == DEFAULT_MAX_TOKENS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-3", -3),
        ("~", None),
        ("", None),
        ("True", True),
        ("'true'", "true"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        (".inf", ".inf"),
        ("1_000", "1_000"),
        ("9" * 41, 1e41),
        ("|\n    a", "a\n"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read_recipe(f"{GOOD}params:\n  x: {text}\n".encode(), "recipe.yaml").recipe.params["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "recipe.yaml: The recipe is empty: write at least `model:` and `prompt:`."),
        ("# only a comment\n", "recipe.yaml: The recipe is empty: write at least `model:` and `prompt:`."),
        ("---\n", "recipe.yaml: The recipe is empty: write at least `model:` and `prompt:`."),
        (
            "- a\n",
            "recipe.yaml, line 1: A recipe has lines of `name: value`, such as `model: claude-haiku-5-5`, and this is a list.",
        ),
        (
            "ask\n",
            "recipe.yaml, line 1: A recipe has lines of `name: value`, such as `model: claude-haiku-5-5`, and this is a text.",
        ),
        (
            MODEL + "prompt: {{ text }}\n",
            "recipe.yaml, line 2: `prompt` needs quotes around a text with {{ }}, since to YAML a brace begins a mapping. "
            "Write `prompt: |` and the text indented below it.",
        ),
        (MODEL + "system: {{ text }} and more\n", "recipe.yaml, line 2: `system` needs quotes around a text with {{ }}"),
        (MODEL + "prompt: {% if a %}\n", "recipe.yaml, line 2: `prompt` needs quotes around a text with {{ }}"),
        (MODEL + "promt: x\n", "recipe.yaml, line 2: `promt`: did you mean `prompt`?"),
        (MODEL + "zebra: x\n", "recipe.yaml, line 2: A recipe has no field `zebra`. A parameter of the Messages API"),
        (
            MODEL + "prompt: Label: {{ text }}\n",
            "recipe.yaml, line 2: A second colon stands in the text of `prompt` (mapping values are not allowed here). "
            "Write `prompt: |` and the text indented below it, or put it in quotes.",
        ),
        (
            MODEL + "prompt: x\n  system: y\n",
            "recipe.yaml, line 3: This line is indented further than the field above it: align them.",
        ),
        (
            "model:claude-haiku-5-5\nprompt: x\n",
            "recipe.yaml, line 1: A space is missing after the colon: write `model: claude-haiku-5-5`.",
        ),
        (MODEL + "prompt:Label\n", "recipe.yaml, line 2: A space is missing after the colon: write `prompt: Label`."),
        (MODEL + "prompt: |\n  Note:this\n system: y\n", "recipe.yaml, line 4: This is no YAML: expected <block end>"),
        (MODEL + "prompt: |\n\tx\n", "recipe.yaml, line 3: A tab stands where YAML takes spaces only: indent with spaces."),
        (MODEL + "prompt: 'x\n", "recipe.yaml, line 2: A quote that opens here is never closed."),
        (MODEL + "prompt: @x\n", "recipe.yaml, line 2: This is no YAML: found character '@' that cannot start any token."),
        (
            MODEL.encode() + b"prompt: Gr\xf6sse",
            "recipe.yaml, line 2: The recipe is not UTF-8. Save it as UTF-8 and put it in again.",
        ),
        (MODEL.encode("utf-16"), "recipe.yaml, line 1: The recipe is not UTF-8."),
        (
            MODEL + "prompt: x\x01",
            "recipe.yaml, line 2: A character stands here that no text has (a control character): remove it.",
        ),
        (MODEL + 'prompt: "\\ud800"', "recipe.yaml, line 2: An escape is half of a character (a surrogate)"),
        (MODEL + "prompt: a\nprompt: b\n", "recipe.yaml, line 3: `prompt` is there twice, first in line 2: leave one out."),
        (
            MODEL + "prompt: !!python/object:os.system x\n",
            "recipe.yaml, line 2: The tag !!python/object:os.system is not allowed",
        ),
        (MODEL + "prompt: &a x\n", "recipe.yaml, line 2: Anchors and aliases (& and *) are not allowed in a recipe"),
        (MODEL + "prompt: *a\n", "recipe.yaml, line 2: Anchors and aliases (& and *) are not allowed in a recipe"),
        (MODEL + "<<: {prompt: x}\n", "recipe.yaml, line 2: `<<` (a merge key) is not allowed in a recipe: write the lines out."),
        (MODEL + "? [a]\n: x\n", "recipe.yaml, line 2: The name of a field is a text, and here it is a list or a mapping."),
        (GOOD + "---\n" + GOOD, "recipe.yaml, line 5: A line with `---` begins a second recipe: leave it out."),
        (GOOD + "params: {x: 1e999}\n", "recipe.yaml, line 5: `x` is a number that is too large."),
        (MODEL, "recipe.yaml: `prompt` is missing: it says what is asked about each row."),
        ("prompt: x\n", "recipe.yaml: `model` is missing: write the model that answers, such as `model: claude-haiku-5-5`."),
        (MODEL + "prompt: ' '\n", "recipe.yaml, line 2: `prompt` is empty: write what is asked about each row."),
        (GOOD + "messages: []\n", "recipe.yaml, line 5: `prompt` and `messages` are both there: a recipe has one of them."),
        (
            GOOD + "thinking: yes\n",
            "recipe.yaml, line 5: `thinking`: `yes` is not allowed here. Write `on`, or an effort: `low`, `medium`, `high`, "
            "`xhigh` or `max`.",
        ),
        (
            GOOD + "encoding: windows-1225\n",
            'recipe.yaml, line 5: "windows-1225" is not an encoding that a table can have. Did you mean',
        ),
        (
            GOOD + "separator: ab\n",
            'recipe.yaml, line 5: "ab" cannot separate columns. Write one character such as ";", or comma',
        ),
        (GOOD + "separator: ,\n", "recipe.yaml, line 5: `separator` takes a word here: write `separator: comma`"),
        (
            GOOD + "output:\n  label: [“a”, b]\n",
            'recipe.yaml, line 6: Typographic quotes stand at `“a”`: use straight ones (") or none.',
        ),
        ("model: „claude-haiku-5-5“\nprompt: x\n", "recipe.yaml, line 1: Typographic quotes stand at"),
        (GOOD + "system: a\u2028b\n", "recipe.yaml, line 5: An invisible line separator (U+2028) stands here: put a new line"),
        (GOOD + "thinking: true\n", "recipe.yaml, line 5: `thinking`: `true` is not allowed here. Write `on`"),
        (GOOD + "thinking: no\n", "recipe.yaml, line 5: `thinking`: `no` is not allowed here. Write `off`."),
        (GOOD + "thinking: hihg\n", "recipe.yaml, line 5: `thinking`: `hihg` is not allowed here. Did you mean `high`?"),
        (
            GOOD + "priority: urgent\n",
            "recipe.yaml, line 5: `priority`: `urgent` is not allowed here. Write `high`, `normal` or `low`.",
        ),
        (GOOD + "csv: {a: b}\n", "recipe.yaml, line 5: `csv`: it is one word. Write `raw`."),
        (GOOD + "retry: [cut]\n", "recipe.yaml, line 5: `retry`: `cut` is not allowed here."),
        (
            GOOD + "retry: off-schema\n",
            "recipe.yaml, line 5: `retry` is a mapping (lines of `name: value`) or a list, and this is text. Write `retry: [off_",
        ),
        (
            GOOD + "max_tokens: '50'\n",
            "recipe.yaml, line 5: `max_tokens` is a whole number, and this is text. Write it in digits alone, without quotes",
        ),
        (GOOD + "retry: {cut: {}}\n", "recipe.yaml, line 5: `cut` is not known here; there are empty, errored, not_json, "),
        (GOOD + "retry:\n  truncated: {max_token: 5}\n", "recipe.yaml, line 6: `max_token`: did you mean `max_tokens`?"),
        (GOOD + "retry:\n  refused:\n    thinking: of\n", "recipe.yaml, line 7: `thinking`: `of` is not allowed here."),
        (GOOD + "retry:\n  truncated: 5\n", "recipe.yaml, line 6: `truncated` is a mapping (lines of `name: value`), and"),
        (
            GOOD + "retry: {refused: {thinking: low}}\nparams: {thinking: {type: adaptive}}\n",
            "recipe.yaml, line 5: `thinking` is there twice, here and below `params`",
        ),
        (GOOD + "deadline: tomorrow\n", "recipe.yaml, line 5: `deadline: tomorrow`: this is no deadline: write `3h`, `90m` or"),
        (GOOD + "deadline: 07:00\n", "recipe.yaml, line 5: `deadline: 07:00`: a time of day needs its zone"),
        (GOOD + "deadline: 07:00 Berlin\n", "recipe.yaml, line 5: `deadline: 07:00 Berlin`: there is no such time zone"),
        (
            GOOD + "deadline: 3\n",
            "recipe.yaml, line 5: `deadline` is text, and this is a whole number. Write `deadline: 3h` for hours",
        ),
        (
            GOOD + "deadline: 07:00 europe/berlin\n",
            "recipe.yaml, line 5: `deadline: 07:00 europe/berlin`: there is no such time zone: did you mean Europe/Berlin?",
        ),
        (
            GOOD + "retry: [truncated]\nattempts: 1\n",
            "recipe.yaml, line 6: `retry` asks rows again, and `attempts: 1` sends each row once",
        ),
        (
            GOOD + "documents: []\n",
            'recipe.yaml, line 5: `documents` names no file: leave it out, or write `documents: ["{{ path }}"]`.',
        ),
        (
            GOOD + "images: '{{ photo }}'\n",
            'recipe.yaml, line 5: `images` is a list, and this is text. Write `images: ["{{ photo }}"]`.',
        ),
        (
            GOOD + "documents: [{{ text }}]\n",
            IN_QUOTES + '`documents: ["{{ text }}"]`.',
        ),
        (
            GOOD + "documents: {{ path }}\n",
            IN_QUOTES + '`documents: ["{{ path }}"]`.',
        ),
        (GOOD + "deadline: 30d\n", "recipe.yaml, line 5: `deadline: 30d`: it has to be between a minute and 14 days"),
        (GOOD + "max_tokens: 0\n", "recipe.yaml, line 5: `max_tokens`: a whole number, 1 or more."),
        (GOOD + "attempts: 100\n", "recipe.yaml, line 5: `attempts`: a whole number from 1 to 99."),
        (GOOD + "id: 7\n", "recipe.yaml, line 5: `id` is text, and this is a whole number. Put it in quotes."),
        (GOOD + "id: ''\n", "recipe.yaml, line 5: `id`: it is empty."),
        (GOOD + "betas:\n", "recipe.yaml, line 5: `betas` is empty: it takes a list."),
        (
            GOOD + "stop_sequences: x\n",
            "recipe.yaml, line 5: `stop_sequences` is a list, and this is text. Write `stop_sequences: [",
        ),
        (MODEL + "prompt: [x]\n", "recipe.yaml, line 2: `prompt` is text, and this is a list."),
        (
            MODEL + "messages:\n- role: user\n  text: x\n",
            "recipe.yaml, line 4: `text` is not known here; there are content, role.",
        ),
        (MODEL + "messages:\n- role: user\n  contents: x\n", "recipe.yaml, line 4: `contents`: did you mean `content`?"),
        (MODEL + "messages:\n- content: x\n", "recipe.yaml, line 3: `role` is missing."),
        (
            MODEL + "messages:\n- role: usr\n  content: x\n",
            "recipe.yaml, line 3: `role`: `usr` is not allowed here. Did you mean `user`?",
        ),
        (GOOD + "params:\n  tools: []\n", "recipe.yaml, line 6: `tools` has a place of its own: write it beside `model`"),
        (GOOD + "params:\n  betas: []\n", "recipe.yaml, line 6: `betas` is no parameter: write `betas` beside `model`."),
        (GOOD + "thinking: on\nparams: {thinking: {}}\n", "recipe.yaml, line 6: `thinking` is there twice"),
        (
            GOOD + "output: {a: string}\nparams: {output_config: {format: {}}}\n",
            "recipe.yaml, line 6: `output` and `output_config",
        ),
        ("x" * (MAX_BYTES + 1), "recipe.yaml: The recipe is 65,537 bytes long; 65,536 are allowed. Shorten it."),
        (GOOD + "output: " + "[" * MAX_LEVELS, "recipe.yaml, line 5: There are more than 20 levels: make it flatter."),
    ],
)
def test_sentences(text: str | bytes, sentence: str) -> None:
    assert fault(text).startswith(sentence)


def test_a_later_fault_gets_its_line() -> None:
    recipe = read_recipe(b"model: m\nprompt: |\n\n  One\n  {{ two }}\noutput:\n  label:\n  - a\n  - [b]\n", "recipe.yml")
    places = {
        ("model",): 1,
        ("prompt",): 2,
        ("prompt", 1): 3,
        ("prompt", 3): 5,
        ("output", "label"): 7,
        ("output", "label", 1): 9,
        ("output", "label", 1, "x", 5): 9,
        ("output", "nothing"): 6,
        ("nothing",): None,
        (): None,
    }
    assert {field: recipe.place(field) for field in places} == places
    assert recipe.worded(RecipeFault("No.", field=("output", "label"))) == "recipe.yml, line 7: No."
    assert recipe.worded(RecipeFault("No.", line=3)) == "recipe.yml, line 3: No."
    assert recipe.worded(RecipeFault("No.")) == "recipe.yml: No."
    assert recipe.worded(RecipeFault("asks for x", field=("prompt", 3))) == "recipe.yml, line 5, asks for x"


def test_wording_twice_is_wording_once() -> None:
    with pytest.raises(RecipeFault) as raised:
        read_recipe(b"promt: x", "recipe.yaml")
    assert worded(raised.value, "recipe.yaml", lambda _: 9) == raised.value.message
    assert raised.value.line == 1


def test_powers() -> None:
    recipe = read_recipe(
        GOOD.encode()
        + b"tools: [{type: web_search_20260318, name: s}, {type: custom, name: a}, {name: b}]\n"
        + b"system: [{type: document, source: {type: file, file_id: f}}]\nparams: {container: c, mcp_servers: [], "
        + b"cache_control: {}}\n",
        "recipe.yaml",
    ).recipe
    assert powers(recipe) == {"web_search_20260318", "file_id", "container", "mcp_servers"}
    assert powers(read_recipe(GOOD.encode(), "recipe.yaml").recipe) == frozenset()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 60_000,
        "{" * 60_000,
        "? " * 30_000,
        "- " * 30_000,
        "a: " * 20_000,
        "'" * 60_000,
        "!" * 60_000,
        "&a " * 20_000,
        "[a, " * 15_000,
        "a:\n" + " b\n" * 20_000,
        "".join(f"k{n}: 1\n" for n in range(6_000)),
        "a: " + "9" * 60_000,
        "a: " + "0." + "9" * 60_000,
        "a: |\n" + " x\n" * 20_000,
        "#" * 60_000 + "\n",
        '"' + "\\" * 60_000,
        "a: [" + "1," * 30_000,
        "%TAG ! x\n" * 6_000,
    ],
    ids=lambda text: text[:12],
)
def test_bombs_end_at_once(text: str) -> None:
    fault(text)


_PIECES = st.sampled_from(
    [
        *(
            "model: m\n",
            "prompt: |\n",
            "  {{ text }}\n",
            "output:",
            " [a, b]",
            "\n",
            "\t",
            "  ",
            "- ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            ",",
        ),
        *(
            "&a",
            "*a",
            "!!str ",
            "<<: ",
            "? ",
            "'",
            '"',
            "|",
            ">",
            "#",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\ufeff",
            "\x00",
            "\x85",
            "é",
        ),
        *(
            "max_tokens: ",
            "5",
            "thinking: ",
            "yes",
            "null",
            "messages:\n",
            "role: user\n",
            "content: ",
            "params: ",
            "\\ud800",
            "\r\n",
        ),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=40).map("".join).map(str.encode)))
def test_any_bytes_are_a_recipe_or_a_fault_with_a_sentence(data: bytes) -> None:
    said = _said(data)
    assert said is None or (said.startswith("recipe.yaml") and len(said) < 500)


def _said(data: bytes) -> str | None:
    try:
        read_recipe(data, "recipe.yaml")
    except RecipeFault as found:
        return found.message
    return None
