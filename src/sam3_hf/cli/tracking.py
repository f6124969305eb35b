"""The work behind `track`.

job -> all that can be checked quickly -> model -> frame by frame: followed, written, drawn -> predictions -> summary

Decoding, the network, writing and drawing are done side by side, each in its own thread, in order.
"""

from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.utils import logging

from sam3_hf.cli.errors import CommandError, report
from sam3_hf.cli.followers import ClickFollower, ConceptFollower, Follower, Found
from sam3_hf.cli.track_folder import TrackFolder
from sam3_hf.cli.track_job import TrackJob
from sam3_hf.cli.track_output import TrackOutput
from sam3_hf.cli.track_progress import FrameBar
from sam3_hf.cli.track_prompts import Size, TrackPrompts, check_inside, read_prompts
from sam3_hf.cli.track_summary import sum_up, write_masklets
from sam3_hf.extras import needed
from sam3_hf.loading import (
    LoadedVideo,
    LoadedVideoTracker,
    LoadingError,
    check_device,
    check_dtype,
    check_source,
    load_video,
    load_video_tracker,
)
from sam3_hf.segmentation import make_prompts
from sam3_hf.video_io.av_source import VideoFile
from sam3_hf.video_io.opening import is_live, open_video
from sam3_hf.video_io.overlay_video import check_can_write
from sam3_hf.video_io.reel import LiveReel, Reel
from sam3_hf.video_io.sources import Selection, Stream, VideoError, select


class Work(NamedTuple):
    """What is to be done: prompts at places among the chosen frames, these frames, and where results go."""

    job: TrackJob
    prompts: TrackPrompts
    video: Selection | Stream
    folder: TrackFolder
    device: str

    @property
    def total(self) -> int | None:
        """Number of frames, if it is known."""
        return len(self.video) if isinstance(self.video, Selection) else None


class Handover(NamedTuple):
    """Results leave the session, and their frames the reel."""

    reel: Reel | LiveReel
    output: TrackOutput

    def put(self, found: list[Found]) -> None:
        """Hand over what is known by now, as far as it has no line yet."""
        for each in found:
            if each.place < self.output.taken:
                self.reel.drop(each.place)
            else:
                self.output.put(self.reel.take(each.place), each)


def run(job: TrackJob) -> None:
    """Do the job; damaged frames are reported after the others are done.

    Raises:
        CommandError: Something cannot be used; nothing is written unless the fault is in single frames.
    """
    prompts = read_prompts(job)
    device = "cuda" if job.device == "auto" and torch.cuda.is_available() else job.device.replace("auto", "cpu")
    _check(job, prompts, device)
    video, notes = _open(job)
    work = Work(job, _placed(prompts, video), video, TrackFolder(job.output), device)
    header = _header(job, prompts, video)
    work.folder.check(header, job.resume)
    work.folder.begin(header)
    try:
        size = _follow(work)
    except torch.OutOfMemoryError as error:
        raise CommandError(f"Out of memory; try --dtype bfloat16 or --device cpu. {error}") from error
    except ValueError as error:
        # Only going through a video shows that a frame has another size, or that none can be decoded.
        raise CommandError(str(error)) from error
    if size is not None:
        write_masklets(job, work.folder, size)
    work.folder.done()
    sum_up(job, work.folder, notes)


def _check(job: TrackJob, prompts: TrackPrompts, device: str) -> None:
    try:
        if prompts.of_concepts:
            make_prompts(prompts.texts, [each.box for each in prompts.boxes])
        check_dtype(job.dtype)
        check_device(device)
        parts = ("configuration", "weights", "image processor")
        check_source(job.model, (*parts, "tokenizer") if prompts.of_concepts else parts)
        if job.overlay:
            check_can_write(needed("av", "video"))
    except (ImportError, ValueError) as error:
        raise CommandError(str(error)) from error
    if job.resume and is_live(job.video):
        raise CommandError(f"{job.video} cannot be read again from where it was; leave out --resume.")


def _open(job: TrackJob) -> tuple[Selection | Stream, list[str]]:
    """The chosen frames, and what is to be said of the file in the end."""
    try:
        video = open_video(job.video, job.fps)
        cut = video.missing if isinstance(video, VideoFile) else 0
        notes = [f"{job.video} was cut off: {cut} of its frames are missing at the end."] if cut else []
        return select(video, *job.frames), notes
    except (ImportError, VideoError) as error:
        raise CommandError(str(error)) from error


def _placed(prompts: TrackPrompts, video: Selection | Stream) -> TrackPrompts:
    """Prompts at places among the chosen frames."""
    if isinstance(video, Selection):
        check_inside(prompts, video.size)
        return prompts.placed(video.numbers)
    return prompts


def _header(job: TrackJob, prompts: TrackPrompts, video: Selection | Stream) -> dict[str, Any]:
    """What must be the same for lines to belong together."""
    path, folder = Path(job.video), Path(job.model)
    weights = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")) if folder.is_dir() else []
    known = isinstance(video, Selection)
    return {
        "video": job.video if is_live(job.video) else str(path.resolve()),
        "bytes": path.stat().st_size if path.is_file() else None,
        "size": list(video.size) if known else None,
        "frames": [video.numbers.start, video.numbers.stop, video.numbers.step] if known else list(job.frames),
        **prompts.to_dict(),
        "model": str(folder.resolve()) if folder.is_dir() else job.model,
        "weights": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in weights],
        "dtype": job.dtype,
    }


def _follow(work: Work) -> Size | None:
    """All frames that have no line yet; the size of the frames, if there is any."""
    with ExitStack() as stack:
        output = stack.enter_context(TrackOutput(work.folder, work.video, work.job.overlay))
        if output.taken != work.total:
            first, reel, follower = _begin(work)
            stack.enter_context(closing(reel))
            _go(work, first, follower, Handover(reel, output))
    return output.size


def _go(work: Work, first: int, follower: Follower, results: Handover) -> None:
    """Frame by frame, and now and then the state of it all; only recordings can be gone on with."""
    # A webcam has no other end than an interruption.
    ends = () if isinstance(work.video, Selection) else (KeyboardInterrupt,)
    with FrameBar(work.total, first) as bar, suppress(*ends):
        for step in follower.steps(first):
            results.put(step.found)
            bar.advance()
            if work.total is not None and work.folder.is_due(work.job.save_every):
                results.output.drain()
                work.folder.save(step.place + 1, follower.save)
    results.put(follower.finish())


def _begin(work: Work) -> tuple[int, Reel | LiveReel, Follower]:
    """Where to start, and from what state: the latest that can be read."""
    loaded = _load(work)
    kind = ConceptFollower if work.prompts.of_concepts else ClickFollower
    if isinstance(work.video, Stream):
        reel = LiveReel(work.video)
        return 0, reel, kind(loaded, work.prompts, reel)
    for gone, state in work.folder.latest_states():
        reel = Reel(work.video, gone)
        try:
            return gone, reel, kind(loaded, work.prompts, reel, state)
        except ValueError as error:
            report(f"{error} Going on from an earlier state.", kind="warning: ")
            reel.close()
            work.folder.discard(state)
    reel = Reel(work.video)
    return 0, reel, kind(loaded, work.prompts, reel)


def _load(work: Work) -> LoadedVideo | LoadedVideoTracker:
    # Loading says what matters in an error, and a command's stderr is for errors.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    load = load_video if work.prompts.of_concepts else load_video_tracker
    try:
        return load(work.job.model, work.job.dtype, work.device)
    except LoadingError as error:
        raise CommandError(str(error)) from error
