"""The verifier finds what is planted, at its place, and raises no alarm on clean copies."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from workbench import connections
from workbench.settings import Settings
from workbench.verification.planting import Position
from workbench.verification.self_test import scratch_copy, self_test

EVERY = 23
"""In the short form one planting of so many is made; 23 is coprime to the number of positions."""


def test_planted_defects_are_found_and_clean_copies_raise_no_alarm(servers: Settings) -> None:
    positions: set[Position] = set()

    def wanted(number: int, planting: object) -> bool:
        chosen = number % EVERY == 0
        if chosen:
            positions.add(planting.position)  # type: ignore[attr-defined]
        return chosen

    result = self_test(servers, seed=11, clean_runs=1, wanted=wanted)
    assert result.passed, result.text()
    assert result.planted == result.caught > 15
    assert result.kinds == result.planted  # as many kinds as plantings
    assert positions >= {Position.FIRST, Position.LAST, Position.MIDDLE, Position.PARTITION_EDGE}
    assert f"{result.planted} caught / {result.planted} planted" in result.text()


def test_what_a_killed_self_test_left_is_dropped_by_the_next(servers: Settings) -> None:
    dead, alive = f"workbench_selftest_{secrets.token_hex(5)}", f"workbench_selftest_{secrets.token_hex(5)}"
    with (
        connections.open_source(servers, autocommit=True) as source,
        connections.open_target(servers) as client,
    ):
        for name in (dead, alive):
            source.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            client[name]["some"].insert_one({})
        elsewhere = urlunsplit(urlsplit(connections.source_uri(servers))._replace(path=f"/{alive}"))
        try:
            with psycopg.connect(elsewhere, application_name=alive), scratch_copy(servers, seed=3) as scratch:
                assert dead not in client.list_database_names()
                there = {alive, scratch.mongodb_database}
                assert there <= set(client.list_database_names())
                names = {row[0] for row in source.execute("SELECT datname FROM pg_database")}
                assert there <= names
                assert dead not in names
            assert scratch.mongodb_database not in client.list_database_names()
        finally:
            client.drop_database(alive)
            source.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(alive)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_kind_at_every_position_and_twenty_clean_copies(servers: Settings) -> None:
    result = self_test(servers, seed=100)
    assert result.passed, result.text()
    assert result.kinds >= 60
    assert result.planted > 400
    assert result.clean_runs == 20
