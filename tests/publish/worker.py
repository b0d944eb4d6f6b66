"""Commands of stir-hf one after another in one process: a JSON line each on stdin and stdout."""

import contextlib
import io
import json
import os
import sys

from stir_hf.cli import main

answers = sys.stdout
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    os.environ |= asked["env"]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(asked["words"])
        except SystemExit as ended:
            code = int(ended.code or 0)
    answer = {"returncode": code, "stdout": out.getvalue(), "stderr": err.getvalue()}
    print(json.dumps(answer), file=answers, flush=True)
