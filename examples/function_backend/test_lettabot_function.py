"""The backend keeps lettabot's contract."""

import pytest
from lettabot_function import FunctionGateway, FunctionSettings

from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from ports.backend_type import BackendError
from ports.contract.gateway import GatewayContract
from ports.contract.samples import Samples, events_of


class TestFunctionGateway(GatewayContract):
    @pytest.fixture
    def gateway(self) -> FunctionGateway:
        return FunctionGateway(FunctionSettings({"a": "lettabot_function:shout", "b": "lettabot_function:shout"}))

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(plain="hello there", plain_says="HELLO THERE")


@pytest.mark.anyio
async def test_a_function_that_fails_is_an_agent_s_error() -> None:
    gateway = FunctionGateway(FunctionSettings({"broken": "builtins:int"}))
    [agent] = await gateway.agents()
    with pytest.raises(FailureError) as raised:
        await events_of(gateway, agent, "no number")
    assert raised.value.failure.code is FailureCode.AGENT_ERROR


def test_a_function_that_is_not_there_is_told_to_the_operator() -> None:
    with pytest.raises(BackendError, match="nowhere:nothing is not there"):
        FunctionGateway(FunctionSettings({"lost": "nowhere:nothing"}))
