"""Debian's docker-registry on a free port, its storage in memory where there is room; and what is asked of it."""
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib

import fixtures
from fixtures import MANIFEST, digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LINE = re.compile(rb'"([A-Z]+) (\S+) HTTP/[\d.]+" (\d+) (\d+)')


def fast_directory(need):
    """A directory in memory with so much room, else below $TMPDIR."""
    shm = "/dev/shm"
    if os.access(shm, os.W_OK):
        stat = os.statvfs(shm)
        if stat.f_bavail * stat.f_frsize >= need:
            return tempfile.mkdtemp(prefix="parb-bench-", dir=shm)
    print("/dev/shm has too little room: the storage is on disk, which hides differences", file=sys.stderr)
    return tempfile.mkdtemp(prefix="parb-bench-")


class Registry:
    def __init__(self, work, storage):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % s.getsockname()[1]
        config, self.log = os.path.join(work, "registry.yml"), os.path.join(work, "registry.log")
        with open(config, "w") as f:
            f.write(
                "version: 0.1\n"
                "log: {level: error, accesslog: {disabled: false}}\n"
                f"storage: {{filesystem: {{rootdirectory: {storage}/registry, maxthreads: 100}}, "
                "maintenance: {uploadpurging: {enabled: false}}}\n"
                f'http: {{addr: "{self.address}"}}\n'
            )
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=subprocess.STDOUT)
        for _ in range(200):
            try:
                self.ask("GET", "/v2/")
                return
            except OSError:
                time.sleep(0.05)
        with open(self.log) as log:
            sys.exit("docker-registry does not answer:\n" + log.read()[-2000:])

    def stop(self):
        self.process.terminate()
        self.process.wait()

    # What it has been asked.

    def mark(self):
        return os.path.getsize(self.log)

    def requests(self, mark):
        """How many requests of each method there were since the mark, and the bytes of the answers."""
        time.sleep(0.03)  # the line of the last one may still be on its way
        methods, sent = {}, 0
        with open(self.log, "rb") as f:
            f.seek(mark)
            for method, _, _, size in LINE.findall(f.read()):
                methods[method.decode()] = methods.get(method.decode(), 0) + 1
                sent += int(size) if method != b"HEAD" else 0
        return methods, sent

    # Putting things there.

    def ask(self, method, path, body=None, headers=None, want=None):
        """Headers and body of the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            if want and answer.status != want:
                raise ValueError(f"{method} {path}: {answer.status} {answer.read()[:300]!r}")
            return answer.headers, answer.read()
        finally:
            connection.close()

    def put_blob(self, repository, digest, data, size):
        url = self.ask("POST", f"/v2/{repository}/blobs/uploads/", want=202)[0]["Location"]
        url = url[url.index("/v2/"):] + ("&" if "?" in url else "?") + "digest=" + digest
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self.ask("PUT", url, data, headers, want=201)

    def put_image(self, name, layers):
        """Pushes an image of these layers (the fixtures' facts); its digest."""
        repository, tag = name.split(":")
        for layer in layers:
            with open(layer["path"], "rb") as f:
                self.put_blob(repository, layer["digest"], f, layer["size"])
        config, manifest = fixtures.config(layers), fixtures.manifest(layers)
        self.put_blob(repository, digest(config), config, len(config))
        self.ask("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MANIFEST}, want=201)
        return digest(manifest)

    def mount(self, source, target):
        """The same image in another repository; no blob moves."""
        (old, old_tag), (new, new_tag) = source.split(":"), target.split(":")
        raw, manifest = self.manifest(source)
        for blob in [manifest["config"], *manifest["layers"]]:
            self.ask("POST", f"/v2/{new}/blobs/uploads/?mount={blob['digest']}&from={old}", want=201)
        self.ask("PUT", f"/v2/{new}/manifests/{new_tag}", raw, {"Content-Type": MANIFEST}, want=201)

    # Reading what others put there.

    def manifest(self, name):
        repository, tag = name.split(":")
        raw = self.ask("GET", f"/v2/{repository}/manifests/{tag}", None, {"Accept": f"{MANIFEST}, {DOCKER_MANIFEST}"}, want=200)[1]
        return raw, json.loads(raw)

    def config(self, name, manifest):
        repository = name.split(":")[0]
        return json.loads(self.ask("GET", f"/v2/{repository}/blobs/{manifest['config']['digest']}", want=200)[1])

    def diff_id(self, name, layer):
        """The digest of what is in a gzipped layer, read from the registry."""
        inflate, plain, packed = zlib.decompressobj(31), hashlib.sha256(), hashlib.sha256()
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request("GET", f"/v2/{name.split(':')[0]}/blobs/{layer['digest']}")
            answer = connection.getresponse()
            while piece := answer.read(1 << 20):
                packed.update(piece)
                plain.update(inflate.decompress(piece))
        finally:
            connection.close()
        plain.update(inflate.flush())
        if "sha256:" + packed.hexdigest() != layer["digest"] or not inflate.eof:
            raise ValueError(f"{name}: the layer's blob is not what its digest says")
        return "sha256:" + plain.hexdigest()


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
