"""What can be changed about images and indexes: for each change, what it does."""

from __future__ import annotations

import datetime
import io
import json
import tarfile
from typing import Any

import parbuckle
import pytest
from parbuckle import Image, ImageBuilder, Index, IndexBuilder, Layer, LayerBuilder, Matcher

from support import image_of, tar_of

ARM, AMD = "linux/arm64", "linux/amd64"


def layer_of(files: dict[str, str], **how: Any) -> Layer:
    builder = LayerBuilder()
    for path, content in files.items():
        builder.add_bytes(path, content.encode())
    return builder.build(**how)


def image_with(*layers: dict[str, str]) -> Image:
    builder = ImageBuilder().platform(AMD)
    for files in layers:
        builder.add_layer(layer_of(files), created_by="test")
    return builder.build()


def config_of(image: Image) -> Any:
    return json.loads(image.config().json)


def manifest_of(value: Any) -> Any:
    return json.loads(value.manifest)


def test_layers_of_a_builder() -> None:
    base = image_with({"a": "1"}, {"b": "2"}, {"c": "3"})
    new = layer_of({"d": "4"})
    made = (
        base.edit()
        .remove_layer(0)
        .replace_layer(1, new, comment="instead", annotations={"org.example.new": "yes"})
        .add_empty_layer(created_by="nothing", created="2024-01-02T03:04:05Z")
        .add_layer(new, media_type="application/vnd.example.layer", urls=["https://example.org/layer"])
        .annotate_layer(0, "org.example.first", "b")
        .build()
    )
    assert [layer.digest for layer in made.layers] == [base.layers[1].digest, new.digest, new.digest]
    first, second, third = manifest_of(made)["layers"]
    assert first["annotations"] == {"org.example.first": "b"} and second["annotations"] == {"org.example.new": "yes"}
    assert third["mediaType"] == "application/vnd.example.layer" and third["urls"] == ["https://example.org/layer"]
    history = config_of(made)["history"]
    assert history[1]["comment"] == "instead" and history[2]["empty_layer"] and history[2]["created_by"] == "nothing"
    assert made.edit().annotate_layer(0, "org.example.first", None).build().layers[0].descriptor.annotations == {}
    with pytest.raises(parbuckle.InvalidArgumentError):
        base.edit().remove_layer(3).build()
    with pytest.raises(ValueError):
        base.edit().remove_layer(-1)


def test_config_of_a_builder() -> None:
    image = image_of().edit().env(A="1").label("l", "1").annotation("n", "1").build()
    made = (
        image.edit()
        .clear_env()
        .clear_labels()
        .clear_annotations()
        .config_annotation("org.example.c", "d")
        .healthcheck("curl localhost", interval=1.5, timeout=2, start_period=3, retries=4)
        .shell(["/bin/bash", "-c"])
        .on_build(["RUN true"])
        .build()
    )
    config = made.config()
    assert (config.env, config.labels, made.annotations) == ({}, {}, {})
    assert manifest_of(made)["config"]["annotations"] == {"org.example.c": "d"}
    inner = config_of(made)["config"]
    assert inner["Healthcheck"] == {
        "Test": ["CMD-SHELL", "curl localhost"],
        "Interval": 1_500_000_000,
        "Timeout": 2_000_000_000,
        "StartPeriod": 3_000_000_000,
        "Retries": 4,
    }
    assert inner["Shell"] == ["/bin/bash", "-c"] and inner["OnBuild"] == ["RUN true"]
    without = config_of(made.edit().healthcheck(None).shell(None).on_build(None).build()).get("config") or {}
    assert not {"Healthcheck", "Shell", "OnBuild"} & set(without)


