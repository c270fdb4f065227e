"""Files whose names cannot stand side by side are refused before they are uploaded, and when they are fetched."""

import errno
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from documents.mongo.database import Client
from graph.clients.worker.file_names import FileNames, InvalidFileName
from graph.clients.worker.outputs import find_outputs
from tests.support.patience import until
from tests.support.working import Lab

A_NAME = "a" * 255

IN_PAGES_OF_TWO = (
    "from graph.clients.worker import inputs; inputs.PAGE_SIZE = 2; from graph.commands.main import main; main()"
)


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["x", "y", "z/x", "z/y/x"], None),
        ([A_NAME, f"d/{A_NAME}/{A_NAME}"], None),
        (["é" * 127], None),
        (["x", "x/y"], "'x' cannot be a file beside 'x/y'"),
        (["x/y/z", "x"], "'x' cannot be a file beside 'x/y/z'"),
        (["a/b", "a/b/c/d"], "'a/b' cannot be a file beside 'a/b/c/d'"),
        (["x", "x"], "'x' occurs twice"),
        ([f"{A_NAME}a"], "has 256 bytes, and the name of a file at most 255"),
        (["é" * 128], "has 256 bytes"),
        ([f"x/{A_NAME}a/y"], "has 256 bytes"),
        (["/".join([A_NAME] * 12)], None),
        (["/".join([A_NAME] * 13)], "has 3,327 bytes, and a path at most 3,072"),
    ],
)
def test_names_that_no_folder_can_hold_together_are_refused(names: list[str], refused: str | None) -> None:
    known = FileNames("The output")

    def add_all() -> None:
        for name in names:
            known.add(name)

    if refused is None:
        add_all()
        return
    with pytest.raises(InvalidFileName) as error:
        add_all()
    assert refused in str(error.value)
    assert str(error.value).startswith("The output ")


@pytest.mark.parametrize(
    ("leave", "why"),
    [
        ("""printf x > 'a\n'; mkdir a%0A; printf x > a%0A/y""", "'a%0A' cannot be a file beside 'a%0A/y'"),
        ("""printf x > "$(printf '%0100d' 0 | tr 0 '\\\\')" """, "has 300 bytes"),
        ("""printf x > 'a\n'; printf x > a%0A""", "'a%0A' occurs twice"),
        ("cd ..; rm -r $PROVENANCE_OUTPUT_DIR; ln -s /etc $PROVENANCE_OUTPUT_DIR", "was replaced by a link"),
        # Its name, with line breaks written as in URLs, is longer than the message of a failure may be.
        (
            f"""{sys.executable} -c "
import os
for length in [100, *[85] * 44]: os.mkdir(chr(10) * length); os.chdir(chr(10) * length)
open('file', 'w')" """,
            "The output '%0A",
        ),
        (
            f"""{sys.executable} -c "
import os
for _ in range(25): os.mkdir('y' * 200); os.chdir('y' * 200)
open('file', 'w')" """,
            "cannot be read: File name too long. Shorten its path.",
        ),
    ],
)
def test_outputs_that_the_next_step_could_not_fetch_fail_for_good_and_none_is_uploaded(
    lab: Lab, leave: str, why: str
) -> None:
    id = lab.an_execution({"key": "a"})

    lab.run(f"cd $PROVENANCE_OUTPUT_DIR; printf fine > fine; {leave}")

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["error"]["code"], step["error"]["retryable"]) == (
        "FAILED",
        "OUTPUTS_NOT_UPLOADED",
        False,
    )
    assert why in step["error"]["message"]
    assert (step["attempt"], step["outputs"]["nodes"]) == (1, [])


def test_inputs_stay_below_the_input_folder_whatever_the_keys_of_their_steps(lab: Lab) -> None:
    keys = [".", "..", "../../escaped", "/absolute"]
    id = lab.an_execution(*({"key": key, "dependsOn": []} for key in keys), {"key": "last", "dependsOn": keys})

    lab.run(
        '[ "$PROVENANCE_STEP_KEY" != last ] || { cd "$PROVENANCE_INPUT_DIR" && find . -type f; exit; }; '
        'mkdir "$PROVENANCE_OUTPUT_DIR/outputs" && touch "$PROVENANCE_OUTPUT_DIR/outputs/file"'
    )

    last = lab.execution(id)["by_key"]["last"]
    assert (last["status"], last["outputs"]["nodes"]) == ("SUCCEEDED", [])
    assert sorted(line for _, _, line in lab.log(last["id"])) == [
        "./%2E%2E/outputs/file",
        "./%2E/outputs/file",
        "./%2Fabsolute/outputs/file",
        "./..%2F..%2Fescaped/outputs/file",
    ]


def test_step_keys_that_are_one_folder_fail_for_good(lab: Lab) -> None:
    id = lab.an_execution(
        {"key": "a/b", "dependsOn": []}, {"key": "a%2Fb", "dependsOn": []}, {"key": "c", "dependsOn": ["a/b", "a%2Fb"]}
    )

    lab.run("true")

    step = lab.execution(id)["by_key"]["c"]
    assert (step["status"], step["error"]["code"], step["error"]["retryable"]) == (
        "FAILED",
        "INPUTS_NOT_FETCHED",
        False,
    )
    assert "The step's key 'a%2Fb' occurs twice" in step["error"]["message"]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["x", "x/y"], "Step a's output 'x' cannot be a file beside 'x/y'"),
        ([f"{A_NAME}a"], "has 256 bytes"),
        (["elsewhere"], "The bytes of elsewhere are stored where workers cannot fetch them."),
    ],
)
async def test_inputs_that_cannot_be_fetched_by_anybody_fail_for_good(
    lab: Lab, client: Client, names: list[str], why: str, tmp_path: Path
) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    go = tmp_path / "go"
    with lab.working(f"until [ -e {go} ]; do sleep 0.1; done"):
        until(lambda: lab.statuses(id)["a"] == "RUNNING")
        step = lab.execution(id)["by_key"]["a"]
        for number, name in enumerate(names):
            given = {"stepId": step["id"], "fileName": str(number), "bucket": "elsewhere", "key": name}
            output = lab.do("registerOutput", "output{id}", **given)["output"]["id"]
            # As an earlier release took it.
            await client["test_workers"]["outputs"].update_one({"_id": output}, {"$set": {"file_name": name}})
        go.touch()
        until(lambda: lab.statuses(id)["b"] == "FAILED")

    error = lab.execution(id)["by_key"]["b"]["error"]
    assert (error["code"], error["retryable"]) == ("INPUTS_NOT_FETCHED", False)
    assert why in error["message"]


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "readable").touch()
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    with patch("os.scandir", side_effect=denied), pytest.raises(PermissionError):
        find_outputs(tmp_path)

    assert [file.name for file in find_outputs(tmp_path)] == ["readable"]


def test_a_command_that_has_removed_its_output_folder_has_left_nothing(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})

    lab.run("rm -r $PROVENANCE_OUTPUT_DIR")

    assert lab.statuses(id) == {"a": "SUCCEEDED"}


def test_input_files_of_more_than_a_page_are_all_fetched(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    command = """for name in 1 2 3 4 5; do [ -e "$PROVENANCE_INPUT_DIR/a/$name" ] && echo "has $name"
        echo $name > "$PROVENANCE_OUTPUT_DIR/$name"; done"""

    lab.run(command, program=(sys.executable, "-c", IN_PAGES_OF_TWO, "work"))

    step = lab.execution(id)["by_key"]["b"]
    assert sorted(line[2] for line in lab.log(step["id"])) == [f"has {name}" for name in range(1, 6)]
