"""A service's unit as systemd would run it, where no systemd runs: its user, its folders, its command."""

import shlex
import subprocess

from cluster import wait_until

FOLDERS = {"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "RuntimeDirectory": "/run", "LogsDirectory": "/var/log"}
SPECIFIERS = {"%S": "/var/lib", "%C": "/var/cache", "%t": "/run", "%L": "/var/log", "%E": "/etc", "%%": "%"}


class Unit:
    def __init__(self, root, name):
        self.root, self.name, self.process = root, name, None
        self.service = self.read(root.path(f"/usr/lib/systemd/system/{name}.service"))
        self.user = self.service["User"][0]
        self.command = [self.expanded(word) for word in shlex.split(self.service["ExecStart"][0].lstrip("-@:+!"))]
        self.log = root.path(f"/root/{name}.log")

    @staticmethod
    def read(path):
        """What stands below [Service]: name to values, since a name may stand there again."""
        service, section = {}, None
        for line in map(str.strip, path.read_text().splitlines()):
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and line[0] not in "#;":
                name, value = line.split("=", 1)
                service.setdefault(name, []).append(value)
        return service

    @staticmethod
    def expanded(word):
        for specifier, value in SPECIFIERS.items():
            word = word.replace(specifier, value)
        return word

    def make_folders(self):
        """And the variables that name them (systemd.exec(5))."""
        env = {}
        for setting, base in FOLDERS.items():
            made = [f"{base}/{name}" for name in " ".join(self.service.get(setting, [])).split()]
            mode = self.service.get(f"{setting}Mode", ["0755"])[0]
            for folder in made:
                self.root.run("install", "-d", "-m", mode, "-o", self.user, "-g", self.user, folder)
            if made:
                env[setting.removesuffix("Directory").upper() + "_DIRECTORY"] = ":".join(made)
        return env

    def start(self):
        env = {"HOME": self.root.run("getent", "passwd", self.user).stdout.split(":")[5], **self.make_folders()}
        for word in shlex.split(" ".join(self.service.get("Environment", []))):
            env.update([self.expanded(word).split("=", 1)])
        begun = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.root.command(self.command, user=self.user, env=env), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        event = f" {self.name.removeprefix('gleaner-')}-ready "

        def ready():
            assert self.process.poll() is None, self.log.read_text()
            return event.encode() in self.log.read_bytes()[begun:]
        wait_until(ready, 20, event)
        return self

    def stop(self):
        """As systemd does, by a signal to the service's own process."""
        main = self.root.run("pgrep", "-o", "-u", self.user, "-f", self.command[0], check=False).stdout.split()
        if self.process.poll() is None and main:
            self.root.run("kill", main[0])
        status = self.process.wait(30)
        self.process = None
        return status
