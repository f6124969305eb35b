import pytest
import torch

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.masks import mask_terms, semantic_terms
from sam3_hf.losses.matcher import Matches
from sam3_hf.losses.targets import Targets

COUNTS = (3, 0, 2)
OBJECTS = torch.tensor(5.0)


def discs(count: int, size: int) -> torch.Tensor:
    """Masks whose outlines a coarse map can follow."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centres = (0.3 + 0.4 * torch.rand(count, 2)) * size
    radius = (0.15 + 0.1 * torch.rand(count)) * size
    return (x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2 < radius[:, None, None] ** 2


def targets_of(size: int = 40, **changes: torch.Tensor) -> Targets:
    labels = [{"masks": discs(count, size)} for count in COUNTS]
    labels[0] |= changes
    return Targets.of(labels, 3, torch.device("cpu"))


def matches() -> Matches:
    return Matches(torch.tensor([0, 0, 0, 2, 2]), torch.tensor([4, 1, 1, 0, 5]), torch.arange(5))


def logits_near(targets: Targets, size: int = 20) -> torch.Tensor:
    """Mask logits [3, 6, size, size] of a model that is right but not sure."""
    logits = -2 + torch.randn(3, 6, size, size)
    masks = torch.stack(targets.masks_of(range(5))).float()
    coarse = torch.nn.functional.interpolate(masks[:, None], (size, size), mode="area")[:, 0]
    pairs = matches()
    logits[pairs.row, pairs.query] += 4 * coarse
    return logits.requires_grad_()


def terms_and_gradient(targets: Targets, logits: torch.Tensor, **settings: object) -> tuple[dict, torch.Tensor]:
    terms = mask_terms(logits, targets, matches(), OBJECTS, Sam3LossConfig(**settings))
    (gradient,) = torch.autograd.grad(sum(terms.values()), logits)
    return terms, gradient


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_change_nothing(chunk: int) -> None:
    targets = targets_of()
    logits = logits_near(targets)
    whole, expected = terms_and_gradient(targets, logits, mask_chunk_size=100)
    parts, gradient = terms_and_gradient(targets, logits, mask_chunk_size=chunk)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient, expected)


def test_full_resolution_is_never_kept_for_more_than_a_chunk() -> None:
    targets = targets_of(size=200)
    logits = logits_near(targets, size=10)
    kept: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        mask_terms(logits, targets, matches(), OBJECTS, Sam3LossConfig(mask_chunk_size=1))
    assert max(kept, default=0) < 200 * 200


def test_many_random_points_say_what_all_pixels_say() -> None:
    targets = targets_of()
    logits = logits_near(targets)
    exact, _ = terms_and_gradient(targets, logits)
    points, gradient = terms_and_gradient(targets, logits, mask_num_points=20_000, mask_importance_ratio=0.0)
    torch.testing.assert_close(points["loss_mask"], exact["loss_mask"], rtol=0.03, atol=0)
    torch.testing.assert_close(points["loss_dice"], exact["loss_dice"], rtol=0.03, atol=0)
    assert gradient.isfinite().all()


def test_doubtful_points_weigh_more_than_all_pixels() -> None:
    targets = targets_of()
    logits = logits_near(targets)
    exact, _ = terms_and_gradient(targets, logits)
    points, _ = terms_and_gradient(targets, logits, mask_num_points=500)
    assert points["loss_mask"] > exact["loss_mask"]


def test_objects_without_a_mask_are_left_out() -> None:
    targets = targets_of(mask_valid=torch.tensor([True, False, True]))
    logits = logits_near(targets)
    _, gradient = terms_and_gradient(targets, logits)
    everything, _ = terms_and_gradient(targets._replace(mask_valid=torch.ones(5, dtype=torch.bool)), logits)
    some = mask_terms(logits, targets, matches(), OBJECTS, Sam3LossConfig())
    assert some["loss_mask"] < everything["loss_mask"]
    assert gradient[0, 4].any()


def test_nothing_to_compare_is_zero_and_stays_in_the_graph() -> None:
    targets = targets_of().without_masks()
    logits = torch.randn(3, 6, 20, 20, requires_grad=True)
    terms = mask_terms(logits, targets, matches(), OBJECTS, Sam3LossConfig())
    terms |= semantic_terms(logits[:, :1], targets, Sam3LossConfig())
    sum(terms.values()).backward()
    assert all(term.item() == 0 for term in terms.values())
    assert logits.grad.count_nonzero() == 0


def test_the_semantic_map_learns_the_union_of_positive_rows_unless_told() -> None:
    targets = targets_of()
    logits = torch.randn(3, 1, 20, 20, requires_grad=True)
    terms = semantic_terms(logits, targets, Sam3LossConfig())
    (gradient,) = torch.autograd.grad(sum(terms.values()), logits)
    assert gradient[0].any()
    assert not gradient[1].any()
    told = targets._replace(semantic_masks=(targets.masks_of([0])[0], None, None))
    assert semantic_terms(logits, told, Sam3LossConfig())["loss_semantic_dice"] != terms["loss_semantic_dice"]
    same = targets._replace(semantic_masks=(torch.stack(targets.masks_of([0, 1, 2])).any(0), None, None))
    torch.testing.assert_close(semantic_terms(logits, same, Sam3LossConfig()), terms)


def test_an_empty_semantic_mask_counts_as_a_negative_row() -> None:
    targets = targets_of()
    logits = torch.randn(3, 1, 20, 20)
    empty = torch.zeros(40, 40, dtype=torch.bool)
    told = targets._replace(semantic_masks=(None, empty, None))
    expected = semantic_terms(logits, targets, Sam3LossConfig())
    torch.testing.assert_close(semantic_terms(logits, told, Sam3LossConfig()), expected)


def test_gradients_are_those_of_differences() -> None:
    targets = targets_of(size=9)
    logits = torch.randn(3, 6, 4, 4, dtype=torch.double, requires_grad=True)
    config = Sam3LossConfig(mask_chunk_size=2)

    def compared(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        terms = mask_terms(values, targets, matches(), OBJECTS.double(), config)
        return (*terms.values(), *semantic_terms(values[:, :1], targets, config).values())

    assert torch.autograd.gradcheck(compared, logits, fast_mode=True)
