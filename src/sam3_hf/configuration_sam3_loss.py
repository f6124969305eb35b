"""Configuration of the training loss; the defaults are those of the original's fine-tuning recipe with masks."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class Sam3LossConfig(PreTrainedConfig):
    """How `Sam3Model` is trained when it is given `labels`.

    The numbers are those of the original's Roboflow recipe. Its ODinW recipe has `class_pos_weight=5`.

    Args:
        auxiliary_loss: Also supervise every decoder layer before the last (boxes, classes and presence).
        use_dac: Train a second set of queries, each object matched to several of them. It shares all weights with the
            first set and exists in training mode only.
        matcher_class_cost, matcher_bbox_cost, matcher_giou_cost: Weights of the costs of matching one to one.
        matcher_alpha, matcher_gamma: Focal parameters of the class cost.
        o2m_alpha: Share of the score, against that of the overlap, in matching one to many.
        o2m_threshold: What a pair's mix of score and overlap must exceed.
        o2m_topk: Queries that one object can have at most.
        o2m_loss_weight: Weight of every term of the second set.
        o2m_matcher_on_aux: Match one to many in the layers before the last too; otherwise one to one.
        bbox_loss_weight, giou_loss_weight: Weights of the boxes' L1 distance and generalised overlap.
        class_loss_weight: Weight of the classification term.
        class_loss_alpha: Share of the score, against that of the overlap, in the goal of a matched query.
        class_loss_gamma: How fast easy negatives lose weight.
        class_pos_weight: Weight of matched queries.
        presence_loss_weight, presence_alpha, presence_gamma: Weight and focal parameters of the presence term.
        mask_loss_weight, mask_alpha, mask_gamma: Weight and focal parameters of the mask term.
        dice_loss_weight: Weight of the masks' dice term.
        semantic_loss_weight, semantic_alpha, semantic_gamma: Weight and focal parameters of the semantic map.
        semantic_dice_weight: Weight of the semantic map's dice term.
        pad_n_queries: The classification term is averaged over at least so many queries per prompt; `None` for those
            that are there.
        scale_loss_by_sqrt_num_prompts: Multiply the loss by the square root of the number of prompt rows.
        mask_num_points: Compare masks at so many points, most of them where the model is least sure (PointRend),
            instead of every pixel; saves time and memory. The original compares every pixel.
        mask_oversample_ratio: Candidates per point among which the least sure ones are looked for.
        mask_importance_ratio: Share of the points that is chosen by doubt, the rest being random.
        mask_chunk_size: Masks that are compared at once at full resolution. It bounds memory and changes no result.
    """

    model_type = "sam3_loss"
    base_config_key = "loss_config"

    auxiliary_loss: bool = True
    use_dac: bool = True
    matcher_class_cost: float | int = 2.0
    matcher_bbox_cost: float | int = 5.0
    matcher_giou_cost: float | int = 2.0
    matcher_alpha: float | int = 0.25
    matcher_gamma: float | int = 2.0
    o2m_alpha: float | int = 0.3
    o2m_threshold: float | int = 0.4
    o2m_topk: int = 4
    o2m_loss_weight: float | int = 2.0
    o2m_matcher_on_aux: bool = False
    bbox_loss_weight: float | int = 5.0
    giou_loss_weight: float | int = 2.0
    class_loss_weight: float | int = 20.0
    class_loss_alpha: float | int = 0.25
    class_loss_gamma: float | int = 2.0
    class_pos_weight: float | int = 10.0
    presence_loss_weight: float | int = 20.0
    presence_alpha: float | int = 0.5
    presence_gamma: float | int = 0.0
    mask_loss_weight: float | int = 200.0
    mask_alpha: float | int = 0.25
    mask_gamma: float | int = 2.0
    dice_loss_weight: float | int = 10.0
    semantic_loss_weight: float | int = 20.0
    semantic_alpha: float | int = 0.6
    semantic_gamma: float | int = 2.0
    semantic_dice_weight: float | int = 30.0
    pad_n_queries: int | None = 200
    scale_loss_by_sqrt_num_prompts: bool = True
    mask_num_points: int | None = None
    mask_oversample_ratio: float | int = 3.0
    mask_importance_ratio: float | int = 0.75
    mask_chunk_size: int = 8

    def __post_init__(self, **kwargs: object) -> None:
        super().__post_init__(**kwargs)
        for name in ("o2m_topk", "mask_num_points", "mask_oversample_ratio", "mask_chunk_size"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}.")
        for name in ("o2m_alpha", "class_loss_alpha", "mask_importance_ratio"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, got {value}.")

    @property
    def masks_count(self) -> bool:
        """Whether any term looks at masks."""
        weights = (
            self.mask_loss_weight,
            self.dice_loss_weight,
            self.semantic_loss_weight,
            self.semantic_dice_weight,
        )
        return any(weights)
