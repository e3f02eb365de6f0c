"""The same contract for the service of investigations: tenants and users are kept apart, values are literal."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.contract.conftest import TENANTS
from tests.contract.questions import Call, call
from workbench.errors import AccessDenied, DataError, InvalidInput, NotFound
from workbench.repositories import Repositories
from workbench.services import CreateInvestigation, InvestigationStateService, UpdateInvestigation, User
from workbench.settings import Settings

MINE, OTHER = TENANTS
OWNER = User(user_id="owner")
STRANGER = User(user_id="stranger")
ADMIN = User(user_id="admin", is_admin=True)
ID = "contract-case"

METHODS: dict[str, Callable[[User], Call]] = {
    "get": lambda user: call(ID, user=user),
    "update": lambda user: call(ID, UpdateInvestigation(tags=("seen",)), user=user, expected_version=1),
    "history": lambda user: call(ID, user=user),
    "complete": lambda user: call(ID, user=user),
    "delete": lambda user: call(ID, user=user),
}
"""Methods on one investigation -> its arguments behind the tenant."""
every_method = pytest.mark.parametrize("method", list(METHODS))


@pytest.fixture(scope="module")
async def service(repositories: Repositories, contract_settings: Settings) -> AsyncIterator[InvestigationStateService]:
    service = InvestigationStateService(repositories, contract_settings)
    await service.create(MINE, CreateInvestigation(investigation_id=ID, settings={"name": "mine"}), user=OWNER)
    yield service
    await service.background.drain()


def test_the_table_holds_every_method_on_one_investigation() -> None:
    offered = {
        name
        for name, member in inspect.getmembers(InvestigationStateService, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert offered == {*METHODS, "create", "sweep"}
    for name in offered:
        parameter = list(inspect.signature(getattr(InvestigationStateService, name)).parameters.values())[1]
        assert parameter.name == "tenant"
        assert parameter.default is inspect.Parameter.empty


@every_method
async def test_another_tenant_learns_nothing(service: InvestigationStateService, method: str) -> None:
    before = await service.history(MINE, ID, user=OWNER)
    for user in (OWNER, ADMIN, STRANGER):
        with pytest.raises(NotFound) as of_other:
            await _ask(service, method, OTHER, METHODS[method](user))
        with pytest.raises(NotFound) as of_nobody:
            await _ask(service, method, OTHER, _with_id(METHODS[method](user), "no-such-case"))
        # What exists in another tenant and what exists nowhere cannot be told apart.
        assert str(of_other.value).replace(ID, "") == str(of_nobody.value).replace("no-such-case", "")
    assert await service.history(MINE, ID, user=OWNER) == before


@every_method
async def test_another_user_of_the_tenant_is_denied(service: InvestigationStateService, method: str) -> None:
    before = await service.get(MINE, ID, user=OWNER)
    with pytest.raises(AccessDenied):
        await _ask(service, method, MINE, METHODS[method](STRANGER))
    assert (await service.get(MINE, ID, user=OWNER)).version == before.version


async def test_an_id_of_another_tenant_cannot_be_taken_over(service: InvestigationStateService) -> None:
    with pytest.raises(DataError):
        await service.create(OTHER, CreateInvestigation(investigation_id=ID), user=OWNER)
    assert (await service.get(MINE, ID, user=OWNER)).settings == {"name": "mine"}


@every_method
async def test_hostile_values_are_refused(service: InvestigationStateService, method: str) -> None:
    valid = METHODS[method](OWNER)
    for hostile in ({"$gt": ""}, {"$ne": None}, ["x"], re.compile(".*"), "' || 1 == 1", "$where", "\ud800", None, 7.5):
        for position in range(len(valid.args)):
            args = (*valid.args[:position], hostile, *valid.args[position + 1 :])
            with pytest.raises(DataError):
                await _ask(service, method, MINE, Call(args, valid.kwargs))
        for name in valid.kwargs:
            with pytest.raises(DataError):
                await _ask(service, method, MINE, Call(valid.args, {**valid.kwargs, name: hostile}))
    for tenant in ("", None, {"$gt": ""}, re.compile(".*")):
        with pytest.raises(InvalidInput):
            await _ask(service, method, tenant, valid)
    assert (await service.get(MINE, ID, user=OWNER)).version == 1


async def test_create_and_sweep_refuse_hostile_tenants(service: InvestigationStateService) -> None:
    for tenant in ("", None, {"$gt": ""}, ["acme"], re.compile(".*"), "\ud800"):
        with pytest.raises(InvalidInput):
            await service.create(tenant, CreateInvestigation(), user=OWNER)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await service.sweep(tenant)  # type: ignore[arg-type]


async def _ask(service: InvestigationStateService, method: str, tenant: Any, call: Call) -> Any:
    return await getattr(service, method)(tenant, *call.args, **call.kwargs)


def _with_id(call: Call, investigation_id: str) -> Call:
    return Call((investigation_id, *call.args[1:]), call.kwargs)
