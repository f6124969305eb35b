"""Front door of the converter: `sam3-hf convert` as a script."""

import sys

from sam3_hf.cli.app import run

if __name__ == "__main__":
    sys.exit(run(["convert", *sys.argv[1:]]))
