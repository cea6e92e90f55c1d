#!/usr/bin/env python3
"""Compares our verdict on each file of broken-files.py, and on good ones, with that of the safetensors package.

  compare-safetensors.py COMMAND ...     COMMAND FILE must exit with 0 exactly for files that it accepts

Needs the `safetensors` package. Ours may refuse more, never less: the files where only ours refuses are listed
here with the reason.
"""
import importlib.util
import os
import subprocess
import sys
import tempfile

import safetensors

STRICTER = {
    "duplicate-tensor": "the package lets the last of equal names win",
    "header-space-first": "the format's description wants the header to begin with a brace",
}


def cases():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "broken-files.py")
    spec = importlib.util.spec_from_file_location("broken_files", path)
    broken = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(broken)
    yield from broken.broken_safetensors()
    for name, data in broken.good_files():
        if name.endswith(".safetensors"):
            yield name, data
    yield "good-empty", broken.safetensors("{}")
    yield "good-padded", broken.safetensors("{}      ")
    yield "good-scalar", broken.safetensors('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', b"x")
    yield "good-no-elements", broken.safetensors('{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}')
    yield "good-unknown-field", broken.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', b"x")
    yield "good-empty-key", broken.safetensors('{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")


def accepted_by_package(path):
    try:
        with safetensors.safe_open(path, framework="numpy"):
            return True
    except Exception:
        return False


def main(command):
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    differences = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in cases():
            path = os.path.join(folder, "file.safetensors")
            with open(path, "wb") as file:
                file.write(data)
            theirs = accepted_by_package(path)
            ours = subprocess.run(command + [path], capture_output=True, check=False).returncode == 0
            total += 1
            if ours == theirs:
                continue
            known = theirs and not ours and name in STRICTER
            differences += not known
            print(f"{'known' if known else 'DIFFERS'}: {name}: ours {ours}, theirs {theirs}")
    print(f"{total} files, {differences} verdicts differ without a known reason")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
