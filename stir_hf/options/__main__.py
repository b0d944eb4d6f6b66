"""Write what follows from the options: docs/options.md, or keywords.py with `--keywords`."""

import sys

from stir_hf.options.pages import page
from stir_hf.options.signatures import keywords_module

if __name__ == "__main__":
    sys.stdout.write(keywords_module() if "--keywords" in sys.argv[1:] else page())
