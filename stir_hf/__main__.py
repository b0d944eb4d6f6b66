"""`python -m stir_hf` is `stir-hf`."""

from stir_hf.cli import main

if __name__ == "__main__":
    main()
