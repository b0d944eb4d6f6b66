"""One process of several: runs the code that it is told, and answers as JSON."""

import json
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is printed is no answer

for line in sys.stdin:
    asked = json.loads(line)
    names = dict(asked["names"])
    try:
        exec(asked["code"], names)
        answer = {"found": names.get("found")}
    except Exception as error:  # the answer says what it was
        notes = getattr(error, "__notes__", [])
        answer = {"error": type(error).__name__, "text": str(error), "notes": notes}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
