"""Small real video files, and the tiny video model as a folder to load from."""

import struct
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.tokenization_sam3 import build_tokenizer
from tests.support import concept_golden
from tests.support.tokenizer import TINY_VOCABULARY, write_cut_merges
from tests.support.video_golden import images

_TURNED = {"clockwise": (0, 1, -1, 0), "upside down": (-1, 0, 0, -1), "mirrored": (-1, 0, 0, 1)}


@cache
def pixels() -> np.ndarray:
    """Twelve recorded frames, 72 high and 96 wide."""
    return np.stack([np.asarray(image) for image in images()])


def write_video(
    path: Path,
    frames: np.ndarray,
    times: list[Fraction] | None = None,
    codec: str = "libx264",
    time_base: Fraction = Fraction(1, 1000),
    index_first: bool = False,
    **options: str,
) -> Path:
    """Encode frames (frames, height, width, 3), 25 per second or at these times; index first as for the network."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if index_first else {}) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = {"gif": "rgb8", "ffv1": "bgr0"}.get(codec, "yuv420p")
        stream.codec_context.time_base = time_base
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            time = Fraction(number, 25) if times is None else times[number]
            frame.pts, frame.time_base = round(time / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, how: str) -> Path:
    """Write into an MP4 file how its frames are to be shown, as telephones do."""
    data = bytearray(path.read_bytes())
    place = data.find(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in _TURNED[how])
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def damage(path: Path, number: int) -> int:
    """Overwrite the packet at a place of the file, counted from 0; returns the number of the frame that it holds."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.pts is not None]
        packet = packets[number]
        start, size, stamp = packet.pos, packet.size, packet.pts
    data = bytearray(path.read_bytes())
    data[start : start + size] = bytes((37 * place + 11) % 256 for place in range(size))
    path.write_bytes(data)
    return sorted(packet.pts for packet in packets).index(stamp)


def write_video_model(folder: Path) -> Path:
    """The recorded video model, sure that there is something to be found, with room for the tiny vocabulary."""
    weights = concept_golden.tiny_weights()
    config = concept_golden.tiny_model().config
    text = config.detector_config.text_config
    text.vocab_size, text.bos_token_id, text.eos_token_id = TINY_VOCABULARY, TINY_VOCABULARY - 2, TINY_VOCABULARY - 1
    model = Sam3VideoModel(config)
    embedding = "detector_model.text_encoder.text_model.embeddings.token_embedding.weight"
    presence = "detector_model.detr_decoder.presence_head.layer3.bias"
    generator = torch.Generator().manual_seed(0)
    vocabulary = torch.randn(TINY_VOCABULARY, weights[embedding].shape[1], generator=generator)
    model.load_state_dict(weights | {embedding: 0.7 * vocabulary, presence: weights[presence] + 5})
    model.save_pretrained(folder)
    tokenizer = build_tokenizer(write_cut_merges(folder / "merges.txt"))
    Sam3VideoProcessor(Sam3ImageProcessor(size=168, mask_size=48), tokenizer).save_pretrained(folder)
    return folder