def test_artifacts() -> None:
    about = image_of()
    made = (
        ImageBuilder()
        .raw_config(b"{}", "application/vnd.example.config")
        .artifact_type("application/vnd.example")
        .add_layer(Layer.fixed(b"anything", "text/plain"))
        .subject(about)
        .build()
    )
    assert made.artifact_type == "application/vnd.example" and manifest_of(made)["subject"]["digest"] == about.digest
    assert made.layers[0].media_type == "text/plain" and b"".join(made.layers[0]) == b"anything"
    assert "subject" not in manifest_of(made.edit().subject(None).build())
    other = made.edit().config_media_type("application/vnd.other").artifact_type(None).build()
    assert other.artifact_type == "application/vnd.other"


def test_formats() -> None:
    image = image_of()
    docker = image.convert("docker")
    assert docker.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert docker.digest == image.edit().format("docker").build().digest
    assert docker.convert("oci").digest == image.digest and image.convert("oci").digest == image.digest
    assert docker.edit().media_type(image.media_type).build().media_type == image.media_type
    with pytest.raises(parbuckle.UnsupportedError):
        image.recompress(compression="zstd").convert("docker")
    index = IndexBuilder().add(image).build()
    lists = index.convert("docker")
    assert "manifest.list" in lists.media_type and lists[0].media_type == docker.media_type
    assert index.edit().format("docker").build()[0].media_type == image.media_type, "its entries stay"


def test_recompress() -> None:
    image = image_of()
    made = image.recompress(compression="zstd", level=3, jobs=2)
    assert made.layers[0].media_type.endswith("+zstd") and made.config().json == image.config().json
    assert image.recompress().layers[0].media_type.endswith("+gzip"), "plain layers become gzip"
    made.validate()


def test_times() -> None:
    image = image_with({"a": "1"})
    when = datetime.datetime(2020, 2, 3, tzinfo=datetime.timezone.utc)
    made = image.with_time(when)
    assert made.config().created == "2020-02-03T00:00:00Z"
    assert [file.mtime for file in made.files() if file.kind == "f"] == [when.timestamp()]
    assert made.digest == image.with_time("2020-02-03T00:00:00Z", compression="gzip").digest
    assert made.canonical().digest == image.canonical().digest
    with pytest.raises(parbuckle.InvalidArgumentError):
        image.with_time("yesterday")


def test_rebase() -> None:
    old, new = image_with({"base": "old"}), image_with({"base": "new"}, {"more": "new"})
    app = old.edit().add_layer(layer_of({"app": "1"})).env(A="1").build()
    made = app.rebase(old, new, name="example.org/base:2")
    assert [layer.digest for layer in made.layers] == [*(layer.digest for layer in new.layers), app.layers[1].digest]
    assert made.read_file("base") == b"new" and made.config().env == {"A": "1"}
    assert made.annotations["org.opencontainers.image.base.name"] == "example.org/base:2"
    with pytest.raises(parbuckle.InvalidArgumentError):
        app.rebase(new, old)
    indexes = [IndexBuilder().add(image).build() for image in (app, old, new)]
    rebased = indexes[0].rebase(indexes[1], indexes[2])
    assert [image.read_file("base") for image in rebased.images()] == [b"new"]


def test_files_of_an_image() -> None:
    image = image_with({"etc/one": "1", "etc/two": "2"}, {"etc/one": "new"})
    files = image.files()
    assert [str(file) for file in files if file.kind == "f"] == ["etc/one", "etc/two"]
    one = next(file for file in files if file.path == "etc/one")
    assert (one.size, one.mode, one.layer, one.uid, one.device, one.xattrs) == (3, 0o644, 1, 0, (0, 0), {})
    assert files[-1] == files[len(files) - 1] and files[:2] == [files[0], files[1]]
    with pytest.raises(IndexError):
        files[len(files)]
    assert image.read_file("/etc/one") == b"new"
    with image.open_file("etc/two") as stream:
        assert stream.read(1) == b"2" and stream.read() == b""
    for path, kind in [("etc/three", parbuckle.NotFoundError), ("etc", parbuckle.InvalidArgumentError)]:
        with pytest.raises(kind):
            image.read_file(path)

    edited = image.edit_file("etc/two", b"other", compression="gzip").remove_file("etc/one")
    assert len(edited.layers) == 4 and edited.read_file("etc/two") == b"other"
    assert [file.path for file in edited.files() if file.kind == "f"] == ["etc/two"]
    assert [(file.path, file.kind) for file in edited.layers[-1].files()][-1] == ("etc/one", "w")
    with pytest.raises(parbuckle.NotFoundError):
        image.remove_file("etc/three")


