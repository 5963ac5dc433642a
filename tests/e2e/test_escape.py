"""A job that wants out of its sandbox: to read what is the lender's, to write elsewhere, to reach other processes, to outlive."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import uuid

import pytest

from cluster import Cluster, wait_until
from test_process_tree import FILES, all_children, command_of, gone

PYTHON = "/usr/bin/python3"
CANARY = f"canary-{uuid.uuid4().hex}"
GONE_SECONDS = 5


def bwrap_works():
    bare = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return shutil.which("bwrap") and subprocess.run(bare, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not bwrap_works(), reason="bubblewrap does not work on this machine")


class Lender:
    """A machine that is lent: a worker in its sandbox, a home with something private in it."""

    def __init__(self, folder, *args):
        self.cluster = Cluster(folder)
        self.home = self.cluster.folder / "lenders-home"
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh/id").write_text(CANARY)
        self.api = self.cluster.api
        self.worker = self.cluster.worker("zmq", "--slots", "2", *args, sandbox=True, env={"HOME": str(self.home), "CANARY": CANARY})

    def run(self, command, files=None, **fields):
        fields.setdefault("maxAttempts", 1)
        return self.api.wait_job(self.api.create(command, self.api.upload(files or {"a.txt": "hello\n"}), **fields), 30)

    def python(self, script, **fields):
        """What a script prints in the job."""
        status = self.run(f"{PYTHON} probe.py", {"probe.py": script}, **fields)
        assert status["exitCode"] == 0, status
        return status["stdout"]


@pytest.fixture(scope="module")
def lender(tmp_path_factory):
    lender = Lender(tmp_path_factory.mktemp("lender"))
    yield lender
    lender.cluster.close()


@pytest.fixture
def lenders(tmp_path):
    made = []

    def make(*args):
        folder = tmp_path / f"lender{len(made)}"
        folder.mkdir()
        made.append(Lender(folder, *args))
        return made[-1]
    yield make
    for lender in made:
        lender.cluster.close()


def inside(pid):
    """The processes below `pid`, itself left out."""
    found = []
    for child in all_children(pid):
        found += [child, *inside(int(child))]
    return found


def refused(status):
    assert status["status"] == "failed" and status["exitCode"] not in (0, None), status
    return status["stderr"]


# ---- reading ----

def test_the_lenders_home_is_not_there(lender):
    for path in (lender.home / ".ssh/id", lender.home, lender.worker.folder, lender.worker.folder / "worker-id", lender.cluster.folder,
                 f"/proc/{lender.worker.pid}", "/root", "/home", "/var/run/docker.sock", "/var/lib", "/var/log", "/srv", "/mnt", "/boot"):
        assert "No such file" in refused(lender.run(f"ls -d {path}")), path
    status = lender.run(f"ls -R / 2>/dev/null | grep -c {lender.home.name}$; grep -rs {CANARY} / --include=id; echo $HOME $PWD; pwd")
    assert status["stdout"] == "0\n/job /job\n/job\n", status


def test_what_others_cannot_read_is_hidden(lender):
    """Also from a worker that runs as root, whose files they are."""
    hidden = subprocess.run(["find", "/etc", "/opt", "!", "-perm", "-o+r", "!", "-type", "l"], capture_output=True, text=True).stdout.split()
    assert "/etc/shadow" in hidden
    script = f"import os\nfor path in {hidden!r}:\n    try: print(path, os.listdir(path) if os.path.isdir(path) else len(open(path).read()))\n" \
             "    except OSError as why: print('refused', path)\n"
    lines = lender.python(script).splitlines()
    assert len(lines) == len(hidden)
    assert all(line.startswith("refused ") or line.endswith(" []") for line in lines), lines


def test_what_is_to_be_hidden_comes_and_goes(lenders):
    """While the worker runs: a file that has gone must not be missed, and one that has come is looked for again."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file in /etc")
    path = pathlib.Path(f"/etc/gleaner-{CANARY}")
    try:
        path.touch(0o600)
        lender = lenders()
        path.write_text(CANARY)
        assert lender.run(f"cat {path} | wc -c")["stdout"] == "0\n"
        path.unlink()
        for _ in range(2):
            assert lender.run("echo done")["stdout"] == "done\n"
        path.touch(0o600)
        path.write_text(CANARY)
        wait_until(lambda: lender.run(f"cat {path} | wc -c")["stdout"] == "0\n", 15, "another look at /etc")
    finally:
        path.unlink(missing_ok=True)


