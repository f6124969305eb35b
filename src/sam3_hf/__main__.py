"""`python -m sam3_hf` is the command line."""

from sam3_hf.cli import main

if __name__ == "__main__":
    main()
