"""Every command of every document is typed here, in order, and does what the document says; every file that it names is there."""

import re

import pytest

import documents
from built import TOP

ALL = documents.documents()
PAGES = sorted((TOP / "deploy/man").glob("*.1.in"))
BLOCKS = [block for path in ALL for block in documents.blocks(path)] + [block for path in PAGES for block in documents.page_examples(path)]


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    around = documents.Surroundings(tmp_path_factory.mktemp("documents"))
    yield around
    around.close()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_block(request, block):
    what = documents.kind(block)
    if what == "not run":
        pytest.skip(block.mark[1])
    if what == "runs":
        file = block.mark[1].split()[0].rstrip(",")
        assert (TOP / file).exists(), f"{file}, which is to run this, is not there"
    elif what in ("no command", "listing"):
        assert block.lines
    elif what == "config of":
        documents.check_config(request.getfixturevalue("surroundings"), block)
    elif what == "python":
        documents.run_python(request.getfixturevalue("surroundings"), block)
    elif what == "call":
        documents.run_call(request.getfixturevalue("surroundings"), block)
    elif what == "console":
        documents.run_console(request.getfixturevalue("surroundings"), block)
    elif what == "commands":
        around = request.getfixturevalue("surroundings")
        around.run(documents.logical_lines([line for line in block.lines if not line.startswith("#")]), block.given)
    else:
        pytest.fail("nobody says what this is: a comment in front of it does (tests/lib/documents.py)\n" + "\n".join(block.lines))


# ---- that this can fail ----


def block_of(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    return documents.blocks(path)[0]


def test_a_block_that_nobody_has_named_is_none_of_ours(tmp_path):
    assert documents.kind(block_of(tmp_path, "Do\n\n    frobnicate --all\n")) is None
    assert documents.kind(block_of(tmp_path, "Do\n\n    gleaner jobs\n    frobnicate --all\n")) is None
    assert documents.kind(block_of(tmp_path, "Do\n\n```ini\na = b\n```\n")) is None
    assert documents.kind(block_of(tmp_path, "There is\n\n    no-such-file.c   what it does\n")) is None
    assert documents.kind(block_of(tmp_path, "Do\n\n    gleaner jobs   # all\n")) == "commands"
    assert block_of(tmp_path, "<!-- not run: why -->\n    x\n").mark == ("not run", "why")


@pytest.mark.parametrize("line", ["false", "echo x; exit 3", "exit 0 # and no more is typed", "echo FILE", "true # exits with 1", "gleaner-worker --no-such-option"])
def test_a_command_that_does_not_end_well_fails(surroundings, line):
    with pytest.raises(AssertionError, match=re.escape(line.split()[0])):
        surroundings.run(["true", line, "true"])


def test_output_that_is_not_there_fails(surroundings, tmp_path):
    documents.run_console(surroundings, block_of(tmp_path, "So\n\n    $ echo took 17ms\n    took 1s\n"))
    for shown in ("took 1s more", "took a 1s", "TOOK 1s\n    $ true\n    more"):
        with pytest.raises(AssertionError, match="is not in what was printed"):
            documents.run_console(surroundings, block_of(tmp_path, f"So\n\n    $ echo took 17ms\n    {shown}\n"))


def test_a_bad_config_file_fails(surroundings, tmp_path):
    with pytest.raises(AssertionError, match="out of range"):
        documents.check_config(surroundings, block_of(tmp_path, "So\n\n<!-- config of gleaner-worker -->\n    slots = 300\n"))


# ---- what they name ----


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        if heading:
            titles = re.findall(r"^#+ (.*)", target.read_text(), re.M)
            assert heading in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], f"{link}: no such heading"


TREE = r"(?:broker|gateway|worker|proto|web|tests|deploy|cli)"


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(TOP)))
def test_files_that_are_named_are_there(path):
    for name in re.findall(rf"`({TREE}/[\w./*-]+)`", path.read_text()):
        assert list(TOP.glob(name.rstrip("/"))) or list(path.parent.glob(name.rstrip("/"))), f"`{name}` is not there"


# Options of scripts, and of curl, that documents name by themselves.
FOREIGN = {"break", "form-string", "no-install", "one-connection", "tiny"}


def all_options():
    """The options of all our programs, and those that the scripts' own help tells."""
    page = (TOP / "deploy/docs/options.md").read_text()
    return set(re.findall(r"`--([a-z][a-z-]*)", page)) | {"help", "version", "config", "options-as"}


@pytest.mark.parametrize("path", [*ALL, *PAGES], ids=lambda path: str(path.relative_to(TOP)))
def test_options_that_are_named_there_are(path):
    text = path.read_text().replace("\\-", "-")
    spans = re.findall(r"`([^`\n]+)`", text) if path.suffix == ".md" else []
    known = all_options() | FOREIGN
    commands = (TOP / "deploy/docs/options.md").read_text()
    for span in spans:
        if not span.startswith("-") and documents.first_word(span) not in documents.OURS:
            continue
        words = span.split()
        if len(words) > 1 and words[0] in documents.OURS and words[1].islower() and words[1][0].isalpha():
            assert f"### `{words[0]} {words[1]}" in commands, f"there is no such command: `{span}`"
        for name in re.findall(r"(?<![\w-])--([a-z][a-z-]*[a-z])(?![a-z-])", span):
            assert name in known, f"there is no option --{name}: `{span}`"


def literals():
    """Words that stand between quotes, or are rows of a table, in the programs' sources."""
    found = set()
    for path in [*TOP.glob("*/*.c"), *TOP.glob("*/*.h"), *TOP.glob("*/*.def")]:
        text = path.read_text()
        found |= set(re.findall(r'"([A-Za-z]+(?:[-_][A-Za-z0-9]+)*)"', text)) | set(re.findall(r"ERROR_ROW \((\w+)", text))
        found |= set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)[ :]', text)) | set(re.findall(r'"/[\w/-]*/([\w-]+)"', text))
    return found


GUIDES = sorted(set((TOP / "deploy/docs").glob("*.md")) - {TOP / "deploy/docs" / name for name in ("options.md", "http-api.md")})


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_events_reasons_and_codes_are_those_of_the_programs(path):
    known = literals() | {path.name for path in TOP.glob("deploy/systemd/*")} | set(documents.OURS)
    for span in re.findall(r"`([a-z]+(?:-[a-z]+)+|[A-Z]+(?:_[A-Z]+)+)`", path.read_text()):
        if not span.startswith("GLEANER_") and not documents.PLACEHOLDER.fullmatch(span):
            assert span in known, f"`{span}` is no word of the programs"


def test_every_reason_is_explained():
    """Reasons of failed jobs: those that workers may give, by the broker's table, and the broker's own."""
    table = (TOP / "broker/core_result.c").read_text().split("} failures[] = {")[1].split("};")[0]
    reasons = re.findall(r'"([a-z-]+)"', table)
    assert len(reasons) >= 10
    text = (TOP / "deploy/docs/jobs.md").read_text()
    for reason in [*reasons, "exit-nonzero", "signal", "cancelled", "worker-lost"]:
        assert f"`{reason}`" in text, f"{reason} is not explained"
