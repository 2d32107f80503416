"""Which proxy leads to Letta: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capital or in small letters."""

import os
import socket
from ipaddress import ip_address, ip_network
from urllib.request import getproxies

import httpx
import yarl

from adapters.letta.setting_error import NetworkSettingError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The one that httpx would take, but none to this machine itself; NO_PROXY may also have networks and addresses in
    brackets. Raises `NetworkSettingError`."""
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    text = proxies.get(scheme)
    if not text or is_loopback(url.host) or _is_excepted(url, proxies.get("no", "")):
        return None
    return _proxy(text, _variable(f"{scheme}_proxy"), url.host)


def _proxy(text: str, variable: str, host: str) -> httpx.Proxy:
    wanted = "a proxy's URL, such as http://proxy.example:3128"
    way_out = f"Correct or unset it, or add {host} to NO_PROXY."
    scheme, has_scheme, _ = text.partition("://")
    if has_scheme and scheme.isalnum() and scheme.lower() not in ("http", "https"):
        raise NetworkSettingError(
            f"{variable} names a proxy of the kind {scheme[:20]}://; the way to Letta can only go through http:// and "
            f"https:// proxies. {way_out}"
        )
    try:
        proxy = httpx.Proxy(text if has_scheme else f"http://{text}")
        target = yarl.URL(str(proxy.url))
        if not target.host or not target.port or any(character.isspace() for character in text):
            raise ValueError
        if proxy.auth is not None:
            # As it is going to be sent.
            name, password = proxy.auth
            if ":" in name:
                raise ValueError
            f"{name}:{password}".encode("latin-1")
    except (httpx.InvalidURL, ValueError):
        # It may hold a password: so it is not shown.
        raise NetworkSettingError(f"{variable} is not {wanted}. {way_out}") from None
    return proxy


def _variable(name: str) -> str:
    """How a variable of this name is written in the environment."""
    if os.environ.get(name):
        return name
    spellings = [each for each in os.environ if each.lower() == name]
    return spellings[0] if spellings else "The proxy in the settings of this system"


def is_loopback(host: str) -> bool:
    """Whether this is the machine itself."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # Also short and old ways to write an address, such as 127.1.
        address = ip_address(host if ":" in host else socket.inet_aton(host))
    except (OSError, ValueError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _is_excepted(url: httpx.URL, no_proxy: str) -> bool:
    return any(_excepts(entry.strip().lower(), url) for entry in no_proxy.split(","))


def _excepts(entry: str, url: httpx.URL) -> bool:
    if entry == "*":
        return True
    scheme, has_scheme, rest = entry.rpartition("://")
    if has_scheme and scheme not in ("all", url.scheme):
        return False
    host = url.host.lower().rstrip(".")
    name, port = _host_and_port(rest.rstrip("/") if has_scheme else rest)
    if port is not None and port != str(url.port or _DEFAULT_PORTS.get(url.scheme)):
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        pass
    bare = name.removeprefix("*").rstrip(".")
    if not bare:
        return bool(has_scheme) and not rest
    if bare.startswith("."):
        return host.endswith(bare)
    with_subdomains = not has_scheme or name.startswith("*")
    return host == bare or (with_subdomains and host.endswith(f".{bare}"))


def _host_and_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name, rest.removeprefix(":") or None
    name, colon, port = text.rpartition(":")
    return (name, port) if colon and port.isdigit() and ":" not in name else (text, None)
