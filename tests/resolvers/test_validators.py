"""Single values are kept up to exactly their bounds, and refused beyond them with the bound and what was given."""

from collections.abc import Callable
from typing import Any

import pytest

from resolvers.user_errors import InvalidInput
from resolvers.validators import (
    check_commit,
    check_file_name,
    check_json,
    check_line,
    check_location,
    check_tags,
    check_text,
    check_url,
    is_line,
)

URL = "https://files.example/"
OBJECT = "gs://bucket/"
AT_MOST = "names of objects have at most 1,024."
COMMIT = "0123456789abcdef" * 4
LONG = "é" * 101


def refusal(check: Callable[..., Any], *given: Any, **more: Any) -> tuple[str, tuple[str, ...]]:
    """Message and path of what a check raises."""
    with pytest.raises(InvalidInput) as refused:
        check(*given, **more)
    return refused.value.message, refused.value.path


@pytest.mark.parametrize(
    ("check", "longest", "message"),
    [
        (check_line, "x" * 1_000, f"name must be one line of 1 to 1000 characters, not '{'x' * 100}…'."),
        (check_text, "é" * 100_000, "name has 100001 characters; at most 100000 are allowed."),
        (
            check_url,
            URL + "x" * (2_000 - len(URL)),
            f"name must be an absolute URL, not '{URL}{'x' * (100 - len(URL))}'.",
        ),
        (
            check_file_name,
            "plots/" + "é" * 127 + "x",
            "name has a part of 256 bytes; the name of a file or folder has at most 255.",
        ),
        (check_location, OBJECT + "é" * 512, f"name '{OBJECT}{'é' * 88}' names an object in 1,025 bytes; {AT_MOST}"),
        (check_commit, COMMIT, f"name must be a commit hash, not '{COMMIT}x': branches move."),
    ],
    ids=["line", "text", "url", "file name", "object", "commit"],
)
def test_the_longest_text_is_kept_as_it_is_and_one_sign_more_refused(
    check: Callable[..., Any], longest: str, message: str
) -> None:
    assert check(longest, "input", "name") == longest

    with pytest.raises(InvalidInput) as refused:
        check(f"{longest}x", "input", "name")
    assert (refused.value.message, refused.value.path) == (message, ("input", "name"))


def test_a_path_has_at_most_3072_bytes() -> None:
    folders = "/".join([f"{63 * chr(0x1F5FA)}abc"] * 12)
    longest = f"{folders[:-1]}/x"

    assert (len(longest.encode()), check_file_name(longest, "name")) == (3_072, longest)
    with pytest.raises(InvalidInput, match="name has 3,073 bytes; a path has at most 3,072"):
        check_file_name(f"{folders}/x", "name")


def test_json_has_at_most_as_many_bytes_as_are_asked_for() -> None:
    assert check_json(["é"], "parameters", max_bytes=6) == '["é"]'
    with pytest.raises(InvalidInput, match="The parameters has 6 bytes, more than 5"):
        check_json(["é"], "parameters", max_bytes=5)


@pytest.mark.parametrize("commit", ["0a1", "g" * 40, "", "main"])
def test_a_commit_has_at_least_four_digits(commit: str) -> None:
    assert check_commit(" 0A1B ", "commit") == "0a1b"
    with pytest.raises(InvalidInput, match="branches move"):
        check_commit(commit, "commit")


def test_a_tag_given_twice_is_kept_once_where_it_was_first() -> None:
    assert check_tags(["sea", "nets", " sea ", "Sea", "nets"], "tags") == ["sea", "nets", "Sea"]


def test_a_hundred_tags_are_kept_and_one_more_refused() -> None:
    several = [f"tag {number}" for number in range(100)]

    assert check_tags(several, "tags") == several
    with pytest.raises(InvalidInput, match="101 tags are too many; at most 100 are allowed"):
        check_tags([*several, "tag 0"], "tags")


