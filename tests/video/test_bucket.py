import torch

from sam3_hf.video.bucket import Bucket, all_ids
from sam3_hf.video.state import FrameMemory, MemoryBank


def bucket_of(*ids: int) -> Bucket:
    bucket = Bucket(list(ids), MemoryBank(len(ids)))
    for frame in range(3):
        pointers = torch.tensor([[float(number)] for number in ids])
        memory = FrameMemory(
            pointers=pointers,
            object_score_logits=pointers,
            features=pointers[..., None, None],
            masks=pointers[..., None, None],
            presence=tuple(map(float, ids)),
            ious=(0.5,) * len(ids),
        )
        bucket.bank.remember(frame, memory, conditioning=frame == 0)
    return bucket


def pointers(bucket: Bucket, frame: int) -> list[float]:
    return bucket.bank.get(frame).pointers[:, 0].tolist()


def test_objects_that_go_leave_the_memory_of_the_others() -> None:
    bucket = bucket_of(4, 7, 9).without({7})
    assert bucket.ids == [4, 9]
    assert pointers(bucket, 0) == pointers(bucket, 2) == [4.0, 9.0]
    assert bucket.without({4, 9}) is None


def test_an_object_can_get_a_bucket_of_its_own_and_takes_its_memory_along() -> None:
    bucket = bucket_of(4, 7, 9)
    own = bucket.split(7)
    assert all_ids([bucket, own]) == [4, 9, 7]
    assert (pointers(bucket, 1), pointers(own, 1)) == ([4.0, 9.0], [7.0])
    assert list(own.bank.conditioning) == [0]


def test_a_click_frees_the_object_from_what_the_detector_showed_nearby() -> None:
    near, far = bucket_of(4), bucket_of(4)
    near.trust_click(2, window=2)
    far.trust_click(2, window=1)
    assert not near.bank.conditioning
    assert list(far.bank.conditioning) == [0]