def test_another_jobs_folder_is_not_there(lender):
    other = lender.api.create("echo mine > mine; while [ ! -e stop ]; do sleep 0.05; done; cat mine", lender.api.upload(FILES), maxAttempts=1)
    wait_until(lambda: list(lender.worker.folder.glob("jobs/*/mine")), 10, "the other job")
    (folder,) = [path.parent for path in lender.worker.folder.glob("jobs/*/mine")]
    try:
        assert "No such file" in refused(lender.run(f"cat {folder}/mine"))
        status = lender.run("ls /job/..; ps -e -o args; ls /proc | grep -c '^[0-9]'")
        assert "mine" not in status["stdout"] and "sleep" not in status["stdout"], status
    finally:
        (folder / "stop").touch()
    assert lender.api.wait_job(other)["stdout"] == "mine\n"


def test_the_environment_is_a_list_of_what_is_allowed(lender):
    lines = lender.run("env; cat /proc/1/environ; cat /proc/$PPID/environ; true")["stdout"]
    names = {line.partition("=")[0] for line in lines.splitlines()}
    assert names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "HOME", "PWD", "OLDPWD", "TERM", "CI", "GLEANER_JOB_ID",
                     "GLEANER_ATTEMPT", "GLEANER_WORKER_ID", "_", "SHLVL"}, names
    assert CANARY not in lines


def test_descriptors_of_outside_are_not_inherited(lender):
    status = lender.run("ls -l /proc/self/fd | grep -o '[0-9]* -> .*' | grep -v '^[012] -> ' | grep -v /proc/; for fd in 0 1 2 3 4 5 6; do "
                        "readlink /proc/1/fd/$fd; : < /proc/1/fd/$fd; done; true")
    assert status["stdout"] == "", status


# ---- writing ----

def test_nothing_but_its_folder_and_tmp_is_writable(lender):
    script = "import os\n" \
             "for top in ['/', '/usr', '/usr/bin', '/etc', '/opt', '/bin', '/run', '/var', '/dev', '/proc', '/sys', '/etc/ssl/private', '/job',\n" \
             "            '/tmp', '/var/tmp', '/dev/shm']:\n" \
             "    try: open(top + '/gleaner-was-here', 'w').close(); print(top)\n" \
             "    except OSError: pass\n" \
             "for path in ['/etc/passwd', '/etc/shadow', '/usr/bin/env', '/run/gleaner-keeper', '/proc/sys/kernel/core_pattern',\n" \
             "             '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/proc/1/mem', '/proc/1/oom_score_adj']:\n" \
             "    try: os.close(os.open(path, os.O_WRONLY)); print(path)\n" \
             "    except OSError: pass\n"
    assert lender.python(script).split() == ["/job", "/tmp", "/var/tmp", "/dev/shm"]
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/job"):
        assert not os.path.exists(f"{top}/gleaner-was-here"), "what is in /tmp is the job's own"
    assert lender.run("ls /tmp /var/tmp /dev/shm")["stdout"].split() == ["/dev/shm:", "/tmp:", "/var/tmp:"], "and ends with it"


def test_tmp_has_a_size(lenders):
    lender = lenders("--tmp-max", "4M")  # ThreadSanitizer takes 512 KiB of the keeper's /tmp
    for folder in ("/tmp", "/dev/shm"):
        assert "No space left" in refused(lender.run(f"head -c 5000000 /dev/zero > {folder}/big"))
    assert lender.run("head -c 3600000 /dev/zero > /tmp/fits && head -c 3600000 /dev/zero > /dev/shm/fits")["status"] == "completed"


