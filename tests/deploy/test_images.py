"""Images and manifests without an engine and without a cluster (test_engine.py has an engine): the Containerfile's own steps in a
clean Debian, and in it what the manifests start, with their users, arguments, read-only root, folders and probes."""

import re
import shutil
import subprocess

import pytest
import yaml

import containerfile
from built import PATIENCE, VERSION
from cluster import BIN, TOP, wait_until

IMAGES = ("broker", "gateway", "worker", "cli")
PROGRAM = {"broker": "gleaner-broker", "gateway": "gleaner-gateway", "worker": "gleaner-worker", "cli": "gleaner"}


@pytest.fixture(scope="module")
def stages():
    return containerfile.read(TOP / "deploy/Containerfile")


@pytest.fixture(scope="module")
def manifests():
    import manifests as reader  # skips where its types are not installed
    return reader.read(TOP / "deploy/kubernetes")


def of_kind(documents, *kinds):
    return {d["metadata"]["name"]: d for d in documents if d["kind"] in kinds}


def pods(documents):
    return {name: d["spec"]["template"]["spec"] for name, d in of_kind(documents, "Deployment", "StatefulSet").items()}


# ---- what can be read ----


def test_stages_and_sources(stages):
    assert set(stages) == {"build", "base", *IMAGES}
    for stage in stages.values():
        assert stage.base in stages or re.fullmatch(r"docker\.io/library/debian:\d+-slim", stage.base), stage.base
        for source in containerfile.sources(stage):
            assert (TOP / source).exists(), source
    for name in IMAGES:
        user = stages[name].last("USER")
        assert re.fullmatch(r"1000\d:1000\d", user), f"{name} runs as {user}"
        assert stages[name].array("ENTRYPOINT") == [PROGRAM[name]]


def test_its_build_is_the_one_of_packages(stages):
    """The list of packages is deploy/packages.sh's, and stands nowhere again."""
    runs = stages["build"].all("RUN")
    assert any("need_packages $GLEANER_PACKAGES $GLEANER_PACKAGING_PACKAGES" in run for run in runs)
    assert runs[-1] == "deploy/package --out /packages"
    subprocess.run(["sh", "-c", ". deploy/packages.sh && [ -n \"$GLEANER_PACKAGES\" ] && command -v need_packages"], cwd=TOP, check=True)
    folder = [m["source"] for name in IMAGES for run in stages[name].all("RUN") for m in containerfile.without_mounts(run)[1]]
    assert set(folder) == {"/packages"}


def test_manifests_agree_with_images_and_each_other(manifests, stages):
    services = of_kind(manifests, "Service")
    assert {d["metadata"]["namespace"] for d in manifests if d["kind"] != "Namespace"} == {"gleaner"}
    listed = yaml.safe_load((TOP / "deploy/kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in (TOP / "deploy/kubernetes").glob("*.yaml") if p.name != "kustomization.yaml")
    for name, pod in pods(manifests).items():
        kind = name.removeprefix("gleaner-")
        (container,) = pod["containers"]
        assert container["image"] == f"{name}:{VERSION}", f"{name} has another version than the project"
        security = {**pod["securityContext"], **container["securityContext"]}
        assert stages[kind].last("USER") == f"{security['runAsUser']}:{security['runAsGroup']}"
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]} and pod["automountServiceAccountToken"] is False
        exposed = stages[kind].last("EXPOSE")
        for port in container.get("ports", []):
            assert str(port["containerPort"]) == exposed
            assert [p["port"] for p in services[name]["spec"]["ports"] if p["targetPort"] == port["name"]] == [port["containerPort"]]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            where = next((v for k, v in container.get(probe, {}).items() if k in ("httpGet", "tcpSocket")), None)
            assert where is None or where["port"] in [p["name"] for p in container["ports"]]
        mounts = {m["name"] for m in container["volumeMounts"]}
        claims = of_kind(manifests, "StatefulSet").get(name, {}).get("spec", {}).get("volumeClaimTemplates", [])
        assert mounts == {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in claims}
    selectors = [d["spec"]["selector"].get("matchLabels", d["spec"]["selector"])["app"] for d in manifests
                 if d["kind"] in ("Service", "Deployment", "StatefulSet", "PodDisruptionBudget")]
    assert set(selectors) == set(pods(manifests))
    assert of_kind(manifests, "ScaledObject")["gleaner-worker"]["spec"]["scaleTargetRef"]["name"] in pods(manifests)


def test_a_workers_pod_waits_for_its_jobs(manifests):
    pod = pods(manifests)["gleaner-worker"]
    wait = next(a for a in pod["containers"][0]["args"] if a.startswith("--stop-wait="))
    minutes = int(re.fullmatch(r"--stop-wait=(\d+)m", wait).group(1))
    assert pod["terminationGracePeriodSeconds"] >= minutes * 60 + 30


def test_every_argument_is_an_option(manifests, stages):
    for name, pod in pods(manifests).items():
        known = set(re.findall(r"^ +(--[\w-]+)", subprocess.run([BIN / name, "--help"], capture_output=True, text=True).stdout, re.M))
        for argument in [*pod["containers"][0]["args"], *stages[name.removeprefix("gleaner-")].array("CMD")]:
            if argument.startswith("--"):
                assert argument.split("=")[0] in known, f"{name} has no {argument}"


