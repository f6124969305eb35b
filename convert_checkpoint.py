"""Front door of `sam3_hf.conversion`: an original SAM 3 checkpoint becomes a folder for `from_pretrained`."""

import argparse
import logging
import sys
from pathlib import Path
from typing import get_args

from sam3_hf.conversion.convert import Part, Precision, convert_checkpoint
from sam3_hf.conversion.errors import ConversionError


def main() -> int:
    """Convert as the command line says; 0 if it worked, 2 with a message if the input was wrong."""
    parser = argparse.ArgumentParser(description="Convert a checkpoint of Meta's SAM 3 into Hugging Face layout.")
    parser.add_argument("checkpoint", type=Path, help="sam3.pt, or a safetensors file with the same names")
    parser.add_argument("output_dir", type=Path, help="folder to write")
    parser.add_argument("--config", type=Path, metavar="JSON", help="configuration, if not of the released size")
    parser.add_argument(
        "--part", choices=get_args(Part), default="all", help="the whole model or the image model alone"
    )
    parser.add_argument(
        "--dtype", choices=get_args(Precision), help="type to store; that of the checkpoint if not given"
    )
    parser.add_argument("--tokenizer", metavar="PATH|HUB_ID|none", help="vocabulary file, tokenizer folder or Hub id")
    parser.add_argument("--overwrite", action="store_true", help="replace files in the output folder")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        convert_checkpoint(**vars(parser.parse_args()))
    except (ConversionError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