def test_links_lead_nowhere(lender):
    """The packer is outside: what a job makes of its own files must not lead it to others."""
    status = lender.run(f"ln -s {lender.home}/.ssh out; ln -s {lender.home}/.ssh/id id.txt; ln -s /etc dir; mkfifo pipe.txt; echo own > own.txt",
                        artifacts=["**/*", "out/**", "*.txt", "dir/passwd"])
    assert status["artifactsCount"] == 2 and "a link" in status["artifactsNote"], status  # a.txt, own.txt
    data = lender.api.get(f"/api/jobs/artifacts?jobId={status['jobId']}").body
    assert CANARY.encode() not in data and b"root:x:" not in data


# ---- other processes ----

def test_it_sees_its_own_processes_alone(lender):
    lines = lender.run("ps -e -o pid=,args=")["stdout"].splitlines()
    assert len(lines) <= 3 and lines[0].split()[0] == "1" and "gleaner-keeper" in lines[0], lines


@pytest.mark.parametrize("killer", ["kill -9 1", "kill -STOP 1", "kill -9 $PPID", "kill -SEGV 1; kill -INT 1"])
def test_it_cannot_kill_its_keeper(lender, killer):
    status = lender.run(f"{killer}; echo alive")
    assert (status["status"], status["stdout"]) == ("completed", "alive\n"), status


def test_it_can_end_itself_alone(lender):
    before = lender.worker.pid
    status = lender.run("kill -9 -1; echo not reached; kill -9 0")
    assert status["exitCode"] == 137 or status["stdout"] == "not reached\n", status
    status = lender.run(f"kill -9 {before} {os.getpid()}; kill -TERM 1; sleep 30")
    assert status["exitCode"] == 143, status
    assert lender.worker.running and lender.worker.pid == before
    assert lender.run("echo next")["stdout"] == "next\n"


def test_it_cannot_trace_its_keeper(lender):
    script = "import ctypes, os\n" \
             "libc = ctypes.CDLL(None, use_errno=True)\n" \
             "print('attach', libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno()))\n" \
             "for name in ('mem', 'environ', 'maps', 'cwd', 'root'):\n" \
             "    try:\n" \
             "        os.listdir('/proc/1/' + name) if name in ('cwd', 'root') else open('/proc/1/' + name, 'rb').read(1)\n" \
             "        print(name, 'read')\n" \
             "    except OSError: pass\n" \
             "try: os.pidfd_open(1); fd = libc.syscall(438, os.pidfd_open(1), 3, 0); print('pidfd_getfd', fd)\n" \
             "except OSError as why: print(why)\n"
    assert lender.python(script) == "attach -1 Operation not permitted\npidfd_getfd -1\n"


# What would make the keeper blind or slow, by its number, its group or its user
BLIND = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def show(name, number, *args):
    ctypes.set_errno(0)
    print(name, libc.syscall(number, *args), os.strerror(ctypes.get_errno()))