# ---- what can be run ----


@pytest.fixture(scope="module")
def images(debian_root, packages, stages):
    """The final stages' steps, one after the other in one Debian."""
    shutil.copytree(packages[0].parent, debian_root.path("/packages"))
    for name in ("base", *IMAGES):
        for run in stages[name].all("RUN"):
            # The lists are asked for by every step of its own; here once is enough.
            command = containerfile.without_mounts(run)[0].replace("rm -rf /var/lib/apt/lists/*", "true").replace("apt-get update", "true")
            debian_root.run("sh", "-ec", command, network=True, seconds=300, env={"DEBIAN_FRONTEND": "noninteractive"})
    with open(debian_root.path("/etc/hosts"), "a") as hosts:
        hosts.write("127.0.0.1 localhost gleaner-broker gleaner-gateway\n")
    return debian_root


class Pod:
    """A container of a manifest: its user, arguments and variables, no capability, and a root that it cannot write to."""

    def __init__(self, root, name, pod, env=None):
        self.root, self.name, self.container = root, name, pod["containers"][0]
        self.user = str(pod["securityContext"]["runAsUser"])
        self.log = root.path(f"/var/log/{name}.log")
        folders = [m["mountPath"] for m in self.container["volumeMounts"] if m["mountPath"] != "/tmp"]
        mounts = "".join(f"mount --bind /volumes/{name}{f} {f}; " for f in folders)
        mounts += "mount -t tmpfs -o mode=1777 tmp /tmp; mount -o remount,ro,bind /; "
        for folder in folders:
            root.run("install", "-d", "-m", "0770", "-o", self.user, "-g", self.user, f"/volumes/{name}{folder}")
        words = [name, *self.container["args"]]
        inner = ["unshare", "--mount", "sh", "-ec", mounts + 'exec "$@"', "sh", "setpriv", f"--reuid={self.user}", f"--regid={self.user}",
                 "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", *words]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(root.command(inner, env=env), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def probe(self, which):
        """Asks as the kubelet would."""
        probe = self.container[which]
        ports = {p["name"]: p["containerPort"] for p in self.container["ports"]}
        if "httpGet" in probe:
            url = f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
            return self.root.run("curl", "-sf", "-m", str(probe.get("timeoutSeconds", 1)), url, check=False).returncode == 0
        return self.root.run("bash", "-c", f": </dev/tcp/127.0.0.1/{ports[probe['tcpSocket']['port']]}", check=False).returncode == 0

    def wait(self, which, ready=True):
        def as_told():
            assert self.process.poll() is None, self.log.read_text()
            return self.probe(which) == ready
        wait_until(as_told, 20, f"{self.name}'s {which}")

    def stop(self):
        self.root.run("pkill", "-TERM", "-x", "-u", self.user, "-f", " ".join([self.name, *self.container["args"]]), check=False)
        return self.process.wait(30 * PATIENCE)


def test_the_manifests_pods(images, manifests):
    """Tokens as the README says, readiness as the probes tell, a job, and the figures that the autoscaler asks for."""
    specs = pods(manifests)
    broker = Pod(images, "gleaner-broker", specs["gleaner-broker"])
    broker.wait("startupProbe")
    gateway = Pod(images, "gleaner-gateway", specs["gleaner-gateway"])
    gateway.wait("livenessProbe")
    gateway.wait("readinessProbe")

    def token(role):
        return images.run("gleaner-broker", "token", "create", "--data", "/volumes/gleaner-broker/data", "--role", role, "--name", role,
                          user="gleaner-broker").stdout.strip()
    submitter, viewer = token("submitter"), token("viewer")
    worker = Pod(images, "gleaner-worker", specs["gleaner-worker"], {"GLEANER_WORKER_TOKEN": token("worker"), "WORKER_ID": "pod-1"})
    wait_until(lambda: worker.process.poll() is not None or " worker-ready " in worker.log.read_text(), 20, "the worker")
    assert worker.process.poll() is None and " sandbox bwrap" in worker.log.read_text(), worker.log.read_text()

    images.path("/tmp/project").mkdir()
    images.path("/tmp/project/a.txt").write_text("hello\n")
    done = images.run("gleaner", "run", "/tmp/project", "--", "cat a.txt; touch /etc/x || echo kept", user="gleaner",
                      env={"GLEANER_TOKEN": submitter, "HOME": "/tmp"})
    assert "hello" in done.stdout and "kept" in done.stdout, done

    figures = images.run("curl", "-sSf", "-H", f"Authorization: Bearer {viewer}", "http://gleaner-gateway:3000/metrics").stdout
    query = of_kind(manifests, "ScaledObject")["gleaner-worker"]["spec"]["triggers"][0]["metadata"]["query"]
    asked = re.findall(r"max\((gleaner_\w+(?:\{[^}]*\})?)\)", query)
    assert len(asked) == 3
    for sample in asked:
        assert re.search(rf"^{re.escape(sample)} ", figures, re.M), f"{sample} is not told"

    assert broker.stop() == 0, broker.log.read_text()
    gateway.wait("readinessProbe", ready=False)
    assert gateway.probe("livenessProbe"), "it lives, without a broker"
    assert gateway.stop() == 0, gateway.log.read_text()
    assert worker.stop() == 0, worker.log.read_text()
