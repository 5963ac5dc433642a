"""A Containerfile's stages, so that they can be tried where nothing pulls images."""

import json
import shlex


class Stage:
    def __init__(self, name, base):
        self.name, self.base, self.steps = name, base, []

    def all(self, word):
        return [rest for step, rest in self.steps if step == word]

    def last(self, word):
        return self.all(word)[-1] if self.all(word) else None

    def array(self, word):
        return json.loads(self.last(word))


def read(path):
    """Name to stage, in order."""
    stages, stage = {}, None
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(None, 1)
        if word == "FROM":
            base, _, name = rest.split()
            stage = stages[name] = Stage(name, base)
        else:
            stage.steps.append((word, rest))
    return stages


def without_mounts(run):
    """The command of a RUN, and its mounts: option to value each."""
    mounts = []
    while run.startswith("--mount="):
        option, run = run.split(None, 1)
        mounts.append(dict(part.split("=", 1) for part in option.removeprefix("--mount=").split(",")))
    return run, mounts


def sources(stage):
    """What COPY takes from the checkout."""
    return [word for rest in stage.all("COPY") for word in shlex.split(rest)[:-1] if not word.startswith("--")]
