#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the documentation speak of things that exist?

    docs.py ROOT ARCHWAY     check README.md, CONTRIBUTING.md and docs/*.md below ROOT
    docs.py --self-test      see that every kind of mistake is found

Links must lead to files, paths of the source tree must exist, `archway COMMAND` must be a
command of the program ARCHWAY, with options that it has, and `section.key` a key of the
configuration (common/config_schema.c).
"""
import pathlib
import re
import subprocess
import sys

FOLDERS = "common|proto|master|worker|tests|deploy|docs|\\.ci"
PATH = re.compile(rf"(?<![\w/.$-])((?:\./)?(?:{FOLDERS})/[\w./*-]*[\w*/])")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
COMMAND = re.compile(r"(?:^|[\s/`])archway ([a-z][a-z-]*)([^`#|;&]*)")
KEY = re.compile(r"`((?:task|space|trainer|reward|search|control|run|resources)"
                 r"(?:\.[a-z_]+)+)(?:[:=][^`]*)?`")
CODE = re.compile(r"`[^`]+`")


def code_of(line):
    """The parts of a line that are code: all of an indented one, else between backticks."""
    return [line] if line.startswith("    ") else CODE.findall(line)


def mistakes(line, exists, commands, keys):
    """Yield what is wrong. exists(path), commands: name -> options, keys: a set."""
    for link in LINK.findall(line):
        if "://" not in link and not exists(link, True):
            yield f"link to {link}: no such file"
    for path in PATH.findall(line):
        if not exists(path, False):
            yield f"{path}: no such file"
    for code in code_of(line):
        for name, rest in COMMAND.findall(code):
            if name not in commands:
                yield f"archway {name}: no such command"
                continue
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.split(" -- ")[0]):
                if option not in commands[name]:
                    yield f"archway {name} {option}: no such option"
    for key in KEY.findall(line):
        if key not in keys and not any(k.startswith(key + ".") for k in keys):
            yield f"{key}: no such key"


def read_commands(archway):
    """The commands of the program with the options that their help lists."""
    def says(*words):
        return subprocess.run([archway, *words], check=True, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    names = re.findall(r"^  ([a-z][a-z-]*) ", says("--help"), re.M)
    return {name: set(re.findall(r"^  (--[a-z-]+)", says(name, "--help"), re.M))
            for name in names}


def check(root, archway):
    schema = (root / "common/config_schema.c").read_text(encoding="utf-8")
    keys = set(re.findall(r'KEY\("([a-z_.]+)"', schema))
    commands = read_commands(archway)
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("docs/*.md"))]
    found = 0
    for page in pages:
        def exists(path, is_link):
            base = page.parent if is_link else root
            return any(base.glob(path.removeprefix("./"))) if "*" in path else \
                (base / path).exists()
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for mistake in mistakes(line, exists, commands, keys):
                print(f"{page.relative_to(root)}:{number}: {mistake}")
                found += 1
    return 1 if found or not commands or not keys else 0


def self_test():
    commands, keys = {"search": {"--run"}}, {"run.slots", "task.data.path"}
    wrong = ["[x](docs/no.md)", "see `docs/no.md`", "    ./deploy/no.sh", "`archway fly`",
             "    mpirun -n 3 build/master/archway fly c.yaml", "`run.slot`",
             "`archway search c.yaml --fly`", "`run.slots.x: 3`"]
    right = ["[x](docs/yes.md#part)", "    deploy/yes.md", "the archway flies",
             "    archway search c.yaml --run x  # yes",
             "    archway search c.yaml -- --any-option", "`run.slots: 3`", "`task.data`",
             "[x](https://example.org/no.md)", "    build/master/archway --help"]

    def exists(path, is_link):
        return path.endswith("yes.md")
    missed = [w for w in wrong if not list(mistakes(w, exists, commands, keys))]
    refused = [(r, m) for r in right for m in mistakes(r, exists, commands, keys)]
    print(*missed, *refused, sep="\n", end="")
    return 1 if missed or refused else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(check(pathlib.Path(sys.argv[1]), sys.argv[2]))
