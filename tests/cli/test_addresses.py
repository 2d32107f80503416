"""The addresses that a server listens on."""

import socket

import pytest

from entrypoints.server import listen


def answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        return client.connect_ex((address, port)) == 0


def test_an_address_of_ipv4_is_listened_on_alone() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert answers(socket.AF_INET, "127.0.0.1", listener.getsockname()[1])
        assert listener.family == socket.AF_INET


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6, or keeps it apart from IPv4")
@pytest.mark.parametrize("host", ["::", "0:0::0"])
def test_all_addresses_of_ipv6_are_those_of_ipv4_too(host: str) -> None:
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert answers(socket.AF_INET, "127.0.0.1", port)
        assert answers(socket.AF_INET6, "::1", port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6, or keeps it apart from IPv4")
def test_one_address_of_ipv6_is_listened_on_alone() -> None:
    with listen("::1", 0) as listener:
        port = listener.getsockname()[1]
        assert answers(socket.AF_INET6, "::1", port)
        assert not answers(socket.AF_INET, "127.0.0.1", port)
