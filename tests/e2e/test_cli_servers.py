"""A token of `gleaner` and the server that it belongs to: it is shown to no other."""

import http.server
import json
import os
import stat
import subprocess
import threading

import pytest

from shell import LOCAL, PROGRAM, REFUSED, Shell

SESSION = {"role": "submitter", "name": "alice", "required": True, "calls": []}


class Ears(http.server.BaseHTTPRequestHandler):
    """A server that takes the tokens it is made with, and remembers what it was shown."""

    def do_GET(self):
        said = self.headers.get("Authorization")
        self.server.shown.append((self.path, said))
        good = said in [f"Bearer {token}" for token in self.server.tokens]
        status = 302 if self.server.to else 200 if good or self.path.endswith("/api/session") and not said else 401
        body = SESSION if good else {"role": "none", "required": True} if status == 200 else {"error": "A valid token is needed.", "code": "X"}
        data = json.dumps({**body, "jobs": [], "total": 0}).encode()
        self.send_response(status)
        if self.server.to:
            self.send_header("Location", self.server.to + self.path)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def listen():
    servers = []

    def make(*tokens, to=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ears)
        server.tokens, server.to, server.shown = tokens, to, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(tmp_path):
    class Nowhere:
        server = ""

    shell = Shell(Nowhere, tmp_path)
    shell.config = tmp_path / ".config/gleaner/gleaner.conf"
    shell.tokens = tmp_path / ".config/gleaner/tokens"
    return shell


