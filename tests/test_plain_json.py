"""JSON read strictly."""

import os

import pytest

from pdeops.errors import InputError
from pdeops.plain_json import DEEPEST, LARGEST, read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands there twice"),
        ('{"a": NaN}', "nan is no number"),
        ('{"a": -Infinity}', "-inf is no number"),
        ('{"a": 1e400}', "inf is no number"),
        (f'{{"a": {LARGEST + 1}}}', "a whole number beyond 1,048,576"),
        (f'{{"a": -{10**400}}}', "a whole number beyond 1,048,576"),
        ('{"a": ' + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + "}", "nested more than 40 deep"),
        ('{"a": ' + "[" * 100_000, "valid JSON"),
        ("[1]", "it holds no object"),
        ("", "valid JSON"),
        ('"' + "a" * LARGEST + '"', "has 1,048,578 bytes"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.json")


def test_what_is_taken(tmp_path):
    (tmp_path / "x.json").write_text(f'{{"a": {LARGEST}, "b": [1.5, null, true, "é"]}}', encoding="utf-8")
    assert read(tmp_path / "x.json") == {"a": LARGEST, "b": [1.5, None, True, "é"]}


def test_only_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "none", "."):
        with pytest.raises(InputError, match="is not a file"):
            read(tmp_path / name)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="valid JSON"):
        read(tmp_path / "bytes")