nothing = (ctypes.c_ulong * 2)(0, 0)
param = ctypes.c_int(0)
attr = (ctypes.c_uint * 12)(48, 0)
cpus = ctypes.c_ulong(1)
wide = ctypes.c_long((1 << 32) + 1)
show("prlimit", 302, 1, 7, nothing, None)
show("prlimit-wide", 302, wide, 7, nothing, None)
show("setscheduler", 144, 1, 5, ctypes.byref(param))
show("setparam", 142, 1, ctypes.byref(param))
show("setattr", 314, 1, attr, 0)
show("setaffinity", 203, 1, 8, ctypes.byref(cpus))
show("setpriority", 141, 0, 1, 19)
show("setpriority-group", 141, 1, 1, 19)
show("setpriority-user", 141, 2, 0, 19)
show("setpgid", 109, 0, 1)
show("ioprio", 251, 1, 1, 3 << 13)
show("ioprio-user", 251, 3, os.getuid(), 3 << 13)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are of x86_64")
def test_it_cannot_make_its_keeper_blind_or_slow(lender):
    lines = lender.python(BLIND).splitlines()
    assert len(lines) == 12 and all(line.endswith(" -1 Operation not permitted") for line in lines), lines


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not installed")
def test_a_limit_holds_whatever_it_does_to_its_keeper(lender):
    grow = f"{PYTHON} -c 'import time; held = bytearray(200 << 20); time.sleep(6)'"
    status = lender.run(f"prlimit --pid 1 --nofile=0:0; {grow}", memoryMb=64)
    assert status["reason"] == "out-of-memory", status
    assert lender.run("nice -n 5 true && prlimit --nofile=100 true && setsid true")["status"] == "completed"


def test_it_has_no_rights_and_gets_none(lender):
    status = dict(line.split(":\t", 1) for line in lender.run("cat /proc/self/status")["stdout"].splitlines())
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    assert all(int(status[f"Cap{what}"], 16) == 0 for what in ("Inh", "Prm", "Eff", "Bnd", "Amb")), status
    assert "0" not in status["Uid"].split(), status
    for path in ("/usr/bin/su", "/bin/mount", "/usr/bin/newuidmap", "/usr/bin/sudo"):
        if os.path.exists(path):
            assert lender.run(f"{path} --help >/dev/null 2>&1; cp {path} own; chmod 4755 own; ./own --help >/dev/null; grep CapEff /proc/self/status"
                              )["stdout"].split() == ["CapEff:", "0" * 16]


# ---- system calls ----

# name: arguments of the call; each must be refused
CALLS = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {"mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308, "swapon": 167, "reboot": 169, "kexec_load": 246,
           "init_module": 175, "finit_module": 313, "delete_module": 176, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
           "keyctl": 250, "add_key": 248, "request_key": 249, "open_by_handle_at": 304, "acct": 163, "quotactl": 179, "settimeofday": 164,
           "clock_settime": 227, "adjtimex": 159, "syslog": 103, "ioperm": 173, "iopl": 172, "fanotify_init": 300}
UNKNOWN = {"clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
           "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442}
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(args or (0, 0, 0, 0, 0)))
    return errno.errorcode.get(ctypes.get_errno(), "0") if result < 0 else "done"
for names in (NUMBERS, UNKNOWN):
    for name, number in names.items():
        print(name, call(number))
for bit in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
    print(f"unshare-{bit:x}", call(272, bit, 0, 0, 0, 0))
for bit in (0x10000000, 0x20000000, 0x40000000):
    print(f"clone-{bit:x}", call(56, bit | 17, 0, 0, 0, 0))
print("unshare-files", call(272, 0x600, 0, 0, 0, 0))
for request in (0x5412, 0x541c, 0x100000000 + 0x5412):
    print(f"ioctl-{request:x}", call(16, ctypes.c_long(0), ctypes.c_long(request), 0, 0, 0))
print("ioctl-tcgets", call(16, 0, 0x5401, 0, 0, 0))
for family in range(64):
    print(f"socket-{family}", call(41, family, 1 if family == 1 else 2, 0, 0, 0))
print("socket-wide", call(41, ctypes.c_long((1 << 32) + 40), 1, 0, 0, 0))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are of x86_64")
def test_calls_that_no_build_needs_are_refused(lender):
    got = dict(line.split() for line in lender.python(CALLS).splitlines())
    begin = {name: got[name] for name in got if not name.startswith(("socket", "ioctl", "unshare", "clone-"))}
    unknown = {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
               "fspick", "mount_setattr"}
    assert begin == {name: "ENOSYS" if name in unknown else "EPERM" for name in begin} and len(begin) == 38
    namespaces = {name: got[name] for name in got if name.startswith(("unshare-", "clone-"))}
    assert namespaces.pop("unshare-files") == "done"
    assert set(namespaces.values()) == {"EPERM"} and len(namespaces) == 11
    assert [got["ioctl-5412"], got["ioctl-541c"], got["ioctl-100005412"], got["ioctl-tcgets"]] == ["EPERM", "EPERM", "EPERM", "ENOTTY"]
    assert {name for name in got if name.startswith("socket") and got[name] == "done"} == {"socket-1", "socket-2", "socket-10", "socket-16"}
    assert {got[f"socket-{family}"] for family in (17, 38, 40, 44, 63)} == {"EAFNOSUPPORT"} and got["socket-wide"] == "EAFNOSUPPORT"


