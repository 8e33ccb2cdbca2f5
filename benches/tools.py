"""The command lines of each tool. A method gives an argument list, or None where the tool has no such command."""
import os
import shutil
import subprocess


class Crane:
    version = ["version"]

    def __init__(self, name, path):
        self.name, self.path = name, path

    def env(self, work):
        """Nothing of the user's is read or written."""
        clean = {k: v for k, v in os.environ.items() if k not in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SOURCE_DATE_EPOCH")}
        return dict(clean, HOME=work)

    def describe(self):
        said = subprocess.run([self.path, *self.version], capture_output=True, text=True).stdout.split()
        return next((word.lstrip("v") for word in said if word.lstrip("v")[:1].isdigit()), "?")

    def digest(self, image):
        return [self.path, "digest", image]

    def pull(self, image, _):
        """Writes a docker archive, into nothing; verifies the blobs that it copies."""
        return [self.path, "pull", image, "/dev/null"]

    def pull_archive(self, image, path):
        return [self.path, "pull", image, path]

    def pull_layout(self, image, path):
        return [self.path, "pull", "--format=oci", image, path]

    def push_layout(self, path, image):
        return [self.path, "push", path, image]

    def push_archive(self, path, image):
        return [self.path, "push", path, image]

    def export(self, image, path):
        return [self.path, "export", image, path]

    def flatten(self, image, to):
        return [self.path, "flatten", image, "-t", to]

    def append(self, base, tars, to):
        return [self.path, "append", "-b", base, *(x for tar in tars for x in ("-f", tar)), "-t", to]

    def mutate(self, image, value, to):
        return [self.path, "mutate", image, "--env", f"A={value}", "--label", f"c={value}", "-t", to]


class Parb(Crane):
    version = ["--version"]


class Regctl(Crane):
    def describe(self):
        said = subprocess.run([self.path, "version", "--format", "{{.VCSTag}}"], capture_output=True, text=True).stdout
        return said.strip().lstrip("v") or "?"

    def _plain(self, image, *arguments):
        host = image.split("/")[0]
        return [self.path, "--host", f"reg={host},tls=disabled", *arguments]

    def digest(self, image):
        return self._plain(image, "image", "digest", image)

    def pull(self, image, _):
        """Writes a docker archive, into nothing."""
        return self._plain(image, "image", "export", image, "/dev/null")

    def pull_archive(self, image, path):
        return self._plain(image, "image", "export", image, path)

    def pull_layout(self, image, path):
        return self._plain(image, "image", "copy", image, f"ocidir://{path}:v1")

    def push_layout(self, path, image):
        return self._plain(image, "image", "copy", f"ocidir://{path}:v1", image)

    def push_archive(self, path, image):
        return self._plain(image, "image", "import", image, path)

    def export(self, image, path):
        return None

    def flatten(self, image, to):
        return None

    def append(self, base, tars, to):
        if any(tar.endswith(".gz") for tar in tars):
            return None  # what is gzipped it takes for a tar, and gzips it again
        return self._plain(base, "image", "mod", base, *(x for tar in tars for x in ("--layer-add", f"tar={tar}")), "--create", to)

    def mutate(self, image, value, to):
        return self._plain(image, "image", "mod", image, "--env", f"A={value}", "--label", f"c={value}", "--create", to)


class Skopeo(Crane):
    version = ["--version"]

    def env(self, work):
        if os.environ.get("ALONE"):  # then this is a directory of ours, see run.sh
            shutil.rmtree("/var/lib/containers/cache", ignore_errors=True)
        return super().env(work)

    def digest(self, image):
        options = ["--tls-verify=false", "--no-tags", "--format", "{{.Digest}}"]
        return [self.path, "--insecure-policy", "inspect", *options, "docker://" + image]

    def pull(self, image, scratch):
        """Has no way to write into nothing: files in memory, removed after the clock has stopped."""
        options = ["-q", "--src-tls-verify=false"]
        return [self.path, "--insecure-policy", "copy", *options, "docker://" + image, "dir:" + scratch]

    def _copy(self, side, source, target):
        return [self.path, "--insecure-policy", "copy", "-q", f"--{side}-tls-verify=false", source, target]

    def pull_archive(self, image, path):
        return self._copy("src", "docker://" + image, f"docker-archive:{path}:bench/x:v1")

    def pull_layout(self, image, path):
        return self._copy("src", "docker://" + image, f"oci:{path}:v1")

    def push_layout(self, path, image):
        return self._copy("dest", f"oci:{path}:v1", "docker://" + image)

    def push_archive(self, path, image):
        return self._copy("dest", "docker-archive:" + path, "docker://" + image)

    def export(self, image, path):
        return None

    def flatten(self, image, to):
        return None

    def append(self, base, tars, to):
        return None

    def mutate(self, image, value, to):
        return None


class Oras(Skopeo):
    def pull_archive(self, image, path):
        return None

    push_archive = pull_archive

    def pull_layout(self, image, path):
        return self.pull(image, path)

    def push_layout(self, path, image):
        return [self.path, "cp", "--no-tty", "--to-plain-http", "--from-oci-layout", path + ":v1", image]

    version = ["version"]

    def digest(self, image):
        return [self.path, "resolve", "--plain-http", image]

    def pull(self, image, scratch):
        """As skopeo: an OCI layout in memory."""
        return [self.path, "cp", "--no-tty", "--from-plain-http", "--to-oci-layout", image, scratch + ":v1"]


def found(parb):
    """parb, and the peers that are on PATH."""
    kinds = (("crane", Crane), ("regctl", Regctl), ("skopeo", Skopeo), ("oras", Oras))
    peers = [kind(name, shutil.which(name)) for name, kind in kinds if shutil.which(name)]
    return [Parb("parb", parb), *peers]
