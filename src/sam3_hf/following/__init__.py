"""Following: detector, tracker and rules together, frame after frame."""
