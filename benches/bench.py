#!/usr/bin/env python3
"""parb beside its peers against Debian's docker-registry, everything on this machine; run by run.sh.

  run.sh [-n ROUNDS] [--quick] [--tool NAME]… [WORKLOAD…]

The tools run in turn within each round (A B C A B C …), so that a drift of the machine's speed meets all of them.
Prints a Markdown table for each workload and writes the numbers to $OUT/../bench/WORKLOAD.json. What parb made is
verified; a failure of that, or of parb, is the only reason for an exit code other than 0.
"""
import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tarfile

import fixtures
import registry
import tools

OUT = os.path.realpath(os.environ["OUT"])
RESULTS = os.path.join(os.path.dirname(OUT), "bench")
GIB = 1 << 30


class Bench:
    """What the workloads share: the registry, the fixtures, and a place for files."""

    def __init__(self, work, fast, facts):
        self.work, self.fast, self.facts = work, fast, facts
        self.registry = registry.Registry(work, fast)
        self.serial = 0
        self.checked = {}

    def seed(self):
        layers = self.facts["layers"]
        self.registry.put_image("big:v1", layers)
        self.registry.put_image("named:v1", self.facts["named layers"])
        # Another image with little in it, for what is appended to and what is only asked for.
        self.small = self.registry.put_image("small:v1", layers[:0])

    def image(self, name):
        return f"{self.registry.address}/{name}"

    def fresh(self):
        self.serial += 1
        return f"r{self.serial}"

    def scratch(self):
        return os.path.join(self.fast, "scratch")


class Workload:
    """One row of the page of goals. `prepare` gives the command (or None) and what `verify` needs to know."""

    rounds = 5
    unit, scale = "s", 1
    goals = ()

    def prepare(self, bench, tool):
        raise NotImplementedError

    def verify(self, bench, made, said):
        """Raises ValueError where the outcome is not what was asked for; gives notes for the table."""
        raise NotImplementedError


class Appending(Workload):
    def prepare(self, bench, tool):
        repository = bench.fresh()
        bench.registry.mount(f"{self.base}:v1", f"{repository}:base")
        base, made = f"{repository}:base", f"{repository}:new"
        paths = [layer["path"] for layer in self.layers(bench)]
        return tool.append(bench.image(base), paths, bench.image(made)), (base, made)

    def verify(self, bench, names, said):
        base, made = names
        wanted = [layer["diff_id"] for layer in self.layers(bench)]
        _, before = bench.registry.manifest(base)
        _, after = bench.registry.manifest(made)
        old = bench.registry.config(base, before)["rootfs"]["diff_ids"]
        ids = bench.registry.config(made, after)["rootfs"]["diff_ids"]
        added = after["layers"][len(before["layers"]):]
        names = [layer["digest"] for layer in after["layers"]]
        if names[:len(old)] != [layer["digest"] for layer in before["layers"]] or ids != old + wanted:
            raise ValueError("the layers are not the base's and then the new ones")
        for layer, diff_id in zip(added, wanted):
            # The same blob again needs no second look.
            if bench.checked.setdefault(layer["digest"], diff_id) != diff_id or (
                layer["digest"] not in bench.checked.get("read", set()) and bench.registry.diff_id(made, layer) != diff_id
            ):
                raise ValueError(f"layer {layer['digest']} does not contain the tar")
            bench.checked.setdefault("read", set()).add(layer["digest"])
        return {"layers MB": sum(layer["size"] for layer in added) / 1e6}


class W5(Appending):
    title = "append a plain tar to an image in the same repository, and push"
    base = "big"
    goals = (("wall", 0.30, "crane"), ("layers MB", 1.0, "crane"), ("wire MB", 1.0, "crane"), ("rss", 32, "MiB"))

    def layers(self, bench):
        return [bench.facts["append"]]


class A4(Appending):
    title = "append four gzipped layers and push"
    base = "small"
    goals = (("wall", 1.0, "best"), ("rss", 1.0, "crane"))

    def layers(self, bench):
        return bench.facts["layers"]


