from oi_tfrecord.cli.commands import SUMMARIES, load_command
from oi_tfrecord.cli.exit_codes import MEANINGS
from oi_tfrecord.cli.help import describe_flags
from oi_tfrecord.cli.reference import format_index, format_page


def test_the_index_links_every_command_and_lists_every_exit_code() -> None:
    text = format_index()
    for name in SUMMARIES:
        assert f"- [`{name}`]({name}.md): " in text
    for code in MEANINGS:
        assert f"\n| {code:d} | " in text


def test_a_page_has_a_row_for_each_flag() -> None:
    command = load_command("training-config")
    text = format_page(command)
    assert text.startswith("# training-config\n")
    assert "```sh\noi-tfrecord training-config records --pipeline=" in text
    for flag in describe_flags(command):
        assert text.count(f"\n| `{flag.usage}` | ") == 1
    row = "| `--framework=TEXT` | Program that trains. | object\\_detection, garden | `object_detection` |"
    assert row in text
