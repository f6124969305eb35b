"""Confirmation: an object counts as confirmed once it was detected on several frames in a row.

Association of a frame + Register -> ids that are still unconfirmed
"""

from itertools import chain

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.association import Association
from sam3_hf.video.register import Register


def unconfirmed(register: Register, found: Association, ids: list[int], config: Sam3VideoConfig) -> list[int]:
    """Count frames in a row, the one of birth included; who was confirmed once stays so."""
    if not config.masklet_confirmation_enable:
        return []
    seen = set(chain.from_iterable(found.matches.values()))
    for number in ids:
        # A new object has no count yet, and was detected.
        known = number in register.detected_in_a_row
        count = register.detected_in_a_row.get(number, 0) + 1 if number in seen or not known else 0
        register.detected_in_a_row[number] = count
        if count >= config.masklet_confirmation_consecutive_det_thresh:
            register.confirmed.add(number)
    register.unconfirmed = {number for number in ids if number not in register.confirmed}
    return sorted(register.unconfirmed)
