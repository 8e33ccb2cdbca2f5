"""What comes out when something is wrong."""

from __future__ import annotations

import copy
import csv
import os
import pickle
import subprocess
import sys
from pathlib import Path

import parbuckle
import pytest

from support import Site, image_of

TABLE = Path(__file__).parents[3] / "tests" / "scenarios" / "errors.tsv"
REGISTRIES = ("anon", "basic", "token")


def rows() -> list[dict[str, str]]:
    with open(TABLE, newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.skipif("PARB_TEST_ANON" not in os.environ, reason="no registries: PARB_TEST_ANON, _BASIC, _TOKEN are unset")
def test_shared_table() -> None:
    hosts = {name: os.environ[f"PARB_TEST_{name.upper()}"] for name in REGISTRIES}
    layer = parbuckle.LayerBuilder().add_bytes("hello", b"hello\n").build()
    image = parbuckle.ImageBuilder().add_layer(layer).build()
    failures = []
    for row in rows():
        wrong = outcome(row, hosts, image)
        if wrong:
            failures.append(f"{row['name']}: {wrong}")
    assert not failures, "\n".join(failures)


def outcome(row: dict[str, str], hosts: dict[str, str], image: parbuckle.Image) -> str:
    """What is not as the row says."""
    reference, subject = row["reference"].format(**hosts), row["subject"].format(**hosts)
    keychain = parbuckle.Keychain.anonymous()
    if row["user"] not in ("", "-"):
        keychain = parbuckle.Keychain.basic(reference.partition("/")[0], row["user"], row["password"])
    try:
        with parbuckle.Client(keychain=keychain, attempts=2, first_delay=0.05, timeout=30) as client:
            if row["operation"] == "push":
                client.push(reference, image)
            else:
                client.pull(reference)
    except parbuckle.Error as e:
        found = (e.code, str(e.http_status or 0), e.registry_code or "-")
        expected = (row["code"], row["http_status"], row["registry_code"])
        if found != expected:
            return f"{found} instead of {expected}: {e}"
        if subject != "-" and subject not in (e.subject or ""):
            return f"subject {e.subject!r} lacks {subject!r}"
        return ""
    return "" if row["code"] == "OK" else f"no error instead of {row['code']}"


def test_kinds_and_fields() -> None:
    with Site() as site:
        site.client.push(site.name("a:1"), image_of())
        with pytest.raises(parbuckle.NotFoundError) as caught:
            site.client.pull(site.name("a:none"))
    e = caught.value
    assert (e.code, e.http_status, e.registry_code) == ("NOT_FOUND", 404, "MANIFEST_UNKNOWN")
    assert e.subject and "/v2/a/manifests/none" in e.subject and str(e) == f"{e.subject}: {e.message}"
    for again in (pickle.loads(pickle.dumps(e)), copy.copy(e)):
        assert type(again) is parbuckle.NotFoundError and again.__dict__ == e.__dict__ and str(again) == str(e)
    with Site([("GET", "*", 0, "429 retry-after=2")], attempts=1) as site:
        with pytest.raises(parbuckle.RateLimitedError) as limited:
            site.client.pull(site.name("a"))
    assert limited.value.retry_after == 2
    users, faults = {"u": "p"}, [("GET", "/v2/a/manifests/*", 0, "401 expired")]
    with Site(faults, users=users, token_auth=60) as site, pytest.raises(parbuckle.DeniedError) as denied:
        site.client.pull(site.name("a"))
    assert isinstance(denied.value.__cause__, parbuckle.UnauthenticatedError), "what lies behind"
    assert denied.value.__cause__.http_status == 401


def test_every_code_has_a_class() -> None:
    from parbuckle import _table
    from parbuckle.errors import BY_CODE

    assert set(BY_CODE) == set(_table.CODES) - {"OK"}
    assert all(getattr(parbuckle, kind.__name__) is kind for kind in BY_CODE.values())


def test_files(tmp_path: Path) -> None:
    with pytest.raises(parbuckle.NotFoundError) as missing:
        parbuckle.Layer.from_file(tmp_path / "none.tar")
    assert missing.value.os_code == 2 and missing.value.subject == str(tmp_path / "none.tar")
    (tmp_path / "text").write_text("not a tar " * 200)
    with pytest.raises(parbuckle.MalformedError):
        parbuckle.Layer.from_file(tmp_path / "text")
    with pytest.raises(parbuckle.IoError) as refused:
        parbuckle.Server(storage_dir="/dev/null/none")
    assert isinstance(refused.value, OSError) and refused.value.errno == refused.value.os_code


def test_arguments() -> None:
    with pytest.raises(ValueError, match="null"):
        parbuckle.Reference("a\0b")
    with pytest.raises(ValueError, match="null"):
        parbuckle.Layer.from_file("a\0b")
    with pytest.raises(TypeError):
        parbuckle.ImageBuilder().cmd("sh")
    with pytest.raises(TypeError):
        parbuckle.ImageBuilder().env("A")
    with pytest.raises(TypeError):
        parbuckle.Reference(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        parbuckle.Client(plain_http="a.example")
    with pytest.raises(ValueError, match="zone"):
        import datetime

        parbuckle.ImageBuilder().created(datetime.datetime(2024, 1, 1))
    with pytest.raises(parbuckle.InvalidArgumentError):
        parbuckle.ImageBuilder().created("yesterday").env(A="1").build()
    with pytest.raises(parbuckle.InvalidArgumentError):
        parbuckle.Client(attempts=0)
    with pytest.raises(parbuckle.InvalidArgumentError):
        parbuckle.Server(faults=[("GET", "*", 1, "no such fault")])


def test_use_after_close() -> None:
    with Site() as site:
        site.client.push(site.name("a:1"), image_of())
        image = site.client.pull(site.name("a:1"))
        known = site.client.pull(site.name("a:1"))
        digest, config = image.digest, known.config().json
        stream = image.layers[0].open()
        site.client.close()
        site.client.close()
        for use in (
            lambda: site.client.pull(site.name("a:1")),
            lambda: image.config(),
            lambda: image.layers[0].open(),
            lambda: image.validate(),
            lambda: parbuckle.Layer.from_bytes(b"", sink=site.client.repository(site.name("b"))),
        ):
            with pytest.raises(parbuckle.InvalidStateError):
                use()
        with pytest.raises(parbuckle.InvalidStateError):
            stream.read()
        stream.close()
        assert image.digest == digest and known.config().json == config, "facts stay"
        assert site.client.stats["requests"] > 0


def test_an_older_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from parbuckle import _library, _table

    assert parbuckle.__version__ == _table.VERSION
    monkeypatch.setattr(_table, "VERSION", "99.0.0")
    with pytest.raises(ImportError, match=r"is parbuckle \d+\.\d+\.\d+; 99\.0\.0 or later is needed"):
        _library._load()


def test_loading() -> None:
    def load(**env: str) -> str:
        code = "import parbuckle"
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
        return done.stderr.strip().rpartition("\n")[2]

    assert load() == ""
    assert load(PARB_LIBRARY="/none.so").startswith("ImportError: no parbuckle library (set PARB_LIBRARY")
    other = load(PARB_LIBRARY="libc.so.6")
    assert other.startswith("ImportError: libc.so.6 is not parbuckle") and "parb_version_number" in other


def test_a_push_takes_what_its_name_says() -> None:
    with parbuckle.Server() as server, parbuckle.Client(keychain=parbuckle.Keychain.anonymous()) as client:
        layer = parbuckle.Layer.from_bytes(b"\0" * 1024)
        for push in (client.push, client.push_index):
            with pytest.raises(TypeError, match="not Layer"):
                push(f"{server.host}/a:1", layer)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="NoneType"):
            client.push(f"{server.host}/a:1", None)  # type: ignore[arg-type]
        assert not server.requests()