@pytest.mark.parametrize("command", ["unshare -U true", "unshare -m true", "unshare -r id", "mount -t tmpfs none /tmp", "umount /proc",
                                     "mount -o remount,rw /", "bwrap --ro-bind / / true", "chroot / true", "hostname other", "dmesg",
                                     "mknod /job/disk b 8 0", "nsenter -t 1 -a true"])
def test_tools_that_want_out_fail(lender, command):
    if not shutil.which(command.split()[0]):
        pytest.skip(f"this machine has no {command.split()[0]}")
    assert refused(lender.run(command))


# ---- the network ----

def connect_to(port):
    return f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 3); print('connected')\nexcept OSError as why: print(why)\n"


def test_network_none(lender):
    port = int(lender.cluster.broker_url.rsplit(":", 1)[1])
    assert lender.python(connect_to(port)) == "connected\n", "it has the network unless it asks for none"
    assert "refused" in lender.python(connect_to(port), network="none")
    assert "refused" in lender.python(connect_to(lender.cluster.port), network="none")
    names = "import socket\nprint([name for _, name in socket.if_nameindex()])\n"
    assert lender.python(names, network="none") == "['lo']\n"
    own = "import socket\ns = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('own loopback')\n"
    assert lender.python(own, network="none") == "own loopback\n"


def test_a_worker_without_network(lenders):
    lender = lenders("--network", "none")
    assert "refused" in lender.python(connect_to(lender.cluster.port))
    with socket.create_server(("127.0.0.1", 0)) as server:  # the worker does not go there for a job, either
        url = f"http://127.0.0.1:{server.getsockname()[1]}/p.zip"
        status = lender.api.wait_job(lender.api.create("true", url, maxAttempts=1), 10)
        assert status["reason"] == "download-failed" and "--network none" in status["errorMessage"], status
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_abstract_sockets_of_outside_are_not_reached(lender):
    """The kernel scopes them since Landlock's sixth version; else with the network alone."""
    name = f"\0gleaner-{uuid.uuid4().hex}"
    script = f"import socket\ns = socket.socket(socket.AF_UNIX)\ntry: s.connect({name!r}); print('connected')\nexcept OSError: print('refused')\n"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        assert lender.python(script, network="none") == "refused\n"
        if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 12):
            pytest.skip("this kernel has no scopes")
        assert lender.python(script) == "refused\n"


def test_a_job_without_network_is_not_given_to_who_cannot_do_it(cluster):
    cluster.worker("http", "--id", "bare")
    assert cluster.api.worker("bare")["labels"]["sandbox"] == "none"
    job = cluster.api.create(network="none", requires={"os": "linux"})
    status = cluster.api.status(job)
    assert (status["waitingReason"], status["network"], status["requires"]) == ("no-match", "none", {"os": "linux", "network-none": "yes"}), status
    answer = cluster.api.execute("true", mode="direct", network="none")
    assert (answer.status, answer["code"]) == (503, "NO_DIRECT_WORKER") and "can do that" in answer["error"], answer
    again = cluster.api.status(cluster.api.create(network=status["network"], requires=status["requires"]))
    assert again["requires"] == status["requires"], "what was shown can be asked for again"
    for field, fields in (("network", {"network": "allow"}), ("network", {"network": ""}), ("requires", {"requires": {"network-none": "no"}}),
                          ("requires", {"requires": {"x": "y" * 4090}})):
        answer = cluster.api.post("/api/jobs/create", {"command": "true", "fileUrl": "/uploads/n.zip", "filename": "n.zip", "network": "none", **fields})
        assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", field), answer


