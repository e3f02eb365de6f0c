"""An answer of the server, however large, is decoded a few documents at a time, and a broken one is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import bson
import pytest
from bson.errors import InvalidBSON

from workbench.verification import scan

CODEC: bson.CodecOptions[dict[str, Any]] = bson.CodecOptions()


@pytest.mark.parametrize(("documents", "expected"), [(0, []), (1, [1]), (3, [3]), (7, [3, 3, 1])])
def test_an_answer_comes_in_portions(monkeypatch: pytest.MonkeyPatch, documents: int, expected: list[int]) -> None:
    monkeypatch.setattr(scan, "FETCH_ROWS", 3)
    answer = b"".join(bson.encode({"n": number, "text": "x" * number}) for number in range(documents))
    portions = [scan.decoded(portion, CODEC) for portion in scan.portions(answer)]
    assert [len(portion) for portion in portions] == expected
    assert [document["n"] for portion in portions for document in portion] == list(range(documents))


@pytest.mark.parametrize("broken", [b"\0" * 20, bson.encode({"n": 1})[:-3], bson.encode({"n": 1}) + b"\3\0\0\0"])
def test_a_broken_answer_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidBSON):
        list(map(partial(scan.decoded, codec=CODEC), scan.portions(broken)))
