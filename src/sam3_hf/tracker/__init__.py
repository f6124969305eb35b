"""From points, boxes and masks on one object to that object's mask."""
