"""Images out of a registry and into it, and what they say of themselves."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import parbuckle
import pytest

from support import Site, image_of, tar_of


def test_derive() -> None:
    with parbuckle.Server() as server, parbuckle.Client(user_agent="test-derive") as client:
        name = f"{server.host}/base:1"
        base = (
            parbuckle.ImageBuilder()
            .add_layer(parbuckle.Layer.from_bytes(tar_of(1000)), created_by="first")
            .env("PATH", "/bin")
            .env(HOME="/", UNUSED="1")
            .cmd(["sh", "-c", "true"])
            .platform("linux/arm64/v8")
            .build()
        )
        client.push(name, base)
        pulled = client.pull(name)
        assert pulled.digest == base.digest == client.resolve(name).digest
        assert pulled.manifest == base.manifest
        assert "sha256:" + hashlib.sha256(pulled.manifest).hexdigest() == pulled.digest

        target = client.repository(f"{server.host}/app")
        added = parbuckle.Layer.from_bytes(tar_of(2000, 2), sink=target)
        made = (
            pulled.edit()
            .add_layer(added, created_by="make", author="me", comment="é", created="2024-01-02T03:04:05Z")
            .env(HOME="/root")
            .unset_env("UNUSED")
            .entrypoint(["/app"])
            .user("1000")
            .workdir("/app")
            .label("a", "b")
            .annotation("c", "d")
            .expose("80/tcp", "53/udp")
            .volume("/data")
            .stop_signal("SIGINT")
            .created(datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc))
            .author("us")
            .build()
        )
        client.push(f"{server.host}/app:1", made)
        uploads = [r for r in server.requests() if r["method"] == "PUT" and "/app/blobs/" in r["path"]]
        assert len(uploads) == 2, "the added layer, once, and the config; the base's layer was mounted"

        back = client.pull(f"{server.host}/app:1")
        assert back.digest == made.digest
        assert [layer.digest for layer in back.layers] == [base.layers[0].digest, added.digest]
        assert back.layers[1].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
        assert back.annotations == {"c": "d"}
        config = back.config()
        assert config.platform == "linux/arm64/v8"
        assert config.env == {"PATH": "/bin", "HOME": "/root"}
        assert config.env_list == ["PATH=/bin", "HOME=/root"]
        assert (config.getenv("HOME"), config.getenv("UNUSED")) == ("/root", None)
        assert (config.entrypoint, config.cmd) == (["/app"], ["sh", "-c", "true"])
        assert (config.user, config.workdir, config.stop_signal) == ("1000", "/app", "SIGINT")
        assert (config.labels, config.volumes) == ({"a": "b"}, ["/data"])
        assert sorted(config.exposed_ports) == ["53/udp", "80/tcp"]
        assert config.created == "2024-01-02T00:00:00Z"
        assert config.diff_ids == [layer.diff_id() for layer in back.layers]
        assert config.diff_ids[1] == "sha256:" + hashlib.sha256(tar_of(2000, 2)).hexdigest()
        history = json.loads(config.json)["history"][-1]
        assert history == {
            "created": "2024-01-02T03:04:05Z",
            "created_by": "make",
            "author": "me",
            "comment": "é",
        }
        back.validate(jobs=2)
        assert all("test-derive parbuckle/" in r["user_agent"] for r in server.requests())
        assert client.stats["requests"] == len(server.requests())


def test_removals() -> None:
    full = image_of().edit().entrypoint(["a"]).cmd(["b"]).user("u").workdir("/w").label("l", "1").expose("1").volume("/v")
    bare = full.entrypoint(None).cmd(None).user(None).workdir(None).label("l", None).unexpose_all().drop_volumes().build()
    config = bare.config()
    assert (config.entrypoint, config.cmd, config.user, config.workdir) == (None, None, None, None)
    assert (config.labels, config.exposed_ports, config.volumes) == ({}, [], [])


def test_layers_from_everything(tmp_path: Path) -> None:
    tar = tar_of(300_000)
    (tmp_path / "l.tar").write_bytes(tar)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a")
    expected = "sha256:" + hashlib.sha256(tar).hexdigest()
    layers = [
        parbuckle.Layer.from_file(tmp_path / "l.tar"),
        parbuckle.Layer.from_file(os.fsencode(tmp_path / "l.tar")),
        parbuckle.Layer.from_bytes(bytearray(tar)),
        parbuckle.Layer.from_bytes(memoryview(tar)),
        parbuckle.Layer.from_fileobj(io.BytesIO(tar)),
    ]
    with open(tmp_path / "l.tar", "rb") as file:
        layers.append(parbuckle.Layer.from_fileobj(file, compression="gzip"))
    for layer in layers:
        assert layer.diff_id() == expected
        assert layer.digest == layers[0].digest
        with layer.open_uncompressed() as stream:
            assert stream.read() == tar
    zstd = parbuckle.Layer.from_file(tmp_path / "l.tar", compression="zstd", level=3)
    assert zstd.media_type.endswith("tar+zstd")
    assert b"".join(zstd)[:4] == b"\x28\xb5\x2f\xfd"
    tree = parbuckle.Layer.from_dir(tmp_path / "tree")
    with tree.open_uncompressed() as stream, tarfile.open(fileobj=stream, mode="r|") as listing:
        assert [member.name.strip("./") for member in listing if member.isfile()] == ["a"]


def test_layer_builder_and_writer(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("local")
    builder = parbuckle.LayerBuilder().add_bytes("bin/x", b"#!", mode=0o755).add_path(tmp_path / "local", "etc/y")
    layer = builder.add_symlink("bin/z", "x").remove("etc/gone").build()
    with layer.open_uncompressed() as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        found = {member.name: (member.mode, member.linkname) for member in tar}
    assert found["bin/x"] == (0o755, "")
    assert found["bin/z"][1] == "x"
    assert {"etc/y", "etc/.wh.gone"} <= set(found)
    with pytest.raises(parbuckle.InvalidArgumentError):
        parbuckle.LayerBuilder().add_bytes("../x", b"").build()

    with parbuckle.Layer.writer(compression="none") as writer:
        with tarfile.open(fileobj=writer, mode="w|") as tar:
            tar.add(tmp_path / "local", "there")
        written = writer.finish()
    with written.open() as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        assert tar.getnames() == ["there"]
    with pytest.raises(ValueError):
        writer.write(b"x")


def test_index() -> None:
    with Site() as site:
        images = {p: image_of(1000, i).edit().platform(p).build() for i, p in enumerate(["linux/amd64", "linux/arm64"])}
        entries = []
        for platform, image in images.items():
            site.client.push(site.name(f"a:{platform[-5:]}"), image)
            os_, arch = platform.split("/")
            entry = {"mediaType": image.media_type, "digest": image.digest, "size": image.descriptor.size}
            entries.append({**entry, "platform": {"os": os_, "architecture": arch}})
        media_type = "application/vnd.oci.image.index.v1+json"
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, "annotations": {"x": "y"}}
        put(site.server.url + "/v2/a/manifests/all", json.dumps(document).encode(), media_type)

        index = site.client.pull_index(site.name("a:all"))
        assert json.loads(index.manifest) == document
        assert (len(index), index.annotations, index.media_type) == (2, {"x": "y"}, media_type)
        assert [d.platform for d in index] == list(images)
        assert index[-1].digest == images["linux/arm64"].digest
        with pytest.raises(IndexError):
            index[2]
        assert index.image("linux/arm64").digest == images["linux/arm64"].digest
        assert index.image(index[0].digest).digest == images["linux/amd64"].digest
        with pytest.raises(parbuckle.NotFoundError):
            index.image("windows/amd64")
        assert site.client.pull(site.name("a:all")).digest == images["linux/amd64"].digest
        arm = site.client.pull(site.name("a:all"), platform="linux/arm64")
        assert arm.digest == images["linux/arm64"].digest
        site.client.push_index(site.name("b:all"), index)
        assert site.client.resolve(site.name("b:all")).digest == index.digest
        outer = json.dumps({**document, "manifests": [{"mediaType": media_type, "digest": index.digest, "size": index.descriptor.size}]})
        put(site.server.url + "/v2/a/manifests/outer", outer.encode(), media_type)
        assert site.client.pull_index(site.name("a:outer")).child(index.digest).digest == index.digest


def put(url: str, body: bytes, media_type: str) -> None:
    import urllib.request

    request = urllib.request.Request(url, body, {"Content-Type": media_type}, method="PUT")
    assert urllib.request.urlopen(request, timeout=10).status == 201


def test_subject_and_push_layer() -> None:
    with Site() as site:
        image = image_of()
        site.client.push(site.name("a:1"), image)
        signature = parbuckle.ImageBuilder().subject(image).build()
        assert json.loads(signature.manifest)["subject"]["digest"] == image.digest
        site.client.push_layer(site.name("other"), image.layers[0], mount_from=site.name("a"))
        posts = [r for r in site.server.requests() if r["method"] == "POST" and "/other/" in r["path"]]
        assert "from=a" in posts[-1]["query"]


def test_users_tokens_and_tls() -> None:
    image = image_of()
    with Site(users={"u": "p"}) as site:
        site.client.push(site.name("a:1"), image)
        with parbuckle.Client(keychain=parbuckle.Keychain.anonymous()) as stranger:
            with pytest.raises(parbuckle.UnauthenticatedError):
                stranger.pull(site.name("a:1"))
        wrong = parbuckle.Keychain.basic(site.server.host, "u", "x")
        elsewhere = parbuckle.Keychain.bearer("example.org", "t")
        right = parbuckle.Keychain.basic(site.server.host, "u", "p")
        with parbuckle.Client(keychain=parbuckle.Keychain.chain(elsewhere, right, wrong)) as client:
            assert client.pull(site.name("a:1")).digest == image.digest
    with Site(users={"u": "p"}, token_auth=60, anonymous_read=True) as site:
        site.client.push(site.name("a:1"), image)
        with parbuckle.Client(keychain=parbuckle.Keychain.anonymous()) as stranger:
            assert stranger.pull(site.name("a:1")).digest == image.digest
    with parbuckle.Server(tls_domain="registry.test") as server:
        assert server.url.startswith("https://")
        with parbuckle.Client(ca_pem=server.ca_pem) as client:
            client.push(f"{server.host}/a:1", image)
            assert client.pull(f"{server.host}/a:1").digest == image.digest


def test_storage_stays() -> None:
    with tempfile.TemporaryDirectory() as directory:
        image = image_of()
        with parbuckle.Server(storage_dir=directory) as server, parbuckle.Client() as client:
            client.push(f"{server.host}/a:1", image)
        with parbuckle.Server(storage_dir=Path(directory)) as server, parbuckle.Client() as client:
            assert client.pull(f"{server.host}/a:1").digest == image.digest


def test_references() -> None:
    ref = parbuckle.Reference("ubuntu")
    assert (ref.registry, ref.repository, ref.tag, ref.digest) == ("index.docker.io", "library/ubuntu", "latest", None)
    assert str(ref.with_tag("22.04")).endswith("/library/ubuntu:22.04")
    pinned = ref.with_digest("sha256:" + "0" * 64)
    assert pinned.tag is None and pinned.digest
    assert parbuckle.Reference("ubuntu:latest") == ref and len({ref, parbuckle.Reference("ubuntu")}) == 1
    with pytest.raises(parbuckle.InvalidArgumentError) as caught:
        parbuckle.Reference("Ubuntu")
    assert isinstance(caught.value, ValueError) and caught.value.subject == "Ubuntu"


def test_config_of_bytes() -> None:
    config = parbuckle.Config(b'{"os":"linux","architecture":"s390x","config":{"Env":["A=1","A=2","B"]},"rootfs":{}}')
    assert (config.platform, config.env, config.getenv("A")) == ("linux/s390x", {"A": "1"}, "1")
    assert b'"s390x"' in parbuckle.ImageBuilder().config(config).build().config().json
    with pytest.raises(parbuckle.MalformedError):
        parbuckle.Config(b"[]")


def test_copy_into_a_file(tmp_path: Path) -> None:
    with Site() as site, open(tmp_path / "copy", "wb") as copy:
        image = image_of(3_000_000)
        site.client.push(site.name("a:1"), image)
        layer = site.client.pull(site.name("a:1")).layers[0]
        told: list[tuple[int, int]] = []
        with layer.open(progress=lambda done, total: told.append((done, total))) as stream:
            assert stream.readable() and not stream.seekable()
            assert stream.tell() == 0
            shutil.copyfileobj(stream, copy)
            assert stream.tell() == layer.size
        assert told[-1] == (layer.size, layer.size) and len(told) > 2
        with pytest.raises(ValueError):
            stream.read(1)
    assert "sha256:" + hashlib.sha256((tmp_path / "copy").read_bytes()).hexdigest() == layer.digest
