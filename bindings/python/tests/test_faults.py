"""Each fault, while pulling and while pushing: survived, or refused as what it is. The server's log proves it fired."""

from __future__ import annotations

from typing import Optional

import parbuckle
import pytest

from support import Fault, Site, image_of

SIZE = 3_000_000

#: What is survived: the fault, and how often.
PULL: list[tuple[str, int]] = [
    ("reset@50%", 1),
    ("stall", 1),
    ("truncate", 1),
    ("429 retry-after=1", 1),
    ("503", 3),
    ("401 expired", 1),
]
#: The same, and the method of the requests.
PUSH: list[tuple[str, str, int]] = [
    ("PUT", "reset@50%", 1),
    ("PUT", "stall", 1),
    ("PUT", "truncate", 1),
    ("PUT", "429 retry-after=1", 1),
    ("PUT", "503", 3),
    ("PUT", "500", 1),
    ("POST", "500", 1),
    ("PUT", "401 expired", 1),
]
#: What comes out when a fault is on each request.
ALWAYS: list[tuple[str, type[parbuckle.Error]]] = [
    ("reset@50%", parbuckle.UnavailableError),
    ("stall", parbuckle.TimedOutError),
    ("wrong-digest", parbuckle.DigestMismatchError),
    ("429 retry-after=0", parbuckle.RateLimitedError),
    ("503", parbuckle.UnavailableError),
    ("401 expired", parbuckle.DeniedError),  # the credentials were good for the token, and the token for nothing
]


def site(faults: list[Fault], fault: str, attempts: int = 5, idle: float = 0.3) -> Site:
    if fault == "401 expired":
        return Site(faults, users={"u": "p"}, token_auth=60, attempts=attempts, idle=idle)
    return Site(faults, attempts=attempts, idle=idle)


def times(fault: str, count: int, method: str, path: str) -> list[Fault]:
    return [(method, path, nth, fault) for nth in range(1, count + 1)]


@pytest.mark.parametrize(("fault", "count"), PULL)
def test_pull_survives(fault: str, count: int) -> None:
    for path, expected in [("/v2/a/manifests/*", count), ("/v2/a/blobs/*", count)]:
        with site(times(fault, count, "GET", path), fault) as here:
            image = image_of(SIZE)
            here.client.push(here.name("a:1"), image)
            back = here.client.pull(here.name("a:1"))
            assert back.config().json == image.config().json
            with back.layers[0].open() as found, image.layers[0].open() as sent:
                assert found.read() == sent.read()
            assert here.fired() == expected


@pytest.mark.parametrize(("method", "fault", "count"), PUSH)
def test_push_survives(method: str, fault: str, count: int) -> None:
    faults = times(fault, count, method, "/v2/a/blobs/uploads/*")
    with site(faults, fault) as here:
        image = image_of(SIZE)
        here.client.push(here.name("a:1"), image)
        assert here.fired() == count
        here.client.pull(here.name("a:1")).validate()


def test_push_of_other_bytes_than_arrived() -> None:
    """An upload that arrived as something else is refused by the server, or sent again; nothing wrong is visible."""
    with Site([("PUT", "/v2/a/blobs/uploads/*", 0, "wrong-digest")]) as here:
        with pytest.raises(parbuckle.DigestMismatchError):
            here.client.push(here.name("a:1"), image_of(SIZE))
        assert here.fired() >= 1
        with pytest.raises(parbuckle.NotFoundError):
            here.client.pull(here.name("a:1"))


@pytest.mark.parametrize(("fault", "kind"), ALWAYS)
def test_pull_refuses(fault: str, kind: type[parbuckle.Error]) -> None:
    with site([("GET", "/v2/a/blobs/*", 0, fault)], fault, 2, 0.1) as here:
        here.client.push(here.name("a:1"), image_of(SIZE))
        image = here.client.pull(here.name("a:1"))
        with pytest.raises(kind):
            image.config()
        before = here.fired()
        assert before >= 1
        refused: Optional[parbuckle.Error] = None
        try:
            stream = image.layers[0].open()
        except parbuckle.Error as e:
            refused = e
        else:
            with pytest.raises(kind):
                stream.read()
            with pytest.raises(kind):
                stream.read(1)  # a failure never turns into an end
        assert refused is None or isinstance(refused, kind)
        assert here.fired() > before


def test_truncated_pull_is_no_end() -> None:
    with Site([("GET", "/v2/a/blobs/*", 0, "truncate")], attempts=2) as here:
        here.client.push(here.name("a:1"), image_of(SIZE))
        layer = here.client.pull(here.name("a:1")).layers[0]
        with pytest.raises(parbuckle.Error) as caught, layer.open() as stream:
            stream.read()
        assert caught.value.code in ("UNAVAILABLE", "PROTOCOL", "DIGEST_MISMATCH"), caught.value.code
        assert here.fired() >= 1


@pytest.mark.parametrize(("fault", "kind"), ALWAYS)
def test_push_refuses(fault: str, kind: type[parbuckle.Error]) -> None:
    with site([("PUT", "/v2/a/*", 0, fault)], fault, 2, 0.1) as here:
        with pytest.raises(kind):
            here.client.push(here.name("a:1"), image_of(SIZE))
        assert here.fired() >= 1
        with pytest.raises(parbuckle.NotFoundError):
            here.client.pull(here.name("a:1"))


def test_layer_into_a_failing_repository() -> None:
    with Site([("PATCH", "/v2/a/blobs/uploads/*", 1, "500")]) as here:
        layer = parbuckle.Layer.from_fileobj(open_tar(), sink=here.client.repository(here.name("a")))
        assert here.fired() == 1
        here.client.push(here.name("a:1"), parbuckle.ImageBuilder().add_layer(layer).build())
        here.client.pull(here.name("a:1")).validate()
    with Site([("*", "/v2/a/blobs/uploads/*", 0, "stall")], attempts=1) as here:
        with pytest.raises(parbuckle.TimedOutError):
            parbuckle.Layer.from_fileobj(open_tar(), sink=here.client.repository(here.name("a")))
        assert here.fired() >= 1


def open_tar() -> object:
    import io

    from support import tar_of

    return io.BytesIO(tar_of(SIZE))