def save(shell, server, token):
    done = subprocess.run([PROGRAM, "token", "save", "--server", server], input=token, cwd=shell.folder, env=shell.env, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and token not in done.stdout + done.stderr, done


def last_shown(server):
    return server.shown[-1][1]


def write_config(shell, server, token, file="token"):
    """As a release before this one has saved it, or somebody has written it."""
    path = shell.config.parent / file
    shell.write({".config/gleaner/gleaner.conf": (f"server = {server}\n" if server else "") + f"token-file = {path}\n",
                 f".config/gleaner/{file}": token + "\n"})
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("saved", ["now", "before", "by-hand"])
def test_a_token_goes_to_its_server_alone(home, listen, saved):
    mine, other = listen("secret-a"), listen()
    if saved == "now":
        save(home, mine.url, "secret-a")
    else:
        write_config(home, mine.url, "secret-a", "token" if saved == "before" else "mine")
    assert home.run("jobs").stdout == "no jobs\n" and last_shown(mine) == "Bearer secret-a"
    for args, env in ((["--server", other.url], {}), ([], {"GLEANER_SERVER": other.url}), ([], {"GLEANER_JOBS_SERVER": other.url})):
        done = home.run("jobs", *args, env=env)
        assert done.returncode == REFUSED and last_shown(other) is None, done
        assert f"saved for {mine.url} goes to no other server" in done.stderr and f"--server {other.url}" in done.stderr, done
    doctor = home.run("doctor", "--server", other.url)
    assert f"saved for {mine.url}" in doctor.stdout and all(shown is None for _, shown in other.shown), doctor
    token = home.run("token", "--server", other.url)
    assert f"a token is saved for {mine.url}, and goes to no other server" in token.stdout


def test_each_server_has_its_own(home, listen):
    first, second = listen("secret-a"), listen("secret-b")
    save(home, first.url, "secret-a")
    save(home, second.url, "secret-b")
    assert stat.S_IMODE(home.tokens.stat().st_mode) == 0o600
    assert home.tokens.read_text() == f"{first.url} secret-a\n{second.url} secret-b\n"
    assert home.config.read_text() == f"server = {second.url}\n", "the last one is the one to ask"
    for server, token in ((first, "secret-a"), (second, "secret-b")):
        assert home.run("jobs", "--server", server.url + "/").returncode == 0 and last_shown(server) == f"Bearer {token}"
        assert f"saved for {server.url}" in home.run("token", "--server", server.url).stdout
        assert json.loads(home.run("token", "--json", "--server", server.url).stdout)["tokenFrom"] == "saved"
    first.tokens = ("secret-c",)
    save(home, first.url, "secret-c")
    assert home.tokens.read_text() == f"{second.url} secret-b\n{first.url} secret-c\n"
    assert home.run("token", "forget", "--server", second.url).returncode == 0
    assert home.tokens.read_text() == f"{first.url} secret-c\n" and home.run("jobs").returncode == 0
    again = home.run("token", "forget", "--server", second.url)
    assert again.returncode == 1 and f"no token is saved for {second.url}, but for {first.url}." in again.stderr, again
    assert home.run("token", "forget").returncode == 0 and not home.tokens.exists() and home.run("jobs").returncode == REFUSED
    assert sorted(os.listdir(home.config.parent)) == ["gleaner.conf"]


@pytest.mark.parametrize("file", ["token", "mine"])
def test_what_the_config_file_names_stays_with_its_server(home, listen, file):
    """Another server becomes the one to ask: the old one's token does not become its."""
    first, second = listen("secret-a"), listen("secret-b")
    path = write_config(home, first.url, "secret-a", file)
    save(home, second.url, "secret-b")
    assert home.tokens.read_text() == f"{first.url} secret-a\n{second.url} secret-b\n" and "token-file" not in home.config.read_text()
    assert path.exists() == (file == "mine"), "what the command has made goes, what somebody else has stays"
    assert home.run("jobs", "--server", first.url).returncode == 0 and home.run("jobs").returncode == 0
    assert {shown for _, shown in first.shown} <= {"Bearer secret-a", None} and {shown for _, shown in second.shown} <= {"Bearer secret-b", None}


def test_what_a_release_before_has_saved_is_forgotten(home, listen):
    mine, other = listen("secret-a"), listen()
    path = write_config(home, mine.url, "secret-a")
    assert home.run("token", "forget", "--server", other.url).returncode == 1 and path.exists()
    assert home.run("token", "forget").returncode == 0 and not path.exists() and home.config.read_text() == f"server = {mine.url}\n"


def test_a_token_file_without_a_server_is_for_the_usual_one(home, listen):
    other = listen()
    write_config(home, None, "secret-a")
    done = home.run("jobs", "--server", other.url)
    assert done.returncode == REFUSED and last_shown(other) is None and "saved for http://127.0.0.1:3000" in done.stderr, done


def test_what_a_call_names_goes_with_it(home, listen):
    mine, other = listen("secret-a"), listen("secret-b")
    save(home, mine.url, "secret-a")
    home.write({"b": "secret-b\n"})
    (home.folder / "b").chmod(0o600)
    for args, env, source in (([], {"GLEANER_TOKEN": "secret-b"}, "variable"), (["--token-file", "b"], {}, "file"),
                              (["--token-file=b"], {"GLEANER_TOKEN": "secret-x"}, "file"), ([], {"GLEANER_TOKEN_FILE": "b"}, "file")):
        done = home.run("token", "--json", "--server", other.url, *args, env=env)
        assert done.returncode == 0 and json.loads(done.stdout)["tokenFrom"] == source and last_shown(other) == "Bearer secret-b", done
    assert home.run("jobs", "--server", other.url, env={"GLEANER_TOKEN": "", "GLEANER_TOKEN_FILE": ""}).returncode == REFUSED


def test_a_value_that_looks_like_the_option_names_no_file(home, listen):
    mine, other = listen("secret-a"), listen()
    write_config(home, mine.url, "secret-a", "mine")
    for args in (["jobs", "--label", "--token-file"], ["jobs", "--label", "--token-file=mine"], ["jobs", "--label=--token-file", "--text", "--token-file"]):
        done = home.run(*args, "--server", other.url)
        assert done.returncode == REFUSED and other.shown and last_shown(other) is None, (args, done)
        assert home.run(*args, "--server", mine.url).returncode == 0 and last_shown(mine) == "Bearer secret-a"


@pytest.mark.parametrize("change, same", [("{}/", True), ("{}//", True), ("{}/lab", False), ("{}.", False)])
def test_what_one_server_is(home, listen, change, same):
    """Scheme, host, port and the path before the API's."""
    mine = listen("secret-a")
    save(home, mine.url, "secret-a")
    server = change.format(mine.url) if change != "{}." else mine.url.replace("127.0.0.1", "localhost")
    home.run("jobs", "--server", server)
    assert last_shown(mine) == ("Bearer secret-a" if same else None)


def test_a_path_is_a_part_of_the_server(home, listen):
    mine = listen("secret-a", "secret-b")
    save(home, mine.url + "/a", "secret-a")
    save(home, mine.url.replace("http", "HTTP") + "/b/", "secret-b")
    for path, token in (("/a/", "secret-a"), ("/b", "secret-b")):
        assert home.run("jobs", "--server", mine.url + path).returncode == 0 and last_shown(mine) == f"Bearer {token}"


def test_no_redirect_is_followed(home, listen):
    other = listen("secret-a")
    mine = listen("secret-a", to=other.url)
    done = home.run("jobs", "--server", mine.url, env={"GLEANER_TOKEN": "secret-a"})
    assert done.returncode == REFUSED and "302" in done.stderr and mine.shown and not other.shown, done


def test_a_file_that_others_can_read_is_told(home, listen):
    mine = listen("secret-a")
    save(home, mine.url, "secret-a")
    home.tokens.chmod(0o644)
    done = home.run("jobs")
    assert done.returncode == LOCAL and "chmod 600" in done.stderr and len(done.stderr.splitlines()) == 1 and "secret-a" not in done.stderr
    home.tokens.chmod(0o600)
    home.tokens.write_text("# mine\nnothing\n\n" + f"{mine.url} secret-a\n")
    assert home.run("jobs").returncode == 0


def test_two_at_once_are_both_kept(home, listen):
    servers = [listen(f"secret-{n}") for n in range(6)]
    saves = [subprocess.Popen([PROGRAM, "token", "save", "--server", server.url], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              cwd=home.folder, env=home.env) for server in servers]
    for n, process in enumerate(saves):
        process.stdin.write(f"secret-{n}\n".encode())
        process.stdin.flush()
    for process in saves:
        process.stdin.close()
        assert process.wait(60) == 0
    assert sorted(home.tokens.read_text().splitlines()) == sorted(f"{server.url} secret-{n}" for n, server in enumerate(servers))
