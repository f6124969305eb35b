"""The command `finetune`: a COCO data set and a model in; a model folder out."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.errors import CommandError, report
from sam3_hf.cli.options import SOURCE, SOURCE_HELP, source_of

_WHAT, _HOW, _DATA, _RUN = "What learns", "How", "Data", "Run"


def finetune(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Folder of a COCO data set: train/_annotations.coco.json with valid/ and test/ (Roboflow), those "
            "of ODinW, or annotations/instances_train*.json and its images.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Gets the model, and its checkpoints in training/.")],
    model: Annotated[str, typer.Option(metavar=SOURCE, help=SOURCE_HELP, callback=source_of)] = "facebook/sam3",
    preset: Annotated[
        str,
        typer.Option(
            metavar="head|detector|all",
            rich_help_panel=_WHAT,
            help="Scores, boxes and masks alone; all but the vision and text encoders; or everything.",
        ),
    ] = "all",
    lora: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            rich_help_panel=_WHAT,
            help="Train LoRA adapters on vision, text, detector, geometry_encoder, detr_encoder, detr_decoder or "
            "mask_decoder instead; repeat for several. They are kept in adapter/ and merged into the model.",
        ),
    ] = None,
    lora_rank: Annotated[int, typer.Option(rich_help_panel=_WHAT, help="Rank of the adapters.")] = 16,
    masks: Annotated[
        bool | None,
        typer.Option(
            "--mask-loss/--boxes-only", rich_help_panel=_WHAT, help="Train masks; by default if the data has any."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(rich_help_panel=_HOW, help="Passes over the training images.")] = 40,
    batch_size: Annotated[int, typer.Option(rich_help_panel=_HOW, help="Images per batch and process.")] = 2,
    accumulate: Annotated[int, typer.Option(rich_help_panel=_HOW, help="Batches per step.")] = 1,
    lr: Annotated[float, typer.Option(rich_help_panel=_HOW, help="Peak learning rate of the detector.")] = 8e-5,
    lr_vision: Annotated[
        float, typer.Option(rich_help_panel=_HOW, help="Of the last blocks of the vision encoder.")
    ] = 2.5e-5,
    lr_text: Annotated[float, typer.Option(rich_help_panel=_HOW, help="Of the text encoder.")] = 5e-6,
    layer_decay: Annotated[
        float, typer.Option(rich_help_panel=_HOW, help="Each vision block learns slower than the next by this factor.")
    ] = 0.9,
    ema: Annotated[
        float | None,
        typer.Option(rich_help_panel=_HOW, help="Decay of a moving average of the weights, such as 0.999."),
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", rich_help_panel=_HOW, help="Less memory for a third more time."),
    ] = False,
    mask_size: Annotated[
        int | None,
        typer.Option(rich_help_panel=_HOW, help="Side of the masks that are compared; that of the model's input."),
    ] = None,
    negatives: Annotated[
        int,
        typer.Option(rich_help_panel=_DATA, help="Absent categories to ask for with each image, at random; -1: all."),
    ] = 8,
    augment: Annotated[bool, typer.Option(rich_help_panel=_DATA, help="Resize and place images at random.")] = True,
    visual: Annotated[
        float, typer.Option(rich_help_panel=_DATA, help="How often a category comes with an example box, 0..1.")
    ] = 0.0,
    train_file: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=_DATA, help="COCO file to train with, if not found.")
    ] = None,
    valid_file: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=_DATA, help="COCO file to evaluate with.")
    ] = None,
    workers: Annotated[int, typer.Option(rich_help_panel=_DATA, help="Processes that read images.")] = 0,
    evaluate_every: Annotated[
        int, typer.Option(rich_help_panel=_RUN, help="Epochs between evaluations, each with a checkpoint.")
    ] = 1,
    log_every: Annotated[int, typer.Option(rich_help_panel=_RUN, help="Steps between two lines of the log.")] = 10,
    seed: Annotated[int, typer.Option(rich_help_panel=_RUN, help="Of everything random.")] = 123,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=_RUN, help="Go on with the run in --output; same options.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", rich_help_panel=_RUN, help="Write logs for TensorBoard.")
    ] = False,
    cpu: Annotated[bool, typer.Option("--cpu", rich_help_panel=_RUN, help="Do not use a GPU.")] = False,
) -> None:
    """Fine-tune a model on a COCO data set; every category is a prompt, also where there is nothing of it.

    The best checkpoint, by cgF1 on the split valid (else test), becomes the result; eval_results.json says how good it
    is. Several GPUs: accelerate launch -m sam3_hf finetune ...
    Exit codes: 0 done; 2 something could not be used; 130 interrupted, go on with --resume.
    """
    options = {
        "data": data,
        "output": output,
        "model": model,
        "preset": preset,
        "lora": tuple(lora or ()),
        "lora_rank": lora_rank,
        "masks": masks,
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "learning_rate": lr,
        "vision_learning_rate": lr_vision,
        "text_learning_rate": lr_text,
        "layer_decay": layer_decay,
        "ema": ema,
        "checkpointing": checkpointing,
        "mask_size": mask_size,
        "negatives": negatives,
        "augment": augment,
        "visual_probability": visual,
        "train_file": train_file,
        "valid_file": valid_file,
        "workers": workers,
        "evaluate_every": evaluate_every,
        "log_every": log_every,
        "seed": seed,
        "tensorboard": tensorboard,
        "cpu": cpu,
    }
    try:
        from sam3_hf.cli.finetuning import run

        run(options, resume)
    except KeyboardInterrupt:
        report(f"interrupted; checkpoints stay in {output / 'training'}, go on with --resume", kind="")
        raise typer.Exit(130) from None
    except (ValueError, ImportError, FloatingPointError) as error:
        raise CommandError(*str(error).splitlines()) from error