class W7a(Workload):
    title = "set a variable and a label of a big image, and push"
    rounds = 15
    unit, scale = "ms", 1e3
    goals = (("wall", 0.8, "best"), ("requests", 7, "requests"), ("rss", 1.0, "crane"))

    def prepare(self, bench, tool):
        value = bench.fresh()  # the same config again would have to be sent by some tools, and not by others
        tag = f"big:{value}"
        return tool.mutate(bench.image("big:v1"), value, bench.image(tag)), tag

    def verify(self, bench, tag, said):
        value = tag.split(":")[1]
        _, before = bench.registry.manifest("big:v1")
        _, after = bench.registry.manifest(tag)
        config = bench.registry.config(tag, after)["config"]
        if after["layers"] != before["layers"]:
            raise ValueError("the layers are not the base's")
        if f"A={value}" not in config["Env"] or config["Labels"].get("c") != value:
            raise ValueError("the config lacks the change")
        return {}


class P0(Workload):
    title = "pull a big image into nothing, all blobs verified"
    goals = (("wall", 0.75, "best"), ("rss", 10, "MiB"))

    def prepare(self, bench, tool):
        registry.remove(bench.scratch())
        return tool.pull(bench.image("big:v1"), bench.scratch()), None

    def verify(self, bench, _, said):
        wanted = sum(layer["size"] for layer in bench.facts["layers"])
        if said["down"] < wanted:
            raise ValueError(f"only {said['down']} bytes were fetched, of {wanted}")
        registry.remove(bench.scratch())
        return {}


class Pulling(Workload):
    """Into a file or directory in memory."""

    def prepare(self, bench, tool):
        registry.remove(bench.scratch())
        if os.path.exists(bench.scratch()):
            os.unlink(bench.scratch())
        return self.command(tool, bench.image("big:v1"), bench.scratch()), bench.scratch()


class W1a(Pulling):
    title = "pull a big image into a docker archive"
    goals = (("wall", 0.75, "best"), ("rss", 10, "MiB"))

    def command(self, tool, image, path):
        return tool.pull_archive(image, path)

    def verify(self, bench, path, said):
        with tarfile.open(path) as tar:
            (image,) = json.load(tar.extractfile("manifest.json"))
            have = [tar.getmember(name) for name in image["Layers"]]
            # Symbolic links are how skopeo names layers twice.
            sizes = [tar.getmember(os.path.normpath(os.path.join(os.path.dirname(m.name), m.linkname))).size if m.issym() else m.size for m in have]
        for size, layer in zip(sizes, bench.facts["layers"], strict=True):
            if size not in (layer["size"], layer["plain"]):
                raise ValueError(f"a layer of {size} bytes, and it has {layer['size']}")
        os.unlink(path)
        return {}


class W1b(Pulling):
    title = "pull a big image into an OCI layout"
    goals = (("wall", 1.0, "best"), ("cpu", 0.85, "best"))

    def command(self, tool, image, path):
        return tool.pull_layout(image, path)

    def verify(self, bench, path, said):
        for layer in bench.facts["layers"]:
            if os.path.getsize(os.path.join(path, "blobs", "sha256", layer["digest"][7:])) != layer["size"]:
                raise ValueError("a layer has another size")
        registry.remove(path)
        return {}


class Pushing(Workload):
    """From a file or directory into a repository that has nothing."""

    def prepare(self, bench, tool):
        name = f"{bench.fresh()}:v1"
        return self.command(bench, tool, bench.image(name)), name

    def verify(self, bench, name, said):
        _, made = bench.registry.manifest(name)
        ids = bench.registry.config(name, made)["rootfs"]["diff_ids"]
        if ids != [layer["diff_id"] for layer in self.layers(bench)]:
            raise ValueError("the layers are others")
        for layer, diff_id in zip(made["layers"], ids, strict=True):
            if bench.checked.setdefault(layer["digest"], diff_id) != diff_id or (
                layer["digest"] not in bench.checked.setdefault("read", set()) and bench.registry.diff_id(name, layer) != diff_id
            ):
                raise ValueError(f"layer {layer['digest']} does not contain the tar")
            bench.checked["read"].add(layer["digest"])
        return {"layers MB": sum(layer["size"] for layer in made["layers"]) / 1e6}

    def layers(self, bench):
        return bench.facts["layers"]


