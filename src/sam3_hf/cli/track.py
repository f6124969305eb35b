"""The command `track`: a video and prompts in; the same objects on every frame out, as JSON lines and an overlay."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.errors import report
from sam3_hf.cli.options import Device, Dtype, Model
from sam3_hf.cli.track_job import TrackJob

_WHAT, _FRAMES, _WHERE = "What to follow", "Which frames", "Results"


def track(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    video: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO", help="A video file, a folder of pictures, a URL, or the number of a webcam, such as 0."
        ),
    ],
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="PHRASE", rich_help_panel=_WHAT, help="Noun phrase; repeat for several."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAME,X1,Y1,X2,Y2[,neg]",
            rich_help_panel=_WHAT,
            help="Example on a frame, in pixels of the upright video; neg: find nothing like it there. Refines every "
            "--text on that frame, or, without one, says what to look for. Repeat for several.",
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID,FRAME,X,Y[,neg]",
            rich_help_panel=_WHAT,
            help="A pixel on a frame that belongs to object ID; neg: that does not. Alone, only objects pointed at "
            "are followed; with --text or --box, found objects are corrected and others added. Repeat for several.",
        ),
    ] = None,
    start: Annotated[int, typer.Option(min=0, rich_help_panel=_FRAMES, help="First frame, counted from 0.")] = 0,
    end: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=_FRAMES, help="Stop before this frame; at the end if not given."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, rich_help_panel=_FRAMES, help="Only every so many-th frame.")] = 1,
    fps: Annotated[
        float | None,
        typer.Option(min=0.001, rich_help_panel=_FRAMES, help="Frames per second of a folder of pictures (24)."),
    ] = None,
    model: Model = "facebook/sam3",
    dtype: Dtype = "auto",
    device: Device = "auto",
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", rich_help_panel=_WHERE, help="Gets results.jsonl, predictions.json and overlay.mp4."
        ),
    ] = Path("sam3_output"),
    overlay: Annotated[bool, typer.Option("--overlay", rich_help_panel=_WHERE, help="Draw overlay.mp4.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=_WHERE, help="Go on where the same command was interrupted, if it was."
        ),
    ] = False,
    save_every: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", rich_help_panel=_WHERE, help="How much work an interruption may cost at most."
        ),
    ] = 30,
    video_id: Annotated[
        int, typer.Option(rich_help_panel=_WHERE, help="The video's id in predictions.json, as annotations have it.")
    ] = 0,
    category_id: Annotated[
        list[int] | None,
        typer.Option(rich_help_panel=_WHERE, help="Id of each --text in predictions.json; 0, 1, ... if not given."),
    ] = None,
) -> None:
    """Find objects in a video and follow them: every object keeps its id through all frames.

    Needs the extra `video`. Exit codes: 0 done; 2 something could not be used (frames around a damaged one are still
    done); 130 interrupted.
    """
    job = TrackJob(
        video=video,
        text=text or [],
        box=box or [],
        point=point or [],
        frames=(start, end, every),
        fps=fps,
        model=model,
        dtype=dtype,
        device=device,
        output=output,
        overlay=overlay,
        resume=resume,
        save_every=save_every,
        video_id=video_id,
        category_id=category_id or [],
    )
    try:
        from sam3_hf.cli.tracking import run

        run(job)
    except KeyboardInterrupt:
        report(f"interrupted; add --resume to go on with {output}", kind="")
        raise typer.Exit(130) from None