# ---- kill really kills ----

STUBBORN = f"{PYTHON} daemon.py note stubborn; setsid sleep 300 & (trap '' TERM; sleep 301 & wait) & sleep 302 & kill -STOP $!; " \
           "while [ ! -s note ]; do sleep 0.05; done; touch begun; sleep 303"


def begun(lender):
    wait_until(lambda: list(lender.worker.folder.glob("jobs/*/begun")), 10, "the job's start")
    pids = [pid for pid in inside(lender.worker.pid) if "--fork-server" not in command_of(pid)]
    assert len(pids) >= 7, [command_of(pid) for pid in pids]
    return pids


def test_nothing_outlives_a_cancel(lender):
    job = lender.api.create(STUBBORN, lender.api.upload(FILES), maxAttempts=1)
    pids = begun(lender)
    lender.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: gone(pids), GONE_SECONDS + 1, "the end of all processes")
    wait_until(lambda: not list(lender.worker.folder.glob("jobs/*")), 5, "the end of its folder")


def test_nothing_outlives_the_end_of_the_commands(lender):
    status = lender.run(f"{PYTHON} daemon.py note stubborn; setsid sleep 300 & sleep 302 & kill -STOP $!; sleep 0.2", FILES)
    assert status["status"] == "completed", status
    assert not [pid for pid in inside(lender.worker.pid) if "--fork-server" not in command_of(pid)]


@pytest.mark.parametrize("sandbox", [True, False], ids=["bwrap", "none"])
def test_a_worker_that_is_killed_leaves_nothing(clusters, tmp_path, sandbox):
    cluster = clusters()
    worker = cluster.worker("zmq", sandbox=sandbox, env={"HOME": str(tmp_path)})
    lender = type("Killed", (), {"worker": worker})
    cluster.api.create(STUBBORN, cluster.api.upload(FILES), maxAttempts=1)
    pids = begun(lender)
    worker.kill()
    wait_until(lambda: gone(pids), GONE_SECONDS, "the end of all processes")
    assert list(worker.folder.glob("jobs/*")) and list(worker.folder.glob("spool/*"))
    worker.start({"HOME": str(tmp_path)})
    assert not list(worker.folder.glob("jobs/*")) and not list(worker.folder.glob("spool/*")), "left-over folders are swept"


@pytest.mark.parametrize("which", ["bwrap", "gleaner-keeper"])
def test_a_sandbox_that_is_killed_from_outside_ends_with_all_in_it(lender, which):
    job = lender.api.create(STUBBORN, lender.api.upload(FILES), maxAttempts=1)
    pids = begun(lender)
    (pid,) = [pid for pid in pids if command_of(pid).split()[0] == which]
    os.kill(int(pid), signal.SIGKILL)
    status = lender.api.wait_job(job)
    assert gone(pids) and (status["status"], status["reason"]) == ("failed", "worker-error"), status
    assert "its keeper was killed" in status["errorMessage"], status
    assert lender.run("echo next")["stdout"] == "next\n"


def test_a_sandbox_that_stands_still_is_ended(lender):
    """By somebody outside: neither it nor its keeper can hear that the job is cancelled."""
    job = lender.api.create(STUBBORN, lender.api.upload(FILES), maxAttempts=1)
    pids = begun(lender)
    for pid in pids:
        os.kill(int(pid), signal.SIGSTOP)
    lender.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: gone(pids), 2 * GONE_SECONDS, "the end of all processes")
    assert lender.run("echo next")["stdout"] == "next\n"


# ---- what a job needs still works ----

