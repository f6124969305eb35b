"""Fine-tuning: examples become batches, parameters get their rates, and transformers' Trainer does the rest."""
