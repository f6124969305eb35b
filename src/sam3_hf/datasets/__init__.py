"""Pictures with prompts and the objects that match them."""
