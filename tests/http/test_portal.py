"""The portal's files: served without a key, with a strict policy, and never mixed with older ones."""

import pytest

from tests.http.conftest import Service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/portal", "text/html"), ("/portal/main.js", "text/javascript"), ("/portal/portal.css", "text/css")],
)
async def test_the_page_and_its_files_need_no_key_and_have_a_strict_policy(
    service: Service, path: str, kind: str
) -> None:
    answer = await service.client.get(path, headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await service.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "place"),
    [("/portal/", "../portal"), ("/turns", "./portal#lately"), ("/console", "./portal#try")],
)
async def test_other_addresses_lead_to_the_page_behind_any_proxy(service: Service, path: str, place: str) -> None:
    answer = await service.client.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, place)


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fhandlers.py", "%2e%2e", "handlers.py", "a" * 5000, "%00"])
async def test_no_other_file_is_served(service: Service, name: str) -> None:
    assert (await service.client.get(f"/portal/{name}")).status_code == 404