class W3a(Pushing):
    title = "push a big image from an OCI layout"
    goals = (("wall", 1.0, "best"), ("cpu", 0.06, "s"))

    def command(self, bench, tool, image):
        return tool.push_layout(bench.facts["big"], image)


class W3b(Pushing):
    title = "push an image of 100 small layers from an OCI layout"
    goals = (("wall", 0.9, "best"), ("requests", 306, "requests"))

    def command(self, bench, tool, image):
        return tool.push_layout(bench.facts["small"], image)

    def layers(self, bench):
        return bench.facts["small layers"]


class W3c(Pushing):
    title = "push a docker archive of plain layers"
    rounds = 3
    goals = (("wall", 0.22, "crane"), ("wall", 0.55, "skopeo"), ("layers MB", 1.0, "crane"), ("rss", 32, "MiB"))

    def command(self, bench, tool, image):
        return tool.push_archive(bench.facts["plain"], image)


class W6a(Workload):
    title = "export the file system of a big image"
    image = "big:v1"
    goals = (("wall", 0.25, "crane"), ("rss", 24, "MiB"))

    def prepare(self, bench, tool):
        registry.remove(bench.scratch())
        return tool.export(bench.image(self.image), bench.scratch()), bench.scratch()

    def verify(self, bench, path, said):
        size = os.path.getsize(path)
        os.unlink(path)
        if size < 0.99 * sum(layer["plain"] for layer in bench.facts["layers"]):
            raise ValueError(f"only {size} bytes")
        return {}


class W6c(W6a):
    title = "the same, with layers that name their directories, as Docker's do"
    image = "named:v1"


class W6b(Workload):
    title = "flatten a big image into one layer, and push"
    rounds = 1
    goals = (("wall", 0.10, "crane"), ("layers MB", 1.05, "crane"), ("rss", 32, "MiB"))

    def prepare(self, bench, tool):
        tag = f"big:{bench.fresh()}"
        return tool.flatten(bench.image("big:v1"), bench.image(tag)), tag

    def verify(self, bench, tag, said):
        _, made = bench.registry.manifest(tag)
        (layer,) = made["layers"]
        ids = bench.registry.config(tag, made)["rootfs"]["diff_ids"]
        if ids != [bench.registry.diff_id(tag, layer)]:
            raise ValueError("the layer is not what its diff id says")
        return {"layers MB": layer["size"] / 1e6}


class W10(Workload):
    title = "start, ask for a digest, end"
    rounds = 50
    unit, scale = "ms", 1e3
    # Of oras' time; where there is no oras, what that is of crane's.
    goals = (("wall", 0.35, "oras"), ("wall", 0.28, "crane"), ("rss", 6, "MiB"))

    def prepare(self, bench, tool):
        return tool.digest(bench.image("small:v1")), None

    def verify(self, bench, _, said):
        if said["out"].strip() != bench.small:
            raise ValueError(f"it says {said['out']!r}, and the digest is {bench.small}")
        return {}


class ABI(W5):
    title = "the same append through the C ABI (examples/c/derive.c) and by the core itself (examples/rust/derive.rs)"
    rounds = 9
    goals = (("wall", 1.05, "rust"), ("cpu", 1.05, "rust"))

    def prepare(self, bench, tool):
        repository = bench.fresh()
        bench.registry.mount("big:v1", f"{repository}:base")
        base, made = f"{repository}:base", f"{repository}:new"
        return [tool.path, bench.image(base), bench.image(made), bench.facts["append"]["path"]], (base, made)


WORKLOADS = {kind.__name__: kind for kind in (P0, W1a, W1b, W3a, W3b, W3c, W5, A4, W6a, W6b, W6c, W7a, W10, ABI)}


def loopback():
    with open("/proc/net/dev") as f:
        return next(int(line.split()[1]) for line in f if line.strip().startswith("lo:"))


