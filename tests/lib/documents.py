"""What the documents tell people to type, and the surroundings in which it is typed.

A block of code in a document is a list of commands, a list of files, Python, or something that a comment in front of it names:

    <!-- runs: tests/e2e/test_x.py -->    that file runs it
    <!-- not run: why -->                 nobody does, and the suite says so
    <!-- no command: what it is -->       a picture, output, a message
    <!-- config of gleaner-worker -->     a config file, which that program must take
    <!-- given: JOB = COMMAND -->         no more than what the block needs: JOB is what that command prints

A command is a line, with a `\\` at its end several; `# exits with 3` says that it does not end with 0. Lines that begin with
`$ ` are commands, too, and then what stands between them is what they print, `...` for anything.
"""

import dataclasses
import pathlib
import re
import shlex
import shutil
import socket
import subprocess

from built import BIN, TOP
from cluster import SANITIZERS, Cluster, Program
from zips import zip_of

MARK = re.compile(r"<!-- (runs|not run|no command|config of):? (.+?) -->")
GIVEN = re.compile(r"<!-- given: ([A-Z]+) = (.+?) -->")
OURS = ("gleaner", "gleaner-broker", "gleaner-gateway", "gleaner-worker")
COMMANDS = {*OURS, "apt-get", "cat", "chmod", "cp", "curl", "deploy/package", "deploy/quickstart", "echo", "gleaner-sim", "grep", "install", "jq", "journalctl",
            "kill", "ls", "mkdir", "npm", "openssl", "printf", "rm", "sh", "sudo", "systemctl", "systemd-run", "tar", "tests/run",
            "tests/bench/run", "tests/guard/check", "timedatectl", "useradd", "zip", "nginx", "caddy", "df", "tee", "mv", "nproc", "unzip", "uname", "useradd",
            "python3", "ss", "ulimit", "man", "dpkg", "apt", "date", "loginctl", "build/fuzz/bin/fuzz_json", "umask", "test", "diff"}
PLACEHOLDER = re.compile(r"\b(JOB|WORKER|CODE|TOKEN|DIR|FILE|NAME|ID|HOST|[A-Z]+-HOST|THIS-PC|YOUR-[A-Z]+)\b(?!=)")


@dataclasses.dataclass
class Block:
    path: pathlib.Path
    line: int
    info: str  # what stands behind a fence's ```; "" when it is indented
    lines: list
    mark: tuple = None  # (what the comment says that it is, the rest)
    given: tuple = ()  # (NAME, command) of the comments

    @property
    def name(self):
        return f"{self.path.relative_to(TOP)}:{self.line}"


def documents():
    """All that people read here."""
    found = [TOP / "README.md", TOP / "SECURITY.md", *sorted((TOP / "deploy/docs").glob("*.md")), *sorted(TOP.glob("*/README.md")),
             *sorted(TOP.glob("tests/*/README.md")), *sorted((TOP / "deploy").glob("*/README.md"))]
    return list(dict.fromkeys(path for path in found if "node_modules" not in path.parts))


def blocks(path):
    """Blocks of code of a document in Markdown."""
    found, mark, given, fence, before, margin = [], None, (), None, "", "    "
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if fence is not None:
            if line.startswith("```"):
                fence = None
            else:
                fence.lines.append(line)
        elif line.startswith("```"):
            fence = Block(path, number, line[3:].strip() or "text", [], mark, given)
            found.append(fence)
            mark, given = None, ()
        elif line.startswith(margin) and (not before.strip() or before.startswith("<!--") or found and found[-1].line < 0):
            if not found or found[-1].line >= 0:
                found.append(Block(path, -number, "", [], mark, given))
                mark, given = None, ()
            found[-1].lines.append(line[len(margin):])
        elif not line.strip():
            if found and found[-1].line < 0:
                found[-1].lines.append("")
        else:
            for block in found:
                block.line = abs(block.line)
            item = re.match(r"(\d+\. |- )", line)
            if item or not line.startswith(" "):  # within an item what is set in as far as its text is text
                margin = " " * (4 + len(item[0]) if item else 4)
            said = MARK.match(line.strip())
            mark = (said[1], said[2]) if said else None
            given = (*given, GIVEN.match(line.strip()).groups()) if GIVEN.match(line.strip()) else ()
        before = line
    for block in found:
        block.line = abs(block.line)
        while block.lines and not block.lines[-1]:
            block.lines.pop()
    return found