@pytest.mark.parametrize(
    ("check", "given", "taken"),
    [
        (check_line, "  a title ", "a title"),
        (check_line, f" {'t' * 1_000} ", "t" * 1_000),
        (check_line, None, None),
        (check_text, "several\nlines ", "several\nlines "),
        (check_text, None, None),
        (check_file_name, "plots/map.png", "plots/map.png"),
        (check_url, None, None),
        (check_url, "urn:isbn:0451450523", "urn:isbn:0451450523"),
        (check_url, "https://data.example/?token=a&x=1#there", "https://data.example/?x=1#there"),
        (check_location, " gs://bucket/a name%20.csv", "gs://bucket/a name%20.csv"),
        (check_location, " https://data.example/a name.csv ", "https://data.example/a%20name.csv"),
        (check_commit, " ABCD ", "abcd"),
    ],
)
def test_a_value_is_taken_as_it_will_be_kept(check: Callable[..., Any], given: str | None, taken: str | None) -> None:
    assert check(given, "input", "field") == taken


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        (check_line, " ", "field must be one line of 1 to 1000 characters, not ' '."),
        (check_line, "a\nb", "field must be one line of 1 to 1000 characters, not 'a\\nb'."),
        (check_line, "a\x1fb", "field must be one line of 1 to 1000 characters, not 'a\\x1fb'."),
        (check_file_name, "../map.png", "field must be a name such as data.csv or plots/map.png, not '../map.png'."),
        (check_file_name, "a/./b", "field must be a name such as data.csv or plots/map.png, not 'a/./b'."),
        (check_file_name, "a//b", "field must be a name such as data.csv or plots/map.png, not 'a//b'."),
        (check_file_name, "a\\b", "field must be a name such as data.csv or plots/map.png, not 'a\\\\b'."),
        (check_file_name, "a\x7fb", "field must be a name such as data.csv or plots/map.png, not 'a\\x7fb'."),
        (check_file_name, f"/{LONG}", f"field must be a name such as data.csv or plots/map.png, not '/{LONG[:99]}'."),
        (check_url, "/relative", "field must be an absolute URL, not '/relative'."),
        (check_url, "mailto:somebody", "field must be an absolute URL, not 'mailto:somebody'."),
        (check_url, "javascript://a/b", "field must be an absolute URL, not 'javascript://a/b'."),
        (check_url, "https://data.example/a b", "field must be an absolute URL, not 'https://data.example/a b'."),
        (check_url, "https://[", "field 'https://[' is not a URL: Invalid IPv6 URL."),
        (check_location, "gs:///name", "field 'gs:///name' names no bucket."),
        (check_location, "gs://bucket/a\tb", "field 'gs://bucket/a\\tb' holds '\\t', which file names must not."),
    ],
)
def test_a_value_that_cannot_be_kept_is_refused(check: Callable[..., Any], given: str, said: str) -> None:
    assert refusal(check, given, "input", "field") == (said, ("input", "field"))


def test_an_item_of_a_list_is_called_as_its_list_is() -> None:
    assert refusal(check_url, "here", "urls", "2") == ("urls must be an absolute URL, not 'here'.", ("urls", "2"))
    assert refusal(check_url, "here", "2") == ("2 must be an absolute URL, not 'here'.", ("2",))


def test_a_secret_in_a_url_that_is_refused_is_not_shown() -> None:
    message, _ = refusal(check_url, "https://user:pass@data.example/a b?token=hidden", "url")

    assert message.startswith("url must be an absolute URL, not 'https://")
    assert "pass" not in message
    assert "hidden" not in message


def test_a_text_is_a_line_up_to_its_longest_length() -> None:
    assert [is_line(text) for text in ("", "t", "t" * 1_000, "t" * 1_001, "a\x1fb", "a b")] == [
        *(False, True, True, False, False, True)
    ]


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    message, path = refusal(check_json, float("nan"), "steps", "parameters", max_bytes=17)

    assert message.startswith("parameters cannot be written as JSON: Out of range float values are not JSON compliant")
    assert path == ("steps", "parameters")
    assert refusal(check_json, "long", "steps", "parameters", max_bytes=5)[1] == ("steps", "parameters")


def test_a_tag_that_is_none_is_refused_by_its_number() -> None:
    assert refusal(check_tags, ["good", ""], "tags") == (
        "1 must be one line of 1 to 1000 characters, not ''.",
        ("tags", "1"),
    )