def test_filesystem_is_a_tar() -> None:
    image = image_with({"one": "1", "two": "2"}, {"one": "new"})
    with image.filesystem() as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
    assert found == {"one": b"new", "two": b"2"}
    flat = image.flatten(compression="zstd")
    assert len(flat.layers) == 1 and flat.read_file("one") == b"new" and len(config_of(flat)["history"]) == 1
    index = IndexBuilder().add(image).build().flatten()
    assert [len(found.layers) for found in index.images()] == [1]


def test_odd_names() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", encoding="utf-8", errors="surrogateescape") as tar:
        info = tarfile.TarInfo("na\udcffme")
        info.pax_headers, info.size = {}, 3
        tar.addfile(info, io.BytesIO(b"odd"))
    image = ImageBuilder().add_layer(Layer.from_bytes(out.getvalue())).build()
    name = next(file.path for file in image.files() if file.kind == "f")
    assert name == "na\udcffme" and image.read_file(name) == b"odd"


def test_kinds_of_files() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, link in (
            ("file", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "file"),
            ("soft", tarfile.SYMTYPE, "a"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.uid, info.mtime = kind, link, 7, 1.5
            info.pax_headers = (
                {"SCHILY.xattr.user.a": "b", "SCHILY.xattr.user.c": ""} if kind == tarfile.REGTYPE else {}
            )
            tar.addfile(info)
        info = tarfile.TarInfo("null")
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(info)
    files = Layer.from_bytes(out.getvalue()).files()
    assert [(f.path, f.kind, f.link) for f in files] == [
        ("file", "f", ""),
        ("hard", "h", "file"),
        ("soft", "l", "a"),
        ("null", "c", ""),
    ]
    assert files[0].xattrs == {"user.a": b"b", "user.c": b""} and files[1].xattrs == {}
    assert (files[0].uid, files[0].mtime, files[3].device) == (7, 1.5, (1, 3))


def test_estargz() -> None:
    layer = layer_of({"etc/one": "1", "etc/two": "2" * 1000}, compression="estargz")
    assert layer.has_toc and not layer_of({"a": "1"}).has_toc
    assert {entry["path"] for entry in layer.toc() if entry["type"] == "reg"} >= {"etc/one", "etc/two"}
    assert layer.read_file("etc/two") == b"2" * 1000
    with layer.open_file("etc/one") as stream:
        assert stream.read() == b"1"
    with pytest.raises(parbuckle.NotFoundError):
        layer.read_file("etc/three")
    with pytest.raises(parbuckle.NotFoundError):
        layer_of({"a": "1"}).toc()


def test_layers_for_windows() -> None:
    layer = layer_of({"app.exe": "x"}).for_windows(compression="zstd")
    assert {"Hives", "Files/app.exe"} <= {file.path.rstrip("/") for file in layer.files()}
    assert layer.for_windows().digest == layer.digest


def test_layer_sizes() -> None:
    tar = tar_of(1000)
    layer = Layer.from_bytes(tar, compression="gzip")
    assert layer.uncompressed_size() == len(tar) != layer.size
    image = ImageBuilder().add_layer(layer).build()
    assert image.size == len(image.manifest) + len(image.config().json) + layer.size
    index = IndexBuilder().add(image).build()
    assert index.size() == image.size + len(index.manifest)


def index_of(*platforms: str) -> Index:
    builder = IndexBuilder()
    for seed, platform in enumerate(platforms):
        builder.add(image_of(1000, seed).edit().platform(platform).build())
    return builder.build()


def test_index_builder() -> None:
    amd, arm = image_of(1000).edit().platform(AMD).build(), image_of(1000, 2).edit().platform(ARM).build()
    index = (
        IndexBuilder()
        .add(amd, annotations={"org.example.a": "1"}, urls=["https://example.org/amd"])
        .add(arm, platform="linux/arm64/v8", artifact_type="application/vnd.example")
        .annotation("org.example.index", "yes")
        .artifact_type("application/vnd.example.index")
        .subject(amd)
        .build()
    )
    assert [(d.digest, d.platform) for d in index] == [(amd.digest, AMD), (arm.digest, "linux/arm64/v8")]
    assert index[0].annotations == {"org.example.a": "1"} and index[1].artifact_type == "application/vnd.example"
    document = manifest_of(index)
    assert document["subject"]["digest"] == amd.digest and document["manifests"][0]["urls"]
    assert index.annotations == {"org.example.index": "yes"} and index.platforms == [AMD, "linux/arm64/v8"]
    assert index.edit().build().digest == index.digest and "subject" not in manifest_of(
        index.edit().subject(None).build()
    )

    nested = IndexBuilder().add(index).add(amd, platform=None).build(format="oci")
    assert nested[1].platform is None and [x.digest for x in nested.children()] == [index.digest]
    assert nested.edit().flatten().build().find(Matcher()).count(amd.digest) >= 1
    assert [x.digest for x in nested.images()] == [amd.digest]
    assert len(IndexBuilder().add_children(index).build()) == 2
    kept = index.edit().keep(Matcher(platform=ARM)).annotate(Matcher(), "org.example.b", "2").build()
    assert [d.annotations for d in kept] == [{"org.example.b": "2"}]
    assert index.edit().remove(Matcher(digest=amd.digest)).build().platforms == ["linux/arm64/v8"]
    assert len(IndexBuilder().build(format="docker")) == 0
    with pytest.raises(TypeError):
        index.edit().remove(None)  # type: ignore[arg-type]


def test_matchers() -> None:
    index = index_of(AMD, ARM, "linux/s390x")
    amd, arm, z = (d.digest for d in index)
    assert index.find(Matcher()) == [amd, arm, z]
    assert index.find(Matcher(platform=[AMD, ARM])) == [amd, arm]
    assert index.find(Matcher(platform=(AMD, ARM), digest=arm)) == [arm]
    assert index.find(Matcher(media_type=index[0].media_type)) == [amd, arm, z]
    assert index.find(Matcher(artifact_type="application/none", name="none")) == []
    told = index.edit().annotate(Matcher(digest=z), "a", "b").build()
    assert told.find(Matcher(annotations={"a": "b"})) == told.find(Matcher(annotations={"a": None})) == [z]
    assert told.find(Matcher(annotations={"a": "b", "c": None})) == []
    assert [image.digest for image in index.images(Matcher(platform=ARM))] == [arm]
    with pytest.raises(parbuckle.InvalidArgumentError):
        index.find(Matcher(digest="sha256:short"))
    with pytest.raises(TypeError):
        index.find("linux/amd64")  # type: ignore[arg-type]


def test_comparisons() -> None:
    image, other = image_with({"a": "1"}), image_with({"a": "2"})
    assert not image.compare(image)
    report = image.compare(other)
    assert report and {finding.code for finding in report} == {"DIGEST_MISMATCH"}
    assert report[0].subject and report[0].message and str(report[0]) in str(report)
    assert [finding["subject"] for finding in json.loads(report.json)] == [finding.subject for finding in report]
    assert report[-1] == list(report)[-1] and report[:1] == [report[0]]
    with pytest.raises(IndexError):
        report[len(report)]
    assert len(image.compare(other, files=True)) >= len(report)
    assert image.layers[0].compare(other.layers[0], files=True) and not image.layers[0].compare(image.layers[0])
    indexes = [IndexBuilder().add(found).build() for found in (image, other)]
    assert indexes[0].compare(indexes[1]) and not indexes[0].compare(indexes[0])