def page_examples(path):
    """The commands of a man page's examples, as one block."""
    lines = [line[4:].replace("\\-", "-") for line in path.read_text().splitlines() if line.startswith(".Dl ")]
    return [Block(path, 1, "", lines)] if lines else []


# ---- what a block is ----


def logical_lines(lines):
    """Lines with their continuations."""
    joined = []
    for line in lines:
        if joined and joined[-1].endswith("\\"):
            joined[-1] = joined[-1][:-1].rstrip() + " " + line.strip()
        elif line.strip():
            joined.append(line)
    return joined


def first_word(line):
    words = [word for word in line.split() if not re.match(r"[A-Za-z_]+=\S*$", word)]
    return words[0].strip("(") if words else ""


def is_command(line):
    return first_word(line) in COMMANDS or re.match(r"[A-Za-z_]+=\$\(", line)


def is_listing(block):
    """Lines that begin with files' names, each of which there is; what is further in goes on about the one above."""
    last = block.path.parent
    for line in block.lines:
        if not line.strip() or line.startswith("      "):
            continue
        for word in re.split(r"\s{2,}", line.strip())[0].split():
            there = [one for folder in (block.path.parent, TOP, last) for end in ("", ".c", ".h", ".mjs")
                     for one in folder.glob(word.strip(",").rstrip("/") + end)]
            if not there:
                return False
            last = there[0].parent
    return True


def kind(block):
    """commands, console, python, listing, config, or what its mark says; None: nobody has said."""
    if block.mark:
        return block.mark[0]
    lines = [line for line in logical_lines(block.lines) if not line.startswith("#")]
    if block.info == "python":
        return "python"
    if block.path.name == "http-api.md" and lines and first_word(lines[0]) == "curl":
        return "call"
    if block.info not in ("", "sh", "console"):
        return None
    if lines and lines[0].startswith("$ "):
        return "console"
    if lines and all(is_command(line) for line in lines):
        return "commands"
    return "listing" if not block.info and is_listing(block) else None


# ---- where they are typed ----