def run(bench, tool, command, limit):
    """One measured run."""
    mark, before = bench.registry.mark(), loopback()
    read, write = os.pipe()
    with os.fdopen(read) as report:
        process = subprocess.Popen(
            [os.environ["MEASURE"], str(write), *command],
            env=tool.env(bench.work), pass_fds=[write], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        os.close(write)
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException as e:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(e, subprocess.TimeoutExpired):
                return {"error": f"not done after {limit} s"}
            raise
        numbers = report.read().split()
    after = loopback()
    if not numbers or numbers[4] != "0":
        return {"error": err.strip()[-300:] or "failed"}
    wall, user, system, rss = map(float, numbers[:4])
    methods, down = bench.registry.requests(mark)
    return {
        "wall": wall, "user": user, "sys": system, "cpu": user + system, "rss": rss / 1024, "out": out,
        "requests": sum(methods.values()), "methods": methods, "down": down, "wire MB": (after - before) / 1e6,
    }


def measure(bench, workload, present, rounds, limit):
    """{tool: [runs]}; a tool that can't, or fails, is not asked again."""
    results, broken = {tool.name: [] for tool in present}, []
    for turn in range(rounds):
        for tool in present:
            if any("error" in r for r in results[tool.name]) or tool.name in broken:
                continue
            command, made = workload.prepare(bench, tool)
            if command is None:
                broken.append(tool.name)
                continue
            one = run(bench, tool, command, limit)
            if "error" not in one:
                try:
                    one["notes"] = workload.verify(bench, made, one)
                except (ValueError, KeyError, TypeError) as e:
                    one = {"error": f"wrong result: {e}"}
                one.pop("out", None)
            results[tool.name].append(one)
    return {name: runs for name, runs in results.items() if runs}


def value(runs, key):
    """What counts of a tool's runs: the median, and the peak of the memory."""
    got = [r.get(key, r["notes"].get(key)) for r in runs]
    if None in got:
        return None
    return max(got) if key == "rss" else statistics.median(got)


def table(name, workload, title, results):
    fine = {tool: runs for tool, runs in results.items() if "error" not in runs[-1]}
    ours, peers = next(iter(results)), [tool for tool in fine if tool in list(results)[1:]]
    best = min(peers, key=lambda tool: value(fine[tool], "wall"), default=None)
    extra = sorted({key for runs in fine.values() for key in runs[-1]["notes"]})
    base = "rust" if "rust" in fine else "crane"
    head = ["tool", f"wall min / median {workload.unit}", f"× {base}", "× best peer", f"user + sys {workload.unit}", "peak RSS MiB", "requests", "wire MB", *extra]
    print(f"\n### {name}: {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for tool, runs in results.items():
        if tool not in fine:
            print(f"| {tool} | failed: {runs[-1]['error'].splitlines()[-1][-120:]} |{' |' * (len(head) - 2)}")
            continue
        scale = workload.scale
        wall = value(runs, "wall")
        ratio = lambda to: f"{wall / value(fine[to], 'wall'):.2f}" if to in fine and to != tool else ""
        methods = " ".join(f"{k} {v}" for k, v in sorted(runs[-1]["methods"].items()))
        cells = [
            tool,
            f"{min(r['wall'] for r in runs) * scale:.2f} / {wall * scale:.2f}",
            ratio(base),
            ratio(best) if tool == ours else "",
            f"{value(runs, 'user') * scale:.2f} + {value(runs, 'sys') * scale:.2f}",
            f"{value(runs, 'rss'):.1f}",
            f"{value(runs, 'requests'):.0f} ({methods})",
            f"{value(runs, 'wire MB'):.3g}",
        ]
        notes = runs[-1]["notes"]
        cells += [f"{notes[key]:.1f}" if isinstance(notes.get(key), float) else str(notes.get(key, "")) for key in extra]
        print(f"| {' | '.join(cells)} |")
    if ours in fine:
        print()
        for key, bound, of in workload.goals:
            goal(key, bound, fine[best] if of == "best" and best else fine.get(of), of, fine[ours])
    sys.stdout.flush()


def goal(key, bound, peer, of, ours):
    mine = value(ours, key)
    if of in ("MiB", "requests", "s"):
        print(f"* {key} ≤ {bound} {of}: {mine:.3g}, {'met' if mine <= bound else 'MISSED'}")
    elif peer:
        other = value(peer, key)
        ratio = mine / other if other else 0
        print(f"* {key} ≤ {bound} × {of}: {ratio:.3f}, {'met' if ratio <= bound else 'MISSED'}")


def machine(present):
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    version = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True).stdout.split()
    facts = {
        "cores": len(os.sched_getaffinity(0)), "cpu": model, "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "tools": {tool.name: tool.describe() for tool in present},
        "registry": version[-1] if version else "?",
        "network": "its own" if os.environ.get("ALONE") else "shared: 'wire' counts everybody's bytes",
    }
    named = ", ".join(f"{k} {v}" for k, v in facts["tools"].items())
    print(f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}; load at start {facts['load']:.2f}; network: {facts['network']}")
    print(f"{named}; docker-registry {facts['registry']}")
    if facts["load"] > 0.25 * facts["cores"]:
        print("**The machine is busy with something else: compare ratios at most, and rather run this again.**")
    return facts


def examples(work, quick):
    """The example programs in C and Rust, built; nothing where that can't be done."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    rust, made = os.path.join(OUT, "examples", "derive"), os.path.join(work, "derive")
    if not quick and os.path.isdir(os.path.join(OUT, ".fingerprint")):  # cargo's own directory, not a copy
        print("building the Rust example", file=sys.stderr)
        command = [os.environ.get("CARGO", "cargo"), "build", "-q", "--release", "--features", "cli", "--example", "derive"]
        subprocess.run(command, env=dict(os.environ, CARGO_TARGET_DIR=os.path.dirname(OUT)), cwd=root, check=True)
    if not os.path.exists(rust):
        print("\nABI is left out: there is no " + rust)
        return []
    flags = ["-O2", f"-I{root}/include", f"-L{OUT}", f"-Wl,-rpath,{OUT}"]
    source = os.path.join(root, "examples", "c", "derive.c")
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", made, source, "-lparbuckle"], check=True)
    return [tools.Parb("c", made), tools.Parb("rust", rust)]


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, metavar="ROUNDS", help="instead of each workload's own number")
    parser.add_argument("--quick", action="store_true", help="small fixtures, few rounds: whether it works, not how fast")
    parser.add_argument("--tool", action="append", help="only these, besides parb; may be repeated")
    parser.add_argument("workload", nargs="*", help=", ".join(WORKLOADS))
    asked = parser.parse_args()
    unknown = set(asked.workload) - set(WORKLOADS)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")

    present = [t for t in tools.found(os.path.join(OUT, "parb")) if not asked.tool or t.name in ["parb", *asked.tool]]
    facts = machine(present)
    sizes = (32, 16) if asked.quick else (512, 256)
    made = fixtures.make(os.path.join(RESULTS, "fixtures-%d-%d" % sizes), *sizes)
    # The stop of a terminal or a service manager ends with everything cleaned up, like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work, bench, failed = os.environ["WORK"], None, False
    fast = registry.fast_directory(GIB // 4 if asked.quick else 4 * GIB)
    try:
        bench = Bench(work, fast, made)
        bench.seed()
        for name in asked.workload or WORKLOADS:
            workload = WORKLOADS[name]()
            those = examples(work, asked.quick) if name == "ABI" else present
            if not those:
                continue
            rounds = asked.n or (min(workload.rounds, 2) if asked.quick else workload.rounds)
            results = measure(bench, workload, those, rounds, 120 if asked.quick else 600)
            table(name, workload, workload.title, results)
            failed = failed or any("error" in r for r in results[those[0].name])
            with open(os.path.join(RESULTS, name + ".json"), "w") as f:
                json.dump({"machine": facts, "title": workload.title, "quick": asked.quick, "results": results}, f, indent=1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if bench:
            bench.registry.stop()
        registry.remove(fast)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