def test_usual_work_is_done(lender):
    source = '#include <stdio.h>\nint main (void) { puts ("compiled"); return 0; }\n'
    files = {"hello.c": source, "Makefile": "hello: hello.c\n\tcc -o hello hello.c\n"}
    status = lender.run("seq 3 | sort -r | head -1; echo x > /dev/null; head -c 4 /dev/urandom | wc -c; ps >/dev/null; mktemp -d >/dev/null; "
                        f"{PYTHON} -c 'import multiprocessing as m, threading, os; p = m.Process(target=print, args=(\"forked\",)); "
                        "p.start(); p.join(); t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join(); m.Lock()'; "
                        "getent hosts localhost >/dev/null && echo resolved; tar cf x.tar hello.c && mkdir y && tar xf x.tar -C y && ls y; id -un",
                        files)
    assert status["exitCode"] == 0 and status["stdout"].split()[:7] == ["3", "4", "forked", "thread", "resolved", "hello.c", status["stdout"].split()[-1]], status
    if shutil.which("make") and shutil.which("cc"):
        status = lender.run("make -s && ./hello && mkdir out && cp hello out/", files, artifacts=["out/*"])
        assert (status["stdout"], status["artifactsCount"]) == ("compiled\n", 1), status


@pytest.mark.parametrize("tool, command", [("gdb", "gdb -batch -ex run -ex bt --args true 2>&1 | grep -q 'exited normally'"),
                                           ("strace", "strace -f -o log sh -c true && grep -q exit_group log")])
def test_debuggers_work_on_what_the_job_starts(lender, tool, command):
    if not shutil.which(tool):
        pytest.skip(f"this machine has no {tool}")
    status = lender.run(command)
    assert status["status"] == "completed", status


def test_a_folder_that_the_lender_shows(lenders, tmp_path):
    (tmp_path / "toolchain").mkdir()
    (tmp_path / "toolchain/version").write_text("12\n")
    lender = lenders("--expose", str(tmp_path / "toolchain"))
    assert lender.run(f"cat {tmp_path}/toolchain/version; touch {tmp_path}/toolchain/new 2>/dev/null || echo kept")["stdout"] == "12\nkept\n"


def test_each_job_has_a_sandbox_of_its_own(lender):
    """Nothing rests inside, and all come after each other."""
    for i in range(4):
        assert lender.run(f"echo $$ {i}; echo {i} > /tmp/note; cat /tmp/note")["stdout"].split()[1:] == [str(i), str(i)]
    assert not [pid for pid in inside(lender.worker.pid) if "--fork-server" not in command_of(pid)]


# ---- starting ----

def refused_start(tmp_path, *args, before=(), **env):
    from cluster import BIN
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLEANER_")}
    run = subprocess.run([*before, BIN / "gleaner-worker", "--server", "http://127.0.0.1:1", "--work-dir", tmp_path / "work", *args], capture_output=True,
                         text=True, env={**kept, **env}, timeout=30)
    assert run.returncode == 2 and run.stderr.count("\n") == 1, run
    return run.stderr


def test_a_worker_without_a_sandbox_refuses_to_start(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    broken = folder / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    said = refused_start(tmp_path, PATH=f"{folder}:/usr/bin:/bin")
    for word in ("No permissions to create new namespace", "user.max_user_namespaces", "--unsafe-no-sandbox"):
        assert word in said
    assert "--expose" in refused_start(tmp_path, "--expose", "/none/such")
    assert "--network none needs a sandbox" in refused_start(tmp_path, "--network", "none", "--unsafe-no-sandbox")
    assert "set by the worker itself" in refused_start(tmp_path, "--label", "sandbox=bwrap")


def test_without_a_sandbox_by_the_environment(cluster):
    worker = cluster.worker("http", sandbox=True, env={"GLEANER_WORKER_UNSAFE_NO_SANDBOX": "1"})
    assert worker.events("sandbox")[0].endswith(" none")
    assert cluster.api.wait_job(cluster.api.submit("pwd"))["stdout"].startswith(str(pathlib.Path(worker.folder).resolve()))