MAKEFILE = """all test:
\t@echo all good
\t@mkdir -p build out && echo built > build/app.deb && echo log > build/build.log && echo made > out/result.txt
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sandbox_works():
    bare = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return bool(shutil.which("bwrap")) and subprocess.run(bare, capture_output=True).returncode == 0


class Surroundings:
    """Somebody's home with a project in it, a cluster with one worker, and a job that has run."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.project = self.home / "project"
        (self.project / "my-project").mkdir(parents=True)
        for where in (self.project, self.project / "my-project"):
            (where / "Makefile").write_text(MAKEFILE)
        (self.project / "hello.sh").write_text("echo hello\n")
        (self.project / "project.zip").write_bytes(zip_of({"my-project/Makefile": MAKEFILE, "Makefile": MAKEFILE}))
        (self.home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\nmax-time = 20\n")
        (folder / "cluster").mkdir()
        self.cluster = Cluster(folder / "cluster")
        self.worker = self.cluster.worker("http", "--id", "lab-1", "--slots", "2")
        self.ports = {"gateway": free_port(), "broker": free_port()}
        self.servers, self.number, self.given = [], 0, {}
        self.environment = {
            **SANITIZERS, "PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home),
            "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", "GLEANER_SERVER": self.cluster.server, "EDITOR": "true",
            # What a machine that has nothing but Gleaner needs not say.
            "GLEANER_GATEWAY_LISTEN": f"127.0.0.1:{self.ports['gateway']}", "GLEANER_GATEWAY_BROKER": self.cluster.broker_url,
            "GLEANER_BROKER_LISTEN": f"tcp://127.0.0.1:{self.ports['broker']}", "GLEANER_GATEWAY_WEB": str(self.cluster.web),
        }
        if not sandbox_works():
            self.environment["GLEANER_WORKER_UNSAFE_NO_SANDBOX"] = "true"
        done = self.shell("gleaner submit --artifact 'build/*' --name nightly -- make test")
        assert done.returncode == 0, done.stderr
        self.job = done.stdout.strip()
        assert self.shell(f"gleaner wait {self.job}").returncode == 0
        # DIR: a data directory that no broker uses. And a certificate for the gateway.
        made = self.shell(f"mkdir data && gleaner-broker --data {self.cluster.folder}/data --backup data.tar && tar -xf data.tar -C data && "
                          "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=here "
                          "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem && chmod 600 key.pem && rm data.tar")
        assert made.returncode == 0, made.stderr

    def shell(self, text, **more):
        return subprocess.run(["bash", "-c", text], cwd=self.project, env=self.environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, **more)

    def begin(self, given=()):
        """A new machine for the workers of the next block, whose state is their own; and what the block is given."""
        self.number += 1
        self.given = {}
        for name, command in given:
            done = self.shell(self.fill(command))
            assert done.returncode == 0 and done.stdout, (command, done.stderr)
            self.given[name] = done.stdout.split()[-1]
        self.environment["XDG_STATE_HOME"] = str(self.folder / f"state{self.number}")

    def end(self):
        while self.servers:
            self.stop(self.servers[-1])

    def stop(self, program):
        self.servers.remove(program)
        if program.running:
            assert program.stop() == 0, program.lines()[-5:]

    def close(self):
        self.end()
        self.cluster.close()

    def fill(self, text):
        """The text with real values in the place of words such as JOB."""
        gateway, broker = self.ports["gateway"], self.ports["broker"]
        table = [
            (r"--listen tcp://[\w.*-]+:5555", f"--listen tcp://127.0.0.1:{broker}"),
            (r"--listen [\w.]+:3000", f"--listen 127.0.0.1:{gateway}"),
            (r"DNS:GATEWAY-HOST", "IP:127.0.0.1"),
            (r"https://(?:GATEWAY-HOST|localhost|THIS-PC):3000", f"https://127.0.0.1:{gateway}"),
            (r"http://(?:GATEWAY-HOST|localhost|THIS-PC|127\.0\.0\.1):3000", self.cluster.server),
            (r"tcp://(?:BROKER-HOST|localhost|THIS-PC):5555", self.cluster.broker_url),
            (r"--host GATEWAY-HOST", "--host gateway.example"),
            (r"--backup FILE", f"--backup {self.folder}/backup{self.number}.tar"),
            (r"--data DIR", "--data data"),
            *((rf"\b{name}\b", value) for name, value in self.given.items()),
            (r"\bJOB\b", self.job),
            (r"\bWORKER\b", "lab-1"),
            (r"\bTOKEN\b", "gleaner_example"),  # the broker here asks nobody
        ]
        for pattern, value in table:
            text = re.sub(pattern, value.replace("\\", r"\\"), text)
        if re.search(r"\bCODE\b", text):
            text = re.sub(r"\bCODE\b", self.cluster.enroll("worker", "--server", self.cluster.server), text)
        left = PLACEHOLDER.search(re.sub(r"(?<=\s)#.*$", "", text, flags=re.M))
        assert not left, f"{left[0]} stands for nothing that these surroundings have: {text}"
        return text

    # ---- typing ----

    def serves(self, line):
        """Whether that command is a server, which does not end by itself."""
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if "# exits with" in line or not words or words[0] not in OURS[1:] or any(word in ("--help", "--version", "--options-as", "--check", "--check-config", "--backup") for word in words):
            return False
        return len(words) < 2 or words[1].startswith("-")

    def serve(self, line):
        name = first_word(line).removeprefix("gleaner-")
        for other in [one for one in self.servers if one.name == name]:
            self.stop(other)
        log = self.folder / f"{name}-{self.number}-{len(self.servers)}.log"
        log.write_text("")
        program = Program(name, [], log)
        with open(log, "ab") as out:
            program.process = subprocess.Popen(["bash", "-c", f"exec {line}"] if "=" not in line.split()[0] else ["bash", "-c", line],
                                               cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.servers.append(program)
        program.wait_event(f"{name}-ready", 20)

    def type(self, lines):
        """Runs commands in one shell, up to the first that does not end as it should. Returns what each has printed."""
        script = ["exec 2>&1"]
        for line in lines:
            wanted = re.search(r"# exits with (\d+)", line)
            script += ["printf '\\036'", line if not wanted else f"{line}\n[ $? = {wanted[1]} ]",
                       "gleaner_status=$?; [ $gleaner_status = 0 ] || { printf '\\036STATUS %s' $gleaner_status; exit 1; }"]
        done = self.shell("\n".join(script))
        printed = done.stdout.split("\036")[1:]
        status = printed.pop() if printed[-1].startswith("STATUS ") else f"the shell ({done.returncode})"
        if done.returncode or len(printed) < len(lines):
            raise AssertionError(f"{lines[len(printed) - 1]}\nends with {status}:\n{printed[-1]}")
        return printed

    def run(self, lines, given=()):
        """Servers are started and stay until the block ends; everything else has to end well. Returns (command, what it printed)."""
        told, pending = [], []

        def flush():
            if pending:
                told.extend(zip(pending, self.type([self.fill(one) for one in pending])))
                pending.clear()

        self.begin(given)
        try:
            for line in lines:
                if self.serves(line):
                    flush()
                    self.serve(self.fill(line))
                    told.append((line, ""))
                else:
                    pending.append(line)
            flush()
        finally:
            self.end()
        return told


# ---- what they print ----


def shape(line):
    """A pattern for a line of output: numbers, words such as JOB and `...` stand for what is there today."""
    pattern = ""
    for part in re.split(r"(\.\.\.|\s+|job-\d+-\w+|\d+(?:\.\d+)*(?:(?:ms|s|m|h|d)\b)?|\b[A-Z]+(?:-[A-Z]+)*\b)", line.strip()):
        if part == "...":
            pattern += ".*"
        elif not part.strip():
            pattern += r"\s+" if part else ""
        elif re.fullmatch(r"job-\d+-\w+", part):
            pattern += r"job-\d+-\w+"
        elif part[0].isdigit():
            pattern += r"\d+(?:\.\d+)*" + (r"[a-z]+" if part[-1].isalpha() else "")
        elif PLACEHOLDER.fullmatch(part):
            pattern += r"\S+"
        else:
            pattern += re.escape(part)
    return re.compile(r"\s*" + pattern + r"\s*")


def check_output(shown, printed):
    """Each shown line is one of the printed ones, in their order."""
    left = iter(printed.splitlines())
    for line in shown:
        if line.strip() and line.strip() != "...":
            assert any(shape(line).fullmatch(one) for one in left), f"{line!r} is not in what was printed:\n{printed}"


def run_console(around, block):
    commands, shown = [], []
    for line in block.lines:
        if line.startswith("$ "):
            commands.append(line[2:])
            shown.append([])
        elif commands and commands[-1].endswith("\\"):
            commands[-1] = commands[-1][:-1] + line.strip()
        elif line.strip():
            shown[-1].append(line)
    for (_, printed), lines in zip(around.run(commands, block.given), shown, strict=True):
        check_output(lines, printed)


def run_call(around, block):
    """An example of the API's reference: its status is one that the call's section tells."""
    lines = block.path.read_text().splitlines()[:block.line]
    begin = max(number for number, line in enumerate(lines) if line.startswith("### "))
    told = set(re.findall(r"\*\*(\d{3})\*\*|\((\d{3})\)", "\n".join(lines[begin:])))
    told = {one for pair in told for one in pair if one}
    line, = logical_lines(block.lines)
    around.begin()
    line = around.fill(re.sub(r"\bFILE\b", "hello.sh", line))
    done = around.shell(f"{line} --max-time 2 --no-fail-with-body -o answer -w '%{{http_code}}'")
    assert done.stdout in told, f"{line}\nis answered {done.stdout}, which is none of {sorted(told)}: {done.stderr}"


def run_python(around, block):
    text = around.fill("\n".join(block.lines))
    done = subprocess.run(["/usr/bin/python3", "-c", text], cwd=around.project, env=around.environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_config(around, block):
    """The program takes it: what it then refuses is the command line."""
    around.begin()
    file = around.folder / f"config{around.number}"
    file.write_text("\n".join(block.lines) + "\n")
    words = block.mark[1].split()
    done = around.shell(f"{words[0]} {' '.join(words[1:])} --config {file} --no-such-option")
    assert done.returncode == 2 and "--no-such-option" in done.stderr, done.stderr
