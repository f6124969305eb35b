"""Functions on tensors: no modules, no configurations."""
